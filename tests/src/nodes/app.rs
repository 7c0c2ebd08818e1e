//! The installed controller, and an application with files and backups.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use dev_cluster::Kubectl;
use serde_json::Value;

use super::place::Place;
use super::wait::wait_for;

/// How long a backup may take in a test, from when it is due.
pub const BACKUP_DEADLINE: Duration = Duration::from_mins(3);

/// The project's folder.
#[must_use]
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new(".")).to_owned()
}

/// Reads a manifest of `tests/manifests` and replaces its capital words.
pub fn manifest(name: &str, words: &[(&str, &str)]) -> Result<String> {
    let path = project().join("tests/manifests").join(name);
    let mut text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for (word, value) in words {
        text = text.replace(word, value);
    }
    Ok(text)
}

/// Installs the controller from an overlay of `tests/install`, and waits until it is ready.
pub fn install(kubectl: &Kubectl, overlay: &str) -> Result<()> {
    let path = project().join("tests/install").join(overlay);
    let path = path.to_str().context("the project's path is not UTF-8")?;
    kubectl.run(&["apply", "--server-side", "--force-conflicts", "-k", path])?;
    // A ConfigMap of the same name restarts nothing, and an image of the same name neither.
    kubectl.run(&["-n", "backup", "rollout", "restart", "deployment/backup-controller"])?;
    let deadline = "--timeout=90s";
    let rolled = kubectl.run(&["-n", "backup", "rollout", "status", "deployment/backup-controller", deadline]);
    if let Err(error) = rolled {
        bail!("{error:#}\n{}", controller_log(kubectl));
    }
    Ok(())
}

/// The end of the controller's log, and its pod if it has none.
#[must_use]
pub fn controller_log(kubectl: &Kubectl) -> String {
    controller_log_in(kubectl, "backup")
}

/// The same of an installation in another namespace.
#[must_use]
pub fn controller_log_in(kubectl: &Kubectl, namespace: &str) -> String {
    let of = ["-n", namespace, "deployment/backup-controller"];
    let log = kubectl.run(&["logs", of[0], of[1], of[2], "--tail=40"]).unwrap_or_else(|e| format!("{e:#}"));
    let pods = kubectl.run(&["-n", namespace, "get", "pods,cronjobs,jobs", "-o", "wide"]).unwrap_or_default();
    format!("--- the controller's log\n{log}\n--- its namespace\n{pods}")
}

/// What an application has on its volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// Thousands, out of a Debian, with everything that is awkward in names, kinds, owners, modes and times.
    Many,
    /// Hundreds, with the same awkward ones: for what does not depend on how many there are.
    Some,
    /// Twenty that stay as they are.
    Few,
    /// None: a raw device.
    Device,
}

impl Files {
    /// The application that makes them.
    fn manifest(self, namespace: &str, class: &str) -> Result<String> {
        let (name, folders) = match self {
            Self::Many => ("app.yaml", "/etc /usr/bin /usr/lib /usr/sbin /usr/share /var"),
            Self::Some => ("app.yaml", "/etc /var"),
            Self::Few => ("small.yaml", ""),
            Self::Device => ("device.yaml", ""),
        };
        manifest(name, &[("NAMESPACE", namespace), ("CLASS", class), ("FOLDERS", folders)])
    }
}

/// A namespace with the application in it.
#[derive(Debug, Clone)]
pub struct App {
    pub(super) kubectl: Kubectl,
    /// Its namespace.
    pub namespace: String,
    pub(super) place: Place,
}

impl App {
    /// Creates the namespace and the application on a StorageClass, and waits until it has its files. It is backed up
    /// on the installation's schedule, every minute.
    pub fn create(kubectl: &Kubectl, namespace: &str, class: &str, files: Files) -> Result<Self> {
        Self::create_with(kubectl, namespace, class, files, &[])
    }

    /// Creates it in a namespace that has these annotations before there is a PVC: what is shortened later waits a day.
    pub fn create_with(
        kubectl: &Kubectl,
        namespace: &str,
        class: &str,
        files: Files,
        settings: &[&str],
    ) -> Result<Self> {
        kubectl.run(&["create", "namespace", namespace])?;
        if !settings.is_empty() {
            kubectl.run(&[&["annotate", "namespace", namespace], settings].concat())?;
        }
        Self::fill(kubectl, namespace, Place::of_class(class), files)
    }

    /// Creates the application in a namespace that is there.
    pub fn fill(kubectl: &Kubectl, namespace: &str, place: Place, files: Files) -> Result<Self> {
        let app = Self { place, ..Self::existing(kubectl, namespace) };
        // The copy pods fit this level; a tenant's namespace should not need to allow more.
        kubectl.run(&["label", "namespace", namespace, "pod-security.kubernetes.io/enforce=baseline"])?;
        app.apply(&app.place.fit(&files.manifest(namespace, &app.place.class)?))?;
        let ready = app.kubectl(&["rollout", "status", "deployment/app", "--timeout=180s"]);
        ready.with_context(|| app.seen())?;
        Ok(app)
    }

    /// A namespace that is there, with whatever PVC `data` the test puts into it.
    #[must_use]
    pub fn existing(kubectl: &Kubectl, namespace: &str) -> Self {
        Self { kubectl: kubectl.clone(), namespace: namespace.to_owned(), place: Place::dev() }
    }

    /// Runs kubectl in the namespace.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        let mut all = vec!["-n", self.namespace.as_str()];
        all.extend(args);
        self.kubectl.run(&all)
    }

    /// Reads objects of the namespace.
    pub fn json(&self, args: &[&str]) -> Result<Value> {
        let mut all = vec!["-n", self.namespace.as_str()];
        all.extend(args);
        self.kubectl.json(&all)
    }

    /// Applies a manifest.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl.run_with_input(&["apply", "-n", &self.namespace, "-f", "-"], yaml)
    }

    /// Runs a shell command in the application's pod, where its files are at `/data`.
    pub fn sh(&self, script: &str) -> Result<String> {
        self.kubectl(&["exec", "deployment/app", "--", "/bin/bash", "-euc", script])
    }

    /// Waits until a PVC has its volume.
    pub fn bound(&self, claim: &str) -> Result<()> {
        let bound = "--for=jsonpath={.status.phase}=Bound";
        self.kubectl(&["wait", bound, "--timeout=60s", &format!("pvc/{claim}")]).with_context(|| self.seen())?;
        Ok(())
    }

    /// Sets or (with a trailing `-`) removes annotations on the PVC.
    pub fn annotate(&self, annotation: &str) -> Result<String> {
        self.kubectl(&["annotate", "--overwrite", "pvc/data", annotation])
    }

    /// The record on the PVC.
    pub fn status(&self) -> Result<Value> {
        let pvc = self.json(&["get", "pvc/data"])?;
        let text = pvc["metadata"]["annotations"]["backup-controller.io/status"].as_str().unwrap_or("{}").to_owned();
        Ok(serde_json::from_str(&text)?)
    }

    /// The PVC's UID.
    pub fn uid(&self) -> Result<String> {
        self.kubectl(&["get", "pvc/data", "-o", "jsonpath={.metadata.uid}"])
    }

    /// Waits for a good run that is newer than `after`, and names it.
    pub fn good_run(&self, after: Option<&str>) -> Result<String> {
        wait_for(
            "a good run",
            BACKUP_DEADLINE,
            || self.seen(),
            || {
                let status = self.status()?;
                let good = status["good"].as_str().filter(|good| after.is_none_or(|a| *good > a));
                Ok(good.map(str::to_owned))
            },
        )
    }

    /// Asks for a run now, and waits until it is good.
    pub fn run_now(&self, value: &str) -> Result<String> {
        let before = self.status()?["good"].as_str().map(str::to_owned);
        self.annotate(&format!("backup-controller.io/run-now={value}"))?;
        self.good_run(before.as_deref())
    }

    /// The restore point (snapshot and promoter) of a run.
    pub fn restore_point(&self, run: &str) -> Result<String> {
        let label = format!("backup-controller.io/run={run}");
        let name =
            self.kubectl(&["get", "volumesnapshots", "-l", &label, "-o", "jsonpath={.items[0].metadata.name}"])?;
        Ok(name)
    }

    /// What there is to see when something did not happen.
    #[must_use]
    pub fn seen(&self) -> String {
        let show = |args: &[&str]| self.kubectl(args).unwrap_or_else(|e| format!("{e:#}\n"));
        format!(
            "--- {}\n{}--- events\n{}--- status\n{}\n--- copy pods\n{}{}",
            self.namespace,
            show(&["get", "pvc,volumesnapshots,jobs,pods", "-o", "wide"]),
            show(&["get", "events", "--sort-by=.lastTimestamp"]),
            self.status().map(|s| s.to_string()).unwrap_or_default(),
            show(&["logs", "-l", "backup-controller.io/component=copy", "--tail=30", "--prefix"]),
            controller_log(&self.kubectl),
        )
    }

    /// Deletes the namespace, and waits until it is gone.
    pub fn delete(&self) -> Result<()> {
        self.kubectl.run(&["delete", "namespace", &self.namespace, "--timeout=120s"])?;
        Ok(())
    }
}
