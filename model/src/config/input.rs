//! What serde does not do by itself: defaults that depend on the place, and numbers as text.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::{Globs, PodResources, Resources, Selection};
use crate::duration::from_text;

/// The namespaces have a default of their own for `exclude`.
pub(super) fn namespaces<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Globs, D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, expecting = "a map of keys")]
    struct Input {
        include: Option<Vec<String>>,
        exclude: Option<Vec<String>>,
    }
    let input = Input::deserialize(deserializer)?;
    let default = Selection::default().namespaces;
    Ok(Globs { include: input.include.unwrap_or(default.include), exclude: input.exclude.unwrap_or(default.exclude) })
}

pub(super) fn snapshot_job_resources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PodResources, D::Error> {
    pod_resources(deserializer, Resources::default().snapshot_job)
}

pub(super) fn copy_resources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PodResources, D::Error> {
    pod_resources(deserializer, Resources::default().copy)
}

fn pod_resources<'de, D: Deserializer<'de>>(deserializer: D, default: PodResources) -> Result<PodResources, D::Error> {
    #[derive(Deserialize)]
    struct Quantity(#[serde(deserialize_with = "quantity")] String);
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, expecting = "a map of keys")]
    struct Input {
        requests: Option<BTreeMap<String, Quantity>>,
        limits: Option<BTreeMap<String, Quantity>>,
    }
    let texts = |map: BTreeMap<String, Quantity>| map.into_iter().map(|(name, Quantity(text))| (name, text)).collect();
    let input = Input::deserialize(deserializer)?;
    Ok(PodResources {
        requests: input.requests.map_or(default.requests, texts),
        limits: input.limits.map_or(default.limits, texts),
    })
}

/// A quantity as text. YAML takes `1` and `0.5` for numbers.
pub(super) fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    from_text(deserializer, "a quantity such as `10Gi`")
}

pub(super) fn maybe_quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    quantity(deserializer).map(Some)
}
