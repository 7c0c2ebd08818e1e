//! Templates: Kubernetes' controllers give their labels to what they make of them, so the labels are ours there too.

use anyhow::{Context as _, Result, ensure};
use model::names;
use serde_json::{Value, json};

use crate::guard::stage::{Actor, RESERVED, Stage, TEMPLATES, Verb};

/// The kinds with templates, each with the places of its templates' labels.
const KINDS: [(&str, &str, &[&str]); 8] = [
    ("v1", "PodTemplate", &["/template"]),
    ("v1", "ReplicationController", &["/spec/template"]),
    ("apps/v1", "Deployment", &["/spec/template"]),
    ("apps/v1", "ReplicaSet", &["/spec/template"]),
    ("apps/v1", "DaemonSet", &["/spec/template"]),
    ("apps/v1", "StatefulSet", &["/spec/template", "/spec/volumeClaimTemplates/0"]),
    ("batch/v1", "Job", &["/spec/template"]),
    ("batch/v1", "CronJob", &["/spec/jobTemplate", "/spec/jobTemplate/spec/template"]),
];

/// An object of that kind which starts nothing: a `PodTemplate`, a CronJob that is suspended, and so on.
fn object(stage: &Stage, version: &str, kind: &str) -> Value {
    let pod = json!({
        "metadata": {"labels": {"app": "x"}},
        "spec": {"restartPolicy": "Always", "containers": [{"name": "backup", "image": "i"}]},
    });
    let mut once = pod.clone();
    once["spec"]["restartPolicy"] = json!("Never");
    let selected = json!({"selector": {"matchLabels": {"app": "x"}}, "template": pod});
    let mut object = json!({
        "apiVersion": version, "kind": kind,
        "metadata": {"name": kind.to_lowercase(), "namespace": stage.namespace, "labels": {"app": "x"}},
    });
    match kind {
        "PodTemplate" => object["template"] = pod,
        "ReplicationController" => object["spec"] = json!({"replicas": 0, "template": pod}),
        "Job" => object["spec"] = json!({"suspend": true, "template": once}),
        "CronJob" => {
            object["spec"] = json!({
                "schedule": "0 0 1 1 *", "suspend": true,
                "jobTemplate": {"metadata": {"labels": {"app": "x"}}, "spec": {"template": once}},
            });
        }
        _ => {
            object["spec"] = selected;
            if kind != "DaemonSet" {
                object["spec"]["replicas"] = json!(0);
            }
        }
    }
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!("x");
        object["spec"]["volumeClaimTemplates"] = json!([{
            "metadata": {"name": "data", "labels": {"app": "x"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }]);
    }
    object
}

/// With the labels of a copy, but those of another installation, in one of its templates.
fn labelled(stage: &Stage, object: &Value, place: &str, instance: &str) -> Result<Value> {
    let mut object = object.clone();
    let mut labels = stage.fixture("copy")?["metadata"]["labels"].clone();
    labels["app"] = json!("x");
    labels[names::INSTANCE] = json!(instance);
    object.pointer_mut(place).context(place.to_owned())?["metadata"]["labels"] = labels;
    Ok(object)
}

/// S2: a CronJob with our labels in its template, even a suspended one, makes Jobs by the hand of kube-system.
#[tokio::test]
async fn a_tenant_puts_no_label_of_ours_into_a_template() -> Result<()> {
    let stage = Stage::new("templates").await?;
    for (version, kind, places) in KINDS {
        let plain = object(&stage, version, kind);
        for place in places {
            let ours = labelled(&stage, &plain, place, "backup")?;
            for actor in [Actor::Owner, Actor::OtherInstallation, Actor::KubeSystem] {
                stage.refused(&format!("{kind} {place}"), actor, Verb::Create, &ours, TEMPLATES).await?;
            }
            // The role `edit` has no PodTemplates.
            if kind != "PodTemplate" {
                stage.refused(&format!("{kind} {place}"), Actor::Tenant, Verb::Create, &ours, TEMPLATES).await?;
                stage
                    .refused(&format!("{kind} {place}"), Actor::TenantsProgram, Verb::Create, &ours, TEMPLATES)
                    .await?;
            }
            for (actor, made) in [(Actor::CronJobController, "Job"), (Actor::DeploymentController, "ReplicaSet")] {
                if kind == made {
                    stage.refused("not of ours", actor, Verb::Create, &ours, TEMPLATES).await?;
                }
            }
            stage.passes("an administrator's", Actor::ClusterAdmin, Verb::Try, &ours).await?;
            let theirs = labelled(&stage, &plain, place, "two")?;
            stage.passes("another installation's", Actor::Owner, Verb::Try, &theirs).await?;
        }
        stage.passes(kind, Actor::Owner, Verb::Create, &plain).await?;
        stage
            .passes(
                "a label of his own",
                Actor::Owner,
                Verb::Merge(json!({"metadata": {"labels": {"x": "y"}}})),
                &plain,
            )
            .await?;
        // Later, where it can be changed later. A Job's template can while the Job is suspended.
        for place in places.iter().filter(|place| !place.contains("volumeClaimTemplates")) {
            let mut patch = json!({"metadata": {"labels": {names::INSTANCE: "backup"}}});
            for step in place.split('/').filter(|step| !step.is_empty()).rev() {
                patch = json!({step: patch});
            }
            stage.refused(&format!("{kind} later"), Actor::Owner, Verb::Merge(patch), &plain, TEMPLATES).await?;
        }
    }
    Ok(())
}

/// A pod can have PVCs made for itself, with labels.
#[tokio::test]
async fn a_pod_has_no_claim_with_our_labels_made() -> Result<()> {
    let stage = Stage::new("own-claims").await?;
    let labels = stage.fixture("promoter")?["metadata"]["labels"].clone();
    let volume = |name: &str, labels: &Value| {
        json!({"name": name, "ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": labels}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
        }}}})
    };
    let pod = |volumes: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": stage.namespace},
            "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes},
        })
    };
    let plain = json!({"app": "x"});
    let forged = pod(json!([volume("a", &plain), volume("b", &labels)]));
    for actor in [Actor::Tenant, Actor::TenantsProgram, Actor::Owner, Actor::JobController] {
        stage.refused("a claim of ours", actor, Verb::Create, &forged, TEMPLATES).await?;
    }
    stage.passes("a claim of his own", Actor::Tenant, Verb::Create, &pod(json!([volume("a", &plain)]))).await?;
    // The claims themselves, whatever they are made from.
    for (actor, kind) in [(Actor::EphemeralVolumeController, "Pod"), (Actor::StatefulSetController, "StatefulSet")] {
        let mut claim = stage.claim("x-b");
        claim["metadata"]["labels"] = labels.clone();
        claim["metadata"]["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": kind, "name": "x", "uid": "u", "controller": true}]);
        stage.refused("a claim", actor, Verb::Create, &claim, RESERVED).await?;
    }
    Ok(())
}

/// The tenant's Deployment, ours to fill, and what Kubernetes makes of it.
#[tokio::test]
async fn a_restore_pod_comes_from_the_deployment_that_requests_it() -> Result<()> {
    let stage = Stage::new("restore-pods").await?;
    let labels = json!({"restore": "x", names::INSTANCE: "backup", names::COMPONENT: "restore"});
    let mut of_pods = labels.clone();
    of_pods[names::MANAGED_BY] = json!(names::MANAGER);
    let requests = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {
            "name": "restore-mypvc", "namespace": stage.namespace, "labels": labels,
            "annotations": {names::RESTORE_FROM: "pvc=mypvc date=20181202"},
        },
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"restore": "x"}},
            "template": {"metadata": {"labels": of_pods}, "spec": {
                "automountServiceAccountToken": false, "containers": [{"name": "backup", "image": "backup-mover"}],
            }},
        },
    });
    let with = |place: &str, key: &str, value: &str| {
        let mut object = requests.clone();
        object.pointer_mut(place).expect(place)[key] = json!(value);
        object
    };
    let (own, pods) = ("/metadata/labels", "/spec/template/metadata/labels");
    let mut silent = requests.clone();
    silent["metadata"]["annotations"] = json!({});
    for (what, object, words) in [
        ("one that requests nothing", &silent, RESERVED),
        ("another component", &with(own, names::COMPONENT, "copy"), RESERVED),
        ("a source", &with(own, names::SOURCE_UID, "u"), RESERVED),
        ("pods of another component", &with(pods, names::COMPONENT, "copy"), TEMPLATES),
        ("pods of a run", &with(pods, names::RUN, "20181202T0000Z"), TEMPLATES),
        ("pods of a source", &with(pods, names::SOURCE_UID, "u"), TEMPLATES),
    ] {
        stage.refused(what, Actor::Tenant, Verb::Create, object, words).await?;
    }
    stage.passes("a tenant requests", Actor::Tenant, Verb::Create, &requests).await?;
    let filled = stage.fixture("restore")?;
    stage.passes("the pod", Actor::Controller, Verb::Apply("backup-controller/restore"), &filled).await?;
    stage
        .comes("the Deployment has its pod", async || {
            let deployment = stage.object(&requests).await?.context("no Deployment")?;
            let status = &deployment.data["status"];
            ensure!(status["replicas"] == 1 && status["updatedReplicas"] == 1, "{status}");
            Ok(())
        })
        .await?;
    let image = json!({"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}});
    stage.passes("the tenant changes it", Actor::Tenant, Verb::Merge(image), &requests).await?;
    for (what, patch, words) in [
        (
            "its pods' source",
            json!({"spec": {"template": {"metadata": {"labels": {names::SOURCE_UID: "x"}}}}}),
            TEMPLATES,
        ),
        (
            "its pods' component",
            json!({"spec": {"template": {"metadata": {"labels": {names::COMPONENT: "copy"}}}}}),
            TEMPLATES,
        ),
        ("its source", json!({"metadata": {"labels": {names::SOURCE_UID: "x"}}}), RESERVED),
    ] {
        stage.refused(what, Actor::Tenant, Verb::Merge(patch), &requests, words).await?;
    }
    let stop = json!({"spec": {"replicas": 0}});
    stage.passes("the tenant stops it", Actor::Tenant, Verb::Merge(stop), &requests).await?;
    stage.passes("the tenant takes it away", Actor::Tenant, Verb::Delete, &requests).await
}
