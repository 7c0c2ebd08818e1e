//! Which configuration is planned with: a file's, the installed one, or the defaults.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use model::config::Config;
use model::names::Instance;
use serde::{Deserialize as _, Serialize};
use serde_yaml::Value;

use crate::asked::Asked;
use crate::observe::{Answer, CONFIG_KEY, CONFIG_MAP, Gap, answer};

/// The controller's Deployment.
const DEPLOYMENT: &str = "backup-controller";

/// Where the configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "from")]
pub(super) enum From {
    /// A file with the configuration, or manifests that contain it; `-` is standard input.
    File { file: String },
    /// The ConfigMap of an installation.
    ConfigMap { namespace: String },
    /// There is no installation in that namespace.
    Defaults { namespace: String },
}

/// The images that manifests name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Images {
    /// Of the controller, and of the pods that take snapshots.
    pub(super) controller: String,
    /// Of the pods that copy.
    pub(super) mover: String,
    /// What is still to be done to them, in their own words.
    pub(super) incomplete: Vec<String>,
}

/// What is planned with.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(super) config: Config,
    pub(super) from: From,
    /// The controller's namespace, if manifests name it.
    pub(super) namespace: Option<String>,
    /// The installation's name, if manifests name it.
    pub(super) instance: Option<Instance>,
    pub(super) images: Option<Images>,
    /// The Secrets that the guard allows pods to mount, if manifests contain the Deployment.
    pub(super) secrets: Option<Vec<String>>,
}

impl Plan {
    fn of(config: Config, from: From) -> Self {
        Self { config, from, namespace: None, instance: None, images: None, secrets: None }
    }
}

/// What a file is called in messages.
pub(crate) fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// The configuration of a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Plan> {
    let name = name(path);
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    let text = text.with_context(|| format!("cannot read {name}"))?;
    parse(&text, &name).with_context(|| name.clone())
}

/// The configuration in a text: the text itself, or a ConfigMap among manifests.
pub(super) fn parse(text: &str, name: &str) -> anyhow::Result<Plan> {
    let from = From::File { file: name.to_owned() };
    if text.trim().is_empty() {
        bail!("it is empty: give a config.yaml, or the manifests of an installation");
    }
    // A configuration that is no YAML is told by its own reader, with the line.
    let objects = objects(text).unwrap_or_default();
    if objects.is_empty() {
        return Ok(Plan::of(Config::parse(text)?, from));
    }
    let maps: Vec<(&Value, &str)> =
        objects.iter().filter_map(|o| Some((o, o.get("data")?.get(CONFIG_KEY)?.as_str()?))).collect();
    let named = |o: &Value| text_of(o, &["metadata", "name"]).is_some_and(|name| name == CONFIG_MAP);
    let (map, text) = match maps.as_slice() {
        [] => bail!("none of its {} objects is a ConfigMap with the key {CONFIG_KEY}", objects.len()),
        [one] => *one,
        several => match several.iter().filter(|(o, _)| named(o)).collect::<Vec<_>>().as_slice() {
            [one] => **one,
            _ => bail!("{} ConfigMaps have the key {CONFIG_KEY}: give one of them", several.len()),
        },
    };
    let config = Config::parse(text).with_context(|| format!("{CONFIG_KEY} of its ConfigMap"))?;
    let controller = objects.iter().find_map(controller);
    Ok(Plan {
        namespace: text_of(map, &["metadata", "namespace"]).map(str::to_owned),
        instance: controller.and_then(|c| variable(c, "BACKUP_INSTANCE")).map(Instance::from),
        images: controller.map(|c| images(c, &objects)),
        secrets: controller.map(secrets),
        ..Plan::of(config, from)
    })
}

/// Kubernetes' objects in a text; none if it has none.
fn objects(text: &str) -> Result<Vec<Value>, serde_yaml::Error> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Value::deserialize(document)?;
        let is_object = |v: &Value| v.get("kind").is_some() && v.get("apiVersion").is_some();
        match value.get("items").and_then(Value::as_sequence) {
            Some(items) if is_object(&value) => objects.extend(items.iter().filter(|v| is_object(v)).cloned()),
            _ if is_object(&value) => objects.push(value),
            _ => {}
        }
    }
    Ok(objects)
}

fn text_of<'a>(value: &'a Value, path: &[&str]) -> Option<&'a str> {
    path.iter().try_fold(value, |value, key| value.get(key))?.as_str()
}

/// The controller's container, if the object is its Deployment.
fn controller(object: &Value) -> Option<&Value> {
    let containers = object.get("spec")?.get("template")?.get("spec")?.get("containers")?.as_sequence()?;
    containers.iter().find(|c| variable(c, "BACKUP_MOVER_IMAGE").is_some())
}

fn variable<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let all = container.get("env")?.as_sequence()?;
    all.iter().find(|v| text_of(v, &["name"]) == Some(name)).and_then(|v| text_of(v, &["value"]))
}

/// The names in `BACKUP_SECRETS`.
fn secrets(container: &Value) -> Vec<String> {
    let names = variable(container, "BACKUP_SECRETS").unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn images(container: &Value, objects: &[Value]) -> Images {
    // The image itself is empty where an overlay names none.
    let image = variable(container, "BACKUP_CONTROLLER_IMAGE").or_else(|| text_of(container, &["image"]));
    let image = image.unwrap_or_default().to_owned();
    let mover = variable(container, "BACKUP_MOVER_IMAGE").unwrap_or_default().to_owned();
    // An overlay that is not complete has sentences where the API server takes a word.
    let word = text_of(container, &["terminationMessagePolicy"]);
    let policies = objects.iter().filter_map(|o| text_of(o, &["spec", "failurePolicy"]));
    let mut incomplete: Vec<String> = word
        .into_iter()
        .chain(policies)
        .chain([image.as_str(), mover.as_str()])
        .filter(|text| text.trim().contains(' '))
        .map(|text| text.trim().to_owned())
        .collect();
    incomplete.dedup();
    Images { controller: image, mover, incomplete }
}

/// The Secrets that the guard of the installation allows pods to mount; none if there is no installation.
pub(super) async fn installed_secrets(client: &Client, namespace: &str) -> anyhow::Result<Result<Vec<String>, Gap>> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let resource = Asked::of::<Deployment>().named(DEPLOYMENT).within(Some(namespace));
    let got = api::bounded(|| format!("get {resource}"), api.get(DEPLOYMENT)).await;
    Ok(match answer(got, "get", &resource)? {
        Answer::Absent => Ok(Vec::new()),
        Answer::Is(deployment) => {
            let object = serde_yaml::to_value(&deployment)?;
            Ok(controller(&object).map(secrets).unwrap_or_default())
        }
        Answer::Refused(gap) => Err(gap),
    })
}

/// The configuration of the installation, or the defaults if there is none.
pub(super) async fn installed(client: &Client, namespace: &str) -> anyhow::Result<Plan> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let what = || format!("get configmaps/{CONFIG_MAP} in namespace {namespace}");
    let got = match api::bounded(what, api.get_opt(CONFIG_MAP)).await {
        Ok(got) => got,
        Err(error) if error.is_right_missing() => {
            bail!("you lack permission to {}: give the configuration that you mean with -f FILE", what())
        }
        Err(error) => bail!("cannot {}", api::chain(&error)),
    };
    let namespace = namespace.to_owned();
    let Some(map) = got else { return Ok(Plan::of(Config::default(), From::Defaults { namespace })) };
    let place = format!("the ConfigMap {CONFIG_MAP} in namespace {namespace}");
    let text = map.data.as_ref().and_then(|data| data.get(CONFIG_KEY));
    let text = text.ok_or_else(|| anyhow!("{place} has no key {CONFIG_KEY}"))?;
    let config = Config::parse(text).with_context(|| format!("{place} is refused by the controller"))?;
    Ok(Plan::of(config, From::ConfigMap { namespace }))
}
