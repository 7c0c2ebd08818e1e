//! Templates: where they come from, and what turns one and its values into a text.

use std::fmt::Write as _;
use std::path::Path;

use handlebars::template::{Template as Parsed, TemplateElement};
use handlebars::{
    Context, Handlebars, Helper, HelperResult, Output, RenderContext, RenderErrorReason, TemplateErrorReason,
};
use serde_json::Value;

use crate::error::{Fault, RenderError, TemplateError};

/// The templates of every object that is created.
#[derive(Debug, Clone)]
pub struct Templates {
    engine: Handlebars<'static>,
}

macro_rules! files {
    ($($(#[$doc:meta])* $name:ident = $file:literal,)*) => {
        /// One template.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Template { $($(#[$doc])* $name,)* }

        impl Template {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its file's name.
            pub(crate) const fn file(self) -> &'static str {
                match self { $(Self::$name => $file,)* }
            }

            /// The text that is compiled in.
            pub(crate) const fn embedded(self) -> &'static str {
                match self { $(Self::$name => include_str!(concat!("../", $file)),)* }
            }
        }
    };
}

files! {
    /// A source's CronJob.
    Cronjob = "cronjob.yaml.hbs",
    /// The sweeper's.
    Sweep = "sweep.yaml.hbs",
    /// A VolumeSnapshot.
    Snapshot = "snapshot.yaml.hbs",
    /// The PVC made from it.
    Promoter = "promoter.yaml.hbs",
    /// The Job that copies that.
    Copy = "copy.yaml.hbs",
    /// The Job that copies that to a restic repository.
    CopyRestic = "copy-restic.yaml.hbs",
    /// The Job of a task for copies.
    Maintain = "maintain.yaml.hbs",
    /// The PVC of a BackupDisk.
    DiskClaim = "disk-claim.yaml.hbs",
    /// The Job that readies a host's disk.
    Keeper = "keeper.yaml.hbs",
    /// The static `PersistentVolume` on a host's disk.
    DiskVolume = "disk-volume.yaml.hbs",
    /// The PVC bound to that.
    HostDiskClaim = "host-disk-claim.yaml.hbs",
    /// What a Deployment that asks for a restore pod becomes.
    Restore = "restore.yaml.hbs",
    /// The Job that restores.
    RestoreJob = "restore-job.yaml.hbs",
    /// What keeps the pods of copies and restores off the network.
    NetworkPolicy = "network-policy.yaml.hbs",
    /// A volume over another namespace's disk, for a restore.
    GrantVolume = "grant-volume.yaml.hbs",
    /// The claim to it.
    GrantClaim = "grant-claim.yaml.hbs",
    /// The volume of a restore's target once more, for the controller's namespace.
    AliasVolume = "alias-volume.yaml.hbs",
    /// The claim to it.
    AliasClaim = "alias-claim.yaml.hbs",
    /// The second content of a central copy.
    CentralContent = "central-content.yaml.hbs",
    /// The VolumeSnapshot that names it.
    CentralSnapshot = "central-snapshot.yaml.hbs",
}

fn empty() -> Templates {
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.register_escape_fn(quote);
    engine.register_helper("json", Box::new(json));
    Templates { engine }
}

pub(crate) fn embedded() -> Templates {
    let mut templates = empty();
    for template in Template::ALL {
        // A test renders each of them; one that did not register would be reported when it is rendered.
        let _ = templates.replace(*template, template.embedded());
    }
    templates
}

pub(crate) fn load(dir: Option<&Path>) -> Result<Templates, TemplateError> {
    let mut templates = embedded();
    let Some(dir) = dir else { return Ok(templates) };
    let read = |path: &Path| {
        let path = path.to_owned();
        move |source| TemplateError::Read { path, source }
    };
    for entry in std::fs::read_dir(dir).map_err(read(dir))? {
        let path = entry.map_err(read(dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') || path.extension().is_none_or(|e| e != "hbs") {
            continue;
        }
        let template = Template::ALL.iter().find(|t| t.file() == name).ok_or_else(|| TemplateError::Unknown {
            file: name,
            allowed: Template::ALL.iter().map(|t| t.file()).collect::<Vec<_>>().join(", "),
        })?;
        let text = std::fs::read_to_string(&path).map_err(read(&path))?;
        templates.replace(*template, &text)?;
    }
    Ok(templates)
}

impl Templates {
    /// Puts another text in a template's place.
    pub(crate) fn replace(&mut self, template: Template, text: &str) -> Result<(), RenderError> {
        let file = template.file();
        let fail = |place, fault| RenderError { template: file, place, fault };
        let parsed = Parsed::compile_with_name(text, file.to_owned()).map_err(|e| {
            let why = match e.reason() {
                // The parser's own words are a list of its rules.
                TemplateErrorReason::InvalidSyntax(_) => {
                    "the tag that begins here has no end or is not valid".to_owned()
                }
                other => other.to_string(),
            };
            fail(e.pos(), Fault::Syntax(why))
        })?;
        if let Some(place) = raw(&parsed) {
            let why = "{{{x}}} inserts text without quotes; write {{json x}}".to_owned();
            return Err(fail(Some(place), Fault::Syntax(why)));
        }
        self.engine.register_template(file, parsed);
        Ok(())
    }

    /// The text that a template makes of these values.
    pub(crate) fn text(&self, template: Template, values: &Value) -> Result<String, RenderError> {
        self.engine.render(template.file(), values).map_err(|e| {
            let fault = match e.reason() {
                RenderErrorReason::MissingVariable(name) => {
                    let known: Vec<&str> = values.as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
                    let name = name.as_deref().unwrap_or("?");
                    format!("unknown variable {name}; use one of {}", known.join(", "))
                }
                RenderErrorReason::HelperNotFound(name) => {
                    format!("unknown helper {name}; the helper for values is json")
                }
                other => other.to_string(),
            };
            RenderError { template: template.file(), place: e.line_no.zip(e.column_no), fault: Fault::Variable(fault) }
        })
    }
}

/// The place where a template first writes a value unquoted.
fn raw(template: &Parsed) -> Option<(usize, usize)> {
    template.elements.iter().enumerate().find_map(|(i, element)| {
        let inner = |t: Option<&Parsed>| t.and_then(raw);
        match element {
            TemplateElement::HtmlExpression(_) => Some(template.mapping.get(i).map_or((1, 1), |m| (m.0, m.1))),
            TemplateElement::HelperBlock(block) => {
                inner(block.template.as_ref()).or_else(|| inner(block.inverse.as_ref()))
            }
            TemplateElement::DecoratorBlock(block) | TemplateElement::PartialBlock(block) => {
                inner(block.template.as_ref())
            }
            _ => None,
        }
    })
}

/// The helper for every value: `{{json x}}` is a YAML scalar, list or map that stands for exactly `x`.
fn json(
    helper: &Helper<'_>,
    _: &Handlebars<'_>,
    _: &Context,
    _: &mut RenderContext<'_, '_>,
    out: &mut dyn Output,
) -> HelperResult {
    let value = match helper.params().as_slice() {
        [one] if one.is_value_missing() => {
            return Err(RenderErrorReason::MissingVariable(one.relative_path().cloned()).into());
        }
        [one] => one.value(),
        _ => return Err(RenderErrorReason::Other("json takes exactly one value".to_owned()).into()),
    };
    let mut text = String::new();
    write_value(&mut text, value);
    out.write(&text)?;
    Ok(())
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => write_quoted(out, text),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (i, (key, item)) in map.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                write_quoted(out, key);
                out.push_str(": ");
                write_value(out, item);
            }
            out.push('}');
        }
        // Writing into a String cannot fail.
        scalar => drop(write!(out, "{scalar}")),
    }
}

/// `text` as a quoted YAML scalar.
///
/// All that could mean something to YAML is written as an escape. So the value is exact where a template
/// puts it as it should, and is still only text where one puts it into other quotes or a plain scalar.
fn quote(text: &str) -> String {
    let mut out = String::new();
    write_quoted(&mut out, text);
    out
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        // Writing into a String cannot fail.
        match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '/' => out.push(c),
            '\0'..='\u{ffff}' => drop(write!(out, "\\u{:04x}", u32::from(c))),
            _ => drop(write!(out, "\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn with(text: &str) -> Result<Templates, RenderError> {
        let mut templates = empty();
        templates.replace(Template::Copy, text).map(|()| templates)
    }

    fn renders(text: &str, values: &Value) -> Result<String, RenderError> {
        with(text)?.text(Template::Copy, values)
    }

    #[test]
    fn every_embedded_template_compiles() {
        for template in Template::ALL {
            empty().replace(*template, template.embedded()).unwrap();
        }
    }

    #[test]
    fn a_missing_variable_is_an_error_with_its_place_and_the_names_that_there_are() {
        for text in ["a: 1\nb: {{json shedule}}\n", "a: 1\nb: {{shedule}}\n"] {
            let error = renders(text, &json!({"schedule": 1, "name": 2})).unwrap_err();
            assert_eq!(error.place.unwrap().0, 2, "{error}");
            assert!(error.to_string().starts_with("copy.yaml.hbs:2:"), "{error}");
            assert!(error.to_string().ends_with("unknown variable shedule; use one of name, schedule"), "{error}");
        }
    }

    #[test]
    fn a_template_that_is_none_is_refused_with_its_place() {
        let error = with("a: 1\nb: {{#if x}}\n").unwrap_err();
        assert!(error.to_string().starts_with("copy.yaml.hbs:"), "{error}");
        assert!(error.to_string().len() < 200, "{error}");
        let error = renders("{{jsn x}}", &json!({"x": 1})).unwrap_err();
        assert!(error.to_string().contains("unknown helper jsn"), "{error}");
        let error = renders("{{json x x}}", &json!({"x": 1})).unwrap_err();
        assert!(error.to_string().contains("json takes exactly one value"), "{error}");
    }

    #[test]
    fn raw_text_is_refused_wherever_it_stands() {
        for text in [
            "a: {{{x}}}",
            "a: {{&x}}",
            "{{#if x}}\na: {{{x}}}\n{{/if}}",
            "{{#if x}}{{else}}{{{x}}}{{/if}}",
            "{{#*inline \"p\"}}{{{x}}}{{/inline}}",
        ] {
            let error = with(text).expect_err(text);
            assert!(error.to_string().contains("write {{json x}}"), "{text}: {error}");
        }
    }

    #[test]
    fn a_value_is_exactly_itself_whatever_it_says() {
        let hostile = json!({
            "\": \n- {{": "a: b # c\n---\n- d\r\n\t'\"\\ $(POD) {{x}} !!int 1 &a *a | > % @ `",
            "unicode": "\u{0} \u{7f} \u{85} \u{2028} \u{feff} \u{ffff} 🐘 é",
            "list": [1, -2, 2.5, true, null, "", "~", "yes", "0644", "1_000", "2018-12-02"],
            "empty": {"map": {}, "list": []},
        });
        let text = renders("x: {{json x}}", &json!({"x": hostile})).unwrap();
        assert_eq!(crate::yaml::parse_document("t", &text).unwrap()["x"], hostile);
    }

    proptest! {
        /// Law 9, also for a template that does not use the helper, or puts a value where none belongs.
        #[test]
        fn a_text_never_becomes_structure(value in ".*|[\\PC\\s\"':,{}\\[\\]#&*!|>-]{0,30}") {
            let values = json!({"x": value});
            let engine = empty().engine;
            for good in ["k: {{x}}", "k: {{json x}}", "k: {{#if true}}{{json x}}{{/if}}"] {
                let text = engine.render_template(good, &values).unwrap();
                prop_assert_eq!(crate::yaml::parse_document("t", &text).unwrap(), json!({"k": value.clone()}));
            }
            let careless = [
                "k: a-{{x}}",
                "k: 'a-{{x}}'",
                "k: \"a-{{x}}\"",
                "{k: a-{{x}}}",
                "{k: 'a-{{x}}'}",
                "k: |\n  {{x}}",
                "k: {{x}} {{x}}",
                "# {{x}}\nk: 1",
            ];
            for template in careless {
                let text = engine.render_template(template, &values).unwrap();
                if let Ok(parsed) = crate::yaml::parse_document("t", &text) {
                    let map = parsed.as_object().unwrap();
                    prop_assert!(map.len() == 1 && map["k"].as_object().is_none(), "{}: {:?}", template, map);
                }
            }
        }
    }
}
