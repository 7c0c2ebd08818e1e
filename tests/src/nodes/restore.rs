//! Restores as people ask for them: by `kubectl backup` and by kubectl, as a tenant who may edit his namespace alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::wait::wait_for;
use super::{App, BACKUP_DEADLINE, Files, Tree, manifest, project};
use crate::Process;

/// How long a restore may take in a test.
const RESTORE_DEADLINE: Duration = Duration::from_mins(2);

/// What a command said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; -1 after a signal.
    pub code: i32,
    /// Both of its outputs.
    pub text: String,
}

/// Somebody with the cluster role `edit` in one namespace and nothing else.
#[derive(Debug)]
pub struct Tenant {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
}

impl Tenant {
    /// Runs `kubectl backup` in his namespace.
    pub fn backup(&self, words: &[&str]) -> Result<Said> {
        self.backup_in(&self.namespace, words)
    }

    /// Runs `kubectl backup` in any namespace.
    pub fn backup_in(&self, namespace: &str, words: &[&str]) -> Result<Said> {
        let mut command = Command::new(program());
        command.args(["-n", namespace]).args(words);
        self.finish(&mut command, "")
    }

    /// Runs kubectl in his namespace, with something to read.
    pub fn kubectl(&self, words: &[&str], input: &str) -> Result<Said> {
        let mut command = Command::new(&self.kubectl);
        command.args(["-n", &self.namespace]).args(words);
        self.finish(&mut command, input)
    }

    /// Starts `kubectl backup` and goes on; its output is in the process.
    pub fn start(&self, words: &[&str]) -> Result<Process> {
        let words = ["-n", &self.namespace].iter().chain(words).map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let kubeconfig = self.kubeconfig.to_str().context("a path that is not UTF-8")?;
        Process::start(&program(), &words, &[("KUBECONFIG", kubeconfig)], &self.kubeconfig.with_extension("log"))
    }

    fn finish(&self, command: &mut Command, input: &str) -> Result<Said> {
        use std::io::Write as _;
        let name = command.get_program().display().to_string();
        let mut child = command
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A command that does not read all has a reason, and tells it.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = child.wait_with_output()?;
        let text = [output.stderr, output.stdout].map(|t| String::from_utf8_lossy(&t).into_owned()).concat();
        Ok(Said { code: output.status.code().unwrap_or(-1), text })
    }
}

fn program() -> PathBuf {
    project().join("target/dev-image/kubectl-backup")
}

/// The objects of the Template `restore`, with parameters such as `NAME=data`. Nothing of a cluster is needed for it.
pub fn restore_template(parameters: &[&str]) -> Result<String> {
    let mut command = Command::new(program());
    command.args(["template", "process", "backup/restore"]).args(parameters.iter().flat_map(|p| ["-p", p]));
    let output = command.stdin(Stdio::null()).output().context("cannot start kubectl-backup")?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A schedule that starts no run before the leap year.
pub const QUIET: &str = "backup-controller.io/schedule=0 0 29 2 *";

impl App {
    /// As [`App::create`], with a schedule that never comes round: only what is asked for runs.
    pub fn create_quiet(kubectl: &dev_cluster::Kubectl, namespace: &str, class: &str, files: Files) -> Result<Self> {
        Self::create_with(kubectl, namespace, class, files, &[QUIET])
    }

    /// Backs the volume up to some destinations or none, and waits until it is copied to all of them; names the run.
    pub fn back_up(&self, destinations: &[&str]) -> Result<String> {
        let named = if destinations.is_empty() { "none".to_owned() } else { destinations.join(",") };
        self.annotate(&format!("backup-controller.io/destinations={named}"))?;
        // A value that was there starts nothing.
        let run = self.run_now(&format!("test-{}", model::Timestamp::now().as_millisecond()))?;
        self.copied(&run, destinations)?;
        Ok(run)
    }

    /// Waits until a run is copied to all of these destinations.
    pub fn copied(&self, run: &str, destinations: &[&str]) -> Result<()> {
        let copied = |status: &Value| destinations.iter().all(|d| status["copies"][d]["run"] == run);
        wait_for(
            "a copy at every destination",
            BACKUP_DEADLINE,
            || self.seen(),
            || Ok(copied(&self.status()?).then_some(())),
        )
    }

    /// As [`App::truth`], in another namespace than the snapshot's.
    pub fn truth_in(&self, other: &App, restore_point: &str) -> Result<Tree> {
        let snapshot = self.json(&["get", "volumesnapshot", restore_point])?;
        let content = snapshot["status"]["boundVolumeSnapshotContentName"].as_str().context("an unbound snapshot")?;
        let content = self.kubectl.json(&["get", "volumesnapshotcontent", content])?;
        let handle = content["status"]["snapshotHandle"].as_str().context("a snapshot without a handle")?;
        let driver = content["spec"]["driver"].as_str().context("a snapshot without a driver")?;
        let namespace = other.namespace.as_str();
        let words = [("NAMESPACE", namespace), ("NAME", restore_point), ("HANDLE", handle), ("DRIVER", driver)];
        other.apply(&manifest("truth-elsewhere.yaml", &words)?)?;
        other.truth(restore_point)
    }

    /// Takes away what [`App::truth_in`] made outside of namespaces. The snapshot itself stays.
    pub fn forget_truth_in(&self, other: &App, restore_point: &str) -> Result<()> {
        let content = format!("{}-{restore_point}", other.namespace);
        self.kubectl(&["delete", "volumesnapshotcontent", &content, "--wait=false"])?;
        Ok(())
    }

    /// A tenant of this namespace; his kubeconfig is in `dir`.
    pub fn tenant(&self, dir: &Path) -> Result<Tenant> {
        self.kubectl(&["create", "serviceaccount", "tenant"])?;
        let account = format!("--serviceaccount={}:tenant", self.namespace);
        self.kubectl(&["create", "rolebinding", "tenant", "--clusterrole=edit", &account])?;
        let token = self.kubectl(&["create", "token", "tenant"])?;
        let mut config: Value = self.kubectl.json(&["config", "view", "--raw", "--minify"])?;
        config["users"][0]["user"] = serde_json::json!({"token": token.trim()});
        let kubeconfig = dir.join(format!("{}.kubeconfig", self.namespace));
        std::fs::write(&kubeconfig, config.to_string())?;
        let kubectl = self.kubectl.program().to_owned();
        Ok(Tenant { kubectl, kubeconfig, namespace: self.namespace.clone() })
    }

    /// Scales the application, and waits until its pods are there or gone.
    pub fn scale(&self, replicas: u8) -> Result<()> {
        self.kubectl(&["scale", "deployment/app", &format!("--replicas={replicas}")])?;
        if replicas == 0 {
            self.kubectl(&["wait", "--for=delete", "pod", "-l", "app=app", "--timeout=60s"])?;
        } else {
            self.kubectl(&["rollout", "status", "deployment/app", "--timeout=60s"])?;
        }
        Ok(())
    }

    /// Makes an empty PVC, with the annotation `restore-from` if there is a request.
    pub fn claim(&self, name: &str, request: Option<&str>) -> Result<()> {
        let mut annotations = serde_json::json!({"backup-controller.io/enabled": "false"});
        if let Some(request) = request {
            annotations["backup-controller.io/restore-from"] = request.into();
        }
        let claim = serde_json::json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": self.namespace, "annotations": annotations},
            "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "shared",
                "resources": {"requests": {"storage": "1Gi"}},
            },
        });
        self.apply(&claim.to_string())?;
        Ok(())
    }

    /// Waits until what a PVC or Deployment asks for has one of these states; gives the record.
    pub fn restore_status(&self, object: &str, states: &[&str]) -> Result<Value> {
        let read = || {
            let object = self.json(&["get", object])?;
            let text = object["metadata"]["annotations"]["backup-controller.io/restore-status"].as_str();
            anyhow::Ok(serde_json::from_str::<Value>(text.unwrap_or("{}"))?)
        };
        let seen = || format!("{}\n{}", read().map_or_else(|e| format!("{e:#}"), |r| r.to_string()), self.seen());
        wait_for(&format!("{object} is {states:?}"), RESTORE_DEADLINE, seen, || {
            let record = read()?;
            Ok(record["state"].as_str().is_some_and(|s| states.contains(&s)).then_some(record))
        })
    }
}
