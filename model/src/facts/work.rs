//! What runs: Jobs, their pods, and CronJobs.

use k8s_openapi::api::batch::v1::{CronJob as ApiCronJob, Job as ApiJob};
use k8s_openapi::api::core::v1::Pod as ApiPod;
use k8s_openapi::jiff::Timestamp;

use super::ours::{Identity, Ours, created, namespace};
use crate::duration::Span;
use crate::names;

/// How a Job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Waiting or running.
    Active,
    /// Its condition `Complete` holds.
    Complete,
    /// Its condition `Failed` holds.
    Failed,
}

/// A Job of ours: snapshot, copy or keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its namespace.
    pub namespace: String,
    /// Name, UID, version.
    pub id: Identity,
    /// Our labels.
    pub ours: Option<Ours>,
    /// The namespace of its source, if it runs in another one.
    pub source_namespace: Option<String>,
    /// The full name of its source.
    pub source_name: Option<String>,
    /// When it was created.
    pub created: Timestamp,
    /// How it stands.
    pub state: JobState,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Kubernetes' reason and message, if it failed or is about to: its pods are ended before it has.
    pub failure: Option<(String, String)>,
    /// How many of its pods failed, also of those that are gone.
    pub failed: usize,
    /// The PVCs that its pods mount.
    pub mounts: Vec<String>,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl Job {
    /// Whether a pod is one of this Job's.
    ///
    /// The Job controller adopts any pod that carries the Job's `controller-uid` label, so an owner reference alone proves
    /// nothing. The guard reserves our labels, so the labels alone prove only that some Job of ours made it.
    #[must_use]
    pub fn has(&self, pod: &Pod) -> bool {
        pod.namespace == self.namespace
            && pod.owner.as_deref() == Some(self.id.uid.as_str())
            && pod.ours.is_some()
            && pod.ours == self.ours
    }

    /// Until when the message of a pod of a Job that ended may still be on its way.
    #[must_use]
    pub fn told_until(&self) -> Timestamp {
        self.ended.map_or(Timestamp::UNIX_EPOCH, |ended| Span::from_secs(10).after(ended))
    }
}

impl From<&ApiJob> for Job {
    fn from(job: &ApiJob) -> Self {
        let meta = &job.metadata;
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|a| a.get(key)).cloned();
        let conditions = job.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
        let holds = |kind: &str| conditions.iter().find(|c| c.type_ == kind && c.status == "True");
        let failed = holds("Failed");
        let pod = job.spec.as_ref().and_then(|s| s.template.spec.as_ref());
        Self {
            namespace: namespace(meta),
            id: Identity::of(meta),
            ours: Ours::read(meta),
            source_namespace: annotation(names::SOURCE_NAMESPACE),
            source_name: annotation(names::SOURCE_NAME),
            created: created(meta),
            state: if failed.is_some() {
                JobState::Failed
            } else if holds("Complete").is_some() {
                JobState::Complete
            } else {
                JobState::Active
            },
            ended: failed
                .or_else(|| holds("Complete"))
                .map(|c| c.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0)),
            failure: failed
                .or_else(|| holds("FailureTarget"))
                .map(|c| (c.reason.clone().unwrap_or_default(), c.message.clone().unwrap_or_default())),
            failed: job.status.as_ref().and_then(|s| s.failed).and_then(|n| n.try_into().ok()).unwrap_or(0),
            mounts: pod
                .and_then(|p| p.volumes.as_ref())
                .into_iter()
                .flatten()
                .filter_map(|v| v.persistent_volume_claim.as_ref().map(|c| c.claim_name.clone()))
                .collect(),
            terminating: meta.deletion_timestamp.is_some(),
        }
    }
}

/// A pod of one of our Jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The name of its Job, as its label has it.
    pub job: String,
    /// The UID of the Job that controls it.
    pub owner: Option<String>,
    /// Our labels.
    pub ours: Option<Ours>,
    /// When it was created.
    pub created: Timestamp,
    /// The node it runs on.
    pub node: Option<String>,
    /// Whether our container runs, or ran. A pod that has a node may still hang there for its volumes.
    pub started: bool,
    /// Our container's termination message and exit code.
    pub ended: Option<(i32, String)>,
    /// A1: since when our container has ended while another one of the pod runs on.
    pub outlived: Option<Timestamp>,
    /// Why its container does not start (F38).
    pub stuck: Option<Stuck>,
    /// Why the scheduler does not place it.
    pub unschedulable: Option<Unschedulable>,
}

/// Why the container of a pod does not start, as its kubelet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// The reason.
    pub reason: String,
    /// The message.
    pub message: String,
    /// Whether a folder that it mounts cannot be used: it is not there, or a link is in its place. Only the message says so.
    pub no_folder: bool,
}

/// Why a pod has no node, as the scheduler says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unschedulable {
    /// The message.
    pub message: String,
    /// Whether its volumes are on different nodes. Only the message says so.
    pub volumes_apart: bool,
}

impl From<&ApiPod> for Pod {
    fn from(pod: &ApiPod) -> Self {
        let (meta, status) = (&pod.metadata, pod.status.as_ref());
        let label = |key: &str| meta.labels.as_ref().and_then(|l| l.get(key)).cloned();
        // The kubelet sorts them by name, and an injected sidecar may come first.
        let containers = status.and_then(|s| s.container_statuses.as_ref());
        let container = containers.and_then(|c| c.iter().find(|c| c.name == names::CONTAINER));
        let state = container.and_then(|c| c.state.as_ref());
        Self {
            namespace: namespace(meta),
            name: meta.name.clone().unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            job: label("batch.kubernetes.io/job-name").unwrap_or_default(),
            owner: meta
                .owner_references
                .iter()
                .flatten()
                .find(|o| o.kind == "Job" && o.controller == Some(true))
                .map(|o| o.uid.clone()),
            ours: Ours::read(meta),
            created: created(meta),
            node: pod.spec.as_ref().and_then(|s| s.node_name.clone()),
            started: state.is_some_and(|s| s.running.is_some() || s.terminated.is_some()),
            ended: state
                .and_then(|s| s.terminated.as_ref())
                .map(|t| (t.exit_code, t.message.clone().unwrap_or_default())),
            outlived: state
                .and_then(|s| s.terminated.as_ref())
                .filter(|_| status.and_then(|s| s.phase.as_deref()) == Some("Running"))
                .map(|t| t.finished_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0)),
            stuck: state
                .and_then(|s| s.waiting.as_ref())
                .map(|w| (w.reason.clone().unwrap_or_default(), w.message.clone().unwrap_or_default()))
                .filter(|(reason, _)| !matches!(reason.as_str(), "" | "ContainerCreating" | "PodInitializing"))
                .map(|(reason, message)| Stuck {
                    no_folder: reason == "CreateContainerConfigError" && message.contains("subPath"),
                    reason,
                    message,
                }),
            unschedulable: status
                .and_then(|s| s.conditions.as_ref())
                .into_iter()
                .flatten()
                .find(|c| c.type_ == "PodScheduled" && c.status == "False")
                .map(|c| c.message.clone().unwrap_or_default())
                .map(|message| Unschedulable {
                    volumes_apart: message.contains("volume node affinity conflict"),
                    message,
                }),
        }
    }
}

/// A CronJob of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronJob {
    /// Name, UID, version.
    pub id: Identity,
    /// Our labels.
    pub ours: Option<Ours>,
    /// The hash of what was applied.
    pub applied: Option<String>,
    /// What somebody may have edited: schedule, time zone, suspended.
    pub spec: (String, Option<String>, bool),
    /// How long after the end of the last run the next one starts, if that is what its schedule says.
    pub after: Option<Span>,
    /// When it last fired.
    pub last: Option<Timestamp>,
    /// Whether it is being deleted.
    pub terminating: bool,
}

impl From<&ApiCronJob> for CronJob {
    fn from(cronjob: &ApiCronJob) -> Self {
        let (meta, spec) = (&cronjob.metadata, cronjob.spec.as_ref());
        Self {
            id: Identity::of(meta),
            ours: Ours::read(meta),
            applied: meta.annotations.as_ref().and_then(|a| a.get(names::APPLIED)).cloned(),
            spec: (
                spec.map(|s| s.schedule.clone()).unwrap_or_default(),
                spec.and_then(|s| s.time_zone.clone()),
                spec.and_then(|s| s.suspend).unwrap_or(false),
            ),
            after: meta.annotations.as_ref().and_then(|a| a.get(names::AFTER)).and_then(|t| t.parse().ok()),
            last: cronjob.status.as_ref().and_then(|s| s.last_schedule_time.as_ref()).map(|t| t.0),
            terminating: meta.deletion_timestamp.is_some(),
        }
    }
}
