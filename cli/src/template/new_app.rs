//! `kubectl backup new-app`: creates a Template's objects, with the words of `oc new-app`.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{self, Scope};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::process::{Format, Given, load};
use crate::flags::Cluster;
use crate::review::need;
use crate::rights::Deed;
use crate::{connect, terminal};

/// Questions at once about kinds.
const AT_ONCE: usize = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Template: a file, - for standard input, or [NAMESPACE/]restore for the built-in Template
    #[arg(long, value_name = "TEMPLATE")]
    template: String,
    #[command(flatten)]
    given: Given,
    /// Print the objects in this format, and create nothing
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> anyhow::Result<ExitCode> {
    let made = load(&args.template, &cluster.instance)?.process(&args.given.values()?)?;
    if let Some(format) = args.output {
        terminal::write(&format.text(&made.list)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let connection = connect::connect(cluster).await?;
    let found = made.objects().iter().map(|object| find(&connection.client, &connection.namespace, object));
    let wanted: Vec<Wanted> = stream::iter(found.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
    need(&connection.client, &wanted.iter().map(|wanted| wanted.deed("create")).collect::<Vec<_>>()).await?;
    let mut items = Vec::new();
    for wanted in wanted {
        let (object, line) = ensure(&connection.client, wanted).await?;
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

/// An object that is to be there, and how the API server calls its kind.
struct Wanted {
    object: Value,
    resource: ApiResource,
    /// As RBAC names the kind.
    plural: String,
    /// `None`: the kind has no namespaces.
    namespace: Option<String>,
}

impl Wanted {
    fn deed<'a>(&'a self, verb: &'a str) -> Deed<'a> {
        Deed::new(verb, &self.plural, self.namespace.as_deref())
    }
}

/// Asks the API server about the object's kind.
async fn find(client: &Client, namespace: &str, object: &Value) -> anyhow::Result<Wanted> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    let (group, version) = version.split_once('/').map_or(("", version.as_str()), |(g, v)| (g, v));
    let gvk = GroupVersionKind::gvk(group, version, &kind);
    let found = api::bounded(|| format!("find kind {kind}"), discovery::pinned_kind(client, &gvk)).await;
    let (resource, capabilities) =
        found.map_err(|e| anyhow!("the cluster does not accept objects of kind {kind}: {}", api::chain(&e)))?;
    let mut object = object.clone();
    let namespaced = capabilities.scope == Scope::Namespaced;
    if namespaced && object["metadata"]["namespace"].is_null() {
        object["metadata"]["namespace"] = Value::from(namespace);
    }
    let namespace = namespaced.then(|| text(&object["metadata"]["namespace"]));
    let plural = if group.is_empty() { resource.plural.clone() } else { format!("{}.{group}", resource.plural) };
    Ok(Wanted { object, resource, plural, namespace })
}

/// Creates the object, or finds one there that asks for the same. Gives the object with its namespace, and a line
/// as kubectl has it.
async fn ensure(client: &Client, wanted: Wanted) -> anyhow::Result<(Value, String)> {
    let api: Api<DynamicObject> = match &wanted.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &wanted.resource),
        None => Api::all_with(client.clone(), &wanted.resource),
    };
    let deed = |verb| wanted.deed(verb);
    let Wanted { object, resource, plural, .. } = &wanted;
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let kind = resource.kind.to_lowercase();
    let line = |what: &str| format!("{}/{name} {what}", plural.replacen(&resource.plural, &kind, 1));
    let object = object.clone();
    let posted: DynamicObject = serde_json::from_value(object.clone())?;
    match api::bounded(|| format!("create {plural} {name}"), api.create(&PostParams::default(), &posted)).await {
        Ok(_) => Ok((object, line("created"))),
        Err(error) if error.is_conflict() || error.status().is_some_and(|s| s.code == 409) => {
            let there = api::bounded(|| format!("get {plural} {name}"), api.get(name)).await;
            let there = there.map_err(|e| deed("get").failed(&e))?;
            if let Some(key) = differs(&object["metadata"], &serde_json::to_value(&there.metadata)?) {
                bail!(
                    "{plural} {name} exists with another value of {key}. Delete it first: kubectl delete {plural} \
                     {name}"
                );
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
Existing objects with the same labels and annotations are left unchanged. Messages go to standard error. If standard
output is not a terminal, the objects are printed there: the same command then deletes them, as in the second example.

Examples:
  kubectl backup new-app --template=backup/restore -p NAME=data -p DATE=20181202
  kubectl backup new-app --template=backup/restore -p NAME=data -p DATE=20181202 | kubectl delete -f -
  # Print the objects, and create nothing
  kubectl backup new-app --template=restore -p NAME=data -p DATE=20181202 -o yaml

Exit codes:
  0  done
  1  the command failed, a parameter is unknown or missing, or an object exists with other values
  2  the command line is wrong";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::fixture::Objects;
    use crate::tests::server::{Server, forbidden, refusal, serve};

    const MAPS: &str = "/api/v1/namespaces/shop/configmaps";

    fn server() -> Server {
        let kinds = json!({
            "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "v1",
            "resources": [{"name": "configmaps", "singularName": "", "namespaced": true, "kind": "ConfigMap", "verbs": ["create"]}]
        });
        Server::of(Objects::new()).refusing("/api/v1", (200, kinds))
    }

    fn object() -> Value {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "restore-data", "labels": {"template": "restore"}}
        })
    }

    fn there(labels: &Value) -> (u16, Value) {
        (
            200,
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "restore-data", "namespace": "shop", "labels": labels}
            }),
        )
    }

    fn ensured(server: &Server) -> Result<(Value, String), String> {
        serve(async {
            let client = server.client();
            ensure(&client, find(&client, "shop", &object()).await?).await
        })
        .map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_not_there_is_created_in_the_namespace() {
        let server = server().refusing(&format!("POST {MAPS}"), there(&json!({})));
        let (object, line) = ensured(&server).unwrap();
        assert_eq!(
            (line.as_str(), object["metadata"]["namespace"].as_str()),
            ("configmap/restore-data created", Some("shop"))
        );
        assert_eq!(server.written()[0]["metadata"]["namespace"], "shop");
    }

    /// The command that made the objects can be piped into `kubectl delete -f -`.
    #[test]
    fn what_is_there_stays_if_it_asks_for_the_same() {
        let taken = server().refusing(&format!("POST {MAPS}"), refusal(409, "AlreadyExists", "it is there"));
        let path = format!("{MAPS}/restore-data");
        let same = taken.clone().refusing(&path, there(&json!({"template": "restore", "more": "x"})));
        assert_eq!(ensured(&same).unwrap().1, "configmap/restore-data unchanged");
        let other = taken.refusing(&path, there(&json!({"template": "other"})));
        let error = ensured(&other).unwrap_err();
        assert!(
            error.contains("exists with another value of template. Delete it first: kubectl delete configmaps "),
            "{error}"
        );
    }

    #[test]
    fn a_missing_right_and_an_unknown_kind_are_named() {
        let refused = server().refusing(&format!("POST {MAPS}"), forbidden("create resource \"configmaps\""));
        let error = ensured(&refused).unwrap_err();
        assert!(
            error.starts_with("you (me) lack permission to create configmaps in namespace shop. An admin"),
            "{error}"
        );
        let none = server().refusing("/api/v1", refusal(404, "NotFound", "not found"));
        assert!(ensured(&none).unwrap_err().contains("does not accept objects of kind ConfigMap: not found"));
    }
}
