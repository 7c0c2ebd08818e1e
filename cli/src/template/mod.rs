//! OpenShift's Templates, processed as `oc process --local` does it.
//!
//! [`Template::process`] is pure but for the random values that a template may ask for. Values never become
//! structure, except where the template says so with `${{NAME}}`.

mod generate;
pub(crate) mod new_app;
mod parameter;
pub(crate) mod process;
pub(crate) mod yaml;

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(crate) use parameter::Parameter;

/// A Template.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Template {
    #[serde(default)]
    kind: String,
    /// What it takes.
    #[serde(default)]
    pub(crate) parameters: Vec<Parameter>,
    #[serde(default)]
    objects: Vec<Value>,
    /// For every object.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// A word for the person, with parameters in it.
    #[serde(default)]
    pub(crate) message: String,
}

/// What came of a Template.
#[derive(Debug, Clone)]
pub(crate) struct Processed {
    /// A List, as kubectl takes it.
    pub(crate) list: Value,
    /// What the template has to say.
    pub(crate) message: String,
}

impl Processed {
    pub(crate) fn objects(&self) -> &[Value] {
        self.list["items"].as_array().map(Vec::as_slice).unwrap_or_default()
    }
}

impl Template {
    /// Reads YAML or JSON.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        // Only YAML's own value refuses doubled keys.
        let value: serde_yaml::Value = serde_yaml::from_str(text).context("the template is not YAML or JSON")?;
        let value = serde_json::to_value(value).context("the template has a value that JSON cannot express")?;
        let template: Self = serde_json::from_value(value)
            .context("the template is not valid (values of parameters must be strings: quote them)")?;
        if template.kind != "Template" {
            bail!("the file has kind '{}'; it must be a Template of template.openshift.io/v1", template.kind);
        }
        Ok(template)
    }

    /// The objects with these values in them; other parameters have their own values.
    pub(crate) fn process(&self, given: &BTreeMap<String, String>) -> anyhow::Result<Processed> {
        let values = self.values(given)?;
        let mut items = Vec::new();
        for object in &self.objects {
            let mut object = object.clone();
            strip_namespace(&mut object);
            let mut object = substitute(&object, &values)?;
            let meta = object
                .as_object_mut()
                .ok_or_else(|| anyhow!("an entry of `objects` in the template is not an object"))?;
            let meta = meta.entry("metadata").or_insert_with(|| json!({}));
            for (key, value) in &self.labels {
                meta["labels"][expand(key, &values)] = Value::String(expand(value, &values));
            }
            items.push(object);
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
        Ok(Processed { list, message: expand(&self.message, &values) })
    }

    fn values(&self, given: &BTreeMap<String, String>) -> anyhow::Result<BTreeMap<&str, String>> {
        let known = |name: &String| self.parameters.iter().any(|p| p.name == *name);
        let unknown: Vec<&str> = given.keys().filter(|name| !known(name)).map(String::as_str).collect();
        if !unknown.is_empty() {
            let names: Vec<&str> = self.parameters.iter().map(|p| p.name.as_str()).collect();
            bail!("the template has no parameter {}: it has {}", unknown.join(", "), names.join(", "));
        }
        let (mut values, mut missing) = (BTreeMap::new(), Vec::new());
        for parameter in &self.parameters {
            let value = match given.get(&parameter.name) {
                Some(value) => value.clone(),
                None if parameter.value.is_empty() && !parameter.generate.is_empty() => generate::value(parameter)?,
                None => parameter.value.clone(),
            };
            if value.is_empty() && parameter.required {
                missing.push(parameter.name.as_str());
            }
            values.insert(parameter.name.as_str(), value);
        }
        if !missing.is_empty() {
            bail!("the template needs a value for {}: add -p NAME=VALUE", missing.join(", "));
        }
        Ok(values)
    }
}

/// A namespace that is written down is not the one in which somebody uses the template.
fn strip_namespace(object: &mut Value) {
    let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if meta.get("namespace").and_then(Value::as_str).is_some_and(|text| !text.contains("${")) {
        meta.remove("namespace");
    }
}

fn substitute(value: &Value, values: &BTreeMap<&str, String>) -> anyhow::Result<Value> {
    Ok(match value {
        Value::String(text) => match whole(text, values) {
            Some(raw) => serde_json::from_str(raw).unwrap_or_else(|_| Value::String(raw.to_owned())),
            None => Value::String(expand(text, values)),
        },
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| substitute(item, values)).collect::<anyhow::Result<_>>()?)
        }
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                if whole(key, values).is_some() {
                    bail!("the key {key} would not be a string: in keys, write ${{NAME}}");
                }
                let key = expand(key, values);
                if out.insert(key.clone(), substitute(value, values)?).is_some() {
                    bail!("the key {key} occurs twice after its parameters are filled in");
                }
            }
            Value::Object(out)
        }
        other => other.clone(),
    })
}

/// The value of `${{NAME}}`, if that is the whole text.
fn whole<'a>(text: &str, values: &'a BTreeMap<&str, String>) -> Option<&'a str> {
    let name = text.strip_prefix("${{")?.strip_suffix("}}")?;
    values.get(name).map(String::as_str)
}

/// The text with every `${NAME}` filled in once; unknown names stay.
fn expand(text: &str, values: &BTreeMap<&str, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let value = from[2..].split_once('}').and_then(|(name, after)| Some((values.get(name)?, after)));
        if let Some((value, after)) = value {
            out.push_str(value);
            rest = after;
        } else {
            out.push_str("${");
            rest = &from[2..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests;
