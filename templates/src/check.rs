//! What must come out of a template, whatever the template says.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use model::names;
use model::snapshot::{VolumeSnapshot, VolumeSnapshotContent};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::error::Fault;
use crate::field::{not_ours, path, shown};
use crate::pods::{self, PodRules};

/// What must come out.
pub(crate) struct Expected {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// `None` for kinds that have none.
    pub(crate) namespace: Option<String>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) pod: Option<PodRules>,
}

/// What kind of object it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    CronJob,
    Deployment,
    Job,
    NetworkPolicy,
    PersistentVolume,
    PersistentVolumeClaim,
    VolumeSnapshot,
    VolumeSnapshotContent,
}

impl Kind {
    /// Its `apiVersion` and `kind`.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::CronJob => ("batch/v1", "CronJob"),
            Self::Deployment => ("apps/v1", "Deployment"),
            Self::Job => ("batch/v1", "Job"),
            Self::NetworkPolicy => ("networking.k8s.io/v1", "NetworkPolicy"),
            Self::PersistentVolume => ("v1", "PersistentVolume"),
            Self::PersistentVolumeClaim => ("v1", "PersistentVolumeClaim"),
            Self::VolumeSnapshot => ("snapshot.storage.k8s.io/v1", "VolumeSnapshot"),
            Self::VolumeSnapshotContent => ("snapshot.storage.k8s.io/v1", "VolumeSnapshotContent"),
        }
    }

    /// Refuses fields that the kind does not have.
    fn fields(self, object: &Value) -> Result<(), Fault> {
        match self {
            Self::CronJob => strictly::<CronJob>(object),
            Self::Deployment => strictly::<Deployment>(object),
            Self::Job => strictly::<Job>(object),
            Self::NetworkPolicy => strictly::<NetworkPolicy>(object),
            Self::PersistentVolume => strictly::<PersistentVolume>(object),
            Self::PersistentVolumeClaim => strictly::<PersistentVolumeClaim>(object),
            Self::VolumeSnapshot => strictly::<VolumeSnapshot>(object),
            Self::VolumeSnapshotContent => strictly::<VolumeSnapshotContent>(object),
        }
    }
}

/// A field on which safety rests.
pub(crate) struct Pin {
    pointer: String,
    rule: Rule,
}

enum Rule {
    Exactly(Value),
    /// Absent, or this.
    AtMost(Value),
    Absent,
}

impl Pin {
    pub(crate) fn exactly(pointer: &str, value: impl Into<Value>) -> Self {
        Self { pointer: pointer.to_owned(), rule: Rule::Exactly(value.into()) }
    }

    pub(crate) fn at_most(pointer: &str, value: impl Into<Value>) -> Self {
        Self { pointer: pointer.to_owned(), rule: Rule::AtMost(value.into()) }
    }

    pub(crate) fn absent(pointer: &str) -> Self {
        Self { pointer: pointer.to_owned(), rule: Rule::Absent }
    }

    /// What every Job's spec at `pointer` must say: one pod at a time, never beside one that is still
    /// stopping, and a finished Job stays until its result is recorded.
    pub(crate) fn job(pointer: &str) -> Vec<Self> {
        let at = |field: &str| format!("{pointer}/{field}");
        vec![
            Self::at_most(&at("completions"), 1),
            Self::at_most(&at("parallelism"), 1),
            Self::at_most(&at("suspend"), false),
            Self::exactly(&at("podReplacementPolicy"), "Failed"),
            Self::absent(&at("ttlSecondsAfterFinished")),
            Self::exactly(&at("template/spec/restartPolicy"), "Never"),
        ]
    }

    fn check(&self, object: &Value) -> Result<(), Fault> {
        let found = object.pointer(&self.pointer).filter(|v| !v.is_null());
        let (fine, expected) = match &self.rule {
            Rule::Exactly(value) => (found == Some(value), shown(Some(value))),
            Rule::AtMost(value) => (found.is_none_or(|f| f == value), format!("{} or left out", shown(Some(value)))),
            Rule::Absent => (found.is_none(), "left out".to_owned()),
        };
        if fine { Ok(()) } else { Err(not_ours(path(&self.pointer), expected, found)) }
    }
}

/// Checks an object that a template rendered.
pub(crate) fn object(expected: &Expected, object: &Value) -> Result<(), Fault> {
    let (api_version, kind) = expected.kind.names();
    Pin::exactly("/apiVersion", api_version).check(object)?;
    Pin::exactly("/kind", kind).check(object)?;
    expected.kind.fields(object)?;
    Pin::exactly("/metadata/name", expected.name.as_str()).check(object)?;
    match &expected.namespace {
        Some(namespace) => Pin::exactly("/metadata/namespace", namespace.as_str()),
        None => Pin::absent("/metadata/namespace"),
    }
    .check(object)?;
    // Nothing that we create is owned by another object, or kept by a finalizer of ours.
    for (field, value) in object["metadata"].as_object().into_iter().flatten() {
        if !["name", "namespace", "labels", "annotations"].contains(&field.as_str()) {
            return Err(not_ours(format!("metadata.{field}"), "left out".to_owned(), Some(value)));
        }
    }
    marks("metadata", &object["metadata"], expected)?;
    for pin in &expected.pins {
        pin.check(object)?;
    }
    if let Some(rules) = &expected.pod {
        let job = rules.pointer.trim_end_matches("/spec/template");
        if !job.is_empty() {
            let pointer = format!("{job}/metadata");
            marks(&path(&pointer), object.pointer(&pointer).unwrap_or(&Value::Null), expected)?;
        }
        let pointer = format!("{}/metadata", rules.pointer);
        marks(&path(&pointer), object.pointer(&pointer).unwrap_or(&Value::Null), expected)?;
        pods::check(rules, object)?;
    }
    Ok(())
}

/// Our labels and annotations must be there and be these; others are the administrator's.
fn marks(at: &str, metadata: &Value, expected: &Expected) -> Result<(), Fault> {
    for (field, wanted) in [("labels", &expected.labels), ("annotations", &expected.annotations)] {
        let found = metadata[field].as_object();
        let ours = found.into_iter().flatten().map(|(k, _)| k).filter(|k| k.starts_with(names::PREFIX));
        for key in wanted.keys().chain(ours).collect::<BTreeSet<_>>() {
            let (want, have) = (wanted.get(key), found.and_then(|f| f.get(key)));
            if want.map(String::as_str) != have.and_then(Value::as_str) {
                let want = want.map_or_else(|| "left out".to_owned(), |w| format!("\"{w}\""));
                return Err(not_ours(format!("{at}.{field}[\"{key}\"]"), want, have));
            }
        }
    }
    Ok(())
}

/// Reads the object as its type, and back: what is lost is a field that the type does not have.
pub(crate) fn strictly<T: Serialize + DeserializeOwned>(object: &Value) -> Result<(), Fault> {
    let mut kept = known::<T>(object).map_err(|(path, why)| Fault::Type(format!("{path}: {why}")))?;
    // The model's own types have no fields for these two.
    for field in ["apiVersion", "kind"] {
        kept[field] = object[field].clone();
    }
    match lost("", object, &kept) {
        Some(path) => Err(Fault::UnknownField { path }),
        None => Ok(()),
    }
}

fn known<T: Serialize + DeserializeOwned>(object: &Value) -> Result<Value, (String, String)> {
    let read = |object: &Value| serde_json::from_value::<T>(object.clone());
    match read(object).and_then(|typed| serde_json::to_value(&typed)) {
        Ok(kept) => Ok(kept),
        // serde does not say where: it is the value without which the rest can be read, or, if there are
        // several, the first without which the complaint is another.
        Err(error) => {
            let without = |pointer: &String| {
                let mut object = object.clone();
                if let Some(value) = object.pointer_mut(pointer) {
                    *value = Value::Null;
                }
                read(&object).map(drop).map_err(|e| e.to_string())
            };
            let mut suspects = leaves(object);
            suspects.retain(|p| !["", "/apiVersion", "/kind"].contains(&p.as_str()));
            let culprit = suspects
                .iter()
                .find(|p| without(p).is_ok())
                .or_else(|| suspects.iter().find(|p| without(p) != Err(error.to_string())));
            let at = culprit.map_or_else(|| "the object".to_owned(), |pointer| path(pointer));
            Err((at, error.to_string()))
        }
    }
}

/// Pointers to all values that hold no others, and after them to those that do.
fn leaves(value: &Value) -> Vec<String> {
    fn walk(value: &Value, at: &str, leaves: &mut Vec<String>, inner: &mut Vec<String>) {
        let mut visit = |key: &str, child: &Value| {
            let pointer = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
            walk(child, &pointer, leaves, inner);
        };
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(key, child)| visit(key, child));
                inner.push(at.to_owned());
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(i, child)| visit(&i.to_string(), child));
                inner.push(at.to_owned());
            }
            _ => leaves.push(at.to_owned()),
        }
    }
    let (mut leaves, mut inner) = (Vec::new(), Vec::new());
    walk(value, "", &mut leaves, &mut inner);
    leaves.extend(inner);
    leaves
}

/// The first field of `object` that `kept` does not have. Empty maps and lists, and nulls, say nothing.
fn lost(at: &str, object: &Value, kept: &Value) -> Option<String> {
    let says_nothing = |v: &Value| match v {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    match (object, kept) {
        (Value::Object(map), Value::Object(kept)) => map.iter().find_map(|(key, value)| {
            let at = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            match kept.get(key) {
                Some(kept) => lost(&at, value, kept),
                None if says_nothing(value) => None,
                None => Some(at),
            }
        }),
        (Value::Array(items), Value::Array(kept)) => {
            items.iter().zip(kept).enumerate().find_map(|(i, (item, kept))| lost(&format!("{at}[{i}]"), item, kept))
        }
        _ => None,
    }
}
