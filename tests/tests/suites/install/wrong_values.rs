//! Wrong values of the installation's playbook. What it would apply it writes to a file here, so that no cluster is needed.

use std::path::{Path, PathBuf};

use anyhow::Result;
use backup_controller_tests::binaries;
use backup_controller_tests::nodes::ansible::{ansible_playbook, folder, play, play_in};
use dev_cluster::{ControlPlane, Options, Part, ensure_built};
use serde_json::{Value, json};

/// Each value by itself, over settings that are right, and the words with which it is refused.
fn cases() -> [(Value, &'static str); 24] {
    [
        (json!({"SCHEDULE": "0 0 * *"}), "is not a schedule"),
        (json!({"SCHEDULE": ""}), "is not a schedule"),
        (json!({"RETENTION": ""}), "is not a retention"),
        (json!({"RETENTION": "last=0"}), "is not a retention"),
        (json!({"RETENTION": "2"}), "is not a retention"),
        (json!({"NAMESPACE": "Not_A_Name"}), "is not a valid name"),
        (json!({"INSTANCE": "-x"}), "is not a valid name"),
        (json!({"NODE_SELECTOR": "a=b=c d"}), "is not a node selector"),
        (json!({"PULL_POLICY": "Sometimes"}), "must be one of"),
        (json!({"IMAGE": "two words"}), "is not an image"),
        (json!({"IMAGE": ""}), "IMAGE must be set"),
        (json!({"MOVER_IMAGE": ""}), "MOVER_IMAGE must be set"),
        (json!({"DISK_SIZE": "100Q"}), "do not describe a destination"),
        (json!({"DISK_CLASS": "shared-retain"}), "do not describe a destination"),
        (json!({"DISK_SIZE": "1Gi", "DISK_PATH": "/srv/backup"}), "its node in DISK_NODE_SELECTOR"),
        (json!({"LIMITS": {"cluster": 0}}), "a limit must be 1 or more"),
        (json!({"LIMITS": {"clustr": 3}}), "LIMITS.clustr"),
        (json!({"CONFIG": "words"}), "CONFIG"),
        (json!({"TEMPLATES": "/nowhere"}), "must contain at least one template"),
        (json!({"TIMEOUT": "soon"}), "TIMEOUT"),
        // U10: only the controller refused it, once it was applied.
        (json!({"CONFIG": {"defaults": {"schedul": "@daily"}}}), "schedul"),
        (json!({"CONFIG": {"limits": {"cluster": "many"}}}), "would refuse this configuration"),
        (json!({"CONFIG": {"limits": {"cluster": 3}}, "PLUGIN": "/nowhere/kubectl-backup"}), "cannot be checked"),
        (json!({"TIME_ZONE": "Mars/Olympus"}), "Mars/Olympus"),
    ]
}

/// A folder for what playbooks write. Dropping it removes it.
struct Desk {
    dir: PathBuf,
    kubectl: PathBuf,
    plugin: PathBuf,
}

impl Desk {
    fn new(name: &str) -> Result<Self> {
        let dir = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        let kubectl = ensure_built(Part::Kubernetes)?.join("kubectl");
        Ok(Self { dir, kubectl, plugin: binaries::path("kubectl-backup")? })
    }

    fn manifest(&self, name: impl std::fmt::Display) -> PathBuf {
        self.dir.join(format!("{name}.yaml"))
    }

    /// Settings with which the playbook writes its manifest.
    fn right(&self, manifest: &Path) -> Value {
        json!({
            "NAMESPACE": "wrong", "INSTANCE": "wrong", "RETENTION": "last=3", "MANIFEST": manifest, "KUBECTL": self.kubectl, "PLUGIN": self.plugin,
            "IMAGE": "registry.example/backup-controller:1", "MOVER_IMAGE": "registry.example/backup-mover:1"
        })
    }

    /// Runs a playbook; whether it ended well, and all that it printed. Long messages are broken into lines, which are
    /// joined again.
    fn play(playbook: &Path, args: &[&str]) -> Result<(bool, String)> {
        // Whoever would ask a cluster is answered by none.
        let (ok, text) = ansible_playbook(&folder().join("ansible.cfg"), Path::new("/nonexistent"), playbook, args)?;
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok((ok, words.replace("''", "'")))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// One run of ansible for all: a play for each value, which goes on after it was refused.
#[test]
fn a_wrong_value_stops_before_anything_is_applied() -> Result<()> {
    let desk = Desk::new("wrong-values")?;
    let play = |number: usize, wrong: &Value| {
        let mut vars = desk.right(&desk.manifest(number));
        vars.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        json!({
            "name": format!("case {number}"), "hosts": "localhost", "gather_facts": false, "vars": vars,
            "tasks": [{
                "block": [{"ansible.builtin.import_role": {"name": "backup_controller"}}],
                "rescue": [{"ansible.builtin.debug": {
                    "msg": format!("refused {number}: {{{{ ansible_failed_result }}}} :refused {number}"),
                }}],
            }],
        })
    };
    let cases = cases();
    let mut plays: Vec<Value> = cases.iter().enumerate().map(|(number, (wrong, _))| play(number, wrong)).collect();
    // The last one is right: what is seen of the others is seen because of their values.
    plays.push(play(cases.len(), &json!({})));
    let playbook = desk.dir.join("playbook.json");
    std::fs::write(&playbook, Value::from(plays).to_string())?;

    let (_, said) = Desk::play(&playbook, &[])?;
    for (number, (wrong, told)) in cases.iter().enumerate() {
        let refusal = said.split_once(&format!("refused {number}: ")).map(|(_, rest)| rest);
        let refusal = refusal.and_then(|rest| rest.split_once(&format!(":refused {number}"))).map(|(words, _)| words);
        let refusal = refusal.unwrap_or_else(|| panic!("{wrong} is not refused:\n{said}"));
        assert!(refusal.contains(told), "{wrong} is told as \"{told}\", but:\n{refusal}");
        assert!(!desk.manifest(number).exists(), "{wrong} was refused too late");
    }
    assert!(desk.manifest(cases.len()).exists(), "what is right is taken:\n{said}");
    Ok(())
}

#[test]
fn the_playbook_is_for_one_host() -> Result<()> {
    let desk = Desk::new("several-hosts")?;
    let manifest = desk.manifest("manifest");
    let vars = desk.right(&manifest).to_string();
    let install = folder().join("install-backup-controller.yaml");
    let (ok, said) = Desk::play(&install, &["-i", "one,two,", "-e", "HOSTS=all", "-e", &vars])?;
    assert!(!ok && said.contains("selects 2 hosts") && !manifest.exists(), "{said}");
    Ok(())
}

/// ansible cuts values at blanks: a schedule is whole again, a retention is refused.
#[test]
fn a_value_that_ansible_cut_is_made_whole_or_refused() -> Result<()> {
    let desk = Desk::new("cut-values")?;
    let manifest = desk.manifest("manifest");
    let mut vars = desk.right(&manifest);
    vars.as_object_mut().unwrap().remove("RETENTION");
    let vars = vars.to_string();
    let install = folder().join("install-backup-controller.yaml");
    let (ok, said) = Desk::play(&install, &["-e", &vars, "-e", "SCHEDULE=0 0 * * *", "-e", "RETENTION=2days"])?;
    assert!(ok, "{said}");
    let text = std::fs::read_to_string(&manifest)?;
    assert!(text.contains("schedule: 0 0 * * *\n      retention: 2days"), "{text}");
    std::fs::remove_file(&manifest)?;
    for cut in ["RETENTION=last=3 daily=7", "RETENTION=1w 2d"] {
        let (ok, said) = Desk::play(&install, &["-e", &vars, "-e", cut])?;
        assert!(!ok && said.contains("blank") && !manifest.exists(), "{cut}:\n{said}");
    }
    Ok(())
}

/// U10: check mode passed both, and a rollout waited for a node that is not there.
#[test]
fn check_mode_refuses_an_unknown_key_and_a_node_that_is_not_there() -> Result<()> {
    let plane = ControlPlane::start_with(&Options::default())?;
    let kubectl = plane.kubectl_tool();
    let node = "{apiVersion: v1, kind: Node, metadata: {name: one, labels: {kubernetes.io/hostname: one, disk: ssd}}}";
    kubectl.run_with_input(&["apply", "-f", "-"], node)?;
    let playbook = "install-backup-controller.yaml";
    let images = json!({
        "IMAGE": "registry.example/backup-controller:1", "MOVER_IMAGE": "registry.example/backup-mover:1"
    });
    let with = |more: Value| {
        let mut vars = images.clone();
        vars.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        vars
    };
    let host = json!({"DISK_SIZE": "1Gi", "DISK_PATH": "/srv/backup", "DISK_NODE_SELECTOR": "two"});
    for (wrong, words) in [
        (json!({"CONFIG": {"limts": {}}}), &["would refuse this configuration", "limts"][..]),
        (
            json!({"NODE_SELECTOR": "two"}),
            &["of NODE_SELECTOR: kubernetes.io/hostname=two", "kubernetes.io/hostname is one"],
        ),
        (json!({"NODE_SELECTOR": "disk=ssd,zone=a"}), &["disk=ssd, zone=a", "disk is ssd; zone is not set"]),
        (host, &["of the disk of the destination disk: kubernetes.io/hostname=two"]),
    ] {
        let played = play_in(&folder(), kubectl, playbook, &with(wrong.clone()), &["--check"])?;
        let said = played.output.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(!played.ok && said.contains(word), "{wrong}: {word} is not in\n{}", played.output);
        }
    }
    play(
        kubectl,
        playbook,
        &with(json!({"NODE_SELECTOR": "disk=ssd", "CONFIG": {"limits": {"cluster": 3}}})),
        &["--check"],
    )?;
    Ok(())
}
