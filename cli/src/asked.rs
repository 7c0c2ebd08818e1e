//! What the API server is asked for, in the words of RBAC.

use std::fmt;

use kube::Resource;
use serde::{Serialize, Serializer};

/// The objects of a kind, or one of them, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    kind: String,
    /// One object; `None`: all.
    pub(crate) name: Option<String>,
    pub(crate) within: Within,
}

/// Where objects are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Within {
    /// In the cluster: the kind has no namespaces.
    Cluster,
    /// In all namespaces.
    Namespaces,
    /// In one.
    Namespace(String),
}

impl Asked {
    /// The objects of a kind that has no namespaces.
    pub(crate) fn of<K: Resource<DynamicType = ()>>() -> Self {
        Self { kind: kind::<K>(), name: None, within: Within::Cluster }
    }

    /// The same in a namespace; `None`: in all.
    pub(crate) fn within(self, namespace: Option<&str>) -> Self {
        let within = namespace.map_or(Within::Namespaces, |namespace| Within::Namespace(namespace.to_owned()));
        Self { within, ..self }
    }

    /// Of these the one object that has the name.
    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// The kind, as RBAC names it.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether it is that kind.
    pub(crate) fn is<K: Resource<DynamicType = ()>>(&self) -> bool {
        self.kind == kind::<K>()
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind)?;
        if let Some(name) = &self.name {
            write!(f, "/{name}")?;
        }
        match &self.within {
            Within::Cluster => Ok(()),
            Within::Namespaces => f.write_str(" in all namespaces"),
            Within::Namespace(namespace) => write!(f, " in namespace {namespace}"),
        }
    }
}

impl Serialize for Asked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A kind as RBAC names it.
pub(crate) fn kind<K: Resource<DynamicType = ()>>() -> String {
    let (plural, group) = (K::plural(&()), K::group(&()));
    if group.is_empty() { plural.into_owned() } else { format!("{plural}.{group}") }
}
