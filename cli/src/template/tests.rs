use proptest::prelude::*;

use super::*;

const TEMPLATE: &str = r#"
apiVersion: template.openshift.io/v1
kind: Template
metadata: {name: restore}
labels: {template: restore, for: "${NAME}"}
message: "now: ${NAME}"
parameters:
  - {name: NAME, required: true}
  - {name: COUNT, value: "0"}
  - {name: HOW, required: true}
  - {name: SECRET, generate: expression, from: "[a-f0-9]{8}"}
objects:
  - apiVersion: v1
    kind: ConfigMap
    metadata: {name: "restore-${NAME}", namespace: fixed}
    data:
      "key-${NAME}": "${NAME} and ${NAME}, ${UNKNOWN} $NAME ${} ${NAME"
      count: "${{COUNT}}"
      beside: "x${{COUNT}}"
      secret: "${SECRET}"
  - {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: "${NAME}", labels: {mine: x}}}
"#;

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn objects(pairs: &[(&str, &str)]) -> Vec<Value> {
    Template::parse(TEMPLATE).unwrap().process(&values(pairs)).unwrap().objects().to_vec()
}

#[test]
fn parameters_are_filled_in_as_openshift_does() {
    let items = objects(&[("NAME", "data"), ("HOW", "x")]);
    assert_eq!(items[0]["metadata"], json!({"name": "restore-data", "labels": {"template": "restore", "for": "data"}}));
    assert_eq!(items[0]["data"]["key-data"], "data and data, ${UNKNOWN} $NAME ${} ${NAME");
    assert_eq!(items[0]["data"]["count"], 0);
    assert_eq!(items[0]["data"]["beside"], "x${{COUNT}}");
    assert_eq!(items[0]["data"]["secret"].as_str().unwrap().len(), 8);
    assert_eq!(items[1]["metadata"]["namespace"], "data", "one that a parameter names stays");
    assert_eq!(items[1]["metadata"]["labels"], json!({"mine": "x", "template": "restore", "for": "data"}));
}

#[test]
fn a_value_is_json_only_where_the_template_says_so() {
    let count = |text: &str| objects(&[("NAME", "a"), ("HOW", "x"), ("COUNT", text)])[0]["data"]["count"].clone();
    assert_eq!(count("{\"a\":[1]}"), json!({"a": [1]}));
    assert_eq!(count("true"), true);
    assert_eq!(count("not json"), "not json");
}

#[test]
fn a_value_that_looks_like_a_parameter_is_only_text() {
    let items = objects(&[("NAME", "${COUNT}"), ("HOW", "x")]);
    assert_eq!(items[0]["metadata"]["name"], "restore-${COUNT}");
    assert_eq!(items[1]["metadata"]["namespace"], "${COUNT}");
}

#[test]
fn what_is_missing_or_unknown_is_named() {
    let template = Template::parse(TEMPLATE).unwrap();
    let error = |pairs: &[(&str, &str)]| template.process(&values(pairs)).unwrap_err().to_string();
    assert_eq!(error(&[]), "the template needs a value for NAME, HOW: add -p NAME=VALUE");
    assert_eq!(error(&[("NAME", "a"), ("HOW", "")]), "the template needs a value for HOW: add -p NAME=VALUE");
    let known = "the template has no parameter DATE, XX: it has NAME, COUNT, HOW, SECRET";
    assert_eq!(error(&[("NAME", "a"), ("HOW", "x"), ("DATE", ""), ("XX", "")]), known);
    let keys = template_with_key("${{NAME}}").process(&values(&[("NAME", "a")])).unwrap_err().to_string();
    assert!(keys.contains("would not be a string"), "{keys}");
}

fn template_with_key(key: &str) -> Template {
    let text = format!("{{kind: Template, parameters: [{{name: NAME}}], objects: [{{\"{key}\": x}}]}}");
    Template::parse(&text).unwrap()
}

#[test]
fn what_is_no_template_is_refused() {
    for (text, part) in [
        ("kind: List", "kind 'List'"),
        ("kind: Template\nkind: Template", "not YAML"),
        ("{kind: Template, parameters: [{name: A, value: 1}]}", "quote them"),
        ("a: [", "not YAML"),
    ] {
        let error = format!("{:#}", Template::parse(text).unwrap_err());
        assert!(error.contains(part), "{text}: {error}");
    }
}

/// Where each value stands, and whether it is a text.
fn shape(value: &Value) -> Vec<String> {
    match value {
        Value::Object(map) => map.values().flat_map(shape).map(|s| format!("{{{s}")).collect(),
        Value::Array(items) => items.iter().flat_map(shape).map(|s| format!("[{s}")).collect(),
        Value::String(_) => vec!["text".to_owned()],
        _ => vec!["other".to_owned()],
    }
}

proptest! {
    /// Law 9.
    #[test]
    fn a_value_never_becomes_structure(value in "[ -~\n\t\u{85}\u{2028}é😀\"'{}$:#\\[\\]-]{1,40}") {
        let template = "{kind: Template, parameters: [{name: NAME}, {name: OTHER, value: no}], \
            objects: [{a: ['${NAME}'], b: {c: 'x ${NAME} ${OTHER}', d: 'on'}}]}";
        let template = Template::parse(template).unwrap();
        let made = template.process(&values(&[("NAME", &value)])).unwrap().list;
        let plain = template.process(&values(&[("NAME", "plain")])).unwrap().list;
        prop_assert_eq!(shape(&made), shape(&plain));
        prop_assert_eq!(&made["items"][0]["a"][0], &value);
        prop_assert_eq!(&made["items"][0]["b"]["c"], &format!("x {value} no"));
        // And not on the way to kubectl either.
        let back: Value = serde_yaml::from_str(&yaml::text(&made)).unwrap();
        prop_assert_eq!(back, made);
    }
}

#[test]
fn yaml_is_what_kubectl_reads_as_text() {
    let words =
        ["yes", "On", "n", "~", "", "1_000", "12:30", "0644", "2018-12-02", "- a", "a: b", "#", "=", "<<", "1e3"];
    for word in words {
        let text = yaml::text(&json!({"a": word}));
        assert_eq!(text, format!("a: \"{word}\"\n"));
    }
    let script = json!({"data": {"restore.sh": "#!/bin/sh\n  echo \"x\"\n\nexit 0\n", "list": [[1, {"a": "b"}], []]}});
    let text = yaml::text(&script);
    assert!(text.contains("  restore.sh: |\n    #!/bin/sh\n      echo \"x\"\n\n    exit 0\n"), "{text}");
    assert_eq!(serde_yaml::from_str::<Value>(&text).unwrap(), script);
}
