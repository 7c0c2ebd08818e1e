//! What the controller's account may do for central copies: reach one snapshot from its own namespace, and no more.

use anyhow::Result;
use serde_json::{Value, json};

use crate::guard::stage::{Actor, Stage, UNLABELLED, USELESS, Verb};

const CONTENTS: &str = "backup-controller may create only retained VolumeSnapshotContents for central copies";
const HOME: &str = "only for central copies and restores in its own namespace";

/// The fixtures of one central copy, which no other test has.
fn parts(stage: &Stage) -> Result<[Value; 3]> {
    let name = format!("central-{}", stage.namespace);
    let mut parts =
        [stage.fixture("central-content")?, stage.fixture("central-snapshot")?, stage.fixture("central-promoter")?];
    for part in &mut parts {
        part["metadata"]["name"] = json!(name);
    }
    parts[0]["spec"]["volumeSnapshotRef"]["name"] = json!(name);
    parts[1]["spec"]["source"]["volumeSnapshotContentName"] = json!(name);
    parts[2]["spec"]["dataSource"]["name"] = json!(name);
    Ok(parts)
}

#[tokio::test]
async fn each_step_of_a_central_copy_passes_with_the_installed_role() -> Result<()> {
    let stage = Stage::new("vault").await?;
    stage.come_and_go(Actor::Controller, &parts(&stage)?).await
}

/// With it a copy would read what somebody else has, delete it, or hand it to a tenant.
#[tokio::test]
async fn a_content_of_any_other_form_is_refused() -> Result<()> {
    let stage = Stage::new("vault-content").await?;
    let me = Actor::AlmightyController;
    let [content, ..] = parts(&stage)?;
    for (what, pointer, value) in [
        ("one whose end deletes the snapshot", "/spec/deletionPolicy", json!("Delete")),
        ("one for a tenant's namespace", "/spec/volumeSnapshotRef/namespace", json!("vault-content")),
        ("one for another snapshot", "/spec/volumeSnapshotRef/name", json!("other")),
        ("one that takes a snapshot", "/spec/source", json!({"volumeHandle": "x"})),
        ("one of another component", "/metadata/labels/backup-controller.io~1component", json!("snapshot")),
    ] {
        let mut other = content.clone();
        *other.pointer_mut(pointer).expect(pointer) = value;
        stage.refused(what, me, Verb::Create, &other, CONTENTS).await?;
    }
    let mut other = content.clone();
    other["metadata"]["labels"] = json!({"app": "x"});
    stage.refused("one without our labels", me, Verb::Create, &other, UNLABELLED).await?;
    stage.has(&content).await?;
    let handle = json!({"spec": {"volumeSnapshotRef": {"namespace": "vault-content"}}});
    stage.refused("one that is given to somebody", me, Verb::Merge(handle), &content, USELESS).await
}

/// The contents of sources' own snapshots, and of everybody else.
#[tokio::test]
async fn a_content_of_others_is_not_deleted() -> Result<()> {
    let stage = Stage::new("vault-others").await?;
    let me = Actor::AlmightyController;
    let [content, ..] = parts(&stage)?;
    let mut stranger = content.clone();
    stranger["metadata"]["labels"] = json!({"app": "x"});
    stage.has(&stranger).await?;
    stage.refused("a stranger's", me, Verb::Delete, &stranger, UNLABELLED).await?;
    let mut deletes = content;
    deletes["metadata"]["name"] = json!("central-vault-others-2");
    deletes["spec"]["deletionPolicy"] = json!("Delete");
    stage.has(&deletes).await?;
    let words = "may delete only retained VolumeSnapshotContents of central copies";
    stage.refused("one that takes the snapshot along", me, Verb::Delete, &deletes, words).await
}

#[tokio::test]
async fn snapshots_and_claims_of_central_copies_are_at_home() -> Result<()> {
    let stage = Stage::new("vault-home").await?;
    let me = Actor::AlmightyController;
    let [_, snapshot, promoter] = parts(&stage)?;
    let away = |object: &Value| {
        let mut object = object.clone();
        object["metadata"]["namespace"] = json!("vault-home");
        object
    };
    stage.refused("a snapshot in a tenant's namespace", me, Verb::Create, &away(&snapshot), HOME).await?;
    let words = "backup-controller may create only PersistentVolumeClaims for BackupDisks, promoters and restores";
    stage.refused("a PVC in a tenant's namespace", me, Verb::Create, &away(&promoter), words).await?;
    stage.has(&away(&snapshot)).await?;
    stage.refused("a snapshot goes", me, Verb::Delete, &away(&snapshot), HOME).await?;
    stage.has(&away(&promoter)).await?;
    stage.refused("a PVC goes", me, Verb::Delete, &away(&promoter), HOME).await?;

    let mut taken = snapshot.clone();
    taken["spec"]["source"] = json!({"persistentVolumeClaimName": "mypvc"});
    let words = "may create only VolumeSnapshots of the VolumeSnapshotContent with the same name";
    stage.refused("a snapshot of a PVC", me, Verb::Create, &taken, words).await?;
    let mut other = snapshot;
    other["spec"]["source"] = json!({"volumeSnapshotContentName": "snapcontent-1"});
    stage.refused("a snapshot over a content of others", me, Verb::Create, &other, words).await
}
