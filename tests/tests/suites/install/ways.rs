//! What each way would apply.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};
use backup_controller_tests::binaries::{self, project};
use backup_controller_tests::chart::{self, documents, output};
use dev_cluster::{Part, ensure_built};
use serde_json::Value;

/// A way to install.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    Kustomize,
    Helm,
    Ansible,
}

/// The settings of an installation, said in each way's words: a folder with `kustomization.yaml`,
/// `values.yaml` and `variables.yaml`.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub folder: &'static str,
    pub namespace: &'static str,
}

impl Way {
    /// What it would apply.
    pub fn objects(self, settings: Settings) -> Result<Vec<Value>> {
        let folder = project().join(settings.folder);
        match self {
            Self::Kustomize => chart::kustomize(settings.folder),
            Self::Helm => documents(&template(settings.namespace, &folder.join("values.yaml"))?),
            Self::Ansible => playbook(&folder.join("variables.yaml")),
        }
        .with_context(|| format!("{self:?} with {}", settings.folder))
    }
}

/// A helm that knows nothing of this machine's user, and has no place to write to.
pub fn helm() -> Result<Command> {
    let mut helm = Command::new(ensure_built(Part::Helm)?.join("helm"));
    helm.env_clear().env("HOME", "/nonexistent");
    Ok(helm)
}

/// `helm template` with a file of values.
pub fn template(namespace: &str, values: &Path) -> Result<String> {
    let mut helm = helm()?;
    helm.args(["template", "backup"]).arg(chart::folder()).args(["--namespace", namespace, "--values"]).arg(values);
    output(&mut helm)
}

/// How many playbooks were run: each writes to a folder of its own.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// The playbook writes what it would apply, and asks no cluster.
fn playbook(variables: &Path) -> Result<Vec<Value>> {
    let kubectl = ensure_built(Part::Kubernetes)?.join("kubectl");
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("playbook-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let manifest = folder.join("manifest.yaml");
    let mut playbook = Command::new("ansible-playbook");
    playbook
        .current_dir(project().join("ansible"))
        .arg("install-backup-controller.yaml")
        .arg("--extra-vars")
        .arg(format!("@{}", variables.display()))
        .args(["--extra-vars", &format!("MANIFEST={}", manifest.display())])
        .args(["--extra-vars", &format!("KUBECTL={}", kubectl.display())])
        .args(["--extra-vars", &format!("PLUGIN={}", binaries::path("kubectl-backup")?.display())]);
    let written = output(&mut playbook).and_then(|_| Ok(std::fs::read_to_string(&manifest)?));
    std::fs::remove_dir_all(&folder)?;
    documents(&written?)
}
