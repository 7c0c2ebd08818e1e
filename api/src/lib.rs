//! The thin part that talks to the API server: connecting, creating strictly, deleting with
//! preconditions, and turning refusals into reasons.
//!
//! Every request has a deadline. Nothing is retried here: who asks decides that.

mod client;
mod clock;

pub use clock::{ahead, now};

use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams, Preconditions, PropagationPolicy, Request};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use model::facts::{Identity, Ours};
use model::reason::{Problem, Reason};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest that one request may take.
pub const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// The longest that a connection with a request on it may be silent. An open watch is ended by the API server after 290 s.
const SILENCE: Duration = Duration::from_secs(295);

/// Why a request did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server answered no, or not at all.
    #[error("{what}")]
    Request {
        /// The verb and the object.
        what: String,
        /// The answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// The API server did not answer in time.
    #[error("{what}: no answer from the API server within {} s", REQUEST_DEADLINE.as_secs())]
    Deadline {
        /// The verb and the object.
        what: String,
    },
    /// Another object has the name (law 8).
    #[error("{what}: another object already has this name")]
    NameTaken {
        /// The verb and the object.
        what: String,
    },
}

/// What a refusal means for the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It may pass by itself.
    Transient,
    /// It stays until somebody changes something.
    UntilChanged,
}

impl Error {
    /// The API server's own words, if it said anything.
    #[must_use]
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Request { source, .. } => match &**source {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the object, or what it belongs to, is not there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(|s| s.code == 404 || s.is_not_found())
    }

    /// Whether a precondition failed: somebody changed or replaced the object meanwhile.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(kube::core::Status::is_conflict)
    }

    /// Whether the namespace is being deleted (F70).
    #[must_use]
    pub fn is_namespace_terminating(&self) -> bool {
        self.status().is_some_and(|s| s.is_forbidden() && s.message.contains("being terminated"))
    }

    /// Whether a right is missing: RBAC said no. Quotas and policies say no with the same code.
    #[must_use]
    pub fn is_right_missing(&self) -> bool {
        let says_so = |s: &kube::core::Status| s.is_forbidden() && s.message.contains(" cannot ");
        self.status().is_some_and(says_so) && !self.is_namespace_terminating()
    }

    /// Whether it may pass by itself.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::NameTaken { .. } => Retry::UntilChanged,
            Self::Deadline { .. } => Retry::Transient,
            Self::Request { .. } => match self.status() {
                Some(s) if s.is_forbidden() || s.is_invalid() || s.code == 400 || s.code == 404 => Retry::UntilChanged,
                _ => Retry::Transient,
            },
        }
    }

    /// The reason, with the API server's words.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let message = self.to_string();
        let Some(status) = self.status() else {
            let reason =
                if matches!(self, Self::NameTaken { .. }) { Reason::NameTaken } else { Reason::ApiUnreachable };
            return Problem::new(reason, chain(self));
        };
        let reason = if self.is_namespace_terminating() {
            Reason::NamespaceTerminating
        } else if status.is_forbidden() && status.message.contains("exceeded quota") {
            Reason::QuotaExceeded
        } else if status.is_forbidden() && status.message.contains("violates PodSecurity") {
            Reason::PodSecurity
        } else if status.is_forbidden() {
            Reason::Forbidden
        } else if status.is_invalid() || status.code == 400 {
            Reason::InvalidObject
        } else {
            Reason::ApiUnreachable
        };
        Problem::new(reason, format!("{message}: {}", status.message))
    }
}

/// An error with all that caused it. Where the API server answered, its words are enough.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let answered = cause.downcast_ref::<kube::Error>().or_else(|| cause.downcast_ref().map(|b: &Box<_>| &**b));
        if let Some(kube::Error::Api(status)) = answered {
            return status.message.clone();
        }
        let words = cause.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        next = cause.source();
    }
    text
}

/// How to reach the API server.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no service account to use: not in a pod.
    #[error("not in a pod, and no kubeconfig is set: use --kubeconfig or KUBECONFIG")]
    NoCluster(#[source] Box<kube::config::InClusterError>),
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig {path}")]
    Kubeconfig {
        /// Its path.
        path: String,
        /// Why.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// The client cannot be made.
    #[error("cannot create the Kubernetes client")]
    Client(#[source] Box<kube::Error>),
}

/// A client: of the kubeconfig if one is given, else of the pod's service account.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    let config = match kubeconfig {
        None => Config::incluster().map_err(|e| ConnectError::NoCluster(Box::new(e)))?,
        Some(path) => {
            let fail = |e| ConnectError::Kubeconfig { path: path.display().to_string(), source: Box::new(e) };
            let read = Kubeconfig::read_from(path).map_err(fail)?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.map_err(fail)?
        }
    };
    client(config)
}

/// A client of a configuration, however that was found: small packets go at once, and nothing is retried.
pub fn client(mut config: Config) -> Result<Client, ConnectError> {
    // Fifteen silent retries inside one call would outlast every deadline here: a client of ours has none,
    // and one through a proxy is told so.
    config.default_retry = false;
    // kube bounds what comes over a watch that is open, and neither the list before it nor the answer that opens it.
    config.read_timeout = config.read_timeout.or(Some(SILENCE));
    config.reset_reader_on_write = true;
    client::new(config).map_err(|e| ConnectError::Client(Box::new(e)))
}

/// Runs one request under its deadline.
pub async fn bounded<T>(
    what: impl FnOnce() -> String,
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(REQUEST_DEADLINE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Error::Request { what: what(), source: Box::new(source) }),
        Err(_) => Err(Error::Deadline { what: what() }),
    }
}

fn names<K: Resource<DynamicType = ()>>(verb: &str, namespace: &str, name: &str) -> String {
    let of = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    format!("{verb} {} {of}{name}", K::plural(&()))
}

/// What creating an object came to.
#[derive(Debug)]
pub enum Created<K> {
    /// It was made.
    New(K),
    /// An object of that name was there; it is for the caller to say whether it is the same (law 8).
    There(K),
}

/// Creates an object with strict validation, which refuses unknown and doubled fields. A name that is
/// taken is answered with the object that has it.
pub async fn create<K>(client: &Client, object: &Value) -> Result<Created<K>, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    let what = || names::<K>("create", &namespace, &name);
    let scope = (!namespace.is_empty()).then_some(namespace.as_str());
    let url = K::url_path(&(), scope);
    let request = async {
        let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
        let mut request = Request::new(url.clone())
            .create(&kube::api::PostParams::default(), body)
            .map_err(kube::Error::BuildRequest)?;
        let strict = format!("{url}?fieldValidation=Strict&fieldManager={}", model::names::MANAGER);
        if let Ok(uri) = strict.parse() {
            *request.uri_mut() = uri;
        }
        client.request::<K>(request).await
    };
    match bounded(what, request).await {
        Ok(made) => Ok(Created::New(made)),
        Err(error) if error.status().is_some_and(kube::core::Status::is_already_exists) => {
            let get = async {
                let request = Request::new(url.clone())
                    .get(&name, &kube::api::GetParams::default())
                    .map_err(kube::Error::BuildRequest)?;
                client.request::<K>(request).await
            };
            bounded(|| names::<K>("get", &namespace, &name), get).await.map(Created::There)
        }
        Err(error) => Err(error),
    }
}

/// Replaces an object in the version that its metadata names, with strict validation.
pub async fn replace<K>(client: &Client, object: &Value) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text("namespace"), text("name"));
    let url = K::url_path(&(), (!namespace.is_empty()).then_some(namespace.as_str()));
    let request = async {
        let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
        let mut request = Request::new(url.clone())
            .replace(&name, &kube::api::PostParams::default(), body)
            .map_err(kube::Error::BuildRequest)?;
        let strict = format!("{url}/{name}?fieldValidation=Strict&fieldManager={}", model::names::MANAGER);
        if let Ok(uri) = strict.parse() {
            *request.uri_mut() = uri;
        }
        client.request::<K>(request).await
    };
    bounded(|| names::<K>("update", &namespace, &name), request).await
}

/// Creates an object of ours, or finds the same one there: same labels, whoever made it (law 8). A
/// stranger of that name is [`Error::NameTaken`], never adopted.
pub async fn ensure<K>(client: &Client, object: &Value) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    match create::<K>(client, object).await? {
        Created::New(made) => Ok(made),
        Created::There(there) => {
            let wanted: Option<kube::core::ObjectMeta> = serde_json::from_value(object["metadata"].clone()).ok();
            let ours = wanted.as_ref().and_then(Ours::read);
            if ours.is_some() && ours == Ours::read(there.meta()) {
                return Ok(there);
            }
            let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
            Err(Error::NameTaken { what: names::<K>("create", text("namespace"), text("name")) })
        }
    }
}

/// Deletes exactly the object that was seen, in the version that was seen if `version` is set: a later
/// change, such as a hold, wins. Dependents go in the background. `false`: it was gone already.
pub async fn delete<K>(client: &Client, namespace: &str, id: &Identity, version: bool) -> Result<bool, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    let params = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Background),
        preconditions: Some(Preconditions {
            uid: Some(id.uid.clone()),
            resource_version: version.then(|| id.resource_version.clone()),
        }),
        ..DeleteParams::default()
    };
    let scope = (!namespace.is_empty()).then_some(namespace);
    let request = async {
        let request =
            Request::new(K::url_path(&(), scope)).delete(&id.name, &params).map_err(kube::Error::BuildRequest)?;
        client.request_status::<K>(request).await
    };
    match bounded(|| names::<K>("delete", namespace, &id.name), request).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Applies our fields of an object by server-side apply, with strict validation. Where the object must
/// exist already, its `metadata.uid` is in it, so that applying can never create.
pub async fn apply<K>(api: &Api<K>, manager: &str, name: &str, object: &Value) -> Result<K, Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug,
{
    let params = PatchParams::apply(manager).force().validation_strict();
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let request = async {
        let patch = Patch::Apply(object);
        let mut request =
            Request::new(api.resource_url()).patch(name, &params, &patch).map_err(kube::Error::BuildRequest)?;
        *request.body_mut() = plain(request.body());
        api.clone().into_client().request::<K>(request).await
    };
    bounded(|| names::<K>("patch", namespace, name), request).await
}

/// JSON that is the same text to a YAML reader: the API server reads what is applied as YAML, which takes
/// three more characters for line breaks, and refuses some that JSON lets stand.
fn plain(json: &[u8]) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(json.len());
    for c in String::from_utf8_lossy(json).chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                // Writing into a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_applied_is_the_same_to_json_and_yaml() {
        let text = (0..=0x1_f600_u32).filter_map(char::from_u32).filter(|c| !c.is_control() || *c > '\u{7e}');
        let value = serde_json::json!({"text": text.collect::<String>()});
        let sent = plain(&serde_json::to_vec(&value).unwrap());
        assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), value);
        let sent = String::from_utf8(sent).unwrap();
        assert!(!sent.contains(['\u{7f}', '\u{85}', '\u{9f}', '\u{2028}', '\u{2029}', '\u{feff}', '\u{ffff}']));
        assert!(sent.contains("\\u0085") && sent.contains('é'));
    }
}
