//! The fate of each PVC. Pure: it takes the observed state and gives [`Row`]s.

use std::collections::{BTreeMap, BTreeSet};

use model::Timestamp;
use model::config::{Destination, PromoterRetention};
use model::facts::{Claim, CronJob};
use model::names::{self, Component};
use model::plan::{self, NextRun};
use model::reason::{Problem, Reason};
use model::schedule::{self, Due, Zone};
use model::select::{Origins, Protection, Verdict, Written};
use model::world::World;
use serde::Serialize;

use crate::observe::Observed;
use crate::status::{Finding, Word};

/// Whether a PVC is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Protected {
    Yes,
    /// It cannot be protected as things are.
    No,
    /// Somebody chose not to protect it.
    Excluded,
}

impl Protected {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Excluded => "excluded",
        }
    }
}

/// A setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Setting {
    pub(super) value: String,
    /// As somebody wrote it.
    pub(super) written: String,
    /// The place where it is written.
    pub(super) from: String,
}

impl Setting {
    fn new(value: &str, written: &Written) -> Self {
        Self { value: value.to_owned(), written: written.text.clone(), from: written.place.to_string() }
    }
}

/// How a protected PVC is protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct How {
    pub(super) schedule: Setting,
    /// Whether runs count from the end of the one before.
    #[serde(skip)]
    pub(super) after: bool,
    pub(super) time_zone: Setting,
    /// The CronJob that stays unchanged while a setting cannot be read. Its schedule and time zone are shown; the other
    /// settings here replace earlier ones that only the CronJob contains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) unchanged_cron_job: Option<String>,
    /// `None` if the next run counts from the end of a run that is under way, or if no run is scheduled.
    pub(super) next_run: Option<Timestamp>,
    pub(super) retention: Setting,
    pub(super) destinations: Vec<String>,
    pub(super) destinations_from: String,
    /// By destination: the Secret of the PVC's group, where it is another than the destination's.
    #[serde(skip)]
    pub(super) secrets: BTreeMap<String, String>,
    /// The retention of destinations that have one of their own.
    pub(super) destination_retentions: Vec<(String, String)>,
    pub(super) snapshot_class: String,
    pub(super) snapshot_class_from: &'static str,
    pub(super) promoter_class: String,
    /// Whether promoters are read-only views of snapshots instead of full clones.
    pub(super) promoter_read_only: bool,
    pub(super) promoter_retention: PromoterRetention,
}

/// One PVC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) storage_class: Option<String>,
    pub(super) protected: Protected,
    /// The places that decide, the strongest first.
    pub(super) rules: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) how: Option<How>,
    /// Why it is not protected, and settings that cannot be read.
    pub(super) findings: Vec<Finding>,
}

impl Row {
    /// Whether somebody has to do something before it is protected. A PVC without a volume has no data.
    pub(super) fn alarms(&self) -> bool {
        self.protected == Protected::No && !self.findings.iter().any(|f| f.reason == Word::Reason(Reason::NotBound))
    }
}

/// Something that keeps copies of a namespace from a destination.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lack {
    pub(super) destination: String,
    pub(super) namespace: String,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) help: &'static str,
}

impl Lack {
    pub(super) fn new(destination: &str, namespace: &str, problem: Problem) -> Self {
        let Problem { reason, message, .. } = problem;
        let (destination, namespace) = (destination.to_owned(), namespace.to_owned());
        Self { destination, namespace, reason: reason.as_str(), message, help: reason.help() }
    }
}

/// The PVCs that are asked for, by namespace and name. Volumes of the backups themselves are shown only by name.
pub(super) fn rows(observed: &Observed, names: &[String], now: Timestamp) -> Vec<Row> {
    let selected = |claim: &Claim| match &observed.selected {
        Some(selected) => selected.contains(&claim.id.uid),
        None => names.is_empty() || names.contains(&claim.id.name),
    };
    let world = &observed.world;
    let shown = |claim: &&Claim| selected(claim) && (!names.is_empty() || !is_confirmed_own(world, claim));
    let mut rows: Vec<Row> = world.claims.iter().filter(shown).map(|claim| row(world, claim, now)).collect();
    rows.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    rows
}

/// Whether the PVC is a volume of the backups themselves. Tenants can write its labels, so another object, the
/// configuration or the controller's namespace has to confirm them.
fn is_confirmed_own(world: &World, claim: &Claim) -> bool {
    let Some(ours) = claim.ours.as_ref().filter(|ours| ours.instance == world.instance) else { return false };
    let volume = || claim.volume.as_ref().and_then(|name| world.volumes.get("", name)?.ours.as_ref());
    let has_our_volume = || volume().is_some_and(|v| v.instance == world.instance && v.component == ours.component);
    let in_our_namespace = claim.namespace == world.namespace;
    match ours.component {
        Component::Promoter => in_our_namespace || plan::from_our_snapshot(world, claim),
        // The volume of a BackupDisk from a StorageClass is the provisioner's, and has no labels.
        Component::Disk => {
            let disk = |d: &&Destination| d.disk_claim().as_ref() == Some(&claim.id.name);
            let by_class = |d: &Destination| d.host_path().is_none();
            world.config.destinations.iter().find(disk).is_some_and(|d| by_class(d) || has_our_volume())
        }
        Component::Central => in_our_namespace,
        Component::Grant | Component::Target => has_our_volume(),
        _ => false,
    }
}

/// Whether a PVC is left out for nothing but its name. Its data may be a tenant's.
fn is_only_named_like_own(world: &World, claim: &Claim) -> bool {
    claim.ours.is_none() && !plan::from_our_snapshot(world, claim)
}

fn finding(problem: &Problem, protected: Protected) -> Finding {
    let finding = Finding::of(problem);
    if problem.reason == Reason::OwnVolume && protected == Protected::No {
        return Finding { help: "create the PVC under another name, or set another claim.name", ..finding };
    }
    finding
}

fn row(world: &World, claim: &Claim, now: Timestamp) -> Row {
    let (verdict, origins) = plan::explain(world, claim);
    let rules = origins.places().into_iter().map(ToString::to_string).collect();
    let (protected, how, problems) = match verdict {
        Verdict::Protected(protection, warnings) => {
            (Protected::Yes, how(world, claim, &protection, &origins, now), warnings)
        }
        Verdict::Unprotected(problem, mut warnings) => {
            let by_name = problem.reason == Reason::OwnVolume && is_only_named_like_own(world, claim);
            let chosen = problem.reason.is_choice() && !by_name;
            let protected = if chosen { Protected::Excluded } else { Protected::No };
            warnings.insert(0, problem);
            (protected, None, warnings)
        }
    };
    Row {
        namespace: claim.namespace.clone(),
        name: claim.id.name.clone(),
        uid: claim.id.uid.clone(),
        size: claim.capacity,
        storage_class: claim.class.clone().filter(|class| !class.is_empty()),
        protected,
        rules,
        how,
        findings: problems.iter().map(|problem| finding(problem, protected)).collect(),
    }
}

fn how(world: &World, claim: &Claim, protection: &Protection, origins: &Origins, now: Timestamp) -> Option<How> {
    let settings = origins.settings.as_ref()?;
    let configured = protection.destinations.iter().filter_map(|name| world.config.destination(name));
    let (snapshot_class, choice) = &protection.snapshot_class;
    let cronjob = unchanged(world, claim, protection);
    let (schedule, time_zone) = match cronjob {
        None => (
            Setting::new(&protection.due.text(), &settings.schedule),
            Setting::new(protection.zone.name(), &settings.time_zone),
        ),
        Some(CronJob { id, spec: (text, zone, _), after, .. }) => {
            let from = format!("CronJob {}", id.name);
            let setting = |text: String| Setting { value: text.clone(), written: text, from: from.clone() };
            let zone = zone.clone().unwrap_or_else(|| Zone::default().name().to_owned());
            (setting(after.map_or_else(|| text.clone(), schedule::after)), setting(zone))
        }
    };
    let fires = cronjob.is_none_or(|c| c.after.is_some() || !c.spec.2);
    let zone = time_zone.value.parse().unwrap_or_else(|_| protection.zone.clone());
    let next_run = next_run(world, claim, &schedule.value, &zone, now).filter(|_| fires);
    Some(How {
        schedule,
        after: cronjob.map_or(protection.due.after(), |c| c.after).is_some(),
        time_zone,
        unchanged_cron_job: cronjob.map(|c| c.id.name.clone()),
        next_run,
        retention: Setting::new(&protection.retention.to_string(), &settings.retention),
        destinations: protection.destinations.clone(),
        secrets: protection.secrets.clone(),
        destinations_from: settings.destinations.place.to_string(),
        destination_retentions: configured
            .filter_map(|d| Some((d.name.clone(), d.retention.as_ref()?.to_string())))
            .collect(),
        snapshot_class: snapshot_class.clone(),
        snapshot_class_from: choice.as_str(),
        promoter_class: protection.promoter.shape.storage_class.clone(),
        promoter_read_only: protection.promoter.shape.read_only,
        promoter_retention: protection.promoter.retention,
    })
}

/// The CronJob that the controller leaves unchanged because a setting of the PVC cannot be read.
fn unchanged<'a>(world: &'a World, claim: &Claim, protection: &Protection) -> Option<&'a CronJob> {
    let cronjob = world.cronjobs.get("", &names::cronjob(&claim.source()))?;
    let ours = cronjob.ours.as_ref().filter(|o| o.instance == world.instance && o.source_uid == claim.id.uid);
    (protection.unreadable && ours.is_some() && !cronjob.terminating).then_some(cronjob)
}

/// When the PVC is next backed up; before an installation, as if that were now.
fn next_run(world: &World, claim: &Claim, schedule: &str, zone: &Zone, now: Timestamp) -> Option<Timestamp> {
    match Due::parse(schedule, "").ok()? {
        Due::Cron(schedule) => schedule.next_after(now, zone),
        Due::After(span) => match plan::next_run(world, claim, span, now) {
            Some(NextRun::At(at)) => Some(at.max(now)),
            Some(NextRun::UnderWay(_)) => None,
            None => Some(schedule::first(now, span, &claim.source().seed())),
        },
    }
}

/// What is known to keep copies from being made, for each destination and namespace of protected PVCs.
pub(super) fn lacks(world: &World, rows: &[Row], now: Timestamp) -> Vec<Lack> {
    let copied: BTreeSet<(&str, &str, &str)> = rows.iter().flat_map(copies).collect();
    let lack = |(destination, namespace, class): (&str, &str, &str)| {
        let problem = plan::prospect(world, namespace, class, world.config.destination(destination)?, now)?;
        Some(Lack::new(destination, namespace, problem))
    };
    copied.into_iter().filter_map(lack).collect()
}

/// The destinations of a row, each with its namespace and the StorageClass of its promoters.
fn copies(row: &Row) -> impl Iterator<Item = (&str, &str, &str)> {
    row.how.iter().flat_map(move |how| {
        let class = how.promoter_class.as_str();
        how.destinations.iter().map(move |name| (name.as_str(), row.namespace.as_str(), class))
    })
}
