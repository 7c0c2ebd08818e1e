//! Restores from restic repositories: the pod has the Secret and no second volume.

use super::*;

const ID: &str = "0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd0123abcd";
const CONFIG: &str = "
destinations:
  - {name: s3, type: restic, secret: backup-s3, ca: s3-ca}
  - {name: far, type: restic, secret: backup-far}
  - {name: vault, type: restic, secret: backup-vault, runIn: controller}
";

/// A source with a run whose copies are recorded: by destination the id of the restic snapshot.
async fn recorded(
    scene: &Scene,
    claim: &PersistentVolumeClaim,
    run: &str,
    copies: &[(&str, &str)],
) -> Result<VolumeSnapshot> {
    let (snapshot, _) = scene.point(claim, run, &[]).await?;
    for (destination, id) in copies {
        let mut result = kubelet::copied(CopyState::Complete, None);
        result.kept = vec!["20251231T0000Z".parse()?, RUN.parse()?, run.parse()?];
        result.snapshot = Some((*id).to_owned());
        scene.record(claim, run, &[(destination, &result)]).await?;
    }
    Ok(snapshot)
}

/// How `backup-job` reaches the repository of a source.
fn reached(scene: &Scene, uid: &str) -> Vec<String> {
    let tenant = &scene.tenant;
    [
        "restic",
        "restore",
        "--name=s3",
        &format!("--repository={{RESTIC_REPOSITORY}}/{tenant}/data/{uid}"),
        "--secret=/secret",
        &format!("--secret-name={tenant}/backup-s3"),
        "--ca=/ca/ca.crt",
        &format!("--namespace={tenant}"),
        "--pvc=data",
        &format!("--uid={uid}"),
    ]
    .map(str::to_owned)
    .to_vec()
}

#[tokio::test]
async fn a_pvc_that_asks_is_restored_from_a_repository_by_a_job_with_the_secret() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(CONFIG).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    recorded(&scene, &claim, RUN, &[("s3", ID)]).await?;
    let request = "pvc=data date=20260101 from=s3 path=etc";
    let target = scene.bound(&scene.tenant, NewClaim::new("target").annotate(names::RESTORE_FROM, request)).await?;
    let job = restore_job(&scene, &target, request).await?;
    assert_eq!(job.labels()[names::DESTINATION_TYPE], names::RESTIC, "it needs the network");
    let pod = serde_json::to_value(&job)?["spec"]["template"]["spec"].clone();
    let mut args = reached(&scene, &source(&claim).uid);
    args.extend(
        [&format!("--snapshot={}", &ID[..16]), "--target=/volume", "--yes", "--", "etc"].map(|a| (*a).to_owned()),
    );
    assert_eq!(pod["containers"][0]["args"], json!(args));
    let volumes = pod["volumes"].as_array().cloned().unwrap_or_default();
    let volume = |name: &str| volumes.iter().find(|v| v["name"] == name).cloned().unwrap_or_default();
    assert_eq!(volume("source")["persistentVolumeClaim"], json!({"claimName": "target"}));
    assert_eq!(volume("secret")["secret"]["secretName"], "backup-s3");
    assert!(volumes.iter().filter(|v| !v["persistentVolumeClaim"].is_null()).count() == 1, "{volumes:?}");
    let record = answered(&scene, "target", RestoreState::Ready).await?;
    assert_eq!(record.point.as_deref(), Some("s3/20260101T0000Z"));
    let pod = scene.pod_of(&job).await?;
    scene.end_pod(&pod, 0, &serde_json::to_string(&done(RestoreState::Complete))?).await?;
    let record = answered(&scene, "target", RestoreState::Complete).await?;
    assert_eq!(record.result.map(|r| r.changed), Some(3));
    scene.gone(&job).await
}

/// The source is gone, and of the run that is meant there is no snapshot any more.
#[tokio::test]
async fn a_restore_pod_reads_the_repository_of_a_source_that_is_gone() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(CONFIG).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    recorded(&scene, &claim, RUN, &[("s3", ID)]).await?;
    scene.api::<PersistentVolumeClaim>(&scene.tenant).delete("data", &DeleteParams::default()).await?;
    scene.gone(&claim).await?;
    scene.bound(&scene.tenant, NewClaim::new("new")).await?;
    let command = async |name: &str, request: &str| {
        ask(&scene, name, request).await?;
        answer(&scene, name, RestoreState::Ready).await?;
        let pod = restore_pod(&scene, name).await?;
        assert_eq!(pod.labels()[names::DESTINATION_TYPE], names::RESTIC);
        let container = serde_json::to_value(&pod)?["spec"]["containers"][0].clone();
        assert_eq!(container["args"], json!(["idle"]));
        let env = container["env"].as_array().cloned().unwrap_or_default();
        let command = env.into_iter().find(|v| v["name"] == "BACKUP_RESTORE_COMMAND").unwrap_or_default();
        let words: Vec<String> = serde_json::from_str(command["value"].as_str().unwrap_or_default())?;
        anyhow::Ok(words)
    };
    let wanted = |uid: &str, last: &str| {
        let mut words = reached(&scene, uid);
        words.extend([last, "--target=/volume"].map(str::to_owned));
        words
    };
    let uid = source(&claim).uid;
    let id = format!("--snapshot={}", &ID[..16]);
    assert_eq!(command("told", "pvc=data snapshot=0123abcd target=new").await?, wanted(&uid, &id));
    let kept = "pvc=data date=20251231 from=restic target=new";
    assert_eq!(command("kept", kept).await?, wanted(&uid, "--run=20251231T0000Z"));
    let untold = "pvc=data uid=0-1 date=20200101T0000Z from=s3 target=new";
    assert_eq!(command("untold", untold).await?, wanted("0-1", "--run=20200101T0000Z"), "nothing tells of it");
    Ok(())
}

#[tokio::test]
async fn what_is_not_one_snapshot_or_not_the_tenants_is_refused() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(CONFIG).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    recorded(&scene, &claim, RUN, &[("s3", ID), ("far", "f00d"), ("vault", "cafe")]).await?;
    let other = ID.replace("0123abcd0123", "0123abcd9999");
    recorded(&scene, &claim, "20260102T0000Z", &[("s3", &other)]).await?;
    for (number, request, reason, words) in [
        (1, "pvc=data snapshot=0123abcd", Reason::AmbiguousRestorePoint, "several restic snapshots"),
        (2, "pvc=data date=20251231 from=restic", Reason::AmbiguousRestorePoint, "from=far or from=s3 or from=vault"),
        (3, "pvc=data date=20260101 from=vault", Reason::AskByAnnotation, "the administrator's Secret"),
        (4, "pvc=data date=20260101 from=tape", Reason::NoRestorePoint, "at tape"),
        (5, "pvc=data snapshot=0123abcd from=tape", Reason::NoRestorePoint, "at tape"),
    ] {
        let name = format!("n{number}");
        ask(&scene, &name, request).await?;
        let problem = answer(&scene, &name, RestoreState::Refused).await?.problem;
        let fits = problem.as_ref().is_some_and(|p| p.reason == reason && p.message.contains(words));
        assert!(fits, "{request}: {problem:?}");
    }
    // What we do in a tenant's place goes by the grant: another UID, another namespace.
    for (name, request) in [
        ("earlier", "pvc=data uid=0-1 date=20200101T0000Z from=s3"),
        ("others", "pvc=elsewhere/data uid=0-1 date=20200101T0000Z from=s3"),
    ] {
        scene.bound(&scene.tenant, NewClaim::new(name).annotate(names::RESTORE_FROM, request)).await?;
        let problem = answered(&scene, name, RestoreState::Refused).await?.problem;
        assert_eq!(problem.map(|p| p.reason), Some(Reason::NotGranted), "{request}");
    }
    Ok(())
}

/// A prune locks everybody else out.
#[tokio::test]
async fn a_restore_waits_for_who_has_the_repository_to_himself() -> Result<()> {
    let scene = Scene::new().await?;
    let _controller = scene.controller(CONFIG).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    recorded(&scene, &claim, RUN, &[("s3", ID)]).await?;
    let due = RUN.parse()?;
    let prune = names::maintain_job(&source(&claim), model::maintain::Task::Prune, &due, "s3");
    let labels = json!({
        names::MANAGED_BY: names::MANAGER, names::INSTANCE: scene.name, names::COMPONENT: "maintain",
        names::SOURCE_PVC: "data", names::SOURCE_UID: source(&claim).uid, names::DESTINATION: "s3",
        names::DESTINATION_TYPE: names::RESTIC, names::TASK: "prune", names::RUN: RUN,
    });
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": prune, "namespace": scene.tenant, "labels": labels},
        "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "backup", "image": "none"}],
        }}},
    });
    scene.apply(&job).await?;
    ask(&scene, "data", "pvc=data date=latest from=s3").await?;
    let problem = answer(&scene, "data", RestoreState::Waiting).await?.problem;
    assert!(problem.as_ref().is_some_and(|p| p.reason == Reason::RepositoryLocked), "{problem:?}");
    ask(&scene, "snapshot", "pvc=data date=latest from=snapshot").await?;
    answer(&scene, "snapshot", RestoreState::Ready).await?;
    scene.api::<Job>(&scene.tenant).delete(&prune, &DeleteParams::background()).await?;
    answer(&scene, "data", RestoreState::Ready).await?;
    Ok(())
}
