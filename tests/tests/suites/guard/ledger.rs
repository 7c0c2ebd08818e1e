//! Of `ConfigMap`s, the controller's account writes ledgers alone, and the job's account reads them.

use anyhow::Result;
use model::names;
use serde_json::{Value, json};

use crate::guard::stage::{Actor, JOB_KINDS, Stage, UNLABELLED, Verb};

const LEDGERS: &str = "backup-controller may write only ledgers among the ConfigMaps, and only in its own namespace";

fn ledger(uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": format!("ledger-{uid}"), "namespace": "backup", "labels": {
            names::MANAGED_BY: names::MANAGER, names::INSTANCE: "backup",
            names::COMPONENT: names::Component::Ledger.as_str(),
        }},
        "data": {"ledger": "{}"},
    })
}

#[tokio::test]
async fn a_ledger_is_written_and_goes_with_the_installed_role() -> Result<()> {
    let stage = Stage::new("ledger-steps").await?;
    let ledger = ledger("0aa5e1d3");
    let more = Verb::Replace(json!({"data": {"ledger": "{\"runs\": []}"}}));
    stage.passes("a ledger", Actor::Controller, Verb::Create, &ledger).await?;
    stage.passes("a run", Actor::Controller, more.clone(), &ledger).await?;
    stage.passes("the job reads it", Actor::Job, Verb::Read, &ledger).await?;
    stage.refused("the job writes it", Actor::AlmightyJob, more, &ledger, JOB_KINDS).await?;
    stage.passes("a ledger goes", Actor::Controller, Verb::Delete, &ledger).await
}

/// The configuration selects what is protected, and the templates what is created.
#[tokio::test]
async fn no_other_config_map_is_written() -> Result<()> {
    let stage = Stage::new("config-maps").await?;
    let me = Actor::AlmightyController;
    let named = |name: &str, place: &str, value: Value| {
        let mut object = ledger(name);
        *object.pointer_mut(place).expect(place) = value;
        object
    };
    let component = "/metadata/labels/backup-controller.io~1component";
    let instance = "/metadata/labels/backup-controller.io~1instance";
    for (what, object, words) in [
        ("in a tenant's namespace", named("a", "/metadata/namespace", json!(stage.namespace)), LEDGERS),
        ("one of another name", named("b", "/metadata/name", json!("backup-templates")), LEDGERS),
        ("one of another component", named("c", component, json!("copy")), LEDGERS),
        ("another installation's", named("d", instance, json!("two")), UNLABELLED),
    ] {
        stage.refused(what, me, Verb::Create, &object, words).await?;
    }
    let configuration = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
        "name": "backup-controller", "namespace": "backup",
    }});
    let change = json!({"data": {"config.yaml": "{}"}});
    stage.refused("the configuration", me, Verb::Merge(change.clone()), &configuration, UNLABELLED).await?;
    stage.refused("the configuration goes", me, Verb::Delete, &configuration, UNLABELLED).await?;
    let labels = ledger("x")["metadata"]["labels"].clone();
    let labelled = json!({"metadata": {"labels": labels}, "data": {"config.yaml": "{}"}});
    stage.refused("with a ledger's labels", me, Verb::Merge(labelled.clone()), &configuration, LEDGERS).await?;
    let mut stranger = ledger("stranger");
    stranger["metadata"]["labels"] = json!({"app": "x"});
    stage.has(&stranger).await?;
    stage.refused("one that is taken over", me, Verb::Merge(labelled), &stranger, LEDGERS).await
}

/// S4: the roles have no subresource, so a status does not change by the tokens of our accounts either.
#[tokio::test]
async fn our_accounts_write_no_status() -> Result<()> {
    let stage = Stage::new("subresources").await?;
    let (source, job) = (stage.claim("mypvc"), stage.fixture("copy")?);
    stage.has(&source).await?;
    stage.passes("a copy", Actor::Controller, Verb::Create, &job).await?;
    let status = Verb::Status(json!({"metadata": {"labels": {names::INSTANCE: "backup"}}}));
    for actor in [Actor::Controller, Actor::Job] {
        for object in [&source, &job] {
            stage.refused("a status", actor, status.clone(), object, "cannot patch resource").await?;
        }
    }
    Ok(())
}
