//! What pods ask for and may use.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use super::input;

/// What the pods ask for and may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Resources {
    /// The pod that makes a snapshot and rotates. Default: requests 10m CPU and 16Mi memory,
    /// limit 64Mi memory.
    #[serde(deserialize_with = "snapshot_job_resources")]
    pub snapshot_job: PodResources,
    /// The pod that copies. Default: requests 100m CPU and 64Mi memory, limit 512Mi memory.
    #[serde(deserialize_with = "copy_resources")]
    pub copy: PodResources,
}

impl Default for Resources {
    fn default() -> Resources {
        Resources {
            snapshot_job: PodResources::new("10m", "16Mi", "64Mi"),
            copy: PodResources::new("100m", "64Mi", "512Mi"),
        }
    }
}

/// The resources of a pod's container, as Kubernetes writes them. A map that is given replaces the
/// default one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodResources {
    /// What is set aside; quantities by resource.
    pub requests: BTreeMap<String, String>,
    /// What may not be exceeded; quantities by resource.
    pub limits: BTreeMap<String, String>,
}

impl PodResources {
    fn new(cpu: &str, memory: &str, most_memory: &str) -> PodResources {
        let of = |name: &str, quantity: &str| (name.to_owned(), quantity.to_owned());
        PodResources {
            requests: [of("cpu", cpu), of("memory", memory)].into(),
            limits: [of("memory", most_memory)].into(),
        }
    }
}

fn snapshot_job_resources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PodResources, D::Error> {
    pod_resources(deserializer, Resources::default().snapshot_job)
}

fn copy_resources<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PodResources, D::Error> {
    pod_resources(deserializer, Resources::default().copy)
}

fn pod_resources<'de, D: Deserializer<'de>>(deserializer: D, default: PodResources) -> Result<PodResources, D::Error> {
    #[derive(Deserialize)]
    struct Quantity(#[serde(deserialize_with = "input::quantity")] String);
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
