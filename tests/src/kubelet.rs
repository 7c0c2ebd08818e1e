//! The test as the kubelet: pods of Jobs stay Pending, as there is no node, until a test ends them. The
//! real Job controller then completes or fails the Job.

use anyhow::Result;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, Patch, PatchParams, PostParams, Request};
use kube::{Api, ResourceExt};
use model::reason::Reason;
use model::record::{CopyResult, CopyState};
use serde_json::{Value, json};

use crate::scene::Scene;

/// A copy's result as a mover leaves it.
#[must_use]
pub fn copied(state: CopyState, reason: Option<Reason>) -> CopyResult {
    CopyResult {
        reason,
        message: reason.map(|r| r.help().to_owned()).unwrap_or_default(),
        files: 42,
        bytes: 4096,
        written: 1024,
        seconds: 1,
        ..CopyResult::new(state, model::Timestamp::now())
    }
}

impl Scene {
    /// Waits for the pod that the Job controller made.
    pub async fn pod_of(&self, job: &Job) -> Result<Pod> {
        let label = format!("batch.kubernetes.io/job-name={}", job.name_any());
        let pods: Api<Pod> = self.api(&job.namespace().unwrap_or_default());
        let what = format!("a pod of Job {}", job.name_any());
        let open = |p: &Pod| {
            let phase = p.status.as_ref().and_then(|s| s.phase.as_deref());
            !matches!(phase, Some("Succeeded" | "Failed")) && p.metadata.deletion_timestamp.is_none()
        };
        self.wait(&what, async || {
            Ok(pods.list(&ListParams::default().labels(&label)).await?.items.into_iter().find(open))
        })
        .await
    }

    /// Ends a pod.
    pub async fn end_pod(&self, pod: &Pod, exit: i32, message: &str) -> Result<()> {
        let now = model::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let state = json!({"terminated": {
            "exitCode": exit, "message": message, "reason": if exit == 0 { "Completed" } else { "Error" },
            "startedAt": now, "finishedAt": now,
        }});
        self.pod_status(pod, if exit == 0 { "Succeeded" } else { "Failed" }, &state).await
    }

    /// The pod cannot start: its container waits for this.
    pub async fn hold_pod(&self, pod: &Pod, reason: &str, message: &str) -> Result<()> {
        self.pod_status(pod, "Pending", &json!({"waiting": {"reason": reason, "message": message}})).await
    }

    /// What a kubelet says of a pod whose volumes it cannot mount.
    pub async fn not_mounted(&self, pod: &Pod, words: &str) -> Result<()> {
        let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
        let now = model::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let event: Event = serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{name}.mount"), "namespace": namespace},
            "involvedObject": {
                "apiVersion": "v1", "kind": "Pod", "name": name, "namespace": namespace, "uid": pod.uid(),
            },
            "reason": "FailedMount", "message": words, "type": "Warning", "source": {"component": "kubelet"},
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        }))?;
        self.api::<Event>(&namespace).create(&PostParams::default(), &event).await?;
        Ok(())
    }

    /// The pod's container runs.
    pub async fn run_pod(&self, pod: &Pod) -> Result<()> {
        let now = model::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        self.pod_status(pod, "Running", &json!({"running": {"startedAt": now}})).await
    }

    async fn pod_status(&self, pod: &Pod, phase: &str, state: &Value) -> Result<()> {
        let pods: Api<Pod> = self.api(&pod.namespace().unwrap_or_default());
        let container = pod.spec.as_ref().and_then(|s| s.containers.first()).map(|c| c.name.clone());
        let patch = Patch::Merge(json!({"status": {"phase": phase, "containerStatuses": [{
            "name": container, "image": "none", "imageID": "", "ready": false, "restartCount": 0, "state": state,
        }]}}));
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Puts a pod on a node, as the scheduler does.
    pub async fn place_pod(&self, pod: &Pod, node: &str) -> Result<()> {
        let path = format!("/api/v1/namespaces/{}/pods", pod.namespace().unwrap_or_default());
        let binding = json!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": pod.name_any()},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        });
        let request = Request::new(path).create_subresource(
            "binding",
            &pod.name_any(),
            &kube::api::PostParams::default(),
            serde_json::to_vec(&binding)?,
        )?;
        self.client.request::<Value>(request).await?;
        Ok(())
    }

    /// Ends the pod of a copy Job with a result, as the mover does.
    pub async fn finish(&self, job: &Job, result: &CopyResult) -> Result<()> {
        let exit = match result.state {
            CopyState::Complete => 0,
            _ => 3,
        };
        let pod = self.pod_of(job).await?;
        self.end_pod(&pod, exit, &serde_json::to_string(result)?).await
    }
}
