//! Restores from central destinations: the target is lent to the controller's namespace, and nothing of that is left.

use super::*;
use crate::controller::refused::set_quota;
use crate::controller::requests_done;

const ID: &str = "0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd";
const CONFIG: &str = "destinations:\n  - {name: vault, type: restic, secret: backup-s3, runIn: controller}\n";
const REQUEST: &str = "pvc=data date=latest from=vault path=etc";

/// A PVC, in a namespace that refuses every pod of ours, with a copy at the central destination.
async fn copied(scene: &Scene) -> Result<PersistentVolumeClaim> {
    let level = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": scene.tenant, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    });
    scene.apply(&level).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.new_snapshot(&claim, RUN, &[]).await?;
    let mut result = kubelet::copied(CopyState::Complete, None);
    (result.kept, result.snapshot) = (vec![RUN.parse()?], Some(ID.to_owned()));
    scene.record(&claim, RUN, &[("vault", &result)]).await?;
    // A request that comes before the controller has seen the copy is refused.
    let seen = |s: &model::record::Status| s.good.as_ref().is_some_and(|good| good.as_str() == RUN);
    scene.status_that("the copy is seen", &claim, seen).await?;
    Ok(claim)
}

async fn request(scene: &Scene, name: &str, text: Option<&str>) -> Result<()> {
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, name, &[(names::RESTORE_FROM, text)]).await.map(drop)
}

/// What lends the target.
struct Alias {
    volume: PersistentVolume,
    claim: PersistentVolumeClaim,
}

async fn lent(scene: &Scene, job: &Job) -> Result<Alias> {
    let volumes: kube::Api<PersistentVolume> = kube::Api::all(scene.client.clone());
    let volume = names::alias_volume(&scene.instance(), &job.name_any());
    let claims = scene.api::<PersistentVolumeClaim>(&scene.home);
    let bound = async || {
        let claim = claims.get_opt(&job.name_any()).await?;
        Ok(claim.filter(|c| c.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Bound"))))
    };
    let claim = scene.wait("the claim binds to the volume that is lent", bound).await?;
    Ok(Alias { volume: volumes.get(&volume).await?, claim })
}

impl Alias {
    async fn back(&self, scene: &Scene) -> Result<()> {
        scene.gone(&self.claim).await?;
        let volumes: kube::Api<PersistentVolume> = kube::Api::all(scene.client.clone());
        let gone = async || Ok(volumes.get_opt(&self.volume.name_any()).await?.is_none().then_some(()));
        scene.wait("the volume that was lent is gone", gone).await
    }
}

/// The target's own volume, as it is now.
async fn own(scene: &Scene, claim: &PersistentVolumeClaim) -> Result<PersistentVolume> {
    let volumes: kube::Api<PersistentVolume> = kube::Api::all(scene.client.clone());
    Ok(volumes.get(&format!("pv-{}", claim.uid().unwrap_or_default())).await?)
}

/// What our account made and deleted, in order.
fn steps(scene: &Scene, controller: &Controller) -> Result<Vec<String>> {
    let of_restore = |r: &dev_cluster::AuditedRequest| {
        matches!(r.verb.as_str(), "create" | "delete")
            && matches!(r.resource.as_str(), "persistentvolumes" | "persistentvolumeclaims" | "jobs")
            && r.name != "guard-probe"
    };
    Ok(requests_done(scene.writes(controller.user())?, of_restore))
}

const ALL: [&str; 6] = [
    "create persistentvolumes",
    "create persistentvolumeclaims",
    "create jobs",
    "delete jobs",
    "delete persistentvolumeclaims",
    "delete persistentvolumes",
];

/// Under the guard, by an account with the installed role.
#[tokio::test]
async fn a_target_is_written_from_the_controllers_namespace_and_comes_back() -> Result<()> {
    let scene = Scene::new().await?;
    let setup = scene.setup(CONFIG).await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let controller = scene.start(setup).await?;
    let claim = copied(&scene).await?;
    let before = own(&scene, &claim).await?;
    request(&scene, "data", Some(REQUEST)).await?;

    let job = restore_job_in(&scene, &scene.home, &claim, REQUEST).await?;
    let loan = lent(&scene, &job).await?;
    let (spec, original) = (loan.volume.spec.clone().unwrap_or_default(), before.spec.clone().unwrap_or_default());
    assert_eq!((spec.csi, spec.access_modes), (original.csi, original.access_modes));
    assert_eq!(spec.persistent_volume_reclaim_policy.as_deref(), Some("Retain"));
    let pod = serde_json::to_value(&job)?["spec"]["template"]["spec"].clone();
    let volumes = pod["volumes"].as_array().cloned().unwrap_or_default();
    let volume = |name: &str| volumes.iter().find(|v| v["name"] == name).cloned().unwrap_or_default();
    assert_eq!(volume("source")["persistentVolumeClaim"], json!({"claimName": job.name_any()}));
    assert_eq!(volume("secret")["secret"]["secretName"], "backup-s3");
    let args = pod["containers"][0]["args"].as_array().cloned().unwrap_or_default();
    assert!(args.contains(&json!(format!("--snapshot={}", &ID[..16]))), "{args:?}");
    assert!(args.contains(&json!(format!("--secret-name={}/backup-s3", scene.home))), "{args:?}");

    answered(&scene, "data", RestoreState::Ready).await?;
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    let record = answered(&scene, "data", RestoreState::Complete).await?;
    assert_eq!((record.point.as_deref(), record.result.map(|r| r.changed)), (Some("vault/20260101T0000Z"), Some(3)));
    scene.gone(&job).await?;
    loan.back(&scene).await?;
    assert_eq!(own(&scene, &claim).await?, before, "the target's own volume is as it was");
    fence(&scene, "fence").await?;
    assert_eq!(steps(&scene, &controller)?, ALL);
    let pods = scene.api::<Pod>(&scene.tenant).list(&ListParams::default()).await?.items;
    assert!(pods.is_empty(), "nothing of it in the tenant's namespace");
    // What is gone may be deleted once more before that is seen.
    let gone = |r: &dev_cluster::AuditedRequest| r.verb == "delete" && r.code == 404;
    let refused: Vec<_> = scene
        .writes(controller.user())?
        .into_iter()
        .filter(|r| r.code >= 400 && r.name != "guard-probe" && !gone(r))
        .collect();
    assert_eq!(refused, Vec::<dev_cluster::AuditedRequest>::new());
    Ok(())
}

/// F62.
#[tokio::test]
async fn a_controller_that_is_killed_between_any_two_steps_takes_the_target_back() -> Result<()> {
    let scene = Scene::new().await?;
    let mut controller = scene.controller(CONFIG).await?;
    let claim = copied(&scene).await?;
    let before = own(&scene, &claim).await?;
    request(&scene, "data", Some(REQUEST)).await?;
    let job = restore_job_in(&scene, &scene.home, &claim, REQUEST).await?;
    controller.kill();
    let loan = lent(&scene, &job).await?;
    controller.start()?;
    let pod = scene.pod_of(&job).await?;
    controller.kill();
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    controller.start()?;
    answered(&scene, "data", RestoreState::Complete).await?;
    controller.kill();
    controller.start()?;
    scene.gone(&job).await?;
    controller.kill();
    controller.start()?;
    scene.gone(&loan.claim).await?;
    controller.kill();
    controller.start()?;
    loan.back(&scene).await?;
    assert_eq!(own(&scene, &claim).await?, before);
    controller.ready(&scene).await?;
    fence(&scene, "fence").await?;
    assert_eq!(steps(&scene, &controller)?, ALL, "each once");
    Ok(())
}

/// A quota of the controller's namespace refuses the Job: it is told, and what was lent waits for the next try.
#[tokio::test]
async fn a_start_that_is_refused_is_told_and_goes_on_when_it_is_made_good() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller(CONFIG).await?;
    let claim = copied(&scene).await?;
    set_quota(&scene, &scene.home, json!({"count/jobs.batch": "0"})).await?;
    request(&scene, "data", Some(REQUEST)).await?;
    let record = answered(&scene, "data", RestoreState::Waiting).await?;
    let fits = |p: &model::reason::Problem| p.reason == Reason::QuotaExceeded && p.message.contains("tight");
    assert!(record.problem.as_ref().is_some_and(fits) && record.since.is_some(), "{record:?}");
    set_quota(&scene, &scene.home, json!({"count/jobs.batch": "5"})).await?;
    let job = restore_job_in(&scene, &scene.home, &claim, REQUEST).await?;
    answered(&scene, "data", RestoreState::Ready).await?;
    let loan = lent(&scene, &job).await?;
    request(&scene, "data", None).await?;
    scene.gone(&job).await?;
    loan.back(&scene).await?;
    fence(&scene, "fence").await?;
    assert_eq!(steps(&scene, &controller)?, ALL, "each once");
    Ok(())
}

/// The PVC goes while it is restored into; nobody is left to ask.
#[tokio::test]
async fn a_target_that_is_deleted_is_let_go() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(CONFIG).await?;
    let claim = copied(&scene).await?;
    request(&scene, "data", Some(REQUEST)).await?;
    let job = restore_job_in(&scene, &scene.home, &claim, REQUEST).await?;
    let loan = lent(&scene, &job).await?;
    scene.api::<PersistentVolumeClaim>(&scene.tenant).delete("data", &DeleteParams::default()).await?;
    scene.gone(&job).await?;
    loan.back(&scene).await
}

/// Law 7.
#[tokio::test]
async fn who_mounts_the_target_is_asked_before_and_told_while_it_is_lent() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(CONFIG).await?;
    let claim = copied(&scene).await?;
    let level = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": scene.tenant, "labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
    });
    scene.apply(&level).await?;
    // The API server sees the namespace's new level a moment later.
    scene.wait("the pod is admitted", async || Ok(app(&scene, "app", "data").await.ok())).await?;
    request(&scene, "data", Some(REQUEST)).await?;
    let problem = answered(&scene, "data", RestoreState::Refused).await?.problem;
    assert!(
        problem.as_ref().is_some_and(|p| p.reason == Reason::TargetInUse && p.message.contains("app")),
        "{problem:?}"
    );
    let pods = scene.api::<Pod>(&scene.tenant);
    pods.delete("app", &DeleteParams::default().grace_period(0)).await?;
    scene.wait("the pod is gone", async || Ok(pods.get_opt("app").await?.is_none().then_some(()))).await?;
    let again = format!("{REQUEST} 2");
    request(&scene, "data", Some(&again)).await?;
    let job = restore_job_in(&scene, &scene.home, &claim, &again).await?;
    let pod = scene.pod_of(&job).await?;
    app(&scene, "late", "data").await?;
    let home = scene.api::<Pod>(&scene.home);
    let told = async || Ok(holders(&home.get(&pod.name_any()).await?).filter(|h| h.pods == ["late"]));
    scene.wait("the pod is told", told).await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_lent_is_told_and_a_deployment_is_sent_to_the_pvc() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = scene.controller(CONFIG).await?;
    copied(&scene).await?;
    let other = scene.claim(&scene.tenant, NewClaim::new("share")).await?;
    scene.bind_without_csi(&other).await?;
    request(&scene, "share", Some(REQUEST)).await?;
    let problem = answered(&scene, "share", RestoreState::Refused).await?.problem;
    let fits = |p: &model::reason::Problem| p.reason == Reason::TargetNotReady && p.message.contains("no CSI driver");
    assert!(problem.as_ref().is_some_and(fits), "{problem:?}");
    ask(&scene, "data", "pvc=data date=latest from=vault").await?;
    let problem = answer(&scene, "data", RestoreState::Refused).await?.problem;
    assert_eq!(problem.map(|p| p.reason), Some(Reason::AskByAnnotation));
    fence(&scene, "fence").await?;
    assert_eq!(steps(&scene, &controller)?, [] as [&str; 0]);
    Ok(())
}
