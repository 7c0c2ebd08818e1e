//! The removal of the copies of a PVC that is gone, from an administrator's word to its end.

use anyhow::{Context as _, Result};
use backup_controller_tests::{Scene, kubelet, source};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use k8s_openapi::api::events::v1::Event;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use model::Timestamp;
use model::maintain::{MaintainResult, Task};
use model::names;
use model::record::CopyState;
use model::snapshot::VolumeSnapshot;
use serde_json::{Value, json};

use crate::controller::{has_task_arg, host_disk, source_with_run, with_disk};

const RUN: &str = "20260101T0000Z";

/// Waits for an Event on a ledger.
async fn event(scene: &Scene, ledger: &ConfigMap, reason: &str) -> Result<Event> {
    let events = scene.api::<Event>(&scene.home);
    let is = |e: &Event| {
        let about = e.regarding.as_ref().and_then(|r| r.uid.as_ref());
        e.reason.as_deref() == Some(reason) && about == ledger.metadata.uid.as_ref()
    };
    let what = format!("an Event {reason} on {}", ledger.name_any());
    scene.wait(&what, async || Ok(events.list(&ListParams::default()).await?.items.into_iter().find(is))).await
}

/// The ledger stops listing the copies before the Job that removes them is there, and contains the end before the Job goes.
#[tokio::test]
async fn a_word_on_the_ledger_removes_the_copies_of_a_pvc_that_is_gone() -> Result<()> {
    let scene = Scene::new().await?;
    host_disk::node(&scene).await?;
    let node = format!("{}-host", scene.name);
    let controller = with_disk(&scene, "").await?;
    let (claim, snapshot, _) = source_with_run(&scene, "data", RUN).await?;
    scene.bind_named(&scene.tenant, "backup-disk", Some(&[&node])).await?;
    let copy = scene.copy_of(&claim, RUN, "disk").await?;
    let mut copied = kubelet::copied(CopyState::Complete, None);
    copied.kept = vec![RUN.parse()?];
    scene.finish(&copy, &copied).await?;
    scene.gone(&copy).await?;
    let claims = scene.api::<PersistentVolumeClaim>(&scene.tenant);
    claims.delete("data", &DeleteParams::default()).await?;
    scene.gone(&claim).await?;
    let ledger = scene.ledger_that("its PVC is gone", &claim, |l| l.gone.is_some()).await?;
    assert_eq!(ledger.ever_copied().len(), 1, "the copy stays until somebody says a word");

    let (gone, uid) = (ledger.gone.context("not gone")?, source(&claim).uid);
    let word = format!("uid={uid} gone={gone} by=alice");
    let name = names::ledger(&uid);
    let map: ConfigMap = scene.annotate(&scene.home, &name, &[(names::REMOVE_COPIES, Some(&word))]).await?;
    let removing = scene.ledger_that("the removal has begun", &claim, |l| l.is_given_up("disk")).await?;
    assert!(removing.ever_copied().is_empty(), "no copy is a restore point any more");
    event(&scene, &map, "RemovalAccepted").await?;
    event(&scene, &map, "RemovalBegun").await?;
    let answered = scene.api::<ConfigMap>(&scene.home).get(&name).await?;
    assert_eq!(answered.annotations().get(names::REMOVE_COPIES), None, "the write ends the word");

    let jobs = scene.api::<Job>(&scene.tenant);
    let label = format!("{}={},{}={}", names::INSTANCE, scene.name, names::TASK, Task::Remove.as_str());
    let found = async || Ok(jobs.list(&ListParams::default().labels(&label)).await?.items.pop());
    let job = scene.wait("the Job that removes", found).await?;
    let shown = serde_json::to_value(&job)?;
    let at = |pointer: &str| shown.pointer(pointer).cloned().unwrap_or(Value::Null);
    // Nothing but the PVC's own folder of the disk; and so it runs on the disk's node.
    let named = |of: &str| at(of).as_array().and_then(|all| all.iter().find(|v| v["name"] == "destination").cloned());
    let volume = named("/spec/template/spec/volumes").context("no disk")?;
    assert_eq!(volume["persistentVolumeClaim"], json!({"claimName": "backup-disk"}));
    let folder = format!("{}/data/{uid}", scene.tenant);
    let mount = named("/spec/template/spec/containers/0/volumeMounts");
    let wanted = json!({"name": "destination", "mountPath": "/destination", "subPath": folder});
    assert_eq!(mount, Some(wanted));
    let claims_of = at("/spec/template/spec/volumes").to_string().matches("persistentVolumeClaim").count();
    assert_eq!((claims_of, at("/spec/template/spec/nodeSelector/kubernetes.io~1hostname")), (1, Value::Null));
    for arg in ["remove", "--name=disk", &format!("--of={folder}"), &format!("--expect-tree={RUN}")] {
        assert!(has_task_arg(&job, arg), "{arg}: {}", at("/spec/template/spec/containers/0/args"));
    }

    let pod = scene.pod_of(&job).await?;
    let done = MaintainResult { files: 1, ..MaintainResult::new(Task::Remove, Timestamp::now(), None) };
    scene.end_pod(&pod, 0, &serde_json::to_string(&done)?).await?;
    let removed = scene.ledger_that("it is over", &claim, |l| l.removals["disk"].over().is_some()).await?;
    let removal = &removed.removals["disk"];
    assert_eq!((removal.by.as_str(), removal.runs.len(), &removal.abandoned), ("alice", 1, &None));
    let told = event(&scene, &map, "CopiesRemoved").await?.note.unwrap_or_default();
    assert!(told.starts_with("1 copies at disk are removed") && told.contains("alice"), "{told}");
    scene.gone(&job).await?;
    let counted = r#"backup_controller_tasks_total{destination="disk",task="remove",result="Done"}"#;
    assert_eq!(controller.metric(counted)?, Some(1.0));
    scene.api::<VolumeSnapshot>(&scene.tenant).get(&snapshot.name_any()).await?;
    Ok(())
}
