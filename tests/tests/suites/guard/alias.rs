//! What the controller's account may do to lend the target of a restore to its own namespace, and no more.

use anyhow::Result;
use model::names;
use serde_json::{Value, json};

use crate::guard::stage::{Actor, Stage, UNLABELLED, USELESS, Verb};

const VOLUMES: &str = "backup-controller may create only retained PersistentVolumes for one claim";
const CLAIMS: &str = "backup-controller may create only PersistentVolumeClaims for BackupDisks, promoters and restores";

/// The fixtures of one restore, which no other test has.
fn parts(stage: &Stage) -> Result<[Value; 3]> {
    let name = format!("restore-{}", stage.namespace);
    let volume = names::alias_volume(&"backup".into(), &name);
    let mut parts =
        [stage.fixture("alias-volume")?, stage.fixture("alias-claim")?, stage.fixture("restore-central-job")?];
    parts[0]["metadata"]["name"] = json!(volume);
    parts[0]["spec"]["claimRef"]["name"] = json!(name);
    parts[1]["metadata"]["name"] = json!(name);
    parts[1]["spec"]["volumeName"] = json!(volume);
    parts[2]["metadata"]["name"] = json!(name);
    Ok(parts)
}

#[tokio::test]
async fn each_step_of_a_restore_that_is_lent_its_target_passes_with_the_installed_role() -> Result<()> {
    let stage = Stage::new("alias").await?;
    stage.come_and_go(Actor::Controller, &parts(&stage)?).await
}

/// With it a pod elsewhere would have a volume of somebody else's, or its end would delete that.
#[tokio::test]
async fn a_volume_of_any_other_form_is_not_lent() -> Result<()> {
    type Change<'a> = &'a dyn Fn(&mut Value);
    let stage = Stage::new("alias-forms").await?;
    let me = Actor::AlmightyController;
    let [volume, ..] = parts(&stage)?;
    let local = |spec: &mut Value| {
        spec.as_object_mut().map(|s| s.remove("csi"));
        spec["local"] = json!({"path": "/etc"});
        spec["nodeAffinity"] = json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]},
        ]}]}});
    };
    let host = |spec: &mut Value| {
        spec.as_object_mut().map(|s| s.remove("csi"));
        spec["hostPath"] = json!({"path": "/"});
    };
    let changes: [(&str, Change<'_>); 7] = [
        ("one whose end deletes the storage", &|s| s["persistentVolumeReclaimPolicy"] = json!("Delete")),
        ("one for a tenant's namespace", &|s| s["claimRef"]["namespace"] = json!("alias-forms")),
        ("one for another claim", &|s| s["claimRef"]["name"] = json!("restore-other")),
        ("one for anybody", &|s| drop(s.as_object_mut().map(|s| s.remove("claimRef")))),
        ("a node's folder", &local),
        ("a host's folder", &host),
        ("a share", &|s| {
            s.as_object_mut().map(|s| s.remove("csi"));
            s["nfs"] = json!({"server": "s", "path": "/"});
        }),
    ];
    for (what, change) in changes {
        let mut other = volume.clone();
        change(&mut other["spec"]);
        stage.refused(what, me, Verb::Create, &other, VOLUMES).await?;
    }
    for (what, name, claim) in [
        ("one of another name", "backup-other", "restore-alias-forms"),
        ("one for a claim that is no restore's", "backup-alias-forms", "alias-forms"),
    ] {
        let mut other = volume.clone();
        other["metadata"]["name"] = json!(name);
        other["spec"]["claimRef"]["name"] = json!(claim);
        stage.refused(what, me, Verb::Create, &other, VOLUMES).await?;
    }
    for (what, component) in [("a disk's", "disk"), ("a grant's, to be written", "grant"), ("a restore's", "restore")] {
        let mut other = volume.clone();
        other["metadata"]["labels"][names::COMPONENT] = json!(component);
        stage.refused(what, me, Verb::Create, &other, VOLUMES).await?;
    }
    stage.has(&volume).await?;
    let handed = json!({"spec": {"claimRef": {"namespace": "alias-forms"}}});
    stage.refused("one that is given to somebody", me, Verb::Merge(handed), &volume, USELESS).await
}

#[tokio::test]
async fn a_claim_is_at_home_and_has_what_was_lent_to_it() -> Result<()> {
    let stage = Stage::new("alias-claims").await?;
    let me = Actor::AlmightyController;
    let [_, claim, _] = parts(&stage)?;
    let with = |pointer: &str, value: Value| {
        let mut other = claim.clone();
        let (parent, field) = pointer.rsplit_once('/').unwrap_or_default();
        if let Some(parent) = other.pointer_mut(parent) {
            parent[field] = value;
        }
        other
    };
    let away = with("/metadata/namespace", json!("alias-claims"));
    stage.refused("in a tenant's namespace", me, Verb::Create, &away, CLAIMS).await?;
    stage.refused("over another volume", me, Verb::Create, &with("/spec/volumeName", json!("pv-1")), CLAIMS).await?;
    let source = json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"});
    stage.refused("of a snapshot", me, Verb::Create, &with("/spec/dataSource", source), CLAIMS).await?;
    stage.has(&away).await?;
    stage.refused("a tenant's goes", me, Verb::Delete, &away, "restores in its own namespace").await?;
    let mut stranger = claim.clone();
    stranger["metadata"]["labels"] = json!({"app": "x"});
    stage.has(&stranger).await?;
    stage.refused("a stranger's goes", me, Verb::Delete, &stranger, UNLABELLED).await
}

/// The target's own, and every other.
#[tokio::test]
async fn a_volume_that_was_not_lent_is_not_deleted() -> Result<()> {
    let stage = Stage::new("alias-others").await?;
    let me = Actor::AlmightyController;
    let [volume, ..] = parts(&stage)?;
    for (name, what, words, change) in [
        ("alias-others-1", "a stranger's", UNLABELLED, json!({"metadata": {"labels": {"app": "x"}}})),
        (
            "alias-others-2",
            "one whose end deletes the storage",
            "backup-controller may delete only retained PersistentVolumes that were made for a restore",
            json!({"spec": {"persistentVolumeReclaimPolicy": "Delete"}}),
        ),
    ] {
        let mut other = volume.clone();
        other["metadata"]["name"] = json!(name);
        if let Some(labels) = change.pointer("/metadata/labels") {
            other["metadata"]["labels"] = labels.clone();
        }
        if let Some(policy) = change.pointer("/spec/persistentVolumeReclaimPolicy") {
            other["spec"]["persistentVolumeReclaimPolicy"] = policy.clone();
        }
        stage.has(&other).await?;
        stage.refused(what, me, Verb::Delete, &other, words).await?;
    }
    Ok(())
}
