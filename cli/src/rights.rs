//! Which right is missing, and who can grant it.

use anyhow::anyhow;
use kube::runtime::watcher;

/// One request to the API server, in the words of RBAC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed<'a> {
    /// Such as `patch`.
    pub(crate) verb: &'a str,
    /// Such as `volumesnapshots.snapshot.storage.k8s.io`.
    pub(crate) resource: &'a str,
    /// The namespace; `None`: the resource has none, or all are meant.
    pub(crate) namespace: Option<&'a str>,
}

/// The sentence about a right that is missing: no other try mends it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Missing(pub(crate) String);

impl Deed<'_> {
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
        let Self { verb, resource, namespace } = self;
        let place = namespace.map_or_else(|| "in the cluster".to_owned(), |n| format!("in namespace {n}"));
        let user = said.split_once("User \"").and_then(|(_, rest)| rest.split_once('"')).map(|(user, _)| user);
        let you = user.map_or_else(|| "you".to_owned(), |user| format!("you ({user})"));
        format!("{you} lack permission to {verb} {resource} {place}. {}", self.ask(user.unwrap_or("YOU")))
    }

    /// Whom to ask, for what.
    fn ask(&self, user: &str) -> String {
        let Self { verb, namespace, .. } = self;
        let reads = matches!(*verb, "get" | "list" | "watch");
        let Some(namespace) = namespace else {
            return format!(
                "An administrator of the cluster can grant it: kubectl create clusterrolebinding \
                 backup-status-{user} --clusterrole=backup-status --user={user}"
            );
        };
        // Installing the controller puts snapshots into both.
        let role = if reads { "view" } else { "edit" };
        format!(
            "An administrator of the namespace can grant it: kubectl create rolebinding {role}-{user} \
             --clusterrole={role} --user={user} -n {namespace}"
        )
    }
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
        let pvc = Deed { verb: "patch", resource: "persistentvolumeclaims", namespace: Some("shop") };
        let said = "persistentvolumeclaims \"data\" is forbidden: User \"jane\" cannot patch resource";
        assert_eq!(
            pvc.failed(&answered(403, "Forbidden", said)).to_string(),
            "you (jane) lack permission to patch persistentvolumeclaims in namespace shop. An administrator of the \
             namespace can grant it: kubectl create rolebinding edit-jane --clusterrole=edit --user=jane -n shop"
        );
        let list = Deed { verb: "list", resource: "persistentvolumes", namespace: None };
        let missing =
            "you lack permission to list persistentvolumes in the cluster. An administrator of the cluster can";
        assert!(list.missing("").starts_with(missing), "{}", list.missing(""));
    }

    /// Quotas and policies answer with the same code.
    #[test]
    fn what_is_no_missing_right_is_told_in_the_servers_words() {
        let deed = Deed { verb: "create", resource: "configmaps", namespace: Some("shop") };
        for said in
            ["exceeded quota: small", "violates PodSecurity \"restricted\"", "unable to create: being terminated"]
        {
            let text = deed.failed(&answered(403, "Forbidden", said)).to_string();
            assert_eq!(text, format!("cannot patch it: {said}"));
        }
    }
}
