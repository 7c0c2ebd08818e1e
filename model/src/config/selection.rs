//! Which PVCs are backed up.

use serde::{Deserialize, Deserializer, Serialize};

use super::globs::Globs;

/// Which PVCs are backed up: those that all three lists let through.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Selection {
    /// `all`: every PVC that is not told otherwise; `opt-in`: those that are told so. Default:
    /// `all`.
    pub mode: Mode,
    /// By namespace. Default: all but `kube-*` and `openshift-*`.
    #[serde(deserialize_with = "namespaces")]
    pub namespaces: Globs,
    /// By the name of the PVC's `StorageClass`. Default: all.
    pub storage_classes: Globs,
    /// By the name of the CSI driver. Default: all.
    pub drivers: Globs,
}

impl Default for Selection {
    fn default() -> Selection {
        Selection {
            mode: Mode::All,
            namespaces: Globs { exclude: vec!["kube-*".to_owned(), "openshift-*".to_owned()], ..Globs::default() },
            storage_classes: Globs::default(),
            drivers: Globs::default(),
        }
    }
}

/// Whether PVCs are backed up without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// `all`: each one, unless the annotation `enabled` of the PVC or Namespace, or its group, says `false`.
    All,
    /// `opt-in`: only where the annotation `enabled` of the PVC or Namespace, or its group, says `true`.
    OptIn,
}

/// The namespaces have a default of their own for `exclude`.
fn namespaces<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Globs, D::Error> {
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
