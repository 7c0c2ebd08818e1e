//! What this process alone has learnt, and a restart loses. Each is learnt again by the next try.

use std::collections::{BTreeMap, HashMap, HashSet};

use k8s_openapi::jiff::Timestamp;

use crate::facts::{MountFailure, PodRefusal};
use crate::names::Run;
use crate::reason::Problem;

/// What the process has learnt from its own requests, and no watch tells.
#[derive(Debug, Default)]
pub struct Memory {
    /// By pod that does not start (its UID): why its volumes do not come, if somebody says so. It is asked once, when
    /// the pod's time is over.
    pub mount_failures: HashMap<String, Option<MountFailure>>,
    /// By Job that gets no pod (its UID): why, if somebody says so. It is asked once, when the time of its pod is over.
    pub pod_refusals: HashMap<String, Option<PodRefusal>>,
    /// The Jobs that ended (their UIDs) whose pods were listed, because no watch had seen what they told.
    pub listed: HashSet<String>,
    /// By source: the last step that the API server refused, until one succeeds.
    pub faults: HashMap<String, Problem>,
    /// By source: why what people are shown of it cannot be written there, until it can (A13).
    pub not_shown: HashMap<String, Problem>,
    /// By who asks for a restore (its UID): what the API server refused, until that succeeds.
    pub restore_faults: HashMap<String, Problem>,
    /// By source, by destination: the newest drill whose content was refused, which only who looked at it knows, until
    /// it is the drill's end.
    pub(crate) refused_drills: HashMap<String, BTreeMap<String, (Run, Problem)>>,
    /// By source, by run and destination: the same of copies, until the ledger has it.
    pub(crate) refused_copies: HashMap<String, BTreeMap<(Run, String), Problem>>,
    /// By PVC that asks for a restore (its UID): what it asks for, and why its volume cannot be lent, which only who looked
    /// at the volume knows, until it is the restore's end.
    pub(crate) refused_restores: HashMap<String, (String, Problem)>,
    /// By source: what admission lets its newest copy wait for.
    pub waits: HashMap<String, Problem>,
    /// By namespace in which a restore is asked for: since when its pods are to be listed, until they are.
    pub(crate) unlisted: BTreeMap<String, Timestamp>,
    /// Since when this process has seen all objects. What happened before, the objects alone tell, and etcd may have gone
    /// back before that (L20).
    pub watching: Option<Timestamp>,
    /// Since when plans go by the configuration in force, as far as this process knows.
    pub configured: Option<Timestamp>,
}

impl Memory {
    /// Nothing is left of a source.
    pub(super) fn forget(&mut self, uid: &str) {
        self.faults.remove(uid);
        self.not_shown.remove(uid);
        self.refused_drills.remove(uid);
        self.refused_copies.remove(uid);
        self.refused_restores.remove(uid);
        self.waits.remove(uid);
    }
}
