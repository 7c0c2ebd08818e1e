//! Everybody else: our labels are set by us.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use backup_controller_tests::binaries::project;
use model::names;
use serde_json::{Value, json};
use templates::Templates;

use crate::guard::stage::{Actor, BOUNDED, OTHERS, RECORDED, RESERVED, Stage, Verb};

fn labels(labels: &Value) -> Verb {
    Verb::Merge(json!({"metadata": {"labels": labels}}))
}

#[tokio::test]
async fn a_tenant_can_neither_forge_nor_strip_nor_change_what_rotation_goes_by() -> Result<()> {
    let stage = Stage::new("forger").await?;
    let me = Actor::Tenant;
    for name in ["promoter", "snapshot", "copy"] {
        for actor in [me, Actor::TenantsProgram, Actor::Owner, Actor::KubeSystem] {
            stage.refused(name, actor, Verb::Create, &stage.fixture(name)?, RESERVED).await?;
        }
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

/// With every right in his namespace, and in every way in which an object can be written.
#[tokio::test]
async fn nobody_strips_a_promoter_a_snapshot_or_a_job() -> Result<()> {
    let stage = Stage::new("stripper").await?;
    let (promoter, snapshot, job) = (stage.fixture("promoter")?, stage.fixture("snapshot")?, stage.fixture("copy")?);
    stage.passes("a promoter", Actor::Job, Verb::Create, &promoter).await?;
    stage.passes("a snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    stage.passes("a copy", Actor::Controller, Verb::Create, &job).await?;
    for object in [&promoter, &snapshot, &job] {
        let all = || json!({"metadata": {"labels": null}});
        let instance = || json!({"metadata": {"labels": {names::INSTANCE: null}}});
        for actor in [Actor::Tenant, Actor::Owner] {
            // A Job without labels gets those of its pods, which are the same.
            if object["kind"] != "Job" {
                stage.refused("all labels, by a merge", actor, Verb::Merge(all()), object, RESERVED).await?;
            }
            stage.refused("the installation, by a merge", actor, Verb::Merge(instance()), object, RESERVED).await?;
            let mut claimed = object.clone();
            claimed["metadata"]["labels"] = json!({names::RUN: "20000101T0000Z"});
            claimed.as_object_mut().context("no object")?.remove("spec");
            stage.refused("the run, by an apply", actor, Verb::Apply("mine"), &claimed, RESERVED).await?;
        }
        // The role `edit` replaces no snapshot.
        let component = json!({"metadata": {"labels": {names::COMPONENT: "other"}}});
        stage.refused("the component, as a whole", Actor::Owner, Verb::Replace(component), object, RESERVED).await?;
        // Of a custom resource a write to the status changes no label in any case.
        if object["kind"] != "VolumeSnapshot" {
            stage.refused("by the status", Actor::Owner, Verb::Status(instance()), object, RESERVED).await?;
        }
        // What he may do: delete it, or keep it from going. Neither makes it his.
        let keep = json!({"metadata": {"finalizers": ["example.com/mine"]}});
        stage.passes("a finalizer", Actor::Tenant, Verb::Merge(keep), object).await?;
        stage.passes("it is deleted", Actor::Tenant, Verb::Delete, object).await?;
        // Others take their own finalizers off meanwhile, so that it changes.
        let refused =
            stage.does(Actor::Owner, &Verb::Merge(instance()), object).await.err().context("while it goes")?;
        ensure!(format!("{refused:#}").contains(RESERVED), "{refused:#}");
        let go = json!({"metadata": {"finalizers": null}});
        stage.passes("it goes", Actor::Tenant, Verb::Merge(go), object).await?;
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

/// S4: the status of an object has the object's labels, and a write to it can change them.
#[tokio::test]
async fn a_write_to_a_status_changes_no_label_of_ours() -> Result<()> {
    let stage = Stage::new("statuses").await?;
    let me = Actor::Owner;
    let (job, promoter, mine) = (stage.fixture("copy")?, stage.fixture("promoter")?, stage.claim("mypvc"));
    stage.passes("a copy", Actor::Controller, Verb::Create, &job).await?;
    stage.passes("a promoter", Actor::Job, Verb::Create, &promoter).await?;
    stage.passes("his PVC", me, Verb::Create, &mine).await?;
    let status = |labels: Value| Verb::Status(json!({"metadata": {"labels": labels}}));
    for (what, object, patch) in [
        ("a Job's source", &job, status(json!({names::SOURCE_UID: "x"}))),
        ("a Job's installation", &job, status(json!({names::INSTANCE: null}))),
        ("a promoter's run", &promoter, status(json!({names::RUN: "20000101T0000Z"}))),
        ("a promoter's manager", &promoter, status(json!({names::MANAGED_BY: null}))),
        ("a label of ours on his own", &mine, status(json!({names::INSTANCE: "backup"}))),
    ] {
        stage.refused(what, me, patch, object, RESERVED).await?;
    }
    // As the kubelet, the Job controller and the binder of volumes write them.
    let phase = Verb::Status(json!({"status": {"phase": "Lost"}}));
    stage.passes("a status", me, phase, &promoter).await?;
    stage.passes("a label of his own", me, status(json!({"x": "y"})), &promoter).await
}

/// S2b: a pod that ends with a message is a copy's result. The Job controller adopts a pod with its Job's label.
#[tokio::test]
async fn a_tenant_makes_no_pod_of_ours() -> Result<()> {
    let stage = Stage::new("pod-forger").await?;
    let job = stage.fixture("copy")?;
    stage.passes("a copy", Actor::Controller, Verb::Create, &job).await?;
    let uid = stage.uid(&job).await?;
    let pod = |labels: Value, owners: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "forged", "namespace": stage.namespace, "labels": labels, "ownerReferences": owners,
            },
            "spec": {"containers": [{"name": "backup", "image": "i"}]},
        })
    };
    let mut labels = job["metadata"]["labels"].clone();
    labels["batch.kubernetes.io/job-name"] = job["metadata"]["name"].clone();
    labels["batch.kubernetes.io/controller-uid"] = json!(uid);
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": job["metadata"]["name"], "uid": uid,
        "controller": true}]);
    for actor in [Actor::Tenant, Actor::TenantsProgram, Actor::Owner, Actor::OtherInstallation, Actor::KubeSystem] {
        for owners in [json!([]), owner.clone()] {
            stage.refused("a pod", actor, Verb::Create, &pod(labels.clone(), owners), RESERVED).await?;
        }
    }
    // The same from somebody who makes pods of Deployments.
    let forged = pod(labels.clone(), owner.clone());
    stage.refused("a pod", Actor::ReplicaSetController, Verb::Create, &forged, RESERVED).await?;
    stage.passes("a pod of the Job", Actor::JobController, Verb::Try, &forged).await?;
    stage.passes("a pod of the Job", Actor::ControllerManager, Verb::Try, &forged).await?;
    let mut other = labels;
    other[names::INSTANCE] = json!("two");
    stage.passes("of another installation", Actor::Tenant, Verb::Try, &pod(other, json!([]))).await
}

/// Kubernetes' own controllers work as ever, on objects with our labels too.
#[tokio::test]
async fn kubernetes_own_controllers_are_not_in_the_way() -> Result<()> {
    let stage = Stage::new("kubernetes").await?;
    let job = stage.fixture("copy")?;
    stage.passes("a copy", Actor::Controller, Verb::Create, &job).await?;
    let (mut claim, volume) = (stage.fixture("host-disk-claim")?, stage.fixture("disk-volume")?);
    claim["spec"]["volumeName"] = volume["metadata"]["name"].clone();
    for object in [&claim, &volume] {
        stage.passes("a BackupDisk of a host", Actor::Controller, Verb::Create, object).await?;
    }
    let promoter = stage.fixture("promoter")?;
    stage.passes("a promoter", Actor::Job, Verb::Create, &promoter).await?;
    stage
        .comes("the Job has its pod", async || {
            let job = stage.object(&job).await?.context("no Job")?;
            ensure!(job.data["status"]["active"] == 1, "{}", job.data["status"]);
            Ok(())
        })
        .await?;
    let bound = stage
        .comes("the PVC is bound", async || {
            let claim = stage.object(&claim).await?.context("no PVC")?;
            ensure!(claim.data["status"]["phase"] == "Bound", "{}", claim.data["status"]);
            Ok(claim.metadata.labels)
        })
        .await?;
    ensure!(bound.is_some_and(|labels| labels.contains_key(names::INSTANCE)), "it has lost its labels");
    // Deletes, finalizers and all.
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": stage.namespace}});
    stage.passes("the namespace goes", Actor::Administrator, Verb::Delete, &namespace).await?;
    stage
        .comes("the namespace is gone", async || {
            let there = stage.object(&namespace).await?;
            ensure!(there.is_none(), "{:?}", there.map(|o| o.data));
            Ok(())
        })
        .await
}

/// S6: the API server converts an object with thousands of annotations several times for a policy that selects it.
#[tokio::test]
async fn nobody_puts_thousands_of_annotations_on_an_object_of_ours() -> Result<()> {
    let stage = Stage::new("thousands").await?;
    let many: BTreeMap<String, &str> = (0..1000).map(|n| (format!("a{n}"), "")).collect();
    let annotate = |notes: &Value| Verb::Merge(json!({"metadata": {"annotations": notes}}));
    let (snapshot, promoter) = (stage.fixture("snapshot")?, stage.fixture("promoter")?);
    stage.passes("the snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    stage.passes("the promoter", Actor::Job, Verb::Create, &promoter).await?;
    for object in [&snapshot, &promoter] {
        stage.refused("thousands", Actor::Tenant, annotate(&json!(many)), object, BOUNDED).await?;
        stage.passes("a few", Actor::Tenant, annotate(&json!({"a": "b"})), object).await?;
        // An administrator's annotations do not lock the others out.
        stage.passes("thousands", Actor::Administrator, annotate(&json!(many)), object).await?;
        stage.passes("a label of his own", Actor::Tenant, labels(&json!({"x": "y"})), object).await?;
        let label = labels(&json!({names::RUN: "20000101T0000Z"}));
        stage.refused("a label among thousands", Actor::Tenant, label, object, RESERVED).await?;
    }
    let record = annotate(&json!({names::VOLUME_MODE_TAKEN: "Block", "a1": null}));
    stage.refused("a record among thousands", Actor::Tenant, record, &snapshot, RECORDED).await?;
    let mine = stage.claim("mypvc");
    stage.passes("his PVC", Actor::Tenant, Verb::Create, &mine).await?;
    stage.passes("thousands on his own", Actor::Tenant, annotate(&json!(many)), &mine).await
}

/// A display, of a PVC that is gone.
#[tokio::test]
async fn a_tenant_does_not_write_the_status_of_a_snapshot() -> Result<()> {
    let stage = Stage::new("displays").await?;
    let annotate = |value: Value| Verb::Merge(json!({"metadata": {"annotations": {names::STATUS: value}}}));
    let snapshot = stage.fixture("snapshot")?;
    stage.passes("a snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    for actor in [Actor::Tenant, Actor::TenantsProgram, Actor::Owner, Actor::KubeSystem] {
        stage.refused("forged", actor, annotate(json!("forged")), &snapshot, RECORDED).await?;
    }
    // Nobody can tell another installation's account from a tenant's, and it writes the status of PVCs too.
    let mine = stage.claim("mypvc");
    stage.passes("his PVC", Actor::Tenant, Verb::Create, &mine).await?;
    stage.passes("another installation's", Actor::OtherInstallation, annotate(json!("{}")), &mine).await
}

/// The guard looks each label up: one that its list lacks would be anybody's to set.
#[test]
fn the_guard_reserves_every_label_of_ours() -> Result<()> {
    for policy in ["labels", "controller"] {
        let path = project().join(format!("templates/install/guard/{policy}.yaml"));
        let text = std::fs::read_to_string(&path)?;
        let document = text.split("---\n").next().unwrap_or_default();
        let policy: Value = serde_json::to_value(serde_yaml::from_str::<serde_yaml::Value>(document)?)?;
        let variables = policy["spec"]["variables"].as_array().context("no variables")?;
        let of = |name: &str| variables.iter().find(|v| v["name"] == name).and_then(|v| v["expression"].as_str());
        let keys = [of("details").context("no details")?, of("keys").context("no keys")?].concat();
        let mut reserved: Vec<&str> = keys.split('\'').filter(|k| k.starts_with(names::PREFIX)).collect();
        let mut ours = names::LABELS.to_vec();
        reserved.sort_unstable();
        ours.sort_unstable();
        assert_eq!(reserved, ours, "{}", path.display());
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
    let cronjob = stage.fixture("cronjob")?;
    let mut job = Templates::embedded().run_job(&cronjob, "u", "bystander")?;
    stage.passes("a run", Actor::CronJobController, Verb::Try, &job).await?;
    stage.passes("a run", Actor::ControllerManager, Verb::Try, &job).await?;
    stage.refused("a run", Actor::KubeSystem, Verb::Create, &job, RESERVED).await?;
    job["metadata"]["namespace"] = json!(stage.namespace);
    stage.refused("a run elsewhere", Actor::CronJobController, Verb::Create, &job, RESERVED).await?;
    stage.passes("a promoter", Actor::Administrator, Verb::Create, &promoter).await?;
    stage.passes("its label", Actor::Administrator, labels(&json!({names::RUN: null})), &promoter).await?;
    stage.passes("it goes", Actor::Administrator, Verb::Delete, &promoter).await
}
