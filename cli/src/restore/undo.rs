//! What has to be taken back at the end, whatever happens.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::names;

use super::workload::Workload;

/// One thing to take back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Undo {
    /// A Deployment or ConfigMap of a restore pod, to be deleted.
    Delete {
        /// As RBAC names it.
        resource: &'static str,
        name: String,
    },
    /// A PVC that the command made, and into which nothing was written yet.
    Claim { name: String, uid: String },
    /// What the controller is asked for by an annotation on a PVC, to be withdrawn.
    Ask {
        pvc: String,
        /// What is asked for: another request is another one's.
        request: String,
    },
    /// The replicas that something had.
    Scale {
        workload: Workload,
        /// How many it had.
        replicas: i32,
    },
}

impl Undo {
    /// How a person does it.
    fn command(&self, namespace: &str) -> String {
        match self {
            Self::Delete { resource, name } => format!("kubectl delete {resource} {name} -n {namespace}"),
            Self::Claim { name, .. } => format!("kubectl delete pvc {name} -n {namespace}"),
            Self::Ask { pvc, .. } => format!("kubectl annotate pvc {pvc} {}- -n {namespace}", names::RESTORE_FROM),
            Self::Scale { workload, replicas } => {
                let key = names::REPLICAS_BEFORE;
                format!(
                    "kubectl scale {workload} --replicas={replicas} -n {namespace} && kubectl annotate {workload} {key}- \
                     -n {namespace}"
                )
            }
        }
    }
}

/// All that is left to take back; shared with who hears signals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left {
    namespace: String,
    list: Arc<Mutex<Vec<Undo>>>,
    /// L10: whether the volume may hold a mixture of old data and the restore point.
    mixture: Arc<AtomicBool>,
}

impl Left {
    pub(crate) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), list: Arc::default(), mixture: Arc::default() }
    }

    /// Says whether the volume may hold a mixture: the application does not start on one by itself.
    pub(crate) fn set_mixture(&self, mixture: bool) {
        self.mixture.store(mixture, Ordering::SeqCst);
    }

    pub(crate) fn is_mixture(&self) -> bool {
        self.mixture.load(Ordering::SeqCst)
    }

    /// To be called before the deed: one that was not done is taken back without harm.
    pub(crate) fn add(&self, undo: Undo) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(undo);
    }

    /// It is taken back, or was not done.
    pub(crate) fn done(&self, undo: &Undo) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).retain(|u| u != undo);
    }

    /// U12: from now on something may be written into the PVC that the command made, so it stays. Gives how it is deleted
    /// all the same, if nothing was written.
    pub(crate) fn keep_claim(&self) -> Option<Undo> {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let found = list.iter().position(|undo| matches!(undo, Undo::Claim { .. }));
        found.map(|at| list.remove(at))
    }

    /// The newest first; but what gets its replicas back must not meet the restore pod at its volume, and a PVC goes when
    /// no restore pod has it any more.
    pub(crate) fn all(&self) -> Vec<Undo> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let (scaled, others): (Vec<Undo>, Vec<Undo>) =
            list.iter().rev().cloned().partition(|undo| matches!(undo, Undo::Scale { .. }));
        let (claims, others): (Vec<Undo>, Vec<Undo>) =
            others.into_iter().partition(|undo| matches!(undo, Undo::Claim { .. }));
        others.into_iter().chain(claims).chain(scaled).collect()
    }

    /// L10: gives up scaling back, and tells the person how to do it: the volume may hold a mixture.
    pub(crate) fn keep_stopped(&self) -> Vec<String> {
        let (scaled, others): (Vec<Undo>, Vec<Undo>) =
            self.all().into_iter().partition(|undo| matches!(undo, Undo::Scale { .. }));
        *self.list.lock().unwrap_or_else(PoisonError::into_inner) = others.into_iter().rev().collect();
        self.stopped(&scaled)
    }

    fn stopped(&self, scaled: &[Undo]) -> Vec<String> {
        if scaled.is_empty() {
            return Vec::new();
        }
        let head = [
            "the volume may hold a MIXTURE of old data and the restore point, so the application stays stopped",
            "to finish the restore, run the same command again: at its end it starts the application",
            "to start the application on the volume as it is, run:",
        ];
        let head = head.iter().map(|line| (*line).to_owned());
        head.chain(scaled.iter().map(|undo| format!("  {}", undo.command(&self.namespace)))).collect()
    }

    /// What is left, as lines for a person.
    pub(crate) fn lines(&self) -> Vec<String> {
        let all = self.all().into_iter();
        let (kept, all): (Vec<Undo>, Vec<Undo>) =
            all.partition(|undo| self.is_mixture() && matches!(undo, Undo::Scale { .. }));
        let commands = all.iter().map(|undo| format!("  {}", undo.command(&self.namespace)));
        let head = (!all.is_empty()).then(|| "the cleanup is not complete. To complete it, run:".to_owned());
        head.into_iter().chain(commands).chain(self.stopped(&kept)).collect()
    }
}
