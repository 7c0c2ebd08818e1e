//! The controller's account.

use anyhow::Result;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use model::names::{self, SourceId};
use serde_json::{Value, json};
use templates::Templates;

use crate::guard::stage::{Actor, OTHERS, Stage, UNLABELLED, USELESS, Verb};

/// What `kind` says of an object of ours: one annotation, and nothing else.
fn annotation(object: &Value, key: &str) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": {
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"], "annotations": {key: "{}"},
        },
    })
}

#[tokio::test]
async fn each_step_of_the_controller_passes_with_the_installed_role() -> Result<()> {
    let stage = Stage::new("steps").await?;
    let me = Actor::Controller;
    for name in ["copy", "copy-host", "disk-claim", "host-disk-claim", "disk-volume", "keeper"] {
        stage.passes(name, me, Verb::Create, &stage.fixture(name)?).await?;
    }
    for name in ["cronjob", "sweep"] {
        let cronjob = stage.fixture(name)?;
        stage.passes(name, me, Verb::Apply("backup-controller"), &cronjob).await?;
        let mut changed = cronjob.clone();
        changed["spec"]["schedule"] = json!("1 2 3 4 5");
        stage.passes("changed", me, Verb::Apply("backup-controller"), &changed).await?;
    }
    let source = stage.claim("mypvc");
    stage.has(&source).await?;
    let snapshot = stage.fixture("snapshot")?;
    stage.passes("the job's snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    let status = annotation(&source, names::STATUS);
    stage.passes("status", me, Verb::Apply("backup-controller/status"), &status).await?;
    stage.passes("status again", me, Verb::Apply("backup-controller/status"), &status).await?;
    // Of a PVC that is gone.
    let status = annotation(&snapshot, names::STATUS);
    stage.passes("a status on a snapshot", me, Verb::Apply("backup-controller/status"), &status).await?;
    stage.passes("a recorded Job goes", me, Verb::Delete, &stage.fixture("copy")?).await?;
    stage.passes("a vanished source's CronJob goes", me, Verb::Delete, &stage.fixture("cronjob")?).await
}

/// What rotation goes by. The configuration and what others keep in that namespace are `ConfigMaps` too.
#[tokio::test]
async fn of_the_config_maps_it_writes_the_ledgers_in_its_own_namespace_and_no_others() -> Result<()> {
    let stage = Stage::new("ledgers").await?;
    let words = "backup-controller may write only ledgers among the ConfigMaps, and only in its own namespace";
    let map = |name: &str, namespace: &str, component: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "labels": {
                names::MANAGED_BY: names::MANAGER, names::INSTANCE: "backup", names::COMPONENT: component,
                names::SOURCE_UID: "u",
            }},
            "data": {"ledger.json": "{}"},
        })
    };
    let changed = || Verb::Merge(json!({"data": {"ledger.json": "{\"schema\": 1}"}}));
    let ledger = map("ledger-u", "backup", "ledger");
    stage.passes("a ledger", Actor::Controller, Verb::Create, &ledger).await?;
    stage.passes("it is written again", Actor::AlmightyController, changed(), &ledger).await?;

    let me = Actor::AlmightyController;
    let theirs = map("ledger-v", &stage.namespace, "ledger");
    stage.refused("in a tenant's namespace", me, Verb::Create, &theirs, words).await?;
    stage.refused("of another kind", me, Verb::Create, &map("other", "backup", "copy"), words).await?;
    let mut config = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "config-of-ledgers", "namespace": "backup"},
        "data": {"config.yaml": ""},
    });
    stage.refused("without labels", me, Verb::Create, &config, UNLABELLED).await?;
    stage.has(&config).await?;
    stage.refused("the configuration goes", me, Verb::Delete, &config, UNLABELLED).await?;
    config["metadata"]["labels"] = ledger["metadata"]["labels"].clone();
    let taken = Verb::Merge(json!({"metadata": {"labels": config["metadata"]["labels"]}}));
    stage.refused("the configuration becomes a ledger", me, taken, &config, words).await?;
    stage.passes("a ledger goes", Actor::Controller, Verb::Delete, &ledger).await
}

/// The CronJob's Job, as `run-now` makes it.
#[tokio::test]
async fn a_run_for_the_asking_passes() -> Result<()> {
    let stage = Stage::new("asking").await?;
    let mut cronjob = stage.fixture("cronjob")?;
    cronjob["metadata"]["name"] = json!("backup-asking");
    stage.passes("its CronJob", Actor::Controller, Verb::Apply("backup-controller"), &cronjob).await?;
    let source = SourceId { namespace: stage.namespace.clone(), name: "mypvc".into(), uid: "u".into() };
    let name = names::run_now_job(&source, "please");
    let job = Templates::embedded().run_job(&cronjob, &stage.uid(&cronjob).await?, &name)?;
    stage.passes("a run for the asking", Actor::Controller, Verb::Create, &job).await
}

/// `events.k8s.io` is the core group's other name, and a policy for that group sees its Events.
#[tokio::test]
async fn events_pass_and_so_does_their_repetition() -> Result<()> {
    let stage = Stage::new("events").await?;
    let source = stage.claim("mypvc");
    stage.has(&source).await?;
    let reporter = Reporter { controller: names::MANAGER.into(), instance: None };
    let recorder = Recorder::new(stage.client(Actor::Controller).await?, reporter);
    let reference = ObjectReference {
        api_version: Some("v1".into()),
        kind: Some("PersistentVolumeClaim".into()),
        namespace: Some(stage.namespace.clone()),
        name: Some("mypvc".into()),
        uid: Some(stage.uid(&source).await?),
        ..ObjectReference::default()
    };
    let event = Event {
        type_: EventType::Warning,
        reason: "SnapshotFailed".into(),
        note: Some("a test".into()),
        action: "Snapshot".into(),
        secondary: None,
    };
    recorder.publish(&event, &reference).await?;
    recorder.publish(&event, &reference).await?;
    Ok(())
}

#[tokio::test]
async fn of_others_objects_it_writes_the_status_and_results_alone() -> Result<()> {
    let stage = Stage::new("others").await?;
    let me = Actor::AlmightyController;
    let source = stage.claim("mypvc");
    stage.has(&source).await?;
    let snapshot = stage.fixture("snapshot")?;
    stage.passes("the job's snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    let metadata = |what: Value| Verb::Merge(json!({"metadata": what}));
    for (what, object, patch) in [
        ("enabled", &source, metadata(json!({"annotations": {"backup-controller.io/enabled": "false"}}))),
        ("another annotation", &source, metadata(json!({"annotations": {"a": "c"}}))),
        ("an annotation goes", &source, metadata(json!({"annotations": {"a": null}}))),
        ("a label", &source, metadata(json!({"labels": {"x": "y"}}))),
        ("a label goes", &source, metadata(json!({"labels": {"app": null}}))),
        ("a finalizer", &source, metadata(json!({"finalizers": ["kubernetes.io/pvc-protection", "a.b/c"]}))),
        (
            "an owner",
            &source,
            metadata(json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Secret", "name": "x", "uid": "y"}]})),
        ),
        ("its volume", &source, Verb::Merge(json!({"spec": {"volumeName": "another"}}))),
        ("a snapshot's label", &snapshot, metadata(json!({"labels": {names::RUN: "20200101T0000Z"}}))),
    ] {
        stage.refused(what, me, patch, object, OTHERS).await?;
    }
    Ok(())
}

#[tokio::test]
async fn it_creates_changes_and_deletes_nothing_but_its_own() -> Result<()> {
    let stage = Stage::new("own").await?;
    let me = Actor::AlmightyController;
    let source = stage.claim("mypvc");
    stage.has(&source).await?;
    stage.refused("a PVC goes", me, Verb::Delete, &source, UNLABELLED).await?;
    let words = "only for central copies and restores in its own namespace";
    let snapshot = stage.fixture("snapshot")?;
    stage.passes("the job's snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    stage.refused("a snapshot goes", me, Verb::Delete, &snapshot, words).await?;
    let disk = stage.fixture("disk-claim")?;
    stage.passes("a BackupDisk", me, Verb::Create, &disk).await?;
    stage.refused("a BackupDisk goes", me, Verb::Delete, &disk, words).await?;

    let words = "backup-controller may create only PersistentVolumeClaims for BackupDisks, promoters and restores";
    let mut promoter = stage.fixture("promoter")?;
    promoter["metadata"]["name"] = json!("another-name");
    stage.refused("a promoter that is not called as its snapshot", me, Verb::Create, &promoter, words).await?;
    let mut empty = stage.fixture("promoter")?;
    empty["spec"]["dataSource"] = Value::Null;
    stage.refused("a promoter of nothing", me, Verb::Create, &empty, words).await?;
    stage.refused("a stranger's PVC", me, Verb::Create, &stage.claim("other"), UNLABELLED).await?;
    let words = "may create only retained PersistentVolumes for one claim";
    for (what, pointer, value) in [
        ("a volume that is not retained", "/spec/persistentVolumeReclaimPolicy", json!("Delete")),
        (
            "a volume of a host",
            "/spec",
            json!({
                "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/"},
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "name": "x", "namespace": "own"},
            }),
        ),
        ("a volume for anybody", "/spec/claimRef", Value::Null),
    ] {
        let mut volume = stage.fixture("disk-volume")?;
        if let Some(place) = volume.pointer_mut(pointer) {
            *place = value;
        }
        stage.refused(what, me, Verb::Create, &volume, words).await?;
    }

    let mut policy = stage.fixture("network-policy")?;
    stage.passes("a policy for our pods", Actor::Controller, Verb::Create, &policy).await?;
    stage.refused("a policy goes", me, Verb::Delete, &policy, USELESS).await?;
    policy["metadata"]["name"] = json!("all");
    policy["spec"]["podSelector"] = json!({});
    let words = "backup-controller may create only NetworkPolicies for its own pods";
    stage.refused("a policy for all pods", me, Verb::Create, &policy, words).await?;

    let mut stranger = stage.fixture("copy")?;
    stranger["metadata"]["name"] = json!("stranger");
    stranger["metadata"]["labels"] = json!({"app": "x"});
    stage.has(&stranger).await?;
    stage.refused("a stranger's Job goes", me, Verb::Delete, &stranger, UNLABELLED).await?;
    let mut cronjob = stage.fixture("cronjob")?;
    cronjob["metadata"]["name"] = json!("stranger");
    let ours = cronjob.clone();
    cronjob["metadata"]["labels"] = json!({"app": "x"});
    stage.has(&cronjob).await?;
    let words = "backup-controller may change only its own CronJobs";
    stage.refused("a CronJob is taken over", me, Verb::Apply("backup-controller"), &ours, words).await?;
    stage.refused("a stranger's CronJob goes", me, Verb::Delete, &cronjob, UNLABELLED).await?;

    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "backup"},
        "spec": {"containers": [{"name": "c", "image": "registry.example/backup-mover:1"}]},
    });
    stage.refused("a pod", me, Verb::Create, &pod, USELESS).await?;
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": stage.namespace}});
    stage.refused("a Secret", me, Verb::Create, &secret, USELESS).await?;
    let token = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "x", "namespace": "backup"}});
    stage.refused("an account", me, Verb::Create, &token, USELESS).await
}
