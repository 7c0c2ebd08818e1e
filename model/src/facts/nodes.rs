//! Nodes, and what chooses among them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::NodeSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// One way to choose nodes: all of its requirements must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTerm(pub Vec<NodeRequirement>);

/// One requirement on a node's labels, as in Kubernetes' node selectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRequirement {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`.
    pub operator: String,
    /// The values.
    pub values: Vec<String>,
}

/// The terms of a node selector.
#[must_use]
pub fn node_terms(selector: &NodeSelector) -> Vec<NodeTerm> {
    selector
        .node_selector_terms
        .iter()
        .map(|term| {
            NodeTerm(
                term.match_expressions
                    .iter()
                    .flatten()
                    .map(|r| NodeRequirement {
                        key: r.key.clone(),
                        operator: r.operator.clone(),
                        values: r.values.clone().unwrap_or_default(),
                    })
                    .collect(),
            )
        })
        .collect()
}

impl NodeTerm {
    /// Whether a node with these labels matches. An operator that is not known matches: what cannot
    /// be judged is left to the scheduler.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|r| {
            let value = labels.get(&r.key);
            match r.operator.as_str() {
                "In" => value.is_some_and(|v| r.values.contains(v)),
                "NotIn" => value.is_none_or(|v| !r.values.contains(v)),
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => true,
            }
        })
    }
}

/// A Node: its labels decide where volumes can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

impl From<&ObjectMeta> for Node {
    fn from(meta: &ObjectMeta) -> Self {
        Self { name: meta.name.clone().unwrap_or_default(), labels: meta.labels.clone().unwrap_or_default() }
    }
}
