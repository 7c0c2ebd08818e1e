//! Who can create Jobs could mount any Secret and any host: the controller can not.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::guard::stage::{Actor, Stage, UNLABELLED, Verb};

const IMAGES: &str = "must run the images of this installation";
const TOKEN: &str = "must not have a token, except snapshot pods";
const VOLUMES: &str = "may mount only PersistentVolumeClaims and volumes without secrets";
const NAMED: &str = "may mount only the Secrets that BACKUP_SECRETS of its Deployment names: backup-s3,";
const DISKS: &str =
    "may mount only the hosts' disks that BACKUP_HOST_DISKS of its Deployment names: /mnt/other,/mnt/attic";
const PRIVILEGES: &str = "must not be privileged, and must not use the host's network";
const CAPABILITIES: &str = "must drop all capabilities, and add only those that copies and restores need";
const CONFINED: &str = "must be confined by seccomp and AppArmor, and must not use ports of the host";
const PLACED: &str = "must be placed by the scheduler, and must not set sysctls";
const DEVICES: &str = "may open block devices only for copies, drills and restores";
const SECRETS: &str = "must not get Secrets as environment variables";
const HOST: &str = "/spec/template/spec/volumes/0/hostPath/path";
const HOME: &str = "may have CronJobs only in its own namespace";

/// Sets a field of the pod that an object starts; `-` at the end of its path appends.
fn with(object: &Value, path: &str, value: Value) -> Result<Value> {
    let mut object = object.clone();
    let pod = if object["kind"] == "CronJob" { "/spec/jobTemplate/spec/template/spec" } else { "/spec/template/spec" };
    let pod = object.pointer_mut(pod).context("an object without a pod")?;
    let mut place = pod;
    for step in path.split('/') {
        place = match (step, step.parse::<usize>()) {
            ("-", _) => {
                let list = place.as_array_mut().context("not a list")?;
                list.push(Value::Null);
                list.last_mut().context("an empty list")?
            }
            (_, Ok(number)) => &mut place[number],
            _ => &mut place[step],
        };
    }
    *place = value;
    Ok(object)
}

#[tokio::test]
async fn only_pods_of_our_form_are_started() -> Result<()> {
    let stage = Stage::new("pods").await?;
    let me = Actor::AlmightyController;
    let (mut copy, mut keeper, mut cronjob) =
        (stage.fixture("copy")?, stage.fixture("keeper")?, stage.fixture("cronjob")?);
    for object in [&mut copy, &mut keeper, &mut cronjob] {
        object["metadata"]["name"] = json!("x");
        stage.passes("as it is", me, Verb::Try, object).await?;
    }
    let settings = with(&copy, "containers/0/envFrom", json!([{"configMapRef": {"name": "s"}}]))?;
    stage.passes("settings", me, Verb::Try, &settings).await?;

    let container = |name: &str, image: &str| json!({"name": name, "image": image, "securityContext": {"allowPrivilegeEscalation": false}});
    let (security, kept) = ("containers/0/securityContext/", copy.pointer("/spec/template/spec/containers/0/image"));
    let sidecar = container("s", kept.and_then(Value::as_str).context("no image")?);
    let secret = json!({"name": "h", "secret": {"secretName": "s"}});
    let projected = json!({"name": "h", "projected": {"sources": [{"secret": {"name": "s"}}]}});
    let host = json!({"name": "h", "hostPath": {"path": "/"}});
    let csi = json!({"name": "h", "csi": {"driver": "secrets-store.csi.k8s.io", "readOnly": true}});
    let secret_env = json!({"name": "h", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
    for (what, object, path, value, words) in [
        ("another image", &copy, "containers/0/image", json!("evil"), IMAGES),
        ("a sidecar", &copy, "containers/-", container("s", "evil"), IMAGES),
        ("an init container", &copy, "initContainers", json!([container("s", "evil")]), IMAGES),
        ("a token", &copy, "automountServiceAccountToken", json!(true), TOKEN),
        ("a token by default", &copy, "automountServiceAccountToken", Value::Null, TOKEN),
        ("another account", &copy, "serviceAccountName", json!("builder"), TOKEN),
        ("the snapshot pods' account, elsewhere", &copy, "serviceAccountName", json!("backup-job"), TOKEN),
        ("the controller's account", &cronjob, "serviceAccountName", json!("backup-controller"), TOKEN),
        ("a host's folder", &copy, "volumes/-", host, VOLUMES),
        ("a Secret as a volume", &copy, "volumes/-", secret.clone(), VOLUMES),
        ("a projected Secret", &copy, "volumes/-", projected, VOLUMES),
        ("a driver of secrets", &copy, "volumes/-", csi, VOLUMES),
        ("a CronJob with a Secret", &cronjob, "volumes/-", secret, VOLUMES),
        ("a Secret in the environment", &copy, "containers/0/env/-", secret_env, SECRETS),
        ("a Secret as environment", &copy, "containers/0/envFrom", json!([{"secretRef": {"name": "s"}}]), SECRETS),
        ("the host's network", &copy, "hostNetwork", json!(true), PRIVILEGES),
        ("the host's processes", &copy, "hostPID", json!(true), PRIVILEGES),
        ("the host's IPC", &copy, "hostIPC", json!(true), PRIVILEGES),
        ("a privileged container", &copy, "containers/0/securityContext", json!({"privileged": true}), PRIVILEGES),
        ("escalation", &copy, "containers/0/securityContext/allowPrivilegeEscalation", json!(true), PRIVILEGES),
        ("escalation by default", &copy, "containers/0/securityContext", json!({}), PRIVILEGES),
        // S10.
        ("modules of the kernel", &copy, &format!("{security}capabilities/add/-"), json!("SYS_MODULE"), CAPABILITIES),
        ("files by handle", &copy, &format!("{security}capabilities/add/-"), json!("DAC_READ_SEARCH"), CAPABILITIES),
        ("those of the runtime", &copy, &format!("{security}capabilities/drop"), json!([]), CAPABILITIES),
        ("those of the runtime by default", &copy, &format!("{security}capabilities"), Value::Null, CAPABILITIES),
        ("those of an init container", &copy, "initContainers", json!([sidecar]), CAPABILITIES),
        ("those of a CronJob", &cronjob, &format!("{security}capabilities/add"), json!(["SYS_PTRACE"]), CAPABILITIES),
        ("every call", &copy, "securityContext/seccompProfile/type", json!("Unconfined"), CONFINED),
        ("every call by default", &copy, "securityContext/seccompProfile", Value::Null, CONFINED),
        ("every call of one", &copy, &format!("{security}seccompProfile"), json!({"type": "Unconfined"}), CONFINED),
        ("no profile", &copy, &format!("{security}appArmorProfile"), json!({"type": "Unconfined"}), CONFINED),
        ("a node", &copy, "nodeName", json!("control-plane-1"), PLACED),
        ("a CronJob for a node", &cronjob, "nodeName", json!("control-plane-1"), PLACED),
        (
            "the kernel's settings",
            &copy,
            "securityContext/sysctls",
            json!([{"name": "kernel.shm_rmid_forced", "value": "1"}]),
            PLACED,
        ),
        ("a port", &copy, "containers/0/ports", json!([{"containerPort": 80, "hostPort": 80}]), CONFINED),
    ] {
        stage.refused(what, me, Verb::Create, &with(object, path, value)?, words).await?;
    }

    for (what, object, pointer, value, words) in [
        (
            "no label of the installation",
            &copy,
            "/metadata/labels/backup-controller.io~1instance",
            json!("x"),
            UNLABELLED,
        ),
        ("a keeper over the node", &keeper, HOST, json!("/"), DISKS),
        ("a keeper over a part of the disk", &keeper, HOST, json!("/mnt/attic/shop/evil"), DISKS),
        ("a keeper over another folder", &keeper, HOST, json!("/etc/kubernetes"), DISKS),
        ("a keeper elsewhere", &keeper, "/metadata/namespace", json!(stage.namespace), VOLUMES),
        (
            "a keeper that says copy",
            &keeper,
            "/metadata/labels/backup-controller.io~1component",
            json!("copy"),
            VOLUMES,
        ),
        ("a CronJob elsewhere", &cronjob, "/metadata/namespace", json!(stage.namespace), HOME),
    ] {
        let mut object = object.clone();
        *object.pointer_mut(pointer).context("no such field")? = value;
        stage.refused(what, me, Verb::Create, &object, words).await?;
    }
    Ok(())
}

/// Credentials are mounted where a repository is reached, by the names that the administrator gives, and nowhere else.
#[tokio::test]
async fn only_pods_of_restic_destinations_mount_secrets_and_only_those_that_are_named() -> Result<()> {
    let stage = Stage::new("secrets").await?;
    let me = Actor::AlmightyController;
    let mut copy = stage.fixture("copy-restic")?;
    copy["metadata"]["name"] = json!("x");
    stage.passes("as it is", me, Verb::Try, &copy).await?;
    let (name, place) = ("/spec/template/spec/volumes/1/secret/secretName", "/metadata");
    let label = |key: &str| format!("{place}/labels/backup-controller.io~1{key}");
    let set = |pointer: &str, value: Value| -> Result<Value> {
        let mut object = copy.clone();
        *object.pointer_mut(pointer).context("no such field")? = value;
        Ok(object)
    };
    stage.passes("a group's", me, Verb::Try, &set(name, json!("backup-s3-gold"))?).await?;
    stage.passes("a task's", me, Verb::Try, &set(&label("component"), json!("maintain"))?).await?;
    for (what, object, words) in [
        ("another Secret", set(name, json!("db-password"))?, NAMED),
        ("one that begins alike", set(name, json!("backup-s3x"))?, NAMED),
        ("for a disk", set(&label("destination-type"), json!("disk"))?, VOLUMES),
        ("for a keeper", set(&label("component"), json!("keeper"))?, VOLUMES),
        (
            "also as a variable",
            with(
                &copy,
                "containers/0/env",
                json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "backup-s3", "key": "k"}}}]),
            )?,
            SECRETS,
        ),
        (
            "in a projected volume",
            with(
                &copy,
                "volumes/-",
                json!({"name": "h", "projected": {"sources": [{"secret": {"name": "backup-s3"}}]}}),
            )?,
            VOLUMES,
        ),
    ] {
        stage.refused(what, me, Verb::Create, &object, words).await?;
    }
    Ok(())
}

/// A raw block volume is opened by what copies, compares and restores it, and by nothing else.
#[tokio::test]
async fn only_copies_drills_and_restores_open_devices_and_copies_write_to_none() -> Result<()> {
    let stage = Stage::new("devices").await?;
    let me = Actor::AlmightyController;
    let named = |name: &str| -> Result<Value> {
        let mut object = stage.fixture(name)?;
        object["metadata"]["name"] = json!("x");
        Ok(object)
    };
    let label = |object: &Value, key: &str, value: &str| {
        let mut object = object.clone();
        object["metadata"]["labels"][format!("backup-controller.io/{key}")] = json!(value);
        object
    };
    let (copy, drill) = (named("copy-block")?, named("maintain-drill-block")?);
    for (what, object) in [("a copy", &copy), ("to a repository", &named("copy-restic-block")?), ("a drill", &drill)] {
        stage.passes(what, me, Verb::Try, object).await?;
    }
    let volume = "volumes/0/persistentVolumeClaim/readOnly";
    let writable = with(&copy, volume, json!(false))?;
    stage.passes("a restore writes", me, Verb::Try, &label(&writable, "component", "restore")).await?;

    // Of what is no claim, the API server lets only a volume of the pod's own be a device.
    let own = json!({"name": "own", "ephemeral": {"volumeClaimTemplate": {"spec": {
        "accessModes": ["ReadWriteOnce"], "volumeMode": "Block", "resources": {"requests": {"storage": "1Gi"}},
    }}}});
    let own = with(&with(&drill, "volumes/-", own)?, "containers/0/volumeDevices/0/name", json!("own"))?;
    let image = copy.pointer("/spec/template/spec/containers/0/image").context("no image")?;
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let sidecar = json!([{"name": "s", "image": image, "securityContext": security,
        "volumeDevices": [{"name": "destination", "devicePath": "/x"}]}]);
    for (what, object) in [
        ("a copy that may write", writable),
        ("a copy that may write by default", with(&copy, volume, Value::Null)?),
        ("a volume of its own", own),
        ("a disk, by another container", with(&copy, "initContainers", sidecar)?),
        ("a keeper", label(&copy, "component", "keeper")),
        ("a prune", label(&drill, "task", "prune")),
    ] {
        stage.refused(what, me, Verb::Create, &object, DEVICES).await?;
    }
    Ok(())
}

/// What was allowed once may not become what is not.
#[tokio::test]
async fn a_cronjob_cannot_be_changed_into_another_form() -> Result<()> {
    let stage = Stage::new("forms").await?;
    let mut cronjob = stage.fixture("cronjob")?;
    cronjob["metadata"]["name"] = json!("backup-forms");
    let apply = || Verb::Apply("backup-controller");
    stage.passes("as it is", Actor::Controller, apply(), &cronjob).await?;
    for (what, path, value, words) in [
        ("image", "containers/0/image", json!("evil"), IMAGES),
        ("account", "serviceAccountName", json!("backup-controller"), TOKEN),
        ("host", "hostNetwork", json!(true), PRIVILEGES),
    ] {
        stage.refused(what, Actor::Controller, apply(), &with(&cronjob, path, value)?, words).await?;
    }
    Ok(())
}
