//! What values the chart takes. Helm refuses others before it changes anything.

use anyhow::{Context as _, Result};
use model::config::EXAMPLE;
use serde_json::{Map, Value, json};

/// Maps whose keys are anybody's: names of classes, keys of labels and annotations, resources.
const FREE: [&str; 8] =
    ["classes", "annotations", "namespaceLabels", "pvcLabels", "secrets", "nodeSelector", "requests", "limits"];

/// The chart's `values.schema.json`.
pub(super) fn values() -> Result<Value> {
    let image = json!({
        "type": "object", "additionalProperties": false, "required": ["repository"],
        "properties": {
            "repository": {"type": "string", "pattern": "^(([a-zA-Z0-9.-]+(:[0-9]+)?/)?[a-z0-9._-]+(/[a-z0-9._-]+)*)?$"},
            "tag": {"type": "string", "pattern": "^([a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}|sha256:[0-9a-f]{64})?$"},
        },
    });
    let switch = |name: &str| json!({"type": "object", "additionalProperties": false, "required": [name], "properties": {name: {"type": "boolean"}}});
    Ok(json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "backup-controller",
        "type": "object",
        "additionalProperties": false,
        "required": ["instance", "images", "secrets", "config", "hostDisks", "openshift", "namespace"],
        "properties": {
            "global": {"type": "object"},
            "instance": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$"},
            "images": {
                "type": "object", "additionalProperties": false, "required": ["controller", "mover", "pullPolicy"],
                "properties": {
                    "controller": image, "mover": image,
                    "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
                },
            },
            "secrets": {"type": "array", "items": {"type": "string", "pattern": "^[a-z0-9][a-z0-9.-]*\\*?$"}},
            "config": config()?,
            "nodeSelector": {"type": "object", "additionalProperties": {"type": "string"}},
            "tolerations": {"type": "array", "items": {"type": "object"}},
            "resources": {
                "type": "object", "additionalProperties": false,
                "properties": {"requests": {"type": "object"}, "limits": {"type": "object"}, "claims": {"type": "array"}},
            },
            "hostDisks": switch("enabled"),
            "openshift": switch("enabled"),
            "namespace": switch("create"),
        },
    }))
}

/// The configuration's keys and kinds of values: those of the example, which has every key.
fn config() -> Result<Value> {
    let example: serde_yaml::Value = serde_yaml::from_str(EXAMPLE).context("the example configuration")?;
    Ok(kind("", &serde_json::to_value(example)?))
}

/// The schema of a value that is called `key`.
fn kind(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) if FREE.contains(&key) && free(key, map) => {
            let any = map.values().next().map_or(json!({}), |value| kind("", value));
            let any = if any["type"] == "string" { json!({"type": ["string", "number"]}) } else { any };
            json!({"type": "object", "additionalProperties": any})
        }
        Value::Object(map) => {
            let properties: Map<_, _> = map.iter().map(|(key, value)| (key.clone(), kind(key, value))).collect();
            json!({"type": "object", "additionalProperties": false, "properties": properties})
        }
        Value::Array(list) => json!({"type": "array", "items": items(list)}),
        Value::Bool(_) => json!({"type": "boolean"}),
        // A number of files, or the word for all.
        Value::Number(_) if key == "sample" => json!({"anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["all"]}]}),
        Value::Number(_) => json!({"type": "integer"}),
        // A quantity may be a plain number.
        Value::String(_) if key == "size" => json!({"type": ["string", "number"]}),
        _ => json!({"type": "string"}),
    }
}

/// `limits` is of copies, with keys of ours, or of a pod.
fn free(key: &str, map: &Map<String, Value>) -> bool {
    key != "limits" || map.values().all(Value::is_string)
}

/// One schema for all items of a list: what any of them has.
fn items(list: &[Value]) -> Value {
    let mut all = Map::new();
    for item in list.iter().filter_map(Value::as_object) {
        all.extend(item.clone());
    }
    if all.is_empty() { json!({"type": "string"}) } else { kind("", &Value::Object(all)) }
}
