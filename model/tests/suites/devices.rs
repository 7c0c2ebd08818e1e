//! Raw block volumes: a pod gets a device where its PVC is one, and a PVC is one where its snapshot's source was.

use std::sync::Arc;

use crate::fixtures::{namespace, put_claim, put_snapshot, read};
use model::Timestamp;
use model::config::Config;
use model::facts::{Job, Pod, VolumeMode};
use model::names::{self, SourceId};
use model::plan::{self, Action, Drill, Plan, RestoreAction, Work};
use model::reason::Reason;
use model::record::{RestoreRecord, RestoreState};
use model::world::{Change, Seen, World};
use serde_json::{Value, json};

const UID: &str = "1111";
const NAME: &str = "data-20261120";
const DRILLED: &str = "{name: s3, type: restic, secret: s3, drill: {schedule: 0 6 * * *}}";
const MODES: [VolumeMode; 2] = [VolumeMode::Filesystem, VolumeMode::Block];

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn labels(component: &str) -> Value {
    json!({
        names::MANAGED_BY: names::MANAGER, names::INSTANCE: "night", names::COMPONENT: component,
        names::SOURCE_PVC: "data", names::SOURCE_UID: UID, names::RUN: "20261120T0000Z",
    })
}

/// A protected source and the ready snapshot of a run.
fn world(mode: VolumeMode, status: Option<&str>, copied: Option<&Value>) -> World {
    let config = format!("destinations: [{DRILLED}]\ndefaults: {{destinations: [s3]}}");
    let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse(&config).unwrap()));
    crate::fixtures::storage(&mut world);
    let mode = mode.as_str();
    let annotations = status.map_or(json!({}), |status| json!({names::STATUS: status}));
    let text = format!(
        "metadata: {{name: data, namespace: shop, uid: '{UID}', annotations: {annotations}}}\n\
         spec: {{storageClassName: fast, volumeName: pv, volumeMode: {mode}}}\n\
         status: {{phase: Bound, capacity: {{storage: 1Gi}}}}"
    );
    put_claim(&mut world, &text);
    let mut annotations =
        json!({"backup-controller.io/destinations-taken": "s3", names::HOLD: "x", names::VOLUME_MODE_TAKEN: mode});
    if let Some(copied) = copied {
        annotations["backup-controller.io/copy.s3"] = json!(copied.to_string());
    }
    let text = format!(
        "metadata: {{name: {NAME}, namespace: shop, uid: s, creationTimestamp: '2026-11-20T00:00:00Z', \
         labels: {}, annotations: {annotations}}}\nspec: {{source: {{persistentVolumeClaimName: data}}}}\n\
         status: {{readyToUse: true, restoreSize: 1Gi}}",
        labels("snapshot")
    );
    put_snapshot(&mut world, &text);
    world
}

fn promoter(world: &mut World, mode: VolumeMode) {
    let text = format!(
        "metadata: {{name: {NAME}, namespace: shop, uid: p, labels: {}}}\n\
         spec: {{storageClassName: fast, volumeName: pv2, volumeMode: {}, \
         dataSource: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: {NAME}}}}}\n\
         status: {{phase: Bound}}",
        labels("promoter"),
        mode.as_str()
    );
    put_claim(world, &text);
}

fn plan(world: &World, now: &str) -> Plan {
    crate::fixtures::plan(world, UID, time(now))
}

#[test]
fn a_copy_gets_of_its_promoter_what_that_is() {
    for mode in MODES {
        let mut world = world(mode, None, None);
        promoter(&mut world, mode);
        let plan = plan(&world, "2026-11-20T00:01:00Z");
        let copies = plan.ready.iter().filter_map(|(_, a)| if let Action::StartCopy(c) = a { Some(c) } else { None });
        assert_eq!(copies.map(|c| c.mode).collect::<Vec<_>>(), [mode], "{plan:?}");
    }
}

#[test]
fn a_drill_promotes_a_snapshot_again_as_what_its_source_is_and_compares_with_that() {
    let copied = json!({"state": "Complete", "finished": "2026-11-20T00:05:00Z", "files": 1, "bytes": 1});
    let since = json!({"maintenance": {"s3": {"since": "2026-11-20T00:05:00Z"}}}).to_string();
    for mode in MODES {
        let mut world = world(mode, Some(&since), Some(&copied));
        let ready = plan(&world, "2026-11-20T06:00:00Z").ready;
        let promoted = ready.iter().find_map(|(_, a)| {
            if let Action::Restore(RestoreAction::Promote(p)) = a { Some(p.spec.shape.mode) } else { None }
        });
        assert_eq!(promoted, Some(mode), "{ready:?}");
        promoter(&mut world, mode);
        let ready = plan(&world, "2026-11-20T06:00:00Z").ready;
        let drills = ready.iter().filter_map(|(_, a)| match a {
            Action::StartTask(task) => match &task.work {
                Work::Drill(Drill { mode, .. }) => Some(*mode),
                _ => None,
            },
            _ => None,
        });
        assert_eq!(drills.collect::<Vec<_>>(), [mode], "{ready:?}");
    }
}

/// What is recorded of a restore whose Job failed, with that many failed pods and what those said that are there;
/// nothing: the pod ran, and was lost.
fn recorded(mode: VolumeMode, failed: usize, pods: &[Option<Value>]) -> RestoreRecord {
    const TEXT: &str = "pvc=data date=latest";
    let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse("{}").unwrap()));
    world.apply(Change::Namespace(Seen::Put(namespace("metadata: {name: shop}"))));
    let record = json!({"request": names::run_now_mark(TEXT), "state": "Ready", "point": NAME, "target": "data"});
    let notes = json!({names::RESTORE_FROM: TEXT, names::RESTORE_STATUS: record.to_string()});
    put_claim(
        &mut world,
        &format!(
            "metadata: {{name: data, namespace: shop, uid: '{UID}', annotations: {notes}}}\nspec: {{volumeMode: {mode:?}}}"
        ),
    );
    let target = SourceId { namespace: "shop".into(), name: "data".into(), uid: UID.into() };
    let name = names::restore_job(&target, TEXT);
    let job = format!(
        "metadata: {{name: {name}, namespace: shop, uid: j, labels: {}}}\n\
         status: {{failed: {failed}, conditions: [{{type: Failed, status: 'True'}}]}}",
        labels("restore")
    );
    world.apply(Change::Job(Seen::Put(Job::from(&read::<k8s_openapi::api::batch::v1::Job>(&job)))));
    let mut of_job = labels("restore");
    of_job["batch.kubernetes.io/job-name"] = json!(name);
    for (index, told) in pods.iter().enumerate() {
        let message = told.as_ref().map(ToString::to_string).unwrap_or_default();
        let pod = json!({
            "metadata": {
                "name": format!("pod-{index}"), "namespace": "shop", "uid": format!("pod-{index}"),
                "labels": of_job,
                "ownerReferences": [
                    {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": "j", "controller": true},
                ],
            },
            "status": {"containerStatuses": [{
                "name": "backup", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 1, "message": message}},
            }]},
        });
        world.apply(Change::Pod(Seen::Put(Pod::from(&read::<k8s_openapi::api::core::v1::Pod>(&pod.to_string())))));
    }
    let actions = plan::restores(&world, time("2026-11-20T00:10:00Z")).actions;
    let record = actions.into_iter().find_map(|action| match action {
        Action::Restore(RestoreAction::Record { record, .. }) => Some(*record),
        _ => None,
    });
    record.unwrap()
}

/// The last pod that said something was refused before it wrote: that is not how the device stands.
#[test]
fn a_device_that_an_earlier_try_may_have_written_is_never_untouched() {
    let said = |state: &str, minute: u8, changed: u8, message: &str| {
        Some(json!({
            "state": state, "finished": format!("2026-11-20T00:0{minute}:00Z"), "changed": changed,
            "problem": {"reason": "TargetInUse", "message": message},
        }))
    };
    // What it was refused for may have any name: a field decides, and no word.
    let refused = said("Refused", 5, 0, "pod MIXTURE has it");
    let wrote = said("Failed", 1, 1, "the device is half written");
    let wrote_not = said("Failed", 1, 0, "no answer");
    for (failed, pods, state) in [
        (1, vec![refused.clone()], RestoreState::Refused),
        (2, vec![wrote_not.clone(), refused.clone()], RestoreState::Refused),
        (2, vec![wrote.clone(), refused.clone()], RestoreState::Failed),
        (2, vec![None, refused.clone()], RestoreState::Failed),
        (2, vec![refused.clone()], RestoreState::Failed),
    ] {
        let files = recorded(VolumeMode::Filesystem, failed, &pods);
        assert_eq!(files.state, RestoreState::Refused, "of files each one is whole, or not there");
        let record = recorded(VolumeMode::Block, failed, &pods);
        let result = record.result.unwrap();
        assert_eq!((record.state, result.state), (state, state), "{pods:?}");
        let problem = record.problem.unwrap();
        assert_eq!((problem.reason, result.problem.as_ref()), (Reason::TargetInUse, Some(&problem)));
        let words = "pod MIXTURE has it; the device may contain a mixture of old and new data; run the restore again";
        assert_eq!(problem.message == words, state == RestoreState::Failed, "{problem}");
    }
    // Nobody said anything, or the last one said it already.
    let silent = recorded(VolumeMode::Block, 1, &[None]).problem.unwrap();
    assert!(silent.message.contains("may contain a mixture"), "{silent}");
    let told = recorded(VolumeMode::Block, 1, &[wrote]).problem.unwrap();
    assert_eq!(told.message, "the device is half written");
}
