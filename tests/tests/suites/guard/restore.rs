//! What the controller may do for restores, and what it may not, though it can change Deployments and pods.

use anyhow::{Context as _, Result};
use model::names;
use serde_json::{Value, json};

use crate::guard::stage::{Actor, OTHERS, Stage, Verb};

const ASKS: &str = "backup-controller may change only Deployments that request a restore";
const IMAGES: &str = "must run the images of this installation";
const VOLUMES: &str = "may mount only PersistentVolumeClaims and volumes without secrets";
const NAMED: &str = "may mount only the Secrets that BACKUP_SECRETS of its Deployment names: backup-s3,";
const TOKEN: &str = "must not have a token";
const PRIVILEGES: &str = "must not be privileged";
const PLACED: &str = "must be placed by the scheduler";

/// The Deployment that a tenant makes of the Template.
fn asking(stage: &Stage, name: &str) -> Value {
    let both = json!({"template": "restore", "restore": name});
    let mut labels = both.clone();
    labels[names::INSTANCE] = json!("backup");
    labels[names::COMPONENT] = json!("restore");
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": name, "namespace": stage.namespace, "labels": labels,
            "annotations": {names::RESTORE_FROM: "pvc=mypvc date=20181202"},
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": both},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": false,
                    "containers": [{"name": "backup", "image": "backup-mover"}],
                },
            },
        },
    })
}

/// What the controller applies over one.
fn filled(stage: &Stage, name: &str) -> Result<Value> {
    let mut object = stage.fixture("restore")?;
    object["metadata"]["name"] = json!(name);
    Ok(object)
}

fn annotation(object: &Value, key: &str, value: &str) -> Value {
    json!({
        "apiVersion": object["apiVersion"], "kind": object["kind"],
        "metadata": {
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"], "annotations": {key: value},
        },
    })
}

#[tokio::test]
async fn a_deployment_that_asks_is_answered_and_filled() -> Result<()> {
    let stage = Stage::new("asks").await?;
    let me = Actor::Controller;
    let asks = asking(&stage, "restore-mypvc");
    stage.passes("a tenant asks", Actor::Tenant, Verb::Create, &asks).await?;
    let answer = annotation(&asks, names::RESTORE_STATUS, "{}");
    stage.passes("an answer", me, Verb::Apply("backup-controller/restore-status"), &answer).await?;
    let filled = filled(&stage, "restore-mypvc")?;
    stage.passes("the pod", me, Verb::Apply("backup-controller/restore"), &filled).await?;
    let mut stop = answer.clone();
    stop["spec"] = json!({"replicas": 0});
    stage.passes("its end", me, Verb::Apply("backup-controller/restore-status"), &stop).await?;
    stage.passes("the tenant takes it away", Actor::Tenant, Verb::Delete, &asks).await?;
    let job = stage.fixture("restore-job")?;
    stage.passes("a restore Job", me, Verb::Create, &job).await?;
    stage.passes("a recorded Job goes", me, Verb::Delete, &job).await?;
    stage.passes("a promoter is made again", me, Verb::Create, &stage.fixture("promoter")?).await
}

/// With the Secret of the destination, as it is called in this installation, and no other.
#[tokio::test]
async fn who_restores_from_a_repository_mounts_its_secret() -> Result<()> {
    let stage = Stage::new("restore-secret").await?;
    let asks = asking(&stage, "restore-mypvc");
    stage.has(&asks).await?;
    let (pod, job) = (stage.fixture("restore-restic")?, stage.fixture("restore-restic-job")?);
    let apply = || Verb::Apply("backup-controller/restore");
    stage.passes("a restore Job", Actor::Controller, Verb::Create, &job).await?;
    stage.passes("the pod", Actor::Controller, apply(), &pod).await?;
    let mut stop = annotation(&asks, names::RESTORE_STATUS, "{}");
    stop["spec"] = json!({"replicas": 0});
    stage.passes("its end", Actor::Controller, Verb::Apply("backup-controller/restore-status"), &stop).await?;
    for (verb, object) in [(apply(), &pod), (Verb::Create, &job)] {
        let mut other = object.clone();
        let place = "/spec/template/spec/volumes/1/secret/secretName";
        *other.pointer_mut(place).context("no Secret")? = json!("db-password");
        if other["kind"] == "Job" {
            other["metadata"]["name"] = json!("restore-other");
        }
        stage.refused("another Secret", Actor::AlmightyController, verb, &other, NAMED).await?;
    }
    Ok(())
}

/// The folder that a volume on a host's disk is of.
fn folder(volume: &Value) -> &str {
    let path = volume["spec"]["local"]["path"].as_str().unwrap_or_default();
    path.rsplit('/').next().unwrap_or_default()
}

/// S1: a tenant can write a link into each folder below his namespace's own, and the kubelet follows it.
#[tokio::test]
async fn a_volume_on_a_hosts_disk_is_a_namespaces_whole_folder() -> Result<()> {
    let stage = Stage::new("folders").await?;
    let me = Actor::AlmightyController;
    let words = "only for the whole folder of a namespace";
    for fixture in ["disk-volume", "grant-volume-host"] {
        let mut volume = stage.fixture(fixture)?;
        volume["metadata"]["name"] = json!(format!("folders-{fixture}"));
        for (what, path) in [
            ("a PVC's folder", "/mnt/attic/shop/evil/slash"),
            ("the disk", "/mnt/attic"),
            ("the node's root", "/"),
            ("another namespace's folder", "/mnt/attic/shop-2"),
            ("a step to itself", "/mnt/./attic/shop"),
            ("a folder of the node", "/etc/kubernetes/shop"),
            ("another disk's folder", "/mnt/attic-2/shop"),
        ] {
            let path = path.replace("/shop", &format!("/{}", folder(&volume)));
            let mut other = volume.clone();
            other["spec"]["local"]["path"] = json!(path);
            stage.refused(what, me, Verb::Create, &other, words).await?;
        }
        let mut nobodys = volume.clone();
        nobodys["metadata"]["annotations"] = json!({});
        if fixture == "grant-volume-host" {
            stage.refused("nobody's folder", me, Verb::Create, &nobodys, words).await?;
        }
        // The account writes the annotation too.
        for folder in ["evil/slash", "..", ".", ""] {
            let mut said = volume.clone();
            said["metadata"]["annotations"][names::SOURCE_NAMESPACE] = json!(folder);
            said["spec"]["local"]["path"] = json!(format!("/mnt/attic/{folder}"));
            if fixture == "grant-volume-host" {
                // The API server refuses two dots itself.
                let words = if folder == ".." { "must not contain '..'" } else { words };
                stage.refused("a folder that is no namespace", me, Verb::Create, &said, words).await?;
            }
        }
        stage.passes("the namespace's folder", Actor::Controller, Verb::Create, &volume).await?;
    }
    Ok(())
}

#[tokio::test]
async fn no_other_deployment_is_touched() -> Result<()> {
    let stage = Stage::new("others-deployments").await?;
    let me = Actor::AlmightyController;
    let app = |name: &str, change: fn(&mut Value)| {
        let mut object = asking(&stage, name);
        change(&mut object);
        object
    };
    for (what, object) in [
        ("one that does not ask", app("restore-a", |o| o["metadata"]["annotations"] = json!({"a": "b"}))),
        ("one of another name", app("shop", |_| {})),
        ("another installation's", app("restore-b", |o| o["metadata"]["labels"][names::INSTANCE] = json!("other"))),
        ("no restore", app("restore-c", |o| o["metadata"]["labels"][names::COMPONENT] = json!("copy"))),
    ] {
        stage.has(&object).await?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let filled = filled(&stage, name)?;
        stage.refused(what, me, Verb::Apply("backup-controller/restore"), &filled, ASKS).await?;
        let scale = Verb::Merge(json!({"spec": {"replicas": 3}}));
        stage.refused(what, me, scale, &object, ASKS).await?;
        stage.refused(what, me, Verb::Delete, &object, "backup-controller never needs to do this").await?;
    }
    let new = asking(&stage, "restore-new");
    stage.refused("a new one", me, Verb::Create, &new, "backup-controller never needs to do this").await
}

#[tokio::test]
async fn a_restore_pod_is_of_our_form() -> Result<()> {
    let stage = Stage::new("restore-forms").await?;
    let me = Actor::AlmightyController;
    let asks = asking(&stage, "restore-mypvc");
    stage.has(&asks).await?;
    let filled = filled(&stage, "restore-mypvc")?;
    for (what, pointer, value, words) in [
        ("another image", "/containers/0/image", json!("evil"), IMAGES),
        ("a token", "/automountServiceAccountToken", json!(true), TOKEN),
        ("another account", "/serviceAccountName", json!("builder"), TOKEN),
        ("the host's network", "/hostNetwork", json!(true), PRIVILEGES),
        ("escalation", "/containers/0/securityContext/allowPrivilegeEscalation", json!(true), PRIVILEGES),
        ("a host's folder", "/volumes/0", json!({"name": "source", "hostPath": {"path": "/"}}), VOLUMES),
        ("a Secret", "/volumes/0", json!({"name": "source", "secret": {"secretName": "s"}}), VOLUMES),
    ] {
        let mut object = filled.clone();
        let (parent, field) = pointer.rsplit_once('/').context("a pointer")?;
        let place = object.pointer_mut(&format!("/spec/template/spec{parent}")).context("no such place")?;
        match field.parse::<usize>() {
            Ok(number) => place[number] = value,
            Err(_) => place[field] = value,
        }
        stage.refused(what, me, Verb::Apply("backup-controller/restore"), &object, words).await?;
    }
    // What a tenant has in his Deployment would run with what we fill in.
    let beside = json!([{"name": "own", "image": "evil"}]);
    for (number, (what, field, value, words)) in [
        ("a host's folder", "volumes", json!([{"name": "own", "hostPath": {"path": "/"}}]), VOLUMES),
        ("a Secret", "volumes", json!([{"name": "own", "secret": {"secretName": "backup-s3"}}]), VOLUMES),
        (
            "a token",
            "volumes",
            json!([{"name": "own", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
            VOLUMES,
        ),
        ("a container before", "initContainers", beside, IMAGES),
        ("an account", "serviceAccountName", json!("builder"), TOKEN),
        ("the host's PIDs", "hostPID", json!(true), PRIVILEGES),
        ("a node", "nodeName", json!("node-1"), PLACED),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("restore-own-{number}");
        let mut own = asking(&stage, &name);
        own["spec"]["template"]["spec"][field] = value.clone();
        stage.passes(what, Actor::Owner, Verb::Create, &own).await?;
        let mut object = filled.clone();
        object["metadata"]["name"] = json!(name);
        stage.refused(what, me, Verb::Apply("backup-controller/restore"), &object, words).await?;
    }
    // A tenant's own container beside ours too.
    let mut asks = asking(&stage, "restore-beside");
    let containers = asks["spec"]["template"]["spec"]["containers"].as_array_mut().context("containers")?;
    containers.push(json!({"name": "own", "image": "evil"}));
    stage.has(&asks).await?;
    let mut object = filled;
    object["metadata"]["name"] = json!("restore-beside");
    stage.refused("a container beside", me, Verb::Apply("backup-controller/restore"), &object, IMAGES).await
}

#[tokio::test]
async fn of_pods_it_annotates_restore_pods_and_of_holds_it_sets_those_that_end() -> Result<()> {
    let stage = Stage::new("annotates").await?;
    let me = Actor::AlmightyController;
    let pod = |name: &str, component: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": stage.namespace, "labels": {
                names::INSTANCE: "backup", names::COMPONENT: component,
            }},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        })
    };
    let (restores, app) = (pod("restores", "restore"), pod("app", "other"));
    stage.has(&restores).await?;
    stage.has(&app).await?;
    let apply = || Verb::Apply("backup-controller/holders");
    stage.passes("holders", Actor::Controller, apply(), &annotation(&restores, names::HOLDERS, "{}")).await?;
    let words = "backup-controller may annotate only restore pods";
    stage.refused("holders elsewhere", me, apply(), &annotation(&app, names::HOLDERS, "{}"), words).await?;
    stage.refused("another annotation", me, apply(), &annotation(&restores, "a", "b"), OTHERS).await?;
    let image = Verb::Merge(json!({"spec": {"activeDeadlineSeconds": 5}}));
    stage.refused("its end", me, image, &restores, OTHERS).await?;
    let label = Verb::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    stage.refused("a label", me, label, &restores, OTHERS).await?;

    let source = stage.claim("mypvc");
    stage.has(&source).await?;
    let apply = || Verb::Apply("backup-controller/restore-status");
    let status = annotation(&source, names::RESTORE_STATUS, "{}");
    stage.passes("what became of a restore", Actor::Controller, apply(), &status).await?;
    let asks = annotation(&source, names::RESTORE_FROM, "pvc=mypvc date=latest");
    stage.refused("a restore of its own", me, apply(), &asks, OTHERS).await?;
    stage.refused("a hold on a PVC", me, apply(), &annotation(&source, names::HOLD, "until=x"), OTHERS).await?;

    let snapshot = stage.fixture("snapshot")?;
    stage.passes("the job's snapshot", Actor::Job, Verb::Create, &snapshot).await?;
    let apply = || Verb::Apply("backup-controller/hold");
    let hold = |text: &str| annotation(&snapshot, names::HOLD, text);
    stage.passes("a hold", Actor::Controller, apply(), &hold("until=2018-12-05T00:00:00Z x")).await?;
    let words = "backup-controller may set only holds that expire";
    stage.refused("one for ever", me, apply(), &hold("for ever"), words).await?;
    let status = annotation(&snapshot, names::STATUS, "{}");
    let apply = Verb::Apply("backup-controller/status");
    stage.passes("a status on a snapshot", Actor::Controller, apply, &status).await
}
