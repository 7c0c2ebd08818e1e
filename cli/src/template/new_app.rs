//! `kubectl backup new-app`: creates a Template's objects, with the words of `oc new-app`.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use kube::api::{DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::{self, Scope};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::process::{Format, Given, load};
use crate::args::Cluster;
use crate::rights::Deed;
use crate::{connect, terminal};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The template: a file, - or [NAMESPACE/]restore, the one that is built in
    #[arg(long, value_name = "TEMPLATE")]
    template: String,
    #[command(flatten)]
    given: Given,
    /// Create nothing, and show the objects
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

/// The verb.
pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let made = load(&args.template, &cluster.instance)?.process(&args.given.values()?)?;
    if let Some(format) = args.output {
        terminal::write(&format.text(&made.list)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let connection = connect::connect(cluster).await?;
    let mut items = Vec::new();
    for object in made.objects() {
        let (object, line) = ensure(&connection.client, &connection.namespace, object).await?;
        eprintln!("{line}");
        items.push(object);
    }
    if terminal::is_shown() {
        if !made.message.is_empty() {
            eprintln!("\n{}", made.message);
        }
    } else {
        let list = json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items});
        terminal::write(&Format::Yaml.text(&list)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Creates the object, or finds one there that asks for the same. Gives the object with its namespace, and a line
/// as kubectl has it.
pub(crate) async fn ensure(client: &Client, namespace: &str, object: &Value) -> anyhow::Result<(Value, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let (group, version) = version.split_once('/').map_or(("", version.as_str()), |(g, v)| (g, v));
    let gvk = GroupVersionKind::gvk(group, version, &kind);
    let found = api::bounded(|| format!("find kind {kind}"), discovery::pinned_kind(client, &gvk)).await;
    let (resource, capabilities) = found.map_err(|e| anyhow!("cannot {}", api::chain(&e)))?;
    let mut object = object.clone();
    let name = text(&object["metadata"]["name"]);
    let namespaced = capabilities.scope == Scope::Namespaced;
    if namespaced && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = Value::from(namespace);
    }
    let namespace = text(&object["metadata"]["namespace"]);
    let api: Api<DynamicObject> = if namespaced {
        Api::namespaced_with(client.clone(), &namespace, &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    };
    let plural = if group.is_empty() { resource.plural.clone() } else { format!("{}.{group}", resource.plural) };
    let line = |what: &str| format!("{}/{name} {what}", plural.replacen(&resource.plural, &kind.to_lowercase(), 1));
    let deed = |verb| Deed { verb, resource: &plural, namespace: namespaced.then_some(namespace.as_str()) };
    let wanted: DynamicObject = serde_json::from_value(object.clone())?;
    match api::bounded(|| format!("create {plural} {name}"), api.create(&PostParams::default(), &wanted)).await {
        Ok(_) => Ok((object, line("created"))),
        Err(error) if error.is_conflict() || error.status().is_some_and(|s| s.code == 409) => {
            let there = api::bounded(|| format!("get {plural} {name}"), api.get(&name)).await;
            let there = there.map_err(|e| deed("get").failed(&e))?;
            if let Some(key) = differs(&object["metadata"], &serde_json::to_value(&there.metadata)?) {
                bail!("{plural} {name} is there, and asks for something else ({key} differs): delete it first");
            }
            Ok((object, line("unchanged")))
        }
        Err(error) => Err(deed("create").failed(&error)),
    }
}

/// The first label or annotation of ours that the object there has not.
fn differs(ours: &Value, there: &Value) -> Option<String> {
    ["labels", "annotations"].into_iter().find_map(|field| {
        let wanted = ours[field].as_object().into_iter().flatten();
        wanted.filter(|(key, value)| there[field][key.as_str()] != **value).map(|(key, _)| key.clone()).next()
    })
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
Objects that are there and ask for the same are left as they are. What was done is told on standard error. If
standard output is no terminal, the objects are printed there, so that the command that made them takes them
away again. With -o nothing is created.

Examples:
  kubectl backup new-app --template=backup/restore -p NAME=data -p DATE=20181202
  kubectl backup new-app --template=backup/restore -p NAME=data -p DATE=20181202 | kubectl delete -f -
  # Only to look at
  kubectl backup new-app --template=restore -p NAME=data -p DATE=20181202 -o yaml";
