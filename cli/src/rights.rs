//! Which right is missing, and who can grant it.

use std::collections::BTreeMap;

use anyhow::anyhow;
use kube::runtime::watcher;

use model::roles::Role;

/// One request to the API server, in the words of RBAC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed<'a> {
    /// Such as `patch`.
    pub(crate) verb: &'a str,
    /// Such as `volumesnapshots.snapshot.storage.k8s.io` or `deployments.apps/scale`.
    pub(crate) resource: &'a str,
    /// The namespace; `None`: the resource has none, or all are meant.
    pub(crate) namespace: Option<&'a str>,
    /// The one object; `None`: one that has no name yet, or all.
    pub(crate) name: Option<&'a str>,
}

/// The sentence about a right that is missing: no other try mends it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Missing(pub(crate) String);

impl<'a> Deed<'a> {
    pub(crate) fn new(verb: &'a str, resource: &'a str, namespace: Option<&'a str>) -> Self {
        Self { verb, resource, namespace, name: None }
    }

    /// The same with one object.
    pub(crate) fn named(self, name: &'a str) -> Self {
        Self { name: Some(name), ..self }
    }

    /// What to tell the person whose request failed: which right is missing and how it is granted, or the API
    /// server's own words.
    pub(crate) fn failed(&self, error: &api::Error) -> anyhow::Error {
        match error.status() {
            Some(status) if error.is_right_missing() => Missing(self.missing(&status.message)).into(),
            Some(status) => anyhow!("cannot {error}: {}", status.message),
            None => anyhow!("cannot {}", api::chain(error)),
        }
    }

    /// The sentence about a missing right; `said` are the API server's words, which name the user.
    pub(crate) fn missing(&self, said: &str) -> String {
        let user = said.split_once("User \"").and_then(|(_, rest)| rest.split_once('"')).map(|(user, _)| user);
        missing(user, std::slice::from_ref(self))
    }

    /// The smallest role that is known to grant it.
    fn role(&self) -> Option<Role> {
        let Self { verb, resource, namespace, .. } = self;
        if namespace.is_none() && Role::is_cluster_wide(resource) {
            return Role::of_cluster(verb, resource);
        }
        Role::of_namespaces(verb, resource)
    }
}

/// The sentences about rights that are missing: the rights by namespace, and the role that grants them.
pub(crate) fn missing(user: Option<&str>, deeds: &[Deed<'_>]) -> String {
    let mut places: BTreeMap<Option<&str>, Vec<&Deed<'_>>> = BTreeMap::new();
    for deed in deeds {
        places.entry(deed.namespace).or_default().push(deed);
    }
    let you = user.map_or_else(|| "you".to_owned(), |user| format!("you ({user})"));
    let rights: Vec<String> = places.iter().map(|(place, deeds)| rights(*place, deeds)).collect();
    let asks: Vec<String> = places.iter().map(|(place, deeds)| ask(user.unwrap_or("YOU"), *place, deeds)).collect();
    format!("{you} lack permission to {}. {}", rights.join(", and to "), asks.join(". "))
}

/// The rights of one place: `create and delete configmaps, list pods in namespace shop`.
fn rights(namespace: Option<&str>, deeds: &[&Deed<'_>]) -> String {
    let mut resources: Vec<(&str, Vec<&str>)> = Vec::new();
    for deed in deeds {
        match resources.iter_mut().find(|(resource, _)| *resource == deed.resource) {
            Some((_, verbs)) if verbs.contains(&deed.verb) => {}
            Some((_, verbs)) => verbs.push(deed.verb),
            None => resources.push((deed.resource, vec![deed.verb])),
        }
    }
    let words = |(resource, verbs): &(&str, Vec<&str>)| match verbs.as_slice() {
        [one] => format!("{one} {resource}"),
        [first @ .., last] => format!("{} and {last} {resource}", first.join(", ")),
        [] => String::new(),
    };
    let place = namespace.map_or_else(|| "in the cluster".to_owned(), |n| format!("in namespace {n}"));
    format!("{} {place}", resources.iter().map(words).collect::<Vec<_>>().join(", "))
}

/// Whom to ask, for what.
fn ask(user: &str, namespace: Option<&str>, deeds: &[&Deed<'_>]) -> String {
    let it = if deeds.len() == 1 { "it" } else { "them" };
    let roles: Option<Vec<Role>> = deeds.iter().map(|deed| deed.role()).collect();
    // `edit` contains `view`.
    let Some(role) = roles.and_then(|roles| roles.into_iter().max()) else {
        let place = namespace.map_or("the cluster", |_| "the namespace");
        return format!(
            "No role of Kubernetes is known to grant {it}: ask an administrator of {place} for a role of your own"
        );
    };
    // A name in RBAC is part of a path.
    let (role, binding) = (role.name(), user.replace(['/', '%', ' '], "-"));
    if let Some(namespace) = namespace {
        return format!(
            "An administrator of the namespace can grant {it}: kubectl create rolebinding {role}-{binding} \
             --clusterrole={role} --user={user} -n {namespace}"
        );
    }
    let command = format!("kubectl create clusterrolebinding {role}-{binding} --clusterrole={role} --user={user}");
    if deeds.iter().all(|deed| Role::is_cluster_wide(deed.resource)) {
        return format!("An administrator of the cluster can grant {it}: {command}");
    }
    format!("Name one namespace (-n NAMESPACE), or an administrator of the cluster can grant {it}: {command}")
}

/// The API server's words about a watch, if a right is missing; all else may pass.
pub(crate) fn refused(error: &watcher::Error) -> Option<String> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status)) => {
            (status.code == 403).then(|| status.message.clone())
        }
        watcher::Error::WatchError(status) => (status.code == 403).then(|| status.message.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16, reason: &str, message: &str) -> api::Error {
        let status = kube::core::Status::failure(message, reason).with_code(code);
        api::Error::Request { what: "patch it".to_owned(), source: Box::new(kube::Error::Api(status.boxed())) }
    }

    #[test]
    fn a_missing_right_is_named_with_who_can_grant_it() {
        let pvc = Deed::new("patch", "persistentvolumeclaims", Some("shop"));
        let said = "persistentvolumeclaims \"data\" is forbidden: User \"jane\" cannot patch resource";
        assert_eq!(
            pvc.failed(&answered(403, "Forbidden", said)).to_string(),
            "you (jane) lack permission to patch persistentvolumeclaims in namespace shop. An administrator of the \
             namespace can grant it: kubectl create rolebinding edit-jane --clusterrole=edit --user=jane -n shop"
        );
        let list = Deed::new("list", "persistentvolumes", None);
        let missing =
            "you lack permission to list persistentvolumes in the cluster. An administrator of the cluster can";
        assert!(list.missing("").starts_with(missing), "{}", list.missing(""));
    }

    /// U11: of several rights all are named, with one role that has them.
    #[test]
    fn rights_that_are_missing_together_are_one_sentence_with_one_role() {
        let deed = Deed::new;
        let text = missing(
            Some("jane"),
            &[
                deed("list", "pods", Some("shop")),
                deed("create", "configmaps", Some("shop")),
                deed("delete", "configmaps", Some("shop")),
            ],
        );
        assert_eq!(
            text,
            "you (jane) lack permission to list pods, create and delete configmaps in namespace shop. An administrator of \
             the namespace can grant them: kubectl create rolebinding edit-jane --clusterrole=edit --user=jane -n shop"
        );
        // The role `backup-status` has no PVCs.
        let text = missing(Some("jane"), &[deed("list", "persistentvolumeclaims", None)]);
        assert!(text.ends_with("clusterrolebinding view-jane --clusterrole=view --user=jane"), "{text}");
        let text = missing(None, &[deed("create", "widgets.example.com", Some("shop"))]);
        assert!(text.contains("No role of Kubernetes is known to grant it"), "{text}");
    }

    /// Quotas and policies answer with the same code.
    #[test]
    fn what_is_no_missing_right_is_told_in_the_servers_words() {
        let deed = Deed::new("create", "configmaps", Some("shop"));
        for said in
            ["exceeded quota: small", "violates PodSecurity \"restricted\"", "unable to create: being terminated"]
        {
            let text = deed.failed(&answered(403, "Forbidden", said)).to_string();
            assert_eq!(text, format!("cannot patch it: {said}"));
        }
    }
}
