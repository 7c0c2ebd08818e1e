//! The playbooks: installed, changed, upgraded and removed as an administrator does it. Each installation has
//! a namespace and an instance of its own, and backs up one namespace, so that none is in another's way.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use backup_controller_tests::nodes::ansible::{self, Play, play, play_in};
use backup_controller_tests::nodes::{App, Place, controller_log_in, project, wait::wait_for};
use dev_cluster::Kubectl;
use serde_json::{Value, json};

use crate::e2e::cluster;

const INSTALL: &str = "install-backup-controller.yaml";
const UNINSTALL: &str = "uninstall-backup-controller.yaml";

/// An installation beside all others, and the namespace that it backs up. Dropping it removes both.
struct Own {
    kubectl: Kubectl,
    name: &'static str,
    app: App,
}

impl Own {
    fn new(name: &'static str) -> Result<Self> {
        // Not before the namespaces that an earlier run left are gone.
        let kubectl = cluster().clone();
        let tenant = format!("{name}-tenant");
        let own = Self { app: App::existing(&kubectl, &tenant), kubectl, name };
        own.remove()?;
        own.kubectl.run(&["create", "namespace", &tenant])?;
        Ok(own)
    }

    /// What is given each time: where, and the images.
    fn where_to(&self, vars: &Value) -> Value {
        let mut all = Place::dev().images();
        for vars in [&json!({"NAMESPACE": self.name, "INSTANCE": self.name, "TIMEOUT": 90}), vars] {
            all.as_object_mut().unwrap().extend(vars.as_object().unwrap().clone());
        }
        all
    }

    fn play(&self, playbook: &str, vars: &Value, flags: &[&str]) -> Result<Play> {
        play(&self.kubectl, playbook, &self.where_to(vars), flags)
    }

    /// A playbook that has to fail.
    fn refused(&self, playbook: &str, vars: &Value) -> Result<Play> {
        let play = play_in(&ansible::folder(), &self.kubectl, playbook, &self.where_to(vars), &[])?;
        if play.ok {
            bail!("{playbook} took {vars}:\n{}", play.output);
        }
        Ok(play)
    }

    /// The settings of the first installation: all PVCs of the tenant, on a schedule that a test hardly ever meets.
    fn settings(&self) -> Value {
        json!({
            "SCHEDULE": "30 4 15 * *",
            "RETENTION": "last=3",
            "CONFIG": {
                "selection": {"namespaces": {"include": [self.app.namespace]}},
                "bounds": {"minInterval": "1m"},
                "classes": {"shared": {"readOnly": true}},
            },
        })
    }

    fn get(&self, args: &[&str]) -> Result<String> {
        let mut all = vec!["-n", self.name, "get"];
        all.extend(args);
        self.kubectl.run(&all)
    }

    fn config(&self) -> Result<String> {
        self.get(&["configmap/backup-controller", "-o", "jsonpath={.data.config\\.yaml}"])
    }

    /// Cluster-wide objects of this instance, and its namespace.
    fn there(&self) -> Result<String> {
        let kinds =
            "namespaces,clusterroles,clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings";
        let all = self.kubectl.run(&["get", kinds, "-o", "name"])?;
        let suffix = format!("-{}", self.name);
        let namespace = format!("namespace/{}", self.name);
        Ok(all.lines().filter(|l| l.ends_with(&suffix) || *l == namespace).collect::<Vec<_>>().join(" "))
    }

    /// A volume of the tenant's, and its first good backup.
    fn backed_up(&self) -> Result<String> {
        self.app.apply(&format!(
            "{{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {{name: data, namespace: {}}}, spec: {{accessModes: \
             [ReadWriteOnce], storageClassName: shared, resources: {{requests: {{storage: 1Gi}}}}}}}}",
            self.app.namespace
        ))?;
        self.app.run_now("first").with_context(|| controller_log_in(&self.kubectl, self.name))
    }

    /// Objects of the tenant's that the instance made.
    fn made(&self, kinds: &str) -> Result<String> {
        let label = format!("backup-controller.io/instance={}", self.name);
        self.app.kubectl(&[
            "get",
            kinds,
            "-l",
            &label,
            "-o",
            "jsonpath={range .items[*]}{.kind}/{.metadata.name} {end}",
        ])
    }

    fn remove(&self) -> Result<()> {
        let purge = json!({"PURGE": true, "PURGE_CONFIRM": self.name});
        if self.there()?.contains("namespace/") {
            self.play(UNINSTALL, &purge, &[])?;
        }
        let gone = ["delete", "namespace", self.name, &self.app.namespace, "--ignore-not-found", "--timeout=120s"];
        self.kubectl.run(&gone)?;
        // Where the namespace was gone before, the playbook had nothing to go by.
        let left = self.there()?;
        if !left.is_empty() {
            let delete: Vec<&str> = ["delete", "--ignore-not-found"].into_iter().chain(left.split(' ')).collect();
            self.kubectl.run(&delete)?;
        }
        Ok(())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A failed test leaves all of it to look at; the next one removes it.
        if !std::thread::panicking()
            && let Err(error) = self.remove()
        {
            eprintln!("{}: {error:#}", self.name);
        }
    }
}

#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_second_instance_backs_up_from_a_namespace_of_its_own_and_running_again_changes_nothing() {
    let own = Own::new("e2e-ansible").unwrap();
    let settings = own.settings();

    let checked = own.play(INSTALL, &settings, &["--check"]).unwrap();
    assert!(checked.changed > 0, "check mode tells what would be new:\n{}", checked.output);
    assert_eq!(own.there().unwrap(), "", "check mode makes nothing");

    let first = own.play(INSTALL, &settings, &[]).unwrap();
    assert!(first.changed > 0);
    assert_eq!(own.there().unwrap().split(' ').count(), 12, "{}", own.there().unwrap());
    let run = own.backed_up().unwrap();
    assert!(own.made("volumesnapshots").unwrap().contains("data-"), "run {run} has a snapshot of this instance");

    let second = own.play(INSTALL, &settings, &[]).unwrap();
    assert_eq!(second.changed, 0, "{}", second.output);

    // A change is shown first, and then in force without a new pod.
    let pod = own.get(&["pods", "-o", "name"]).unwrap();
    let before = own.config().unwrap();
    let slower = json!({"SCHEDULE": "0 0 * * *"});
    let shown = own.play(INSTALL, &slower, &["--check", "--diff"]).unwrap();
    assert!(shown.output.contains("+              schedule: 0 0 * * *"), "{}", shown.output);
    assert_eq!(own.config().unwrap(), before, "check mode changes nothing");
    own.play(INSTALL, &slower, &[]).unwrap();
    let schedules =
        ["cronjobs", "-l", "backup-controller.io/component=snapshot", "-o", "jsonpath={.items[*].spec.schedule}"];
    wait_for(
        "the CronJob follows",
        Duration::from_secs(30),
        || controller_log_in(&own.kubectl, own.name),
        || Ok((own.get(&schedules)? == "0 0 * * *").then_some(())),
    )
    .unwrap();
    assert_eq!(
        own.get(&["pods", "-l", "app.kubernetes.io/name=backup-controller", "-o", "name"]).unwrap(),
        first_pod(&pod)
    );
    assert!(own.config().unwrap().contains("last=3"), "what was not given stays");

    // What only the controller can refuse is put back.
    let refused = own.refused(INSTALL, &json!({"CONFIG": {"selection": {"mode": "some"}}})).unwrap();
    assert!(refused.output.contains("unknown variant `some`"), "{}", refused.output);
    assert!(!own.config().unwrap().contains("some"), "{}", own.config().unwrap());
}

fn first_pod(names: &str) -> String {
    names.lines().find(|l| l.starts_with("pod/backup-controller-")).map(|l| format!("{l}\n")).unwrap_or_default()
}

#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn removal_says_what_it_leaves_and_a_purge_is_confirmed() {
    let own = Own::new("e2e-remove").unwrap();
    // The demo's settings, for this tenant.
    let mut settings = ansible::demo_settings(&Place::dev());
    settings["CONFIG"]["selection"] = own.settings()["CONFIG"]["selection"].clone();
    settings["SCHEDULE"] = own.settings()["SCHEDULE"].take();
    ansible::install_with_playbook(&own.kubectl, &own.where_to(&settings)).unwrap();
    own.backed_up().unwrap();
    let disk = own.app.kubectl(&["get", "pvc/backup-disk", "-o", "jsonpath={.spec.volumeName}"]).unwrap();

    let before = own.there().unwrap();
    own.play(UNINSTALL, &json!({}), &["--check"]).unwrap();
    assert_eq!(own.there().unwrap(), before, "check mode removes nothing");
    own.get(&["deployment/backup-controller"]).unwrap();

    let removed = own.play(UNINSTALL, &json!({}), &[]).unwrap();
    let namespace = format!("namespace/{}", own.name);
    assert_eq!(own.there().unwrap(), namespace, "policies and rights are gone; what records the restore points stays");
    assert!(removed.output.contains("because it contains 1 ledgers"), "{}", removed.output);
    let left = own.made("pvc,volumesnapshots").unwrap();
    let count = |word: &str| left.matches(word).count();
    let snapshots = count("VolumeSnapshot/");
    assert!(snapshots >= 1 && left.contains("/backup-disk "), "restore points stay: {left}");
    let told = format!("{}: {snapshots} snapshots, {snapshots} promoters, 1 BackupDisks", own.app.namespace);
    assert!(removed.output.contains(&told), "{told}\n{}", removed.output);
    let again = own.play(UNINSTALL, &json!({}), &[]).unwrap();
    assert_eq!(again.changed, 0, "{}", again.output);

    own.play(UNINSTALL, &json!({"PURGE": true, "PURGE_CONFIRM": own.name}), &["--check"]).unwrap();
    own.refused(UNINSTALL, &json!({"PURGE": true})).unwrap();
    own.refused(UNINSTALL, &json!({"PURGE": true, "PURGE_CONFIRM": "backup"})).unwrap();
    assert_eq!(own.made("pvc,volumesnapshots").unwrap(), left, "an unconfirmed purge removes nothing");
    own.play(UNINSTALL, &json!({"PURGE": true, "PURGE_CONFIRM": own.name}), &[]).unwrap();
    assert_eq!(own.made("pvc,volumesnapshots").unwrap(), "");
    assert_eq!(own.there().unwrap(), "", "and with them the namespace");
    own.app.kubectl(&["get", "pvc/data"]).unwrap();
    let phase = own.kubectl.run(&["get", "pv", &disk, "-o", "jsonpath={.status.phase}"]).unwrap();
    assert_eq!(phase, "Released", "the disk's volume is retained");
    own.kubectl.run(&["delete", "pv", &disk, "--wait=false"]).unwrap();
}

/// The playbooks' folder of the commit before this one, with its manifests, in a folder that is to be removed.
fn commit_before() -> Result<Option<(PathBuf, PathBuf)>> {
    let folder = std::env::temp_dir().join(format!("commit-before-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    // One from before the playbooks has these, with its own manifests.
    let script = "git archive HEAD~1 templates $(git ls-tree --name-only HEAD~1 ansible) | tar -x -C \"$1\"
                  [ -e \"$1/ansible\" ] || cp -r ansible \"$1\"";
    let mut git = Command::new("/bin/bash");
    git.args(["-o", "pipefail", "-ec", script, "bash"]).arg(&folder).current_dir(project());
    Ok(git.output()?.status.success().then(|| (folder.join("ansible"), folder)))
}

#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn an_upgrade_from_the_commit_before_keeps_settings_and_backups() {
    let own = Own::new("e2e-upgrade").unwrap();
    let Some((old, folder)) = commit_before().unwrap() else {
        eprintln!("skipped: the commit before this one is not in this clone");
        return;
    };
    // The nodes have the images of this commit alone, for which the rights of the one before may not do.
    let install_old = |settings: &Value| {
        let mut vars = own.where_to(settings);
        vars["WAIT"] = json!(false);
        let play = play_in(&old, &own.kubectl, INSTALL, &vars, &[]).unwrap();
        assert!(play.ok, "{}", play.output);
    };
    install_old(&own.settings());
    let settings = own.config().unwrap();
    own.play(INSTALL, &json!({}), &[]).unwrap();
    assert_eq!(own.config().unwrap(), settings, "what is not given stays");
    own.backed_up().unwrap();
    let state = || {
        let uids = "jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{\"\\n\"}{end}";
        let sources = own.get(&["cronjobs", "-l", "backup-controller.io/component", "-o", uids]).unwrap();
        let points = own.app.kubectl(&["get", "volumesnapshots,pvc", "-o", uids]).unwrap();
        format!("{}{sources}{points}", own.config().unwrap())
    };
    let settled = || own.get(&["jobs", "-o", "jsonpath={.items[*].status.active}"]);
    wait_for(
        "no run is under way",
        Duration::from_mins(2),
        || own.app.seen(),
        || Ok(settled()?.is_empty().then_some(())),
    )
    .unwrap();
    let was = state();
    assert!(was.contains("CronJob") && was.contains("VolumeSnapshot") && was.contains("last=3"), "{was}");

    install_old(&json!({}));
    own.play(INSTALL, &json!({}), &[]).unwrap();
    assert_eq!(state(), was, "CronJobs, snapshots, promoters and settings survive");
    let next = own.app.run_now("after-the-upgrade").unwrap();
    assert!(own.made("volumesnapshots").unwrap().matches("VolumeSnapshot/").count() >= 2, "{next}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_volume_of_block_images_is_protected_like_any_other() {
    let own = Own::new("e2e-block").unwrap();
    let mut settings = own.settings();
    settings["CONFIG"]["selection"] = json!({"mode": "opt-in", "namespaces": {"include": [own.name]}});
    own.play(INSTALL, &settings, &[]).unwrap();

    // A volume that exists: made by the storage, kept when its claim went.
    let claim = "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: images}, spec: {accessModes: [ReadWriteMany], \
                 storageClassName: shared-retain, resources: {requests: {storage: 1Gi}}}}";
    own.kubectl.run_with_input(&["-n", &own.app.namespace, "apply", "-f", "-"], claim).unwrap();
    own.app.bound("images").unwrap();
    let volume = own.app.kubectl(&["get", "pvc/images", "-o", "jsonpath={.spec.volumeName}"]).unwrap();
    let handle = own.kubectl.run(&["get", "pv", &volume, "-o", "jsonpath={.spec.csi.volumeHandle}"]).unwrap();
    let block = json!({
        "VOLUME": "blockhost", "VOLUME_SIZE": "1Gi", "VOLUME_DRIVER": "dev.csi.backup-controller.io", "VOLUME_HANDLE": handle,
    });
    let block_volume = "install-block-volume.yaml";
    let taken = own.refused(block_volume, &block).unwrap();
    assert!(taken.output.contains(&volume), "the volume has a PersistentVolume:\n{}", taken.output);
    own.app.kubectl(&["delete", "pvc/images", "--wait=true", "--timeout=60s"]).unwrap();
    own.kubectl.run(&["delete", "pv", &volume, "--wait=true", "--timeout=60s"]).unwrap();

    own.play(block_volume, &block, &["--check"]).unwrap();
    assert!(!own.get(&["pvc", "-o", "name"]).unwrap().contains("blockhost"), "check mode makes nothing");
    own.play(block_volume, &block, &[]).unwrap();
    let again = own.play(block_volume, &block, &[]).unwrap();
    assert_eq!(again.changed, 0, "{}", again.output);
    let mut other = block.clone();
    other["VOLUME_HANDLE"] = json!("another");
    own.refused(block_volume, &other).unwrap();

    let seen = || controller_log_in(&own.kubectl, own.name);
    let ready = ["volumesnapshots", "-o", "jsonpath={.items[*].status.readyToUse}"];
    wait_for("a snapshot of it", Duration::from_mins(3), seen, || Ok(own.get(&ready)?.contains("true").then_some(())))
        .unwrap();
    own.kubectl
        .run(&["-n", own.name, "annotate", "pvc/blockhost", "--overwrite", "backup-controller.io/enabled=false"])
        .unwrap();
    let removed = own.play(UNINSTALL, &json!({}), &[]).unwrap();
    assert!(
        removed.output.contains("PersistentVolumeClaim blockhost"),
        "the namespace stays for it:\n{}",
        removed.output
    );
    own.get(&["pvc/blockhost"]).unwrap();
    own.remove().unwrap();
    own.kubectl.run(&["delete", "pv", &format!("{}-blockhost", own.name)]).unwrap();
}
