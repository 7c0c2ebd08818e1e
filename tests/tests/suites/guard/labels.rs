//! Everybody else: our labels are set by us.

use anyhow::Result;
use model::names;
use serde_json::{Value, json};

use crate::guard::stage::{Actor, OTHERS, RECORDED, RESERVED, Stage, Verb};

fn labels(labels: &Value) -> Verb {
    Verb::Merge(json!({"metadata": {"labels": labels}}))
}

#[tokio::test]
async fn a_tenant_can_neither_forge_nor_strip_nor_change_what_rotation_goes_by() -> Result<()> {
    let stage = Stage::new("forger").await?;
    let me = Actor::Tenant;
    for name in ["promoter", "snapshot", "copy"] {
        stage.refused(name, me, Verb::Create, &stage.fixture(name)?, RESERVED).await?;
        stage.refused(name, Actor::TenantsProgram, Verb::Create, &stage.fixture(name)?, RESERVED).await?;
    }
    let mine = stage.claim("mypvc");
    stage.passes("his PVC", me, Verb::Create, &mine).await?;
    let instance = labels(&json!({names::INSTANCE: "backup"}));
    stage.refused("of this installation", me, instance, &mine, RESERVED).await?;
    let (disk, snapshot) = (stage.fixture("disk-claim")?, stage.fixture("snapshot")?);
    stage.passes("the disk", Actor::Controller, Verb::Create, &disk).await?;
    stage.passes("the snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    for (what, object, patch) in [
        ("a label is stripped", &disk, labels(&json!({names::DESTINATION: null}))),
        ("the manager is stripped", &disk, labels(&json!({names::MANAGED_BY: null}))),
        ("the installation is stripped", &disk, labels(&json!({names::INSTANCE: null}))),
        ("a label is changed", &disk, labels(&json!({names::DESTINATION: "x"}))),
        ("a run is changed", &snapshot, labels(&json!({names::RUN: "20000101T0000Z"}))),
        ("a source is changed", &snapshot, labels(&json!({names::SOURCE_UID: "x"}))),
    ] {
        stage.refused(what, me, patch, object, RESERVED).await?;
    }
    Ok(())
}

/// What a run was taken for and what became of its copies is read back as if it were our own: a forged failure would
/// stop the copies of all, a forged destination would get data.
#[tokio::test]
async fn a_tenant_does_not_say_what_became_of_a_run() -> Result<()> {
    let stage = Stage::new("notary").await?;
    let mut snapshot = stage.fixture("snapshot")?;
    let taken = [names::VOLUME_MODE_TAKEN];
    for key in taken {
        snapshot["metadata"]["annotations"][key] = json!("1");
    }
    stage.passes("a run's snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    let annotate = |key: &str, value: Value| Verb::Merge(json!({"metadata": {"annotations": {key: value}}}));
    for key in taken {
        stage.refused(key, Actor::Tenant, annotate(key, json!("forged")), &snapshot, RECORDED).await?;
    }
    for key in taken {
        stage.refused(key, Actor::TenantsProgram, annotate(key, Value::Null), &snapshot, RECORDED).await?;
    }
    let mut unmarked = stage.fixture("snapshot")?;
    unmarked["metadata"]["name"] = json!("mypvc-20181203");
    stage.passes("a snapshot of files", Actor::Job, Verb::Create, &unmarked).await?;
    let forged = annotate(names::VOLUME_MODE_TAKEN, json!("Block"));
    stage.refused("a mode that it had not", Actor::Tenant, forged.clone(), &unmarked, RECORDED).await?;
    stage.refused("not even ours", Actor::Controller, forged, &unmarked, OTHERS).await?;
    stage.passes("a hold", Actor::Tenant, annotate(names::HOLD, json!("x")), &snapshot).await?;
    stage.passes("no hold", Actor::Tenant, annotate(names::HOLD, Value::Null), &snapshot).await?;
    stage.passes("his own", Actor::Tenant, annotate("example.com/volume-mode", json!("x")), &snapshot).await
}

/// A tenant who could take it away would have restore points that say more than they hold.
#[tokio::test]
async fn a_tenant_does_not_say_how_a_promoter_was_mounted() -> Result<()> {
    let stage = Stage::new("mounter").await?;
    let says = "only backup-controller may record that a promoter is mounted without its journal";
    let annotate = |value: Value| Verb::Merge(json!({"metadata": {"annotations": {names::JOURNAL: value}}}));
    let promoter = stage.fixture("promoter")?;
    assert_eq!(promoter["metadata"]["annotations"][names::JOURNAL], "skipped");
    stage.passes("the promoter", Actor::Job, Verb::Create, &promoter).await?;
    stage.refused("taken away", Actor::Tenant, annotate(Value::Null), &promoter, says).await?;
    stage.refused("another word", Actor::TenantsProgram, annotate(json!("replayed")), &promoter, says).await?;
    let hold = Verb::Merge(json!({"metadata": {"annotations": {names::HOLD: "x"}}}));
    stage.passes("a hold", Actor::Tenant, hold, &promoter).await?;
    let disk = stage.fixture("disk-claim")?;
    stage.passes("a disk", Actor::Controller, Verb::Create, &disk).await?;
    stage.refused("of another volume of ours", Actor::Tenant, annotate(json!("skipped")), &disk, says).await?;
    let mine = stage.claim("mypvc");
    stage.passes("his PVC", Actor::Tenant, Verb::Create, &mine).await?;
    stage.passes("on his own", Actor::Tenant, annotate(json!("skipped")), &mine).await
}

#[tokio::test]
async fn a_tenants_own_work_and_his_settings_pass() -> Result<()> {
    let stage = Stage::new("tenant").await?;
    let me = Actor::Tenant;
    let mine = stage.claim("mypvc");
    stage.passes("his PVC", me, Verb::Create, &mine).await?;
    let disk = stage.fixture("disk-claim")?;
    stage.passes("the disk", Actor::Controller, Verb::Create, &disk).await?;
    let (snapshot, taken) = (stage.fixture("snapshot")?, stage.snapshot("mine"));
    stage.passes("a run's snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    stage.passes("a snapshot of his own", me, Verb::Create, &taken).await?;
    let hold = Verb::Merge(json!({"metadata": {"annotations": {names::HOLD: "x"}}}));
    for (what, object, does) in [
        ("a label of ours that nobody looks at", &mine, labels(&json!({names::SOURCE_UID: "x"}))),
        ("managed by us, of no installation", &mine, labels(&json!({names::MANAGED_BY: "backup-controller"}))),
        ("managed by somebody else", &mine, labels(&json!({names::MANAGED_BY: "Helm"}))),
        ("a label of his own on ours", &disk, labels(&json!({"x": "y"}))),
        ("a hold of a promoter or disk", &disk, hold.clone()),
        ("a hold of a snapshot", &snapshot, hold),
        ("a run's snapshot goes", &snapshot, Verb::Delete),
        ("his snapshot goes", &taken, Verb::Delete),
        ("his PVC goes", &mine, Verb::Delete),
    ] {
        stage.passes(what, me, does, object).await?;
    }
    Ok(())
}

#[tokio::test]
async fn administrators_the_cluster_and_other_installations_are_not_in_the_way() -> Result<()> {
    let stage = Stage::new("bystander").await?;
    let promoter = stage.fixture("promoter")?;
    let mut theirs = promoter.clone();
    theirs["metadata"]["labels"][names::INSTANCE] = json!("two");
    stage.passes("its own promoter", Actor::OtherInstallation, Verb::Try, &theirs).await?;
    stage.refused("a promoter of ours", Actor::OtherInstallation, Verb::Create, &promoter, RESERVED).await?;
    stage.passes("a Job", Actor::CronJobController, Verb::Try, &stage.fixture("copy")?).await?;
    stage.passes("a promoter", Actor::Administrator, Verb::Create, &promoter).await?;
    stage.passes("its label", Actor::Administrator, labels(&json!({names::RUN: null})), &promoter).await?;
    stage.passes("it goes", Actor::Administrator, Verb::Delete, &promoter).await
}
