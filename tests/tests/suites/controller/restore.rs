//! Restores: a Deployment that asks becomes a restore pod, a PVC that asks gets a Job, and nobody's volume is
//! written behind his back.

mod block;
mod central;
mod host;
mod repository;
mod repository_on_disk;

use anyhow::Result;
use backup_controller_tests::{Controller, NewClaim, Scene, kubelet, source};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams};
use model::hold::Hold;
use model::names::{self, GrantClaim};
use model::reason::Reason;
use model::record::{CopyState, Holders, RestoreRecord, RestoreResult, RestoreState};
use model::snapshot::VolumeSnapshot;
use serde_json::{Value, json};

use crate::controller::{bind_disk, disk, fence, source_with_run, with_disk};

const RUN: &str = "20260101T0000Z";

/// What a user makes of the Template `restore`.
async fn ask(scene: &Scene, name: &str, request: &str) -> Result<()> {
    let labels = json!({
        names::INSTANCE: scene.name, names::COMPONENT: "restore", names::MANAGED_BY: names::MANAGER,
        "template": "restore", "restore": name,
    });
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": format!("restore-{name}"), "namespace": scene.tenant,
            "labels": {names::INSTANCE: scene.name, names::COMPONENT: "restore", "template": "restore"},
            "annotations": {names::RESTORE_FROM: request},
        },
        "spec": {
            "replicas": 0, "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"template": "restore", "restore": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": false,
                    "containers": [{"name": "backup", "image": "backup-mover"}],
                },
            },
        },
    });
    scene.apply(&object).await.map(drop)
}

fn record(annotations: &std::collections::BTreeMap<String, String>) -> Option<RestoreRecord> {
    serde_json::from_str(annotations.get(names::RESTORE_STATUS)?).ok()
}

/// Waits for an answer to a Deployment that asks.
async fn answer(scene: &Scene, name: &str, state: RestoreState) -> Result<RestoreRecord> {
    let api = scene.api::<Deployment>(&scene.tenant);
    let what = format!("restore-{name} is {state:?}");
    let fits = |d: Deployment| record(d.annotations()).filter(|r| r.state == state);
    scene.wait(&what, async || Ok(api.get_opt(&format!("restore-{name}")).await?.and_then(fits))).await
}

/// Waits for an answer to a PVC that asks.
async fn answered(scene: &Scene, name: &str, state: RestoreState) -> Result<RestoreRecord> {
    let api = scene.api::<PersistentVolumeClaim>(&scene.tenant);
    let what = format!("the restore into {name} is {state:?}");
    let fits = |c: PersistentVolumeClaim| record(c.annotations()).filter(|r| r.state == state);
    scene.wait(&what, async || Ok(api.get_opt(name).await?.and_then(fits))).await
}

async fn restore_pod(scene: &Scene, name: &str) -> Result<Pod> {
    let pods = scene.api::<Pod>(&scene.tenant);
    let label = format!("restore={name}");
    let find = async || Ok(pods.list(&ListParams::default().labels(&label)).await?.items.pop());
    scene.wait(&format!("the pod of restore-{name}"), find).await
}

fn holders(pod: &Pod) -> Option<Holders> {
    serde_json::from_str(pod.annotations().get(names::HOLDERS)?).ok()
}

/// A pod of the application.
async fn app(scene: &Scene, name: &str, claim: &str) -> Result<()> {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": scene.tenant},
        "spec": {
            "containers": [{"name": "app", "image": "none"}],
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
        },
    });
    scene.apply(&object).await.map(drop)
}

#[tokio::test]
async fn a_deployment_that_asks_becomes_a_restore_pod_and_its_snapshot_is_held() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (claim, snapshot, promoter) = source_with_run(&scene, "data", RUN).await?;
    ask(&scene, "data", "pvc=data date=20260101T0000Z from= target= uid=").await?;
    let record = answer(&scene, "data", RestoreState::Ready).await?;
    assert_eq!((record.point, record.target), (Some(snapshot.name_any()), Some("data".into())));

    let pod = serde_json::to_value(restore_pod(&scene, "data").await?)?;
    let spec = &pod["spec"];
    let claim_of = |name: &str| {
        let volume = spec["volumes"].as_array().and_then(|v| v.iter().find(|v| v["name"] == name)).cloned();
        volume.map(|v| v["persistentVolumeClaim"].clone()).unwrap_or_default()
    };
    assert_eq!(claim_of("source"), json!({"claimName": "data"}));
    assert_eq!(claim_of("destination"), json!({"claimName": promoter.name_any(), "readOnly": true}));
    let container = &spec["containers"][0];
    assert_eq!(container["image"], "registry.example/backup-mover:test");
    assert_eq!(container["args"], json!(["idle"]));
    let mount = |path: &str| {
        container["volumeMounts"].as_array().and_then(|m| m.iter().find(|m| m["mountPath"] == path)).cloned()
    };
    for (new, old, volume, read_only) in
        [("/volume", "/source", "source", Value::Null), ("/restore-point", "/destination", "destination", json!(true))]
    {
        for at in [new, old] {
            let mounted = mount(at).map(|m| (m["name"].clone(), m["readOnly"].clone()));
            assert_eq!(mounted, Some((json!(volume), read_only.clone())), "{at}");
        }
    }
    assert!(mount("/etc/restore").is_some() && mount("/usr/local/bin").is_some(), "{container}");
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);

    let hold = scene
        .wait("the hold", async || {
            let now = scene.api::<VolumeSnapshot>(&scene.tenant).get(&snapshot.name_any()).await?;
            Ok(now.annotations().get(names::HOLD).map(|text| Hold::read(text)))
        })
        .await?;
    assert!(hold.until.is_some_and(|until| until > model::Timestamp::now()), "a hold that ends by itself: {hold:?}");
    assert_eq!(source(&claim).name, "data");
    Ok(())
}

/// The pod itself cannot see who mounts its target.
#[tokio::test]
async fn a_restore_pod_is_told_who_holds_its_target_and_when_that_changes() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    source_with_run(&scene, "data", RUN).await?;
    app(&scene, "app", "data").await?;
    app(&scene, "other", "something-else").await?;
    ask(&scene, "data", "pvc=data date=latest").await?;
    let pod = restore_pod(&scene, "data").await?;
    assert_eq!(holders(&pod).map(|h| h.pods), Some(vec!["app".to_owned()]), "it is born with that");
    let pods = scene.api::<Pod>(&scene.tenant);
    pods.delete("app", &DeleteParams::default().grace_period(0)).await?;
    let told = |expected: Vec<String>| {
        let (pods, name) = (pods.clone(), pod.name_any());
        async move |scene: &Scene| {
            scene
                .wait(&format!("the pod is told of {expected:?}"), async || {
                    let held = holders(&pods.get(&name).await?).is_some_and(|h| h.pods == expected);
                    Ok(held.then_some(()))
                })
                .await
        }
    };
    told(vec![])(&scene).await?;
    app(&scene, "again", "data").await?;
    told(vec!["again".to_owned()])(&scene).await?;
    Ok(())
}

#[tokio::test]
async fn a_request_that_cannot_be_met_is_refused_with_what_there_is() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (_, snapshot, promoter) = source_with_run(&scene, "data", RUN).await?;
    scene.bound(&scene.tenant, NewClaim::new("raw").block()).await?;
    for (number, request, reason, words) in [
        (1, "pvc=data date=20260102", Reason::NoRestorePoint, snapshot.name_any()),
        (2, "pvc=nothing date=latest target=data", Reason::NoRestorePoint, "it has none".to_owned()),
        (3, "pvc=data date=latest target=missing", Reason::TargetNotReady, "no PVC of that name".to_owned()),
        (4, "pvc=data date=latest target=raw", Reason::VolumeModeDiffers, "PVC raw is a raw block volume".to_owned()),
        (5, "pvc=data date=latest from=disk/attic", Reason::NoRestorePoint, "on disk attic".to_owned()),
        (6, "pvc=$(reboot) date=latest", Reason::InvalidRequest, "is not a valid Kubernetes name".to_owned()),
        (7, "pvc=other-shop/data date=latest target=data", Reason::NotGranted, "other-shop".to_owned()),
    ] {
        let name = format!("n{number}");
        ask(&scene, &name, request).await?;
        let problem = answer(&scene, &name, RestoreState::Refused).await?.problem;
        let fits = problem.as_ref().is_some_and(|p| p.reason == reason && p.message.contains(&words));
        assert!(fits, "{request}: {problem:?}");
        let now = scene.api::<Deployment>(&scene.tenant).get(&format!("restore-{name}")).await?;
        assert_eq!(now.spec.and_then(|s| s.replicas), Some(0), "{request}");
    }
    let request = format!("pvc=data date=latest target={}", promoter.name_any());
    ask(&scene, "own", &request).await?;
    let problem = answer(&scene, "own", RestoreState::Refused).await?.problem;
    assert!(problem.is_some_and(|p| p.message.contains("is a restore point or a BackupDisk")));
    // What is missing may come: the answer follows.
    scene.bound(&scene.tenant, NewClaim::new("missing")).await?;
    answer(&scene, "n3", RestoreState::Ready).await?;
    Ok(())
}

#[tokio::test]
async fn a_snapshot_whose_promoter_is_gone_is_promoted_again() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &[]).await?;
    let snapshot = scene.make_ready(&snapshot).await?;
    ask(&scene, "data", "pvc=data date=latest").await?;
    let waiting = answer(&scene, "data", RestoreState::Waiting).await?;
    assert_eq!(waiting.problem.map(|p| p.reason), Some(Reason::WaitingForPromoter));
    let promoter = scene.bind_named(&scene.tenant, &snapshot.name_any(), None).await?;
    assert_eq!(promoter.labels()[names::COMPONENT], "promoter");
    assert_eq!(promoter.labels()[names::SOURCE_UID], source(&claim).uid);
    answer(&scene, "data", RestoreState::Ready).await?;
    Ok(())
}

/// F78: the PVC was deleted and made again; its trees and snapshots are those of another UID.
#[tokio::test]
async fn a_pvc_that_was_deleted_is_restored_into_its_successor() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = with_disk(&scene, "").await?;
    let (claim, snapshot, _) = source_with_run(&scene, "data", RUN).await?;
    let api = scene.api::<PersistentVolumeClaim>(&scene.tenant);
    api.delete("data", &DeleteParams::default()).await?;
    scene.gone(&claim).await?;
    scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    ask(&scene, "data", "pvc=data date=latest").await?;
    let record = answer(&scene, "data", RestoreState::Ready).await?;
    assert_eq!(record.point, Some(snapshot.name_any()));
    Ok(())
}

/// A source with a finished copy on its disk.
async fn copied(scene: &Scene) -> Result<(PersistentVolumeClaim, Controller)> {
    let controller = with_disk(scene, "").await?;
    let (claim, ..) = source_with_run(scene, "data", RUN).await?;
    bind_disk(scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    let mut result = kubelet::copied(CopyState::Complete, None);
    result.kept = vec![RUN.parse()?, "20251231T0000Z".parse()?];
    scene.finish(&job, &result).await?;
    scene.gone(&job).await?;
    Ok((claim, controller))
}

#[tokio::test]
async fn a_tree_of_the_disk_is_mounted_alone_and_copies_wait_for_its_reader() -> Result<()> {
    let scene = Scene::new().await?;
    let (claim, _controller) = copied(&scene).await?;
    ask(&scene, "data", "pvc=data date=20251231 from=disk").await?;
    let record = answer(&scene, "data", RestoreState::Ready).await?;
    assert_eq!(record.point.as_deref(), Some("disk/20251231T0000Z"));
    let pod = serde_json::to_value(restore_pod(&scene, "data").await?)?;
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().cloned().unwrap_or_default();
    let mount = |at: &str| mounts.iter().find(|m| m["mountPath"] == at).cloned().unwrap_or_default();
    let folder = format!("{}/data/{}/20251231T0000Z", scene.tenant, source(&claim).uid);
    for at in ["/restore-point", "/destination"] {
        assert_eq!(mount(at), json!({"name": "destination", "mountPath": at, "readOnly": true, "subPath": folder}));
    }

    let other = scene.bound(&scene.tenant, NewClaim::new("other")).await?;
    scene.point(&other, RUN, &["disk"]).await?;
    fence(&scene, "fence").await?;
    assert_eq!(scene.copy_jobs(&scene.tenant).await?.len(), 0, "no copy beside a reader");
    scene.api::<Deployment>(&scene.tenant).delete("restore-data", &DeleteParams::default()).await?;
    scene.copy_of(&other, RUN, "disk").await?;
    // And the other way round: a restore waits for a copy.
    ask(&scene, "again", "pvc=data date=20251231 from=disk").await?;
    let problem = answer(&scene, "again", RestoreState::Waiting).await?.problem;
    assert_eq!(problem.map(|p| p.reason), Some(Reason::DiskBusy));
    Ok(())
}

async fn restore_job(scene: &Scene, claim: &PersistentVolumeClaim, request: &str) -> Result<Job> {
    restore_job_in(scene, &scene.tenant, claim, request).await
}

async fn restore_job_in(scene: &Scene, namespace: &str, claim: &PersistentVolumeClaim, request: &str) -> Result<Job> {
    let name = names::restore_job(&source(claim), request);
    let jobs = scene.api::<Job>(namespace);
    scene.wait("the restore Job", async || Ok(jobs.get_opt(&name).await?)).await
}

fn done(state: RestoreState) -> RestoreResult {
    RestoreResult {
        state,
        problem: None,
        finished: model::Timestamp::now(),
        changed: 3,
        deleted: 0,
        bytes: 5,
        seconds: 1,
        wrote: None,
    }
}

#[tokio::test]
async fn a_pvc_that_asks_is_restored_once_by_a_job_and_told_how_it_ended() -> Result<()> {
    let scene = Scene::new().await?;
    let (_, _controller) = copied(&scene).await?;
    let target = scene.bound(&scene.tenant, NewClaim::new("target")).await?;
    let request = "pvc=data date=20260101 from=disk delete=true path=etc/-odd name";
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "target", &[(names::RESTORE_FROM, Some(request))]).await?;
    let job = restore_job(&scene, &target, request).await?;
    let container = &serde_json::to_value(&job)?["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["restore", "--yes", "--delete", "--", "etc/-odd name"]));
    answered(&scene, "target", RestoreState::Ready).await?;
    let pod = scene.pod_of(&job).await?;
    assert_eq!(holders(&pod).map(|h| h.pods), Some(vec![]));
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    let record = answered(&scene, "target", RestoreState::Complete).await?;
    assert_eq!(record.result.map(|r| r.changed), Some(3));
    scene.gone(&job).await?;
    scene.event(&target, "RestoreComplete").await?;
    fence(&scene, "fence").await?;
    let jobs = scene.api::<Job>(&scene.tenant);
    assert!(jobs.get_opt(&job.name_any()).await?.is_none(), "the same value starts no second one");
    let again = format!("{request} 2");
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "target", &[(names::RESTORE_FROM, Some(&again))]).await?;
    restore_job(&scene, &target, &again).await?;
    Ok(())
}

#[tokio::test]
async fn trees_of_an_earlier_pvc_need_the_administrators_grant() -> Result<()> {
    let scene = Scene::new().await?;
    let (claim, controller) = copied(&scene).await?;
    scene.api::<PersistentVolumeClaim>(&scene.tenant).delete("data", &DeleteParams::default()).await?;
    scene.gone(&claim).await?;
    let request = "pvc=data date=20260101 from=disk";
    let new = scene.bound(&scene.tenant, NewClaim::new("data").annotate(names::RESTORE_FROM, request)).await?;
    let problem = answered(&scene, "data", RestoreState::Refused).await?.problem;
    assert_eq!(problem.map(|p| p.reason), Some(Reason::NotGranted));
    let grant =
        format!("{}restores:\n  grants: [{{from: {}/data, to: {}}}]\n", disk(&scene), scene.tenant, scene.tenant);
    controller.configure(&grant)?;
    controller.logged(&scene, "new settings are in force").await?;
    // What was refused stays so: a new value asks anew.
    let request = format!("{request} uid={}", source(&claim).uid);
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "data", &[(names::RESTORE_FROM, Some(&request))]).await?;
    restore_job(&scene, &new, &request).await?;
    Ok(())
}

/// Whatever the state: nothing is begun twice, and nothing is forgotten.
#[tokio::test]
async fn a_controller_that_was_killed_goes_on_with_restores() -> Result<()> {
    let scene = Scene::new().await?;
    let (_, mut controller) = copied(&scene).await?;
    let target = scene.bound(&scene.tenant, NewClaim::new("target")).await?;
    let request = "pvc=data date=latest from=disk";
    scene.annotate::<PersistentVolumeClaim>(&scene.tenant, "target", &[(names::RESTORE_FROM, Some(request))]).await?;
    ask(&scene, "data", "pvc=data date=latest from=snapshot").await?;
    let job = restore_job(&scene, &target, request).await?;
    answer(&scene, "data", RestoreState::Ready).await?;
    controller.kill();
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    app(&scene, "late", "data").await?;
    controller.start()?;
    answered(&scene, "target", RestoreState::Complete).await?;
    scene.gone(&job).await?;
    let pod = restore_pod(&scene, "data").await?;
    let pods = scene.api::<Pod>(&scene.tenant);
    scene
        .wait("the pod is told", async || {
            let told = holders(&pods.get(&pod.name_any()).await?).is_some_and(|h| h.pods == ["late"]);
            Ok(told.then_some(()))
        })
        .await
}

/// Under the policies that restrict our accounts.
#[tokio::test]
async fn the_guard_lets_restores_pass() -> Result<()> {
    let scene = Scene::new().await?;
    let setup = scene.setup(&disk(&scene)).await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let controller = scene.start(setup).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let snapshot = scene.new_snapshot(&claim, RUN, &[]).await?;
    let snapshot = scene.make_ready(&snapshot).await?;
    ask(&scene, "no", "pvc=data date=20200101").await?;
    answer(&scene, "no", RestoreState::Refused).await?;
    ask(&scene, "data", "pvc=data date=latest").await?;
    scene.bind_named(&scene.tenant, &snapshot.name_any(), None).await?;
    answer(&scene, "data", RestoreState::Ready).await?;
    let pod = restore_pod(&scene, "data").await?;
    app(&scene, "app", "data").await?;
    let pods = scene.api::<Pod>(&scene.tenant);
    let told = async || Ok(holders(&pods.get(&pod.name_any()).await?).filter(|h| h.pods == ["app"]));
    scene.wait("the pod is told", told).await?;
    let request = "pvc=data date=latest";
    let target = scene.bound(&scene.tenant, NewClaim::new("target").annotate(names::RESTORE_FROM, request)).await?;
    let job = restore_job(&scene, &target, request).await?;
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    answered(&scene, "target", RestoreState::Complete).await?;
    scene.gone(&job).await?;
    let refused: Vec<_> =
        scene.writes(controller.user())?.into_iter().filter(|r| r.code >= 400 && r.name != "guard-probe").collect();
    assert_eq!(refused, Vec::<dev_cluster::AuditedRequest>::new());
    Ok(())
}

/// A namespace that the administrator's grant names reads another one's disk, and cannot write it.
#[tokio::test]
async fn a_granted_namespace_restores_from_anothers_disk_and_gives_it_back() -> Result<()> {
    let scene = Scene::new().await?;
    let setup = scene.setup(&disk(&scene)).await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let controller = scene.start(setup).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    let disk_claim = bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await?;

    let other = scene.namespace("test").await?;
    let ask = async |value: &str| {
        scene.annotate::<PersistentVolumeClaim>(&other, "copy", &[(names::RESTORE_FROM, Some(value))]).await
    };
    let claims = scene.api::<PersistentVolumeClaim>(&other);
    let refused = async |words: &str| {
        let fits = |c: PersistentVolumeClaim| record(c.annotations())?.problem.filter(|p| p.message.contains(words));
        let find = async || Ok(claims.get_opt("copy").await?.and_then(fits));
        scene.wait(&format!("a refusal: {words}"), find).await
    };
    let target = scene.bound(&other, NewClaim::new("copy")).await?;
    let from = format!("pvc={}/data date=latest", scene.tenant);
    ask(&from).await?;
    assert_eq!(refused("no grant allows it").await?.reason, Reason::NotGranted);
    let grant =
        |from: &str| format!("{}restores:\n  grants: [{{from: {}/{from}, to: {other}}}]\n", disk(&scene), scene.tenant);
    controller.configure(&grant("data"))?;
    controller.logged(&scene, "new settings are in force").await?;
    ask(&format!("{from} from=disk")).await?;
    refused("the grant must be from").await?;
    controller.configure(&grant("\"*\"").replace("/\"*\"", "/*"))?;
    let count = async || Ok((controller.log().matches("new settings are in force").count() == 2).then_some(()));
    scene.wait("the settings are in force", count).await?;
    let request = format!("{from} from=disk/disk");
    ask(&request).await?;

    let job = restore_job_in(&scene, &other, &target, &request).await?;
    let volumes: kube::Api<PersistentVolume> = kube::Api::all(scene.client.clone());
    let name = names::grant_volume(&scene.instance(), GrantClaim { namespace: &other, name: &job.name_any() });
    let volume = scene.wait("the lent volume", async || Ok(volumes.get_opt(&name).await?)).await?;
    let spec = volume.spec.clone().unwrap_or_default();
    let csi = spec.csi.unwrap_or_default();
    assert_eq!((csi.read_only, csi.volume_handle), (Some(true), disk_claim.uid().unwrap_or_default()));
    let bound = async || {
        Ok(claims
            .get_opt(&job.name_any())
            .await?
            .filter(|c| c.spec.as_ref().is_some_and(|s| s.volume_name.as_ref() == Some(&name))))
    };
    let lent = scene.wait("the claim to it", bound).await?;
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    scene.gone(&job).await?;
    scene.gone(&lent).await?;
    scene.wait("the volume is gone", async || Ok(volumes.get_opt(&name).await?.is_none().then_some(()))).await?;
    let own = volumes.get(&format!("pv-{}", disk_claim.uid().unwrap_or_default())).await?;
    assert!(own.metadata.deletion_timestamp.is_none(), "the disk itself stays");
    let writes = scene.writes(controller.user())?;
    // What is gone may be deleted once more before that is seen.
    let gone = |r: &dev_cluster::AuditedRequest| r.verb == "delete" && r.code == 404;
    let refused: Vec<_> = writes.into_iter().filter(|r| r.code >= 400 && r.name != "guard-probe" && !gone(r)).collect();
    assert_eq!(refused, Vec::<dev_cluster::AuditedRequest>::new());
    Ok(())
}

/// A5, A5b: the request is taken away while its pod hangs and nobody looks. The next controller leaves nothing of it:
/// neither the Job nor what any pod of the namespace could mount. Under the guard, by an account with the installed role.
#[tokio::test]
async fn a_restore_that_is_taken_away_leaves_nothing_also_after_a_restart() -> Result<()> {
    let scene = Scene::new().await?;
    let other = scene.namespace("test").await?;
    let grant = format!("restores:\n  grants: [{{from: {}/*, to: {other}}}]\n", scene.tenant);
    let setup = scene.setup(&format!("{}{grant}", disk(&scene))).await?;
    scene.guard(&setup.identity, "controller.yaml").await?;
    let mut controller = scene.start(setup).await?;
    let (claim, ..) = source_with_run(&scene, "data", RUN).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, RUN, "disk").await?;
    scene.finish(&job, &kubelet::copied(CopyState::Complete, None)).await?;
    scene.gone(&job).await?;

    let target = scene.bound(&other, NewClaim::new("copy")).await?;
    let request = format!("pvc={}/data date=latest from=disk", scene.tenant);
    let ask = async |value: Option<&str>| {
        scene.annotate::<PersistentVolumeClaim>(&other, "copy", &[(names::RESTORE_FROM, value)]).await
    };
    ask(Some(&request)).await?;
    let job = restore_job_in(&scene, &other, &target, &request).await?;
    let claims = scene.api::<PersistentVolumeClaim>(&other);
    let lent = scene.wait("the claim to the disk", async || Ok(claims.get_opt(&job.name_any()).await?)).await?;
    let pod = scene.pod_of(&job).await?;
    scene.hold_pod(&pod, "CreateContainerConfigError", "no such Secret").await?;
    controller.kill();
    ask(None).await?;
    controller.start()?;
    scene.gone(&job).await?;
    scene.gone(&lent).await?;
    let volumes: kube::Api<PersistentVolume> = kube::Api::all(scene.client.clone());
    let name = names::grant_volume(&scene.instance(), GrantClaim { namespace: &other, name: &job.name_any() });
    scene.wait("the volume is gone", async || Ok(volumes.get_opt(&name).await?.is_none().then_some(()))).await?;
    let refused: Vec<_> =
        scene.writes(controller.user())?.into_iter().filter(|r| r.code == 403 && r.name != "guard-probe").collect();
    assert_eq!(refused, Vec::<dev_cluster::AuditedRequest>::new());
    Ok(())
}
