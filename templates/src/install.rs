//! What an installation is.

use model::names::Instance;
use serde::{Deserialize, Serialize};

/// What an installation is: the same for all objects that it creates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Install {
    /// Its name, on every object as a label: two installations never touch each other's objects (F94).
    pub instance: Instance,
    /// The controller's namespace: `CronJobs` and keeper Jobs live there.
    pub namespace: String,
    /// The service account of the pods that take and rotate snapshots.
    pub job_service_account: String,
    /// The image with our binaries and nothing else.
    pub controller_image: String,
    /// The image that has the copying tools too.
    pub mover_image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// A `ConfigMap` in the controller's namespace with templates that replace the embedded ones; pods
    /// that create objects mount it at [`crate::program::TEMPLATES_DIR`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates_config_map: Option<String>,
}
