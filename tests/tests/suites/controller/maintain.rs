//! Tasks for copies: when one is due it gets a Job; its end is recorded and told, and then the Job goes.

use anyhow::{Context as _, Result};
use backup_controller_tests::{NewClaim, Scene, kubelet, source};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::ListParams;
use model::Timestamp;
use model::maintain::{MaintainResult, Task, TaskState};
use model::names;
use model::reason::{Problem, Reason};
use model::record::{CopyState, Status};
use model::snapshot::VolumeSnapshot;
use serde_json::{Value, json};

use crate::controller::{bind_disk, fence, has_task_arg, source_with_run};

const RUN: &str = "20260101T0000Z";

/// A disk whose copies are drilled each minute.
fn drilled(scene: &Scene, more: &str) -> String {
    let class = scene.class("keep");
    format!(
        "destinations:\n  - {{name: disk, type: disk, claim: {{storageClass: {class}, size: 1Gi}}, \
         drill: {{schedule: \"* * * * *\", sample: 7{more}}}}}\n\
         defaults: {{destinations: [disk]}}\n"
    )
}

/// A repository that is pruned and verified each minute.
fn repository(more: &str) -> String {
    format!(
        "destinations:\n  - {{name: s3, type: restic, secret: backup-s3, prune: {{schedule: \"* * * * *\"}}, \
         verify: {{schedule: \"* * * * *\"}}{more}}}\ndefaults: {{destinations: [s3]}}\n"
    )
}

/// The Jobs of a task, in a namespace.
async fn jobs(scene: &Scene, namespace: &str, task: Task) -> Result<Vec<Job>> {
    let (component, instance) = (names::COMPONENT, names::INSTANCE);
    let label = format!("{component}=maintain,{instance}={},{}={}", scene.name, names::TASK, task.as_str());
    Ok(scene.api::<Job>(namespace).list(&ListParams::default().labels(&label)).await?.items)
}

async fn job_of(scene: &Scene, namespace: &str, task: Task) -> Result<Job> {
    let what = format!("a Job of the task {}", task.as_str());
    scene.wait(&what, async || Ok(jobs(scene, namespace, task).await?.into_iter().next())).await
}

/// A source with a complete copy at a repository, made long ago: its tasks are due.
async fn copied(scene: &Scene) -> Result<(PersistentVolumeClaim, VolumeSnapshot)> {
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["s3"]).await?;
    let result = model::record::CopyResult { finished: ago()?, ..kubelet::copied(CopyState::Complete, None) };
    // Before it is ready: nothing is copied that has its result.
    scene.record(&claim, RUN, &[("s3", &result)]).await?;
    Ok((claim, scene.make_ready(&snapshot).await?))
}

fn ago() -> Result<Timestamp> {
    Ok(Timestamp::from_second(Timestamp::now().as_second() - 3600)?)
}

/// Its pod ends, with this result.
async fn end(scene: &Scene, job: &Job, result: &MaintainResult) -> Result<()> {
    let pod = scene.pod_of(job).await?;
    let exit = if result.state == TaskState::Done { 0 } else { 3 };
    scene.end_pod(&pod, exit, &serde_json::to_string(result)?).await
}

fn done(task: Task) -> MaintainResult {
    MaintainResult::new(task, Timestamp::now(), None)
}

fn drill_in(status: &Status) -> Option<TaskState> {
    status.maintenance.get("disk")?.drill.as_ref().map(|d| d.state)
}

#[tokio::test]
async fn a_drill_of_a_disk_compares_the_newest_copy_with_its_snapshot_and_is_told() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller(&drilled(&scene, ", scratch: {size: 3Gi, storageClass: fast}")).await?;
    let (claim, _, promoter) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let copy = scene.copy_of(&claim, RUN, "disk").await?;
    // The copy was made an hour ago, as far as schedules go.
    let result = model::record::CopyResult { finished: ago()?, ..kubelet::copied(CopyState::Complete, None) };
    scene.finish(&copy, &result).await?;
    let job = job_of(&scene, &scene.tenant, Task::Drill).await?;

    let shown = serde_json::to_value(&job)?;
    let at = |pointer: &str| shown.pointer(pointer).cloned().unwrap_or(Value::Null);
    let volumes = at("/spec/template/spec/volumes");
    let of = |name: &str| volumes.as_array().and_then(|v| v.iter().find(|v| v["name"] == name)).cloned();
    let read = |name: &str| Some(json!({"claimName": name, "readOnly": true}));
    assert_eq!(of("source").map(|v| v["persistentVolumeClaim"].clone()), read(&promoter.name_any()));
    assert_eq!(of("destination").map(|v| v["persistentVolumeClaim"].clone()), read("backup-disk"));
    let scratch = of("scratch").map(|v| v["ephemeral"]["volumeClaimTemplate"].clone()).unwrap_or_default();
    assert_eq!(scratch["spec"]["resources"]["requests"]["storage"], "3Gi");
    assert_eq!(scratch["metadata"]["annotations"][names::ENABLED], "false", "it is nobody's source");
    let shelf = format!("{}/data/{}", scene.tenant, source(&claim).uid);
    let mounts = at("/spec/template/spec/containers/0/volumeMounts");
    let destination = mounts.as_array().and_then(|m| m.iter().find(|m| m["name"] == "destination")).cloned();
    let wanted = json!({"name": "destination", "mountPath": "/destination", "subPath": shelf, "readOnly": true});
    assert_eq!(destination, Some(wanted));
    for arg in ["--from=tree", &format!("--tree=/destination/{RUN}"), &format!("--run={RUN}"), "--sample=7"] {
        assert!(has_task_arg(&job, arg), "{arg}: {}", at("/spec/template/spec/containers/0/args"));
    }
    assert_eq!(at("/spec/backoffLimit"), 2);

    // While it runs its snapshot is held against rotation, and restores of the disk wait.
    let snapshots = scene.api::<VolumeSnapshot>(&scene.tenant);
    let held = async || {
        let now = snapshots.get(&promoter.name_any()).await?;
        Ok(now.annotations().get(names::HOLD).cloned())
    };
    assert!(scene.wait("the hold", held).await?.starts_with("until="));
    let proof = MaintainResult { run: Some(RUN.parse()?), files: 7, bytes: 4096, ..done(Task::Drill) };
    end(&scene, &job, &proof).await?;
    let status = scene.status_that("proven", &claim, |s| drill_in(s) == Some(TaskState::Done)).await?;
    let proven = status.maintenance["disk"].proven.clone().context("no proof")?;
    assert_eq!((proven.files, proven.bytes, proven.run.as_ref().map(names::Run::as_str)), (7, 4096, Some(RUN)));
    let event = scene.event(&claim, "Proven").await?;
    let note = event.note.unwrap_or_default();
    assert!(note.contains("restorable, proven on 20") && note.contains("7 files"), "{note}");
    scene.gone(&job).await?;
    let counted = r#"backup_controller_tasks_total{destination="disk",task="drill",result="Done"}"#;
    assert_eq!(controller.metric(counted)?, Some(1.0));
    let total = r#"backup_controller_drilled_sources{destination="disk",state="proven"}"#;
    assert_eq!(controller.metric(total)?, Some(1.0));
    Ok(())
}

#[tokio::test]
async fn a_copy_that_differs_is_told_as_a_warning_and_is_no_failure_of_the_run() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller(&drilled(&scene, "")).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let copy = scene.copy_of(&claim, RUN, "disk").await?;
    let result = model::record::CopyResult { finished: ago()?, ..kubelet::copied(CopyState::Complete, None) };
    scene.finish(&copy, &result).await?;
    let job = job_of(&scene, &scene.tenant, Task::Drill).await?;
    let problem = Problem::new(Reason::RestoreMismatch, "etc/app.conf differs in its content");
    end(&scene, &job, &MaintainResult::new(Task::Drill, Timestamp::now(), Some(problem))).await?;
    let status = scene.status_that("differs", &claim, |s| drill_in(s) == Some(TaskState::Failed)).await?;
    assert!(status.good.is_some() && status.failure.is_none() && status.maintenance["disk"].proven.is_none());
    let event = scene.event(&claim, "RestoreMismatch").await?;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    assert!(event.note.unwrap_or_default().contains("etc/app.conf"));
    scene.gone(&job).await?;
    let total = r#"backup_controller_drilled_sources{destination="disk",state="failed"}"#;
    assert_eq!(controller.metric(total)?, Some(1.0));
    Ok(())
}

/// F29, and after an outage: one Job for the newest minute, whoever looks again.
#[tokio::test]
async fn a_task_that_is_due_for_an_hour_gets_one_job_and_a_repository_one_at_a_time() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = scene.controller(&repository("")).await?;
    let (claim, _) = copied(&scene).await?;
    let first = job_of(&scene, &scene.tenant, Task::Prune).await?;
    controller.kill();
    controller.start()?;
    controller.ready(&scene).await?;
    fence(&scene, "fence").await?;
    assert_eq!(jobs(&scene, &scene.tenant, Task::Prune).await?.len(), 1);
    assert_eq!(jobs(&scene, &scene.tenant, Task::Verify).await?, [], "one writer for each repository");
    let labels = first.labels();
    assert_eq!((labels[names::DESTINATION].as_str(), labels[names::DESTINATION_TYPE].as_str()), ("s3", "restic"));
    assert!(has_task_arg(&first, "--secret=/secret") && has_task_arg(&first, "--retention=2d"));

    // A prune that fails does not stop what comes after it.
    let problem = Problem::new(Reason::RepositoryLocked, "host other has a lock");
    end(&scene, &first, &MaintainResult::new(Task::Prune, Timestamp::now(), Some(problem))).await?;
    scene.event(&claim, "RepositoryLocked").await?;
    scene.gone(&first).await?;
    let verify = job_of(&scene, &scene.tenant, Task::Verify).await?;
    assert!(has_task_arg(&verify, "--subset=1/30"));
    Ok(())
}

/// The administrator's repositories: his Secret, his namespace, and not the tenant's.
#[tokio::test]
async fn tasks_of_a_central_repository_run_in_the_controllers_namespace() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(&repository(", runIn: controller")).await?;
    let (claim, _) = copied(&scene).await?;
    let job = job_of(&scene, &scene.home, Task::Prune).await?;
    let secret = format!("--secret-name={}/backup-s3", scene.home);
    assert!(has_task_arg(&job, &secret) && has_task_arg(&job, &format!("--namespace={}", scene.tenant)));
    end(&scene, &job, &done(Task::Prune)).await?;
    let pruned = |s: &Status| s.maintenance.get("s3").is_some_and(|m| m.prune.is_some());
    scene.status_that("pruned", &claim, pruned).await?;
    scene.gone(&job).await?;
    assert_eq!(jobs(&scene, &scene.tenant, Task::Prune).await?, []);
    Ok(())
}

/// The copy is worth more than its proof: nothing is drilled while none is complete.
#[tokio::test]
async fn a_copy_that_is_not_complete_is_not_drilled() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(&drilled(&scene, "")).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let copy = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&copy, &kubelet::copied(CopyState::Incomplete, Some(Reason::Unreadable))).await?;
    scene.event(&claim, "Unreadable").await?;
    fence(&scene, "fence").await?;
    assert_eq!(jobs(&scene, &scene.tenant, Task::Drill).await?, []);
    Ok(())
}
