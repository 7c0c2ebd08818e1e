//! The roles that messages advise, and the rights that each one is known to grant (U11).
//!
//! Tests compare them with the manifests of the installation, and with what an API server answers.

/// A role that an administrator can bind to a person. The later ones of a namespace contain the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The `ClusterRole` `view` of Kubernetes. The installation adds VolumeSnapshots to it.
    View,
    /// The `ClusterRole` `edit` of Kubernetes, which contains `view`. The installation adds VolumeSnapshots to it.
    Edit,
    /// The `ClusterRole` of the installation: objects that have no namespace.
    Status,
    /// The Role of the installation, in the controller's namespace.
    StatusAtHome,
}

/// Verbs, and the resources on which a role grants each of them.
pub type Rule = (&'static [&'static str], &'static [&'static str]);

const READ: &[&str] = &["get", "list", "watch"];
const SNAPSHOTS: &str = "volumesnapshots.snapshot.storage.k8s.io";

const VIEW: &[Rule] = &[(
    READ,
    &[
        "configmaps",
        "deployments.apps",
        "events",
        "horizontalpodautoscalers.autoscaling",
        "jobs.batch",
        "namespaces",
        "persistentvolumeclaims",
        "pods",
        "replicasets.apps",
        "statefulsets.apps",
        SNAPSHOTS,
    ],
)];
const EDIT: &[Rule] = &[
    (&["create", "delete", "patch"], &["configmaps", "deployments.apps", "persistentvolumeclaims", SNAPSHOTS]),
    (&["patch"], &["deployments.apps/scale", "statefulsets.apps", "statefulsets.apps/scale"]),
    (&["get", "create"], &["pods/exec"]),
];
const STATUS: &[Rule] = &[
    (&["get", "list"], &["namespaces", "persistentvolumes"]),
    (&["list"], &["storageclasses.storage.k8s.io", "volumesnapshotclasses.snapshot.storage.k8s.io"]),
];
const STATUS_AT_HOME: &[Rule] =
    &[(&["get"], &["configmaps", "deployments.apps"]), (&["list"], &["configmaps", "cronjobs.batch"])];

impl Role {
    /// Its name in the cluster.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Edit => "edit",
            Self::Status | Self::StatusAtHome => "backup-status",
        }
    }

    /// What it is known to grant. `edit` contains `view` too.
    #[must_use]
    pub fn rules(self) -> &'static [Rule] {
        match self {
            Self::View => VIEW,
            Self::Edit => EDIT,
            Self::Status => STATUS,
            Self::StatusAtHome => STATUS_AT_HOME,
        }
    }

    /// Whether it grants the verb on the resource.
    #[must_use]
    pub fn grants(self, verb: &str, resource: &str) -> bool {
        let here = self.rules().iter().any(|(verbs, on)| verbs.contains(&verb) && on.contains(&resource));
        here || self == Self::Edit && Self::View.grants(verb, resource)
    }

    /// The smallest role of Kubernetes that grants it, in one namespace or in all.
    #[must_use]
    pub fn of_namespaces(verb: &str, resource: &str) -> Option<Self> {
        [Self::View, Self::Edit].into_iter().find(|role| role.grants(verb, resource))
    }

    /// The kinds that have no namespace: only a binding of the cluster grants rights on them.
    #[must_use]
    pub fn of_cluster(verb: &str, resource: &str) -> Option<Self> {
        Some(Self::Status).filter(|role| role.grants(verb, resource))
    }

    /// Whether objects of this kind have no namespace.
    #[must_use]
    pub fn is_cluster_wide(resource: &str) -> bool {
        STATUS.iter().any(|(_, resources)| resources.contains(&resource))
    }
}
