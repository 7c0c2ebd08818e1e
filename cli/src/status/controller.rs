//! U2: whether there is a controller that does what the table shows.
//!
//! Without one nothing is copied and nothing recorded, and the states are those of a time that is over.

use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, Client};

use crate::asked::Asked;
use crate::observe::{Answer, Gap, answer};

/// The controller's Deployment.
const DEPLOYMENT: &str = "backup-controller";

/// Asks for the controller's Deployment.
pub(super) async fn look(client: &Client, namespace: &str) -> anyhow::Result<Answer<Deployment>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let resource = Asked::of::<Deployment>().named(DEPLOYMENT).within(Some(namespace));
    let got = api::bounded(|| format!("get {resource}"), api.get(DEPLOYMENT)).await;
    answer(got, "get", &resource)
}

/// Why no controller works there. That a right is missing to see it is none.
pub(super) fn fault(deployment: &Answer<Deployment>, namespace: &str) -> Option<String> {
    match deployment {
        Answer::Refused(_) => None,
        Answer::Absent => Some(format!(
            "namespace {namespace} has no Deployment {DEPLOYMENT}, so no controller works there. Install it, or set \
             --backup-namespace"
        )),
        Answer::Is(deployment) => {
            let ready = deployment.status.as_ref().and_then(|s| s.ready_replicas).unwrap_or(0) > 0;
            (!ready).then(|| {
                format!(
                    "Deployment {DEPLOYMENT} in namespace {namespace} is not ready: nothing is copied, and no result is \
                     recorded. For the reason, run: kubectl -n {namespace} describe pods"
                )
            })
        }
    }
}

/// Why the configuration is not in force: what was read, and is no answer.
pub(super) fn configuration(gaps: &[Gap]) -> impl Iterator<Item = String> {
    let faults = gaps.iter().filter(|gap| !gap.refused);
    faults.map(|Gap { verb, resource, answer, .. }| format!("cannot {verb} {resource}: {answer}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tests::fixture::{HOME, cluster};
    use crate::tests::server::{CONFIG_MAP, Server, forbidden, refusal, serve};

    const PATH: &str = "/apis/apps/v1/namespaces/keepers/deployments/backup-controller";

    fn deployment(ready: u32) -> (u16, serde_json::Value) {
        (200, json!({"metadata": {"name": DEPLOYMENT}, "status": {"readyReplicas": ready}}))
    }

    fn looked(server: &Server) -> Option<String> {
        fault(&serve(async { look(&server.client(), HOME).await }).unwrap(), HOME)
    }

    /// U2: the exit code was 0 where nothing was installed.
    #[test]
    fn no_controller_is_a_fault_and_a_missing_right_is_none() {
        let server = || Server::of(cluster());
        assert_eq!(looked(&server().refusing(PATH, deployment(1))), None);
        assert_eq!(looked(&server().refusing(PATH, forbidden("get deployments"))), None);
        let absent = looked(&server().refusing(PATH, refusal(404, "NotFound", "no such thing"))).unwrap();
        assert!(absent.contains("has no Deployment") && absent.contains("--backup-namespace"), "{absent}");
        let unready = looked(&server().refusing(PATH, deployment(0))).unwrap();
        assert!(unready.contains("is not ready"), "{unready}");
    }

    /// U2: the controller goes on with an earlier configuration, or there is none.
    #[test]
    fn a_configuration_that_is_refused_or_absent_is_a_fault_and_one_that_may_not_be_read_is_none() {
        let faults = |answer| {
            let server = Server::of(cluster()).refusing(CONFIG_MAP, answer);
            configuration(&server.look_at_shop().gaps).collect::<Vec<_>>()
        };
        let config = |text: &str| (200, json!({"metadata": {"name": DEPLOYMENT}, "data": {"config.yaml": text}}));
        assert_eq!(faults(config("")), [""; 0]);
        assert_eq!(faults(forbidden("get configmaps")), [""; 0]);
        assert!(faults(config("defaults: {retntion: 5d}"))[0].contains("rejects it"));
        assert!(faults(refusal(404, "NotFound", "no such thing"))[0].contains("does not exist"));
    }
}
