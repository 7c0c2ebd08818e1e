//! The ledgers of a scene's sources: what the controller knows of their runs.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use kube::ResourceExt;
use kube::api::{ListParams, PostParams};
use model::Timestamp;
use model::facts::Identity;
use model::ledger::{Book, Entry, Finding, Ledger};
use model::names;
use model::record::CopyResult;
use model::snapshot::VolumeSnapshot;
use serde_json::Value;

use crate::scene::{Scene, source};

/// The ConfigMap that is a ledger, as the controller of an installation writes it.
#[must_use]
pub fn object(instance: &str, namespace: &str, ledger: &Ledger) -> Value {
    let install = templates::Install {
        instance: instance.into(),
        namespace: namespace.to_owned(),
        job_service_account: String::new(),
        controller_image: String::new(),
        mover_image: String::new(),
        image_pull_policy: String::new(),
        templates_config_map: None,
    };
    templates::ledger(&install, ledger)
}

impl Scene {
    /// The ledger of a source that is there or was, if it has one. It must be one that can be read.
    pub async fn ledger(&self, claim: &PersistentVolumeClaim) -> Result<Option<Ledger>> {
        let name = names::ledger(&source(claim).uid);
        let Some(map) = self.api::<ConfigMap>(&self.home).get_opt(&name).await? else { return Ok(None) };
        let book = Book::read(&map, &self.instance()).context("no name of a ledger")?;
        Ok(Some(*book.ledger.map_err(|problem| anyhow::anyhow!("{problem}"))?))
    }

    /// Waits until the ledger of a source is as `fits` says.
    pub async fn ledger_that(
        &self,
        what: &str,
        claim: &PersistentVolumeClaim,
        fits: impl Fn(&Ledger) -> bool,
    ) -> Result<Ledger> {
        let what = format!("the ledger of {}: {what}", claim.name_any());
        self.wait(&what, async || Ok(self.ledger(claim).await?.filter(|ledger| fits(ledger)))).await
    }

    /// What became of the copy of a run, as the ledger has it now.
    pub async fn result(
        &self,
        claim: &PersistentVolumeClaim,
        run: &str,
        destination: &str,
    ) -> Result<Option<CopyResult>> {
        Ok(self.ledger(claim).await?.and_then(|ledger| result(&ledger, run, destination)))
    }

    /// Waits until the ledger has what became of the copy of a run.
    pub async fn recorded(&self, claim: &PersistentVolumeClaim, run: &str, destination: &str) -> Result<CopyResult> {
        let what = format!("what became of run {run} at {destination} is recorded");
        self.wait(&what, async || self.result(claim, run, destination).await).await
    }

    /// Waits until the controller knows a source, and copies its runs to these destinations: what a snapshot is taken
    /// for. Chooses them on the PVC if it would copy to others.
    pub async fn copies_to(&self, claim: &PersistentVolumeClaim, destinations: &[&str]) -> Result<()> {
        let fits = |ledger: &Ledger| ledger.settings.as_ref().is_some_and(|s| s.destinations == destinations);
        let known = self.ledger_that("its settings", claim, |ledger| ledger.settings.is_some()).await?;
        if fits(&known) {
            return Ok(());
        }
        let chosen = if destinations.is_empty() { "none".to_owned() } else { destinations.join(",") };
        let setting = [(names::DESTINATION_SETTING, Some(chosen.as_str()))];
        let namespace = claim.namespace().unwrap_or_default();
        self.annotate::<PersistentVolumeClaim>(&namespace, &claim.name_any(), &setting).await?;
        self.ledger_that(&format!("its destinations are {chosen}"), claim, fits).await.map(drop)
    }

    /// Results that were recorded some day, as a fixture: the run's snapshot is there, and the controller has begun the
    /// ledger, whose writer it is.
    pub async fn record(
        &self,
        claim: &PersistentVolumeClaim,
        run: &str,
        results: &[(&str, &CopyResult)],
    ) -> Result<()> {
        let run: names::Run = run.parse()?;
        self.ledger_that("it is there", claim, |ledger| ledger.settings.is_some()).await?;
        let snapshots = self.api::<VolumeSnapshot>(&claim.namespace().unwrap_or_default());
        let labels = format!("{}={},{}={run}", names::SOURCE_UID, source(claim).uid, names::RUN);
        let found = snapshots.list(&ListParams::default().labels(&labels)).await?;
        let taken = Identity::of(&found.items.first().with_context(|| format!("no snapshot of run {run}"))?.metadata);
        self.edit_ledger(claim, |ledger| {
            ledger.begin(&run, &taken, false);
            for (destination, result) in results {
                let entry = Entry::Result(Box::new((*result).clone()));
                ledger.enter(
                    &Finding { run: run.clone(), destination: (*destination).to_owned(), entry },
                    Timestamp::MIN,
                );
            }
        })
        .await
    }

    /// Changes a ledger as its writer would: in the version that was read, and again if another one was first.
    pub async fn edit_ledger(&self, claim: &PersistentVolumeClaim, edit: impl Fn(&mut Ledger)) -> Result<()> {
        let maps = self.api::<ConfigMap>(&self.home);
        let name = names::ledger(&source(claim).uid);
        self.wait("the ledger is edited", async || {
            let mut map = maps.get(&name).await?;
            let data: BTreeMap<String, String> = map.data.take().unwrap_or_default();
            let read = Ledger::parse(&source(claim).uid, &data);
            let mut ledger = read.map_err(|problem| anyhow::anyhow!("{problem}"))?;
            edit(&mut ledger);
            map.data = Some(ledger.to_data());
            match maps.replace(&name, &PostParams::default(), &map).await {
                Ok(_) => Ok(Some(())),
                Err(kube::Error::Api(refused)) if refused.code == 409 => Ok(None),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }
}

/// What became of the copy of a run.
#[must_use]
pub fn result(ledger: &Ledger, run: &str, destination: &str) -> Option<CopyResult> {
    ledger.runs.iter().find(|r| r.run.as_str() == run)?.results.get(destination).cloned()
}
