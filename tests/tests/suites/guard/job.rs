//! The account of the snapshot pods.

use anyhow::Result;
use serde_json::{Value, json};

use crate::guard::stage::{Actor, JOB_KINDS, NO_PROMOTER, Stage, UNLABELLED, Verb};

/// A PVC with a promoter's labels.
fn labelled(claim: Value, instance: &str) -> Value {
    let mut claim = claim;
    claim["metadata"]["labels"] = json!({
        "app.kubernetes.io/managed-by": "backup-controller", "backup-controller.io/instance": instance,
        "backup-controller.io/component": "promoter", "backup-controller.io/source-uid": "x",
        "backup-controller.io/run": "20181202T0000Z",
    });
    claim
}

#[tokio::test]
async fn each_step_of_a_run_passes_with_the_installed_role() -> Result<()> {
    let stage = Stage::new("run").await?;
    let me = Actor::Job;
    let (snapshot, promoter) = (stage.fixture("snapshot")?, stage.fixture("promoter")?);
    stage.passes("the snapshot", me, Verb::Create, &snapshot).await?;
    stage.passes("the promoter", me, Verb::Create, &promoter).await?;
    stage.passes("the promoter is rotated", me, Verb::Delete, &promoter).await?;
    stage.passes("the snapshot is rotated", me, Verb::Delete, &snapshot).await
}

#[tokio::test]
async fn it_deletes_nothing_but_promoters_and_snapshots_of_this_installation() -> Result<()> {
    let stage = Stage::new("deletes").await?;
    let me = Actor::AlmightyJob;
    let users = stage.claim("mypvc");
    let forged = labelled(stage.claim("forged"), "backup");
    let mut theirs = labelled(stage.claim("theirs"), "two");
    theirs["spec"]["dataSource"] =
        json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "a"});
    let disk = stage.fixture("disk-claim")?;
    let taken = json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "users", "namespace": stage.namespace},
        "spec": {"source": {"persistentVolumeClaimName": "mypvc"}},
    });
    let mut imported = stage.fixture("snapshot")?;
    imported["metadata"]["name"] = json!("imported");
    imported["spec"]["source"] = json!({"volumeSnapshotContentName": "a-content"});
    let of_a_claim = "only VolumeSnapshots of a PersistentVolumeClaim";
    for (what, object, words) in [
        ("a user's PVC", &users, UNLABELLED),
        ("a user's PVC with a promoter's labels", &forged, NO_PROMOTER),
        ("another installation's promoter", &theirs, UNLABELLED),
        ("a BackupDisk", &disk, UNLABELLED),
        ("a user's snapshot", &taken, UNLABELLED),
        ("an imported snapshot", &imported, of_a_claim),
        ("a copy", &stage.fixture("copy")?, JOB_KINDS),
    ] {
        stage.has(object).await?;
        stage.refused(what, me, Verb::Delete, object, words).await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_creates_nothing_else_and_changes_nothing() -> Result<()> {
    let stage = Stage::new("creates").await?;
    let me = Actor::AlmightyJob;
    for name in ["copy", "copy-host", "disk-volume"] {
        stage.refused(name, me, Verb::Create, &stage.fixture(name)?, JOB_KINDS).await?;
    }
    for name in ["keeper", "cronjob"] {
        let mut object = stage.fixture(name)?;
        object["metadata"]["name"] = json!("of-the-job");
        stage.refused(name, me, Verb::Create, &object, JOB_KINDS).await?;
    }
    stage.refused("a user's PVC", me, Verb::Create, &stage.claim("mypvc"), UNLABELLED).await?;
    stage.refused("an empty promoter", me, Verb::Create, &labelled(stage.claim("x"), "backup"), NO_PROMOTER).await?;
    let snapshot = stage.fixture("snapshot")?;
    stage.passes("the snapshot", me, Verb::Create, &snapshot).await?;
    let patch = Verb::Merge(json!({"metadata": {"annotations": {"backup-controller.io/copy.disk": "{}"}}}));
    stage.refused("a copy's result", me, patch, &snapshot, JOB_KINDS).await
}
