//! What `kubectl backup plan` says before the installation is what the controller then does.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use backup_controller_tests::{NewClaim, Scene, binaries};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use model::names;
use serde_json::{Value, json};

use crate::controller::{disk, has_arg};

/// The plan of a namespace with a configuration, and how the command ended.
fn plan(scene: &Scene, namespace: &str, config: &str) -> Result<(Value, Option<i32>)> {
    let file = scene.dir.join("plan.yaml");
    std::fs::write(&file, config)?;
    let output = Command::new(binaries::path("kubectl-backup")?)
        .args(["plan", "-n", namespace, "-o", "json", "-f"])
        .arg(&file)
        .arg(format!("--kubeconfig={}", scene.plane.kubeconfig_path().display()))
        .args([format!("--instance={}", scene.name), format!("--backup-namespace={}", scene.home)])
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok((serde_json::from_slice(&output.stdout).context(told)?, output.status.code()))
}

/// The sources of the test, each of another kind.
async fn sources(scene: &Scene) -> Result<Vec<PersistentVolumeClaim>> {
    let tenant = &scene.tenant;
    let annotated = |name: &str, key: &str, value: &str| NewClaim::new(name).annotate(key, value);
    scene.annotate_namespace(tenant, &[(names::TIME_ZONE, Some("Europe/Amsterdam"))]).await?;
    let mut all = vec![
        scene.bound(tenant, NewClaim::new("data")).await?,
        scene.bound(tenant, annotated("orders", names::SCHEDULE, "H H(2-4) * * *")).await?,
        scene.bound(tenant, annotated("after", names::SCHEDULE, "@after 12h")).await?,
        scene.bound(tenant, annotated("typo", names::RETENTION, "2 fortnights")).await?,
        scene.bound(tenant, annotated("alone", names::DESTINATION_SETTING, "none")).await?,
        scene.bound(tenant, annotated("off", names::ENABLED, "false")).await?,
        scene.bound(tenant, annotated("wrong", names::SNAPSHOT_CLASS, "no-such-class")).await?,
        scene.claim(tenant, NewClaim::new("pending")).await?,
    ];
    let plain = scene.claim(tenant, NewClaim::new("plain")).await?;
    all.push(scene.bind_without_csi(&plain).await?);
    Ok(all)
}

#[tokio::test]
async fn the_plan_before_the_installation_is_what_the_controller_does() -> Result<()> {
    let scene = Scene::new().await?;
    let sources = Box::pin(sources(&scene)).await?;
    let out = scene.namespace("left-out").await?;
    let left = scene.bound(&out, NewClaim::new("data")).await?;
    let more = "defaults: {schedule: 'H H(0-5) * * *', retention: daily=7, destinations: [disk]}\n";
    let config = format!("{}{more}", disk(&scene));
    // As a controller of the scene has it.
    let whole =
        format!("selection: {{namespaces: {{include: [{}-*], exclude: ['*-left-out']}}}}\n{config}", scene.name);
    let (planned, ended) = plan(&scene, &scene.tenant, &whole)?;
    let (elsewhere, _) = plan(&scene, &out, &whole)?;
    assert_eq!(ended, Some(3), "{planned:#}");
    assert_eq!(elsewhere["volumes"][0]["findings"][0]["reason"], "NamespaceExcluded", "{elsewhere:#}");

    let _controller = scene.controller(&config).await?;
    for claim in &sources {
        let name = claim.name_any();
        let rows = planned["volumes"].as_array().context("no volumes")?;
        let row = rows.iter().find(|row| row["name"] == *name).with_context(|| format!("{name} is not in the plan"))?;
        if row["protected"] == "yes" {
            let cronjob = scene.cronjob_of(claim).await?;
            let spec = cronjob.spec.clone().context("a CronJob without a spec")?;
            let how = &row["how"];
            if how["schedule"]["value"].as_str().is_some_and(|s| s.starts_with("@after")) {
                assert_eq!(spec.suspend, Some(true), "{name}: the controller starts its runs");
            } else {
                assert_eq!(how["schedule"]["value"], spec.schedule, "{name}");
            }
            assert_eq!(how["timeZone"]["value"].as_str(), spec.time_zone.as_deref(), "{name}");
            let retention = how["retention"]["value"].as_str().unwrap_or_default();
            assert!(has_arg(&cronjob, &format!("--retention={retention}")), "{name}: {retention} {cronjob:?}");
            let class = how["snapshotClass"].as_str().unwrap_or_default();
            assert!(has_arg(&cronjob, &format!("--snapshot-class={class}")), "{name}: {class}");
        } else if name == "off" || name == "pending" {
            // A choice, and what is only new, have no record.
            assert!(scene.cronjobs_of(claim).await?.is_empty(), "{name}");
        } else {
            let status = scene.status_that("unprotected", claim, |s| s.unprotected.is_some()).await?;
            let problem = status.unprotected.context("it is protected")?;
            let told = &row["findings"][0];
            assert_eq!(
                (&told["reason"], &told["message"]),
                (&json!(problem.reason), &json!(problem.message)),
                "{name}"
            );
            assert!(scene.cronjobs_of(claim).await?.is_empty(), "{name}");
        }
    }
    assert!(scene.cronjobs_of(&left).await?.is_empty());

    // The installation changes nothing in the answer but the time, and the place that an unreadable setting comes from.
    let (again, _) = plan(&scene, &scene.tenant, &whole)?;
    let settings = |plan: &Value| -> Result<Vec<Value>> {
        let rows = plan["volumes"].as_array().context("no volumes")?;
        Ok(rows
            .iter()
            .map(|r| json!([r["name"], r["protected"], r["rules"], r["how"]["schedule"]["value"], r["findings"]]))
            .collect())
    };
    assert_eq!(settings(&again)?, settings(&planned)?);
    ensure!(settings(&planned)?.len() == sources.len(), "{planned:#}");
    Ok(())
}
