//! How far a restore pod is, by what the API server shows of it.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use model::names;
use model::reason::Problem;
use model::record::{RestoreRecord, RestoreState};

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The controller has not said anything yet.
    Unanswered,
    /// Something is awaited.
    Waiting(String),
    /// The controller refuses it.
    Refused(Problem),
    /// The pod runs.
    Ready {
        pod: String,
        /// The restore point that it has, in the controller's words.
        point: String,
    },
}

impl Stage {
    /// The line for a person.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Unanswered => "waiting for the controller's answer".to_owned(),
            Self::Waiting(what) => what.clone(),
            Self::Refused(problem) => problem.to_string(),
            Self::Ready { pod, point } => format!("pod {pod} has restore point {point}"),
        }
    }
}

/// How far the restore pod of a Deployment is; `request` is what it asks for.
pub(crate) fn stage<'a>(deployment: &Deployment, pods: impl Iterator<Item = &'a Pod>, request: &str) -> Stage {
    let annotations = deployment.metadata.annotations.as_ref();
    let record = annotations.and_then(|a| a.get(names::RESTORE_STATUS));
    let record = record.and_then(|text| serde_json::from_str::<RestoreRecord>(text).ok());
    let mark = names::run_now_mark(request);
    let Some(record) = record.filter(|r| r.request == mark) else { return Stage::Unanswered };
    match (record.state, record.problem) {
        (RestoreState::Refused, Some(problem)) => return Stage::Refused(problem),
        (RestoreState::Waiting, problem) => {
            let what = problem.map_or_else(|| " for the restore point".to_owned(), |p| format!(": {p}"));
            return Stage::Waiting(format!("the controller waits{what}"));
        }
        _ => {}
    }
    let point = record.point.unwrap_or_default();
    let mut waits = None;
    for pod in pods.filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let name = pod.metadata.name.clone().unwrap_or_default();
        match waiting(pod) {
            None => return Stage::Ready { pod: name, point },
            Some(what) => waits = Some(format!("pod {name}: {what}")),
        }
    }
    Stage::Waiting(waits.or_else(|| no_pod(deployment)).unwrap_or_else(|| "waiting for the pod".to_owned()))
}

/// Why there is no pod: a quota or a policy refuses it.
fn no_pod(deployment: &Deployment) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_deref()?;
    let failure = conditions.iter().find(|c| c.type_ == "ReplicaFailure" && c.status == "True")?;
    Some(format!("the pod cannot be created: {}", failure.message.as_deref().unwrap_or_default()))
}

/// What a pod waits for; `None`: it is ready.
fn waiting(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|c| c.type_ == kind);
    if condition("Ready").is_some_and(|c| c.status == "True") {
        return None;
    }
    let containers = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    let container = containers.iter().find(|c| c.name == names::CONTAINER);
    Some(
        condition("PodScheduled")
            .filter(|c| c.status == "False")
            .map(unscheduled)
            .or_else(|| container.and_then(of_container))
            .unwrap_or_else(|| "it is being scheduled".to_owned()),
    )
}

fn unscheduled(condition: &PodCondition) -> String {
    format!("no node can run it: {}", condition.message.as_deref().unwrap_or("the scheduler gives no reason"))
}

fn of_container(container: &ContainerStatus) -> Option<String> {
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        return Some(match waiting.message.as_deref() {
            Some(message) if !message.is_empty() => format!("{reason}: {message}"),
            _ if reason == "ContainerCreating" => {
                "its volumes are being mounted and its image is being pulled".to_owned()
            }
            _ => reason.to_owned(),
        });
    }
    if let Some(ended) = &state.terminated {
        return Some(format!("its container ended with exit code {}", ended.exit_code));
    }
    Some("its container has started".to_owned())
}
