//! What holds for a source where nothing else says it.

use serde::{Deserialize, Serialize};

use crate::duration::Span;
use crate::retention::Retention;
use crate::schedule::Zone;

/// What holds for a source where neither its PVC nor its Namespace has an annotation, nor a group says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Defaults {
    /// When: Kubernetes' five fields or a macro, with `H` for a time of the source's own, or `@after 24h`, so long
    /// after the last run ended ([`crate::schedule::Due`]). Default: `H H(0-5) * * *`, once in each night. Kept as
    /// text, since `H` needs the source.
    pub schedule: String,
    /// The zone of schedule, retention and the dates in names, by its IANA name. Default:
    /// `Etc/UTC`.
    pub time_zone: Zone,
    /// How long snapshots and copies are kept ([`Retention`]). Default: `2days`.
    pub retention: Retention,
    /// The destinations that each run is copied to, by name. Default: none, snapshots only.
    pub destinations: Vec<String>,
    /// How long the PVC of a restore point stays. Default: `auto`.
    pub promoter_retention: PromoterRetention,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            schedule: "H H(0-5) * * *".to_owned(),
            time_zone: Zone::utc(),
            retention: Retention::age(Span::days(2)),
            destinations: Vec::new(),
            promoter_retention: PromoterRetention::Auto,
        }
    }
}

/// How long a promoter, the PVC made from a snapshot, stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PromoterRetention {
    /// `auto`: read-only ones, which cost nothing, as long as their snapshot; of full clones only
    /// the newest.
    Auto,
    /// `keep`: each as long as its snapshot.
    Keep,
    /// `release`: none longer than its copies need it.
    Release,
}
