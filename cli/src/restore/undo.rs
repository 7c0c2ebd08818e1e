//! What has to be taken back at the end, whatever happens.

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
        /// Its name.
        name: String,
    },
    /// What the controller is asked for by an annotation on a PVC, to be withdrawn.
    Ask {
        /// The PVC.
        pvc: String,
    },
    /// The replicas that something had.
    Scale {
        /// What.
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
            Self::Ask { pvc } => format!("kubectl annotate pvc {pvc} {}- -n {namespace}", names::RESTORE_FROM),
            Self::Scale { workload, replicas } => {
                format!("kubectl scale {workload} --replicas={replicas} -n {namespace}")
            }
        }
    }
}

/// All that is left to take back; shared with who hears signals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left {
    namespace: String,
    list: Arc<Mutex<Vec<Undo>>>,
}

impl Left {
    pub(crate) fn new(namespace: &str) -> Self {
        Self { namespace: namespace.to_owned(), list: Arc::default() }
    }

    /// To be called before the deed: one that was not done is taken back without harm.
    pub(crate) fn add(&self, undo: Undo) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(undo);
    }

    /// It is taken back, or was not done.
    pub(crate) fn done(&self, undo: &Undo) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).retain(|u| u != undo);
    }

    /// The newest first.
    pub(crate) fn all(&self) -> Vec<Undo> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().rev().cloned().collect()
    }

    /// What is left, as lines for a person.
    pub(crate) fn lines(&self) -> Vec<String> {
        let all = self.all();
        let commands = all.iter().map(|undo| format!("  {}", undo.command(&self.namespace)));
        let head = (!all.is_empty()).then(|| "the cleanup is not complete. To complete it, run:".to_owned());
        head.into_iter().chain(commands).collect()
    }
}
