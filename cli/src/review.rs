//! Asking for rights before something is made or changed (U11).

use futures::{StreamExt as _, stream};
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};

use crate::rights::{Deed, Missing, missing};

/// Questions at once.
const AT_ONCE: usize = 16;

/// Refuses if one of the rights is missing, and names all that are. A cluster that does not answer is no reason to stop:
/// the request itself tells then.
pub(crate) async fn need(client: &Client, deeds: &[Deed<'_>]) -> Result<(), Missing> {
    // The one request costs as much as the question, and makes nothing if it is refused.
    if deeds.len() < 2 {
        return Ok(());
    }
    let answers = stream::iter(deeds).map(|deed| lacks(client, *deed)).buffered(AT_ONCE);
    let lacking: Vec<Deed<'_>> = answers.filter_map(async |lacking| lacking).collect().await;
    if lacking.is_empty() {
        return Ok(());
    }
    let user = user(client).await;
    Err(Missing(format!("nothing was changed: {}", missing(user.as_deref(), &lacking))))
}

/// The right, if it is missing.
async fn lacks<'a>(client: &Client, deed: Deed<'a>) -> Option<Deed<'a>> {
    let (resource, subresource) = deed.resource.split_once('/').map_or((deed.resource, None), |(r, s)| (r, Some(s)));
    let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
    let attributes = ResourceAttributes {
        verb: Some(deed.verb.to_owned()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: subresource.map(str::to_owned),
        namespace: deed.namespace.map(str::to_owned),
        name: deed.name.map(str::to_owned),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), non_resource_attributes: None };
    let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let what = || "create selfsubjectaccessreviews".to_owned();
    let answer = api::bounded(what, api.create(&PostParams::default(), &review)).await.ok()?.status?;
    (!answer.allowed).then_some(deed)
}

/// Who asks, as the API server says.
async fn user(client: &Client) -> Option<String> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let what = || "create selfsubjectreviews".to_owned();
    let answer = api::bounded(what, api.create(&PostParams::default(), &SelfSubjectReview::default())).await.ok()?;
    answer.status?.user_info?.username
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tokio::sync::Barrier;

    use super::*;

    /// An API server that denies `verb`, and answers once so many questions are there.
    fn server(verb: &'static str, questions: usize) -> Client {
        let all = Arc::new(Barrier::new(questions));
        let service = tower::service_fn(move |request: Request<Body>| {
            let all = Arc::clone(&all);
            async move {
                let of_user = request.uri().path().ends_with("selfsubjectreviews");
                let sent = request.into_body().collect_bytes().await.unwrap();
                let mut review: Value = serde_json::from_slice(&sent).unwrap();
                if of_user {
                    review["status"] = json!({"userInfo": {"username": "jane"}});
                } else {
                    all.wait().await;
                    let asked = &review["spec"]["resourceAttributes"];
                    review["status"] = json!({"allowed": asked["verb"] != verb || asked["name"] == "hers"});
                }
                let body = Body::from(serde_json::to_vec(&review).unwrap());
                Ok::<_, Infallible>(Response::builder().status(201).body(body).unwrap())
            }
        });
        Client::new(service, "shop")
    }

    fn needed(deeds: &[Deed<'_>]) -> Result<(), String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let asked = async { need(&server("patch", deeds.len()), deeds).await };
        runtime.block_on(asked).map_err(|Missing(text)| text)
    }

    /// U11: each waits for the other, so one after the other would never end.
    #[test]
    fn rights_are_asked_for_at_the_same_time() {
        let patch = |name| Deed::new("patch", "persistentvolumeclaims", Some("shop")).named(name);
        let list = Deed::new("list", "pods", Some("shop"));
        let told = needed(&[list, patch("data"), list]).unwrap_err();
        let text = "nothing was changed: you (jane) lack permission to patch persistentvolumeclaims in namespace shop.";
        assert!(told.starts_with(text), "{told}");
        // A role may name the objects.
        assert_eq!(needed(&[patch("hers"), list]), Ok(()));
    }
}
