//! A rendered text to one JSON value.

use serde_json::{Map, Number, Value};

use crate::error::{Fault, RenderError};

/// Reads exactly one document that is a map. Duplicate keys, tags, keys that are no text and numbers that
/// JSON does not have are refused.
pub(crate) fn parse_document(template: &'static str, text: &str) -> Result<Value, RenderError> {
    let fail = |place, fault| RenderError { template, place, fault };
    let documents = serde_yaml::Deserializer::from_str(text)
        .map(<serde_yaml::Value as serde::Deserialize>::deserialize)
        .filter(|d| !matches!(d, Ok(serde_yaml::Value::Null)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| {
            let place = e.location().map(|l| (l.line(), l.column()));
            fail(place, Fault::Yaml(e.to_string()))
        })?;
    let count = documents.len();
    let mut documents = documents.into_iter();
    match (documents.next(), count) {
        (Some(one @ serde_yaml::Value::Mapping(_)), 1) => to_json(one, "").map_err(|why| fail(None, Fault::Yaml(why))),
        (Some(_), 1) => Err(fail(None, Fault::NotOneObject("a list or a single value".to_owned()))),
        (None, _) => Err(fail(None, Fault::NotOneObject("nothing".to_owned()))),
        (Some(_), n) => Err(fail(None, Fault::NotOneObject(format!("{n} documents")))),
    }
}

fn to_json(value: serde_yaml::Value, path: &str) -> Result<Value, String> {
    use serde_yaml::Value as Yaml;
    Ok(match value {
        Yaml::Null => Value::Null,
        Yaml::Bool(b) => Value::Bool(b),
        Yaml::String(text) => Value::String(text),
        Yaml::Number(n) => number(&n).ok_or_else(|| format!("{path}: JSON has no number {n}"))?,
        Yaml::Sequence(items) => Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(i, item)| to_json(item, &format!("{path}[{i}]")))
                .collect::<Result<_, _>>()?,
        ),
        Yaml::Mapping(map) => {
            let mut out = Map::new();
            for (key, item) in map {
                let Yaml::String(key) = key else {
                    let key = serde_yaml::to_string(&key).unwrap_or_default();
                    return Err(format!("{path}: the key {} must be a string", key.trim()));
                };
                let item = to_json(item, &format!("{path}.{key}"))?;
                out.insert(key, item);
            }
            Value::Object(out)
        }
        Yaml::Tagged(tagged) => return Err(format!("{path}: the tag {} is not supported", tagged.tag)),
    })
}

fn number(n: &serde_yaml::Number) -> Option<Value> {
    n.as_i64()
        .map(Value::from)
        .or_else(|| n.as_u64().map(Value::from))
        .or_else(|| n.as_f64().and_then(Number::from_f64).map(Value::Number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(text: &str) -> String {
        parse_document("t", text).expect_err(text).to_string()
    }

    #[test]
    fn a_document_is_read_as_json() {
        let text = "# comment\n---\na: 1\nb: [x, 2.5, true, null, {c: \"d\"}]\n";
        assert_eq!(parse_document("t", text).unwrap(), json!({"a": 1, "b": ["x", 2.5, true, null, {"c": "d"}]}));
        assert_eq!(parse_document("t", "a: 1\n---\n").unwrap(), json!({"a": 1}));
    }

    /// F75.
    #[test]
    fn exactly_one_object_is_rendered() {
        assert_eq!(fault("a: 1\n---\na: 2\n"), "t: must render exactly one object, but renders 2 documents");
        assert_eq!(fault(""), "t: must render exactly one object, but renders nothing");
        assert_eq!(fault("# only\n---\n"), "t: must render exactly one object, but renders nothing");
        assert_eq!(fault("[1]"), "t: must render exactly one object, but renders a list or a single value");
    }

    /// F75.
    #[test]
    fn what_is_no_plain_yaml_is_refused_with_its_place() {
        let error = parse_document("t", "a:\n  b: 1\n  b: 2\n").unwrap_err();
        assert!(error.to_string().contains("duplicate"), "{error}");
        assert!(error.place.is_some(), "{error}");
        let error = parse_document("t", "a: 1\nb: \"x\n").unwrap_err();
        assert!(error.place.is_some_and(|(line, _)| line >= 2), "{error}");
        for (text, part) in [
            ("a: {1: x}", ".a: the key 1 must be a string"),
            ("a: !secret x", ".a: the tag !secret is not supported"),
            ("a: [.nan]", ".a[0]: JSON has no number .nan"),
        ] {
            assert!(fault(text).contains(part), "{}", fault(text));
        }
    }
}
