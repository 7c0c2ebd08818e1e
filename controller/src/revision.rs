//! Whether the API server went back in time: its etcd was restored to an earlier revision.
//!
//! An object of then is older than the one that is held, so no watch would ever take the lost state back. The process ends,
//! and the next one plans from what is there. It is asked only after a watch was interrupted, which a restore of etcd does:
//! a quiet cluster costs no request.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client};

/// How long after an interruption it is asked: all watches are interrupted together.
const PAUSE: Duration = Duration::from_secs(10);

/// Asks for the API server's revision. Gives it if it is lower than `held`, the newest version of an object that was seen.
///
/// A list without a version of its own is answered from etcd, so it is never lower, whichever API server answers.
pub(crate) async fn before(client: Client, namespace: String, held: u64) -> Option<u64> {
    tokio::time::sleep(PAUSE).await;
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let one = ListParams::default().limit(1);
    // The watches tell what is refused.
    let list = api::bounded(|| "list configmaps".to_owned(), api.list_metadata(&one)).await.ok()?;
    went_back(held, list.metadata.resource_version.as_deref()?)
}

fn went_back(held: u64, now: &str) -> Option<u64> {
    now.parse().ok().filter(|now| *now < held)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L12: an etcd that was restored to an earlier revision, and the controller goes on with the lost state.
    #[test]
    fn a_list_that_is_older_than_what_is_held_is_told() {
        assert_eq!(["4000", "4001", "", "not a number"].map(|now| went_back(4000, now)), [None; 4]);
        assert_eq!(went_back(4000, "900"), Some(900));
    }
}
