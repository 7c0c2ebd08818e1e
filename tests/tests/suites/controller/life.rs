//! Namespaces that go.

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PersistentVolumeClaim};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::controller::{bind_disk, fence, with_disk};

/// F70: nothing is created in a namespace that is going, and nothing is tried there over and over.
#[tokio::test]
async fn a_namespace_that_is_going_is_left_alone() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let going = scene.namespace("going").await?;
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    let mut cronjobs = Vec::new();
    let mut claims = Vec::new();
    for number in 0..5 {
        let claim = scene.bound(&going, NewClaim::new(&format!("data-{number}"))).await?;
        cronjobs.push(scene.cronjob_of(&claim).await?);
        scene.event(&claim, "Protected").await?;
        claims.push(claim);
    }
    // Something in it keeps the namespace for as long as the test wants; a finalizer keeps the PVCs too.
    scene
        .apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "last", "namespace": going, "finalizers": ["example.com/last"]},
        }))
        .await?;
    for claim in &claims {
        let name = claim.metadata.name.clone().unwrap_or_default();
        let patch = Patch::Merge(json!({"metadata": {"finalizers": ["example.com/last"]}}));
        scene.api::<PersistentVolumeClaim>(&going).patch(&name, &PatchParams::default(), &patch).await?;
    }
    let before = scene.writes(controller.user())?.len();
    namespaces.delete(&going, &DeleteParams::default()).await?;
    for cronjob in &cronjobs {
        scene.gone(cronjob).await?;
    }
    // A run that was under way becomes ready to be copied now.
    fence(&scene, "fence").await?;
    let writes = scene.writes(controller.user())?;
    let refused: Vec<_> = writes[before..].iter().filter(|r| r.code >= 400).collect();
    assert_eq!(refused, Vec::<&dev_cluster::AuditedRequest>::new());
    let there: Vec<_> = writes[before..].iter().filter(|r| r.namespace == going).collect();
    assert_eq!(there, Vec::<&dev_cluster::AuditedRequest>::new());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    scene.api::<ConfigMap>(&going).patch("last", &PatchParams::default(), &release).await?;
    Ok(())
}

/// A copy that could start waits in vain when its namespace begins to go; it is not retried in a storm.
#[tokio::test]
async fn a_copy_does_not_start_in_a_namespace_that_is_going() -> Result<()> {
    let scene = Scene::new().await?;
    let controller = with_disk(&scene, "").await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    scene.point(&claim, "20260101T0000Z", &["disk"]).await?;
    bind_disk(&scene).await?;
    let job = scene.copy_of(&claim, "20260101T0000Z", "disk").await?;
    let before = scene.writes(controller.user())?.len();
    scene
        .apply(&json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "last", "namespace": scene.tenant, "finalizers": ["example.com/last"]},
        }))
        .await?;
    let namespaces: Api<Namespace> = Api::all(scene.client.clone());
    namespaces.delete(&scene.tenant, &DeleteParams::default()).await?;
    // The copy Job goes with it. Another is not made.
    scene.api::<Job>(&scene.tenant).delete(&job.name_any(), &DeleteParams::background()).await?;
    scene.gone(&job).await?;
    let other = scene.namespace("other").await?;
    let marker = scene.bound(&other, NewClaim::new("marker")).await?;
    scene.event(&marker, "Protected").await?;
    let writes = scene.writes(controller.user())?;
    let refused: Vec<_> = writes[before..].iter().filter(|r| r.namespace == scene.tenant && r.code >= 400).collect();
    assert!(refused.len() <= 2, "{refused:?}");
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    scene.api::<ConfigMap>(&scene.tenant).patch("last", &PatchParams::default(), &release).await?;
    Ok(())
}
