//! U4: what protects a PVC that was made a moment ago, as the controller shows it.

use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use model::facts::Claim;
use model::record::Status;

use super::session::Session;
use super::stop::Stop;
use crate::terminal::say;

/// By then the controller has judged a PVC that it sees.
const SHOWN: Duration = Duration::from_secs(5);

/// Says whether the PVC is backed up. The restore is done whatever the answer is.
pub(super) async fn told(session: &Session, name: &str) -> Result<(), Stop> {
    let wait = tokio::time::timeout(SHOWN.min(session.patience), shown(session, name));
    let status = session.interrupt.during(wait).await?.ok().flatten();
    say(&words(name, status.as_ref()));
    Ok(())
}

/// What the controller shows on it, once it says whether the PVC is protected.
async fn shown(session: &Session, name: &str) -> Option<Status> {
    let mut claims = watch_object(session.api::<PersistentVolumeClaim>(), name).default_backoff().boxed();
    while let Some(item) = claims.next().await {
        let claim = item.ok().flatten().map(|claim| Claim::from(&claim));
        let status = claim.as_ref().and_then(Claim::told).filter(|status| status.instance == session.instance);
        if let Some(status) = status.filter(|s| s.protected_since.is_some() || s.unprotected.is_some()) {
            return Some(status.clone());
        }
    }
    None
}

fn words(name: &str, status: Option<&Status>) -> String {
    let Some(status) = status else {
        return format!(
            "the controller does not show yet whether PVC {name} is backed up. To see it, run: kubectl backup why {name}"
        );
    };
    match &status.unprotected {
        Some(problem) => {
            format!("WARNING: PVC {name} is not backed up: {problem}\nWhat to do: {}", problem.reason.help())
        }
        None if status.destinations.is_empty() => {
            format!("PVC {name} is backed up from now on: by snapshots alone, without a copy")
        }
        None => format!("PVC {name} is backed up from now on: copies go to {}", status.destinations.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::reason::{Problem, Reason};

    /// U4: exit code 0 and no word, and the PVC was `NotOptedIn` from then on.
    #[test]
    fn what_protects_a_pvc_that_was_made_again_is_told_and_so_is_that_nothing_does() {
        let said = words("data", None);
        assert!(said.contains("kubectl backup why data"), "{said}");
        let mut status = Status { protected_since: Some(model::Timestamp::UNIX_EPOCH), ..Status::default() };
        assert!(words("data", Some(&status)).contains("by snapshots alone"));
        status.destinations = vec!["disk".to_owned(), "s3".to_owned()];
        assert!(words("data", Some(&status)).ends_with("copies go to disk, s3"));
        let problem = Problem::new(Reason::NotOptedIn, "selection is opt-in");
        let status = Status { unprotected: Some(problem), ..Status::default() };
        let said = words("data", Some(&status));
        assert!(said.starts_with("WARNING: PVC data is not backed up: NotOptedIn"), "{said}");
        assert!(said.contains(Reason::NotOptedIn.help()), "{said}");
    }
}
