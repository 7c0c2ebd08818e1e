//! Whether the Secrets of restic destinations are there. Only their names are asked for, never their contents.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, Client};
use model::config::{Config, RunIn};
use model::reason::{Problem, Reason};
use model::world::World;

use super::rows::{Lack, Row};
use crate::asked::Asked;
use crate::observe::{Answer, Gap, Scope, answer};

const UNGUARDED: &str =
    "add it to BACKUP_SECRETS of the controller's Deployment, in the overlay or Helm values of the installation";

/// By the name of a Secret, its namespaces; for each the destinations that need it there.
pub(super) type Needed = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The Secrets that the destinations of protected PVCs need.
pub(super) fn needed(world: &World, rows: &[Row]) -> Needed {
    let mut needed = Needed::new();
    for (row, how) in rows.iter().filter_map(|row| Some((row, row.how.as_ref()?))) {
        let configured = how.destinations.iter().filter_map(|name| world.config.destination(name));
        for destination in configured {
            let Some(secret) = destination.secret_for(&how.secrets) else { continue };
            let home = match destination.runs_in() {
                RunIn::Controller => &world.namespace,
                RunIn::Tenant => &row.namespace,
            };
            let there = needed.entry(secret.to_owned()).or_default().entry(home.clone()).or_default();
            there.insert(destination.name.clone());
        }
    }
    needed
}

/// The Secrets that the guard allows no pod to mount.
pub(super) fn unguarded(config: &Config, allowed: &[String], needed: &Needed) -> Vec<Lack> {
    let unguarded: BTreeSet<(&str, &str)> = config.unguarded(allowed).collect();
    let mut lacks = Vec::new();
    for (secret, namespaces) in needed {
        for (namespace, destinations) in namespaces {
            let concerned = destinations.iter().filter(|d| unguarded.contains(&(d.as_str(), secret.as_str())));
            lacks.extend(concerned.map(|destination| {
                let message = format!("the guard allows no pod to mount Secret {secret}");
                let lack = Lack::new(destination, namespace, Problem::new(Reason::Forbidden, message));
                Lack { help: UNGUARDED, ..lack }
            }));
        }
    }
    lacks
}

/// The missing ones, and the questions that were refused.
pub(super) async fn missing(client: &Client, scope: &Scope, needed: Needed) -> anyhow::Result<(Vec<Lack>, Vec<Gap>)> {
    let (mut lacks, mut gaps) = (Vec::new(), Vec::new());
    for (secret, namespaces) in needed {
        let asked: Vec<Option<&String>> = match scope.namespace {
            // One question for all namespaces, not one for each.
            None => vec![None],
            Some(_) => namespaces.keys().map(Some).collect(),
        };
        for namespace in asked {
            match holders(client, &secret, namespace).await? {
                Ok(there) => {
                    let meant = namespaces.iter().filter(|(n, _)| namespace.is_none_or(|asked| asked == *n));
                    let absent = meant.filter(|(n, _)| !there.contains(*n));
                    lacks.extend(absent.flat_map(|(n, destinations)| {
                        destinations.iter().map(|destination| Lack::new(destination, n, absence(&secret)))
                    }));
                }
                Err(gap) => gaps.push(gap),
            }
        }
    }
    Ok((lacks, gaps))
}

fn absence(secret: &str) -> Problem {
    let message = format!("there is no Secret {secret} with RESTIC_PASSWORD and the keys that the repository needs");
    Problem::new(Reason::SecretIncomplete, message)
}

/// The namespaces that have a Secret of that name.
async fn holders(
    client: &Client,
    secret: &str,
    namespace: Option<&String>,
) -> anyhow::Result<Result<BTreeSet<String>, Gap>> {
    let api: Api<Secret> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let resource = Asked::of::<Secret>().named(secret).within(namespace.map(String::as_str));
    let named = ListParams::default().fields(&format!("metadata.name={secret}"));
    let listed = api::bounded(|| format!("list {resource}"), api.list_metadata(&named)).await;
    Ok(match answer(listed, "list", &resource)? {
        Answer::Is(list) => Ok(list.items.iter().filter_map(kube::ResourceExt::namespace).collect()),
        Answer::Absent => Ok(BTreeSet::new()),
        Answer::Refused(gap) => Err(gap),
    })
}
