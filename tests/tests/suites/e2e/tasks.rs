//! What is done for copies that are there already: prunes and drills, beside copies that go on.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use backup_controller_tests::nodes::damage::{flip, largest};
use backup_controller_tests::nodes::{App, BACKUP_DEADLINE, Files, Keys, wait::wait_for};
use dev_cluster::{Cluster, S3};
use model::maintain::TaskState;
use model::reason::Reason;
use model::record::{Status, TaskStatus};

use crate::e2e::cluster;

/// KiB a second that the configuration lets copies to `pruned` have.
const LIMIT: u64 = 256;

/// A small volume, copied to a disk and a repository that are drilled each minute, and to a repository that is pruned
/// each minute.
struct Shop {
    app: App,
    s3: S3,
    first: String,
}

impl Shop {
    fn open() -> Self {
        let app = App::create_quiet(cluster(), "e2e-tasks", "shared", Files::Few).unwrap();
        let s3 = Cluster::existing().unwrap().s3().unwrap();
        for destination in ["drilled", "pruned"] {
            app.secret(&format!("backup-s3-{destination}"), &Keys::of(&s3, &format!("e2e-{destination}"))).unwrap();
        }
        let first = app.back_up(&["tree", "drilled", "pruned"]).unwrap();
        Self { app, s3, first }
    }

    /// Where the repository of a destination lies on this machine.
    fn repository(&self, destination: &str) -> PathBuf {
        let uid = self.app.uid().unwrap();
        self.s3.folder.join(&self.s3.bucket).join(format!("e2e-{destination}/e2e-tasks/data/{uid}"))
    }

    fn status(&self) -> anyhow::Result<Status> {
        Ok(serde_json::from_value(self.app.status()?)?)
    }

    /// Waits for the end of a task.
    fn ended(&self, what: &str, task: impl Fn(&Status) -> Option<TaskStatus>) -> TaskStatus {
        wait_for(what, BACKUP_DEADLINE, || self.app.seen(), || Ok(task(&self.status()?))).unwrap()
    }
}

#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_prune_waits_for_a_copy_and_drills_find_a_flipped_byte() {
    let shop = Shop::open();
    flip_a_byte(&shop);
    drills_find_it_on_the_disk_and_in_the_repository(&shop);
    a_prune_that_is_due_waits_for_the_copy_that_runs(&shop);
    the_copy_after_it_heals_the_disk(&shop);
    shop.app.delete().unwrap();
}

/// As a disk does it: nothing else of the file is another.
fn flip_a_byte(shop: &Shop) {
    let disk = Cluster::existing().unwrap().volume_path("e2e-tasks", "backup-disk-tree").unwrap();
    let tree = Path::new("e2e-tasks/data").join(shop.app.uid().unwrap()).join(&shop.first);
    flip(&disk.join(tree).join("files/7")).unwrap();
    flip(&largest(&shop.repository("drilled").join("data")).unwrap()).unwrap();
}

/// One writer: what is due is done once the copy has ended, and a person's prune is refused by the copy's lock.
fn a_prune_that_is_due_waits_for_the_copy_that_runs(shop: &Shop) {
    let app = &shop.app;
    // It goes on beyond the minute for which the next prune is due.
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let next = 60 - seconds % 60;
    let next = if next < 25 { next + 60 } else { next };
    app.sh(&format!("head -c {}K /dev/urandom > /data/more; sync -f /data", LIMIT * (next + 12))).unwrap();
    app.annotate("backup-controller.io/run-now=slow").unwrap();
    let stock = app.stock_restic(&Keys::of(&shop.s3, "e2e-pruned")).unwrap();
    // Locks of other calls come and go; a copy's stays as long as it lasts.
    let refusal = || {
        let Err(refused) = stock.run(&["prune"]) else { return Ok(None) };
        let refused = format!("{refused:#}");
        Ok(refused.contains("already locked by").then_some(()))
    };
    wait_for("a person's prune is refused while the copy runs", BACKUP_DEADLINE, || app.seen(), refusal).unwrap();

    let copied =
        |status: &Status| status.copies.get("pruned").filter(|c| c.run.as_str() > shop.first.as_str()).cloned();
    let pruned = shop.ended("a prune after the copy", |status| {
        let copy = copied(status)?;
        status.maintenance.get("pruned")?.prune.clone().filter(|p| p.finished > copy.finished)
    });
    let copy = copied(&shop.status().unwrap()).unwrap();
    assert_eq!((pruned.state, &pruned.problem), (TaskState::Done, &None));
    assert!(pruned.due.time() < copy.finished, "it was due while the copy ran: {pruned:?}, {copy:?}");
    stock.run(&["check", "--read-data"]).unwrap();
    assert_eq!(stock.snapshots().unwrap().len(), 2);
}

/// L13: it compares contents, so the damaged file is not linked again.
fn the_copy_after_it_heals_the_disk(shop: &Shop) {
    let drill = shop.ended("a drill of the newest copy", |status| {
        let drill = status.maintenance.get("tree")?.drill.clone()?;
        (drill.run.as_ref()?.as_str() > shop.first.as_str()).then_some(drill)
    });
    assert_eq!(drill.problem, None);
}

fn drills_find_it_on_the_disk_and_in_the_repository(shop: &Shop) {
    let app = &shop.app;
    for destination in ["tree", "drilled"] {
        let drill = shop.ended("a drill that found the byte", |status| {
            status.maintenance.get(destination)?.drill.clone().filter(|drill| drill.problem.is_some())
        });
        let problem = drill.problem.unwrap();
        assert_eq!(problem.reason, Reason::RestoreMismatch, "{problem}");
        assert!(problem.message.contains("files/"), "{problem}");
        let metric = format!("backup_controller_drilled_sources{{destination=\"{destination}\",state=\"failed\"}} 1");
        let metrics = "/api/v1/namespaces/backup/services/backup-controller:http/proxy/metrics";
        wait_for(
            "the metric says so",
            BACKUP_DEADLINE,
            || metric.clone(),
            || Ok(cluster().run(&["get", "--raw", metrics])?.contains(&metric).then_some(())),
        )
        .unwrap();
    }
    let events = app.kubectl(&["get", "events", "--field-selector=reason=RestoreMismatch,type=Warning"]).unwrap();
    for words in ["drill of tree", "drill of drilled", "persistentvolumeclaim/data"] {
        assert!(events.contains(words), "no {words} in\n{events}");
    }
    let tenant = app.tenant(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let said = tenant.backup(&["why", "data"]).unwrap();
    assert!(said.code == 3 && said.text.contains("RestoreMismatch"), "{said:?}");
}
