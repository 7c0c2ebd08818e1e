//! Whether the API server went back in time: its etcd was restored to an earlier revision.
//!
//! An object of then is older than the one that is held, so no watch would ever take the lost state back. The process ends,
//! and the next one plans from what is there.

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client};

/// How often it is asked.
const PERIOD: Duration = Duration::from_secs(30);

/// The newest revision that a list had. A list without a version of its own is answered from etcd, so the next one is
/// never lower, whichever API server answers.
#[derive(Debug, Default)]
struct Newest(Option<u64>);

impl Newest {
    /// Takes the next one in. Gives the one before if it was higher.
    fn saw(&mut self, version: &str) -> Option<u64> {
        let now: u64 = version.parse().ok()?;
        self.0.replace(now).filter(|before| *before > now)
    }
}

/// Ends when the API server has gone back, with the revisions before and after.
pub(crate) async fn went_back(client: Client, namespace: String) -> (u64, String) {
    let api: Api<ConfigMap> = Api::namespaced(client, &namespace);
    let (one, mut newest) = (ListParams::default().limit(1), Newest::default());
    loop {
        let list = api.list_metadata(&one);
        // The watches tell what is refused.
        if let Ok(list) = api::bounded(|| "list configmaps".to_owned(), list).await {
            let version = list.metadata.resource_version.unwrap_or_default();
            if let Some(before) = newest.saw(&version) {
                return (before, version);
            }
        }
        tokio::time::sleep(PERIOD).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L12: an etcd that was restored to an earlier revision, and the controller goes on with the lost state.
    #[test]
    fn a_list_that_is_older_than_the_one_before_is_told() {
        let mut newest = Newest::default();
        assert_eq!(["100", "100", "4000", "", "not a number"].map(|v| newest.saw(v)), [None; 5]);
        assert_eq!(newest.saw("900"), Some(4000));
        assert_eq!(["901", "5000"].map(|v| newest.saw(v)), [None; 2], "told once");
    }
}
