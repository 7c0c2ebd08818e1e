//! Drills of central copies: made out of the tenant's reach as the copies are, told as all drills, and nothing left.

use anyhow::{Context as _, Result};
use backup_controller_tests::{NewClaim, Scene, kubelet, source};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use model::Timestamp;
use model::maintain::{MaintainResult, Task, TaskState};
use model::names::{self, DrillOf};
use model::record::{CopyResult, CopyState};
use model::snapshot::{VolumeSnapshot, VolumeSnapshotContent};
use serde_json::{Value, json};

use crate::controller::central::{ALL, steps};
use crate::controller::{fence, has_task_arg};

const RUN: &str = "20260101T0000Z";

fn minutes_ago(minutes: i64) -> Result<Timestamp> {
    Ok(Timestamp::from_second(Timestamp::now().as_second() - 60 * minutes)?)
}

/// A repository that is drilled once an hour, and was due five minutes ago.
fn config() -> Result<String> {
    Ok(format!(
        "destinations:\n  - {{name: vault, type: restic, secret: backup-s3, runIn: controller, \
         prune: {{schedule: never}}, verify: {{schedule: never}}, \
         drill: {{schedule: \"{} * * * *\", sample: 7, scratch: {{size: 3Gi, storageClass: fast}}}}}}\n\
         defaults: {{destinations: [vault]}}\n",
        minutes_ago(5)?.strftime("%-M")
    ))
}

/// A source with a complete central copy that was made an hour ago, and its snapshot and content.
async fn copied(scene: &Scene) -> Result<(PersistentVolumeClaim, VolumeSnapshot, VolumeSnapshotContent)> {
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &["vault"]).await?;
    let result = CopyResult { finished: minutes_ago(60)?, ..kubelet::copied(CopyState::Complete, None) };
    // Before it is ready: nothing is copied that has its result.
    scene.record(&claim, RUN, &[("vault", &result)]).await?;
    let (snapshot, content) = scene.make_content(&snapshot, &claim.uid().unwrap_or_default()).await?;
    Ok((claim, snapshot, content))
}

/// F62. The guard lets each step pass, and the controller is killed between any two of them.
#[tokio::test]
async fn a_drill_of_a_central_copy_is_made_at_home_is_told_and_leaves_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let setup = scene.setup(&config()?).await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let mut controller = scene.start(setup).await?;
    let (claim, snapshot, original) = copied(&scene).await?;

    let contents: Api<VolumeSnapshotContent> = Api::all(scene.client.clone());
    let label = format!("{}={},{}=drill", names::INSTANCE, scene.name, names::TASK);
    let ours = ListParams::default().labels(&label);
    let first = async || Ok(contents.list(&ours).await?.items.into_iter().next());
    let content = scene.wait("the content of a drill", first).await?;
    let name = content.name_any();
    let due = content.labels()[names::RUN].parse()?;
    let drill = DrillOf { due: &due, run: &RUN.parse()? };
    assert_eq!(name, names::central_drill(&scene.instance(), &source(&claim), drill, "vault"));
    assert_eq!(content.spec.deletion_policy, "Retain");
    controller.kill();
    controller.start()?;
    let snapshots = scene.api::<VolumeSnapshot>(&scene.home);
    let made = scene.wait("its snapshot", async || Ok(snapshots.get_opt(&name).await?)).await?;
    controller.kill();
    scene.make_ready(&made).await?;
    controller.start()?;
    let claims = scene.api::<PersistentVolumeClaim>(&scene.home);
    let promoter = scene.wait("its promoter", async || Ok(claims.get_opt(&name).await?)).await?;
    controller.kill();
    scene.bind(&promoter, None).await?;
    controller.start()?;
    let jobs = scene.api::<Job>(&scene.home);
    let job = names::maintain_job(&source(&claim), Task::Drill, &due, "vault");
    let job = scene.wait("the drill", async || Ok(jobs.get_opt(&job).await?)).await?;

    let shown = serde_json::to_value(&job)?;
    let volumes = shown.pointer("/spec/template/spec/volumes").and_then(Value::as_array).cloned().unwrap_or_default();
    let has = |wanted: Value| volumes.iter().any(|v| v["persistentVolumeClaim"] == wanted);
    assert!(has(json!({"claimName": name, "readOnly": true})));
    assert!(volumes.iter().any(|v| v["secret"]["secretName"] == "backup-s3"));
    assert!(volumes.iter().any(|v| v["ephemeral"]["volumeClaimTemplate"]["spec"]["storageClassName"] == "fast"));
    let secret = format!("--secret-name={}/backup-s3", scene.home);
    for arg in ["--from=restic", &format!("--run={RUN}"), "--sample=7", &secret] {
        assert!(has_task_arg(&job, arg), "{arg}");
    }
    // The source's own snapshot is what must not be rotated meanwhile.
    let tenants = scene.api::<VolumeSnapshot>(&scene.tenant);
    let held = async || Ok(tenants.get(&snapshot.name_any()).await?.annotations().get(names::HOLD).cloned());
    assert!(scene.wait("the hold", held).await?.starts_with("until="));

    controller.kill();
    let proof = MaintainResult {
        run: Some(RUN.parse()?),
        files: 7,
        bytes: 4096,
        ..MaintainResult::new(Task::Drill, Timestamp::now(), None)
    };
    scene.end_pod(&scene.pod_of(&job).await?, 0, &serde_json::to_string(&proof)?).await?;
    controller.start()?;
    let drilled = |s: &model::record::Status| s.maintenance.get("vault").is_some_and(|m| m.proven.is_some());
    let status = scene.status_that("proven", &claim, drilled).await?;
    assert_eq!(status.maintenance["vault"].drill.as_ref().map(|d| d.state), Some(TaskState::Done));
    let event = scene.event(&claim, "Proven").await?;
    assert!(event.note.unwrap_or_default().contains("7 files"));
    let counted = r#"backup_controller_tasks_total{destination="vault",task="drill",result="Done"}"#;
    assert_eq!(controller.metric(counted)?, Some(1.0));
    scene.gone(&job).await?;
    controller.kill();
    controller.start()?;
    scene.gone(&promoter).await?;
    controller.ready(&scene).await?;
    fence(&scene, "fence-1").await?;
    assert!(snapshots.get_opt(&name).await?.is_some(), "its volume is there");
    controller.kill();
    let volumes: Api<PersistentVolume> = Api::all(scene.client.clone());
    let volume = format!("pv-{}", promoter.uid().context("no UID")?);
    volumes.delete(&volume, &DeleteParams::default()).await?;
    controller.start()?;
    let what = "its content is gone";
    scene.wait(what, async || Ok(contents.get_opt(&name).await?.is_none().then_some(()))).await?;
    assert!(snapshots.get_opt(&name).await?.is_none() && claims.get_opt(&name).await?.is_none());
    controller.ready(&scene).await?;
    fence(&scene, "fence-2").await?;

    let of_drill = |s: &String| ALL.contains(&s.as_str());
    assert_eq!(steps(&scene, &controller)?.into_iter().filter(of_drill).collect::<Vec<_>>(), ALL, "each once");
    assert_eq!(contents.get(&original.name_any()).await?, original);
    assert_eq!(scene.api::<Job>(&scene.tenant).list(&ListParams::default()).await?.items, []);
    Ok(())
}
