//! The playbooks, as an administrator runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use dev_cluster::Kubectl;
use serde_json::{Value, json};

use super::{Place, controller_log_in, project};

/// How a playbook ended.
#[derive(Debug, Clone)]
pub struct Play {
    /// All that it printed.
    pub output: String,
    /// Whether it ended well.
    pub ok: bool,
    /// Tasks that changed something, by its recap.
    pub changed: u32,
}

/// Runs a playbook of a folder against a cluster, with variables (a JSON object) and more flags. That it
/// fails is no error here; that it cannot be run, or ends without a recap, is.
pub fn play_in(folder: &Path, kubectl: &Kubectl, playbook: &str, vars: &Value, flags: &[&str]) -> Result<Play> {
    let mut all = json!({"KUBECTL": kubectl.program(), "PLUGIN": plugin()?});
    merge(&mut all, vars);
    let all = all.to_string();
    let args = [&["-e", all.as_str()], flags].concat();
    let (ok, output) =
        ansible_playbook(&folder.join("ansible.cfg"), kubectl.kubeconfig(), &folder.join(playbook), &args)?;
    let Some(changed) = recap(&output) else { bail!("{playbook} ended without a recap:\n{output}") };
    Ok(Play { output, ok, changed })
}

/// The plugin that checks configurations: that of the dev cluster's images, or the one of this build.
pub fn plugin() -> Result<PathBuf> {
    let image = project().join("target/dev-image/kubectl-backup");
    if std::env::var_os("BACKUP_BINARIES").is_none() && image.is_file() {
        return Ok(image);
    }
    crate::binaries::path("kubectl-backup")
}

/// Runs `ansible-playbook`: whether it ended well, and all that it printed.
pub fn ansible_playbook(config: &Path, kubeconfig: &Path, playbook: &Path, args: &[&str]) -> Result<(bool, String)> {
    let output = Command::new("ansible-playbook")
        .arg(playbook)
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .env("ANSIBLE_CONFIG", config)
        .env("ANSIBLE_NOCOLOR", "1")
        .env("LC_ALL", "C.UTF-8")
        .output()
        .context("cannot start ansible-playbook: `make ansible-tools` installs it")?;
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    Ok((output.status.success(), text))
}

/// As [`play_in`], with the playbooks of this work tree. The error shows what was printed.
pub fn play(kubectl: &Kubectl, playbook: &str, vars: &Value, flags: &[&str]) -> Result<Play> {
    let play = play_in(&folder(), kubectl, playbook, vars, flags)?;
    if !play.ok {
        bail!("{playbook} failed:\n{}", play.output);
    }
    Ok(play)
}

/// The playbooks' folder.
#[must_use]
pub fn folder() -> PathBuf {
    project().join("ansible")
}

/// The sum of `changed=` of all hosts.
fn recap(text: &str) -> Option<u32> {
    let (_, recap) = text.split_once("PLAY RECAP")?;
    recap.split("changed=").skip(1).map(|rest| rest.split(' ').next()?.parse::<u32>().ok()).sum()
}

/// Variables over variables, by their names.
fn merge(vars: &mut Value, more: &Value) {
    if let (Value::Object(vars), Value::Object(more)) = (vars, more) {
        vars.extend(more.clone());
    }
}

/// The demo's settings on a cluster: it is backed up every minute, to a disk, and to S3 where there is a server. Copies
/// are drilled when it asks for it: those in S3, or else those on the disk.
#[must_use]
pub fn demo_settings(place: &Place) -> Value {
    let logs = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "backup-controller", "namespace": "backup"},
        "spec": {"template": {"spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "controller", "env": [{"name": "BACKUP_LOG_FORMAT", "value": "text"}]}],
        }}},
    });
    let class = if place.is_dev() { "shared-retain" } else { place.class.as_str() };
    let drill = json!({"schedule": "H H * * *", "sample": 1000});
    let mut disk = json!({"name": "disk", "type": "disk", "claim": {"size": "5Gi", "storageClass": class}});
    let mut config = json!({
        "selection": {"mode": "opt-in"},
        "bounds": {"minInterval": "1m"},
    });
    if place.is_dev() {
        config["classes"] = json!({"shared": {"readOnly": true}});
        let s3 = json!({"name": "s3", "type": "restic", "secret": "backup-s3", "drill": drill});
        config["destinations"] = json!([disk, s3]);
    } else {
        // Nobody needs the copies of a demo, and they go with its namespace.
        disk["claim"]["allowDelete"] = true.into();
        disk["drill"] = drill;
        config["destinations"] = json!([disk]);
    }
    json!({
        "SCHEDULE": "* * * * *",
        "RETENTION": "last=3",
        "DISK_SIZE": "5Gi",
        "DISK_CLASS": class,
        "CONFIG": config,
        "KEEP_CONFIG": false,
        "PATCHES": [{"patch": logs.to_string()}],
    })
}

/// Installs the controller with the playbook, with the dev cluster's images and these variables over them,
/// and restarts its pod: images that were rebuilt keep their names.
pub fn install_with_playbook(kubectl: &Kubectl, vars: &Value) -> Result<Play> {
    let mut all = Place::dev().images();
    merge(&mut all, vars);
    let namespace = all["NAMESPACE"].as_str().unwrap_or("backup").to_owned();
    let before = kubectl.run(&["-n", &namespace, "get", "pods", "-l", POD, "-o", "name"])?;
    let play = play(kubectl, "install-backup-controller.yaml", &all, &[])?;
    let after = kubectl.run(&["-n", &namespace, "get", "pods", "-l", POD, "-o", "name"])?;
    if before == after {
        kubectl.run(&["-n", &namespace, "rollout", "restart", "deployment/backup-controller"])?;
    }
    let rolled = ["-n", &namespace, "rollout", "status", "deployment/backup-controller", "--timeout=90s"];
    kubectl.run(&rolled).with_context(|| controller_log_in(kubectl, &namespace))?;
    Ok(play)
}

const POD: &str = "app.kubernetes.io/name=backup-controller";
