//! Groups: settings that some namespaces or PVCs share.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::defaults::PromoterRetention;
use crate::retention::Retention;
use crate::schedule::Zone;

/// Settings that some namespaces or PVCs share: they hold where neither the PVC nor its Namespace has an
/// annotation, and what a group leaves out has its default. Of several groups that fit, the first one counts, with
/// all of its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Group {
    /// Its name, for people: a DNS label of at most 40 characters, of no other group. Must be set.
    pub name: String,
    /// Patterns of namespaces' names; one must match. Default: any. A group has this or labels.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Labels that the Namespace must have, all of them. Default: none.
    #[serde(default)]
    pub namespace_labels: BTreeMap<String, String>,
    /// Labels that the PVC must have, all of them. Default: none.
    #[serde(default)]
    pub pvc_labels: BTreeMap<String, String>,
    /// Whether its PVCs are backed up where no annotation says so. Default: by `selection.mode`.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// As [`super::Defaults::schedule`].
    #[serde(default)]
    pub schedule: Option<String>,
    /// As [`super::Defaults::time_zone`].
    #[serde(default)]
    pub time_zone: Option<Zone>,
    /// As [`super::Defaults::retention`].
    #[serde(default)]
    pub retention: Option<Retention>,
    /// As [`super::Defaults::destinations`].
    #[serde(default)]
    pub destinations: Option<Vec<String>>,
    /// As [`super::Defaults::promoter_retention`].
    #[serde(default)]
    pub promoter_retention: Option<PromoterRetention>,
    /// By the name of a destination: the Secret with the credentials that these PVCs use there, in the place of
    /// the destination's own. Default: none.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
}
