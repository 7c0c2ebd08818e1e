//! Which PVCs are sources, with which settings; and for each of the others, why not.
//!
//! A PVC's annotation overrides its Namespace's, which overrides the configuration: the group that the PVC belongs
//! to, and then the defaults. Annotations stay inside the administrator's bounds. A setting that cannot be read is reported, and never guessed at.

mod classes;
mod origin;

use std::collections::BTreeMap;

use crate::config::{Config, Group, Mode, PromoterRetention, glob};
use crate::duration::Span;
use crate::facts::{self, Claim, ClaimPhase, Namespace, SnapshotClass, StorageClass, Volume};
use crate::names::{self, Component};
use crate::options::Options;
use crate::promoter::PromoterShape;
use crate::reason::{Problem, Reason};
use crate::record;
use crate::retention::Retention;
use crate::schedule::{Due, Zone};
use crate::text::clip;
use origin::{Found, of_defaults, of_group};
pub use origin::{Origins, Place, Settings, Written};

/// The cluster's classes.
#[derive(Debug, Clone, Default)]
pub struct Classes {
    /// StorageClasses by name.
    pub storage: BTreeMap<String, StorageClass>,
    /// VolumeSnapshotClasses by name.
    pub snapshot: BTreeMap<String, SnapshotClass>,
    /// Whether the cluster has the VolumeSnapshot API at all (F04).
    pub snapshot_api: bool,
}

/// What is known about one PVC.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The PVC.
    pub claim: &'a Claim,
    /// Its Namespace.
    pub namespace: &'a Namespace,
    /// Its volume.
    pub volume: Option<&'a Volume>,
    /// Whether the snapshot that the PVC was made from is one of ours. With the name of that snapshot it
    /// makes a promoter, whatever its labels say: a stripped label never makes a promoter a source.
    pub from_our_snapshot: bool,
    /// The cluster's classes.
    pub classes: &'a Classes,
    /// The configuration.
    pub config: &'a Config,
}

/// How a source is protected.
#[derive(Debug, Clone, PartialEq)]
pub struct Protection {
    /// Five fields, `H` resolved; or `@after` and a length of time.
    pub schedule: String,
    /// How long after the end of the last run the next one starts, if that is what the schedule says.
    pub after: Option<Span>,
    /// The schedule's zone.
    pub zone: Zone,
    /// Half of the schedule's shortest interval, one hour at most: how late a run may still start.
    pub starting_deadline: Span,
    /// What rotation goes by.
    pub retention: Retention,
    /// Names of destinations, in the configuration's order.
    pub destinations: Vec<String>,
    /// By destination: the Secret with its credentials, where the source's group names another one than the
    /// destination does.
    pub secrets: BTreeMap<String, String>,
    /// What it says of its copies in restic repositories.
    pub options: Options,
    /// The class of its snapshots, and the rule that chose it.
    pub snapshot_class: (String, ClassChoice),
    /// How promoters are made.
    pub promoter: PromoterRules,
    /// Whether an empty volume is as it should be.
    pub accept_empty: bool,
    /// Whether a setting could not be read, so that a default stands in for it. A protection that is in
    /// force is then left as it is, and a new one rotates nothing (law 4).
    pub unreadable: bool,
}

/// A day that never comes.
const NEVER: &str = "0 0 30 2 *";

impl Protection {
    /// What its runs go by, as its ledger has it; nothing while a setting cannot be read.
    #[must_use]
    pub fn in_force(&self) -> Option<record::Settings> {
        (!self.unreadable).then(|| record::Settings {
            retention: self.retention.to_string(),
            time_zone: self.zone.name().to_owned(),
            destinations: self.destinations.clone(),
        })
    }

    /// What the CronJob says: its schedule, and whether it is suspended. One whose runs count from the end of the
    /// last is, and fires at no time besides: the controller alone starts its runs.
    #[must_use]
    pub fn cron(&self) -> (&str, bool) {
        if self.after.is_some() { (NEVER, true) } else { (&self.schedule, false) }
    }
}

/// How a source's promoters are made, and what is done with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromoterRules {
    /// What they look like.
    pub shape: PromoterShape,
    /// Whether volumes of their class bind only when a pod needs them.
    pub waits_for_consumer: bool,
    /// Whether copy pods need the `SELinux` type `spc_t` to read them.
    pub spc_no_relabeling: bool,
    /// How long promoters stay.
    pub retention: PromoterRetention,
}

/// The rule that chose a VolumeSnapshotClass; Velero's order, after our own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassChoice {
    /// Our annotation on the PVC, or Velero's.
    Annotation,
    /// `classes.<class>.snapshotClass` of the configuration.
    Configured,
    /// The class that carries Velero's key.
    Velero,
    /// The driver's default.
    Default,
    /// The only class of the driver.
    Only,
}

impl ClassChoice {
    /// The rule in words, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Annotation => "named by the PVC's annotation",
            Self::Configured => "named in classes.<class>.snapshotClass",
            Self::Velero => "carries velero.io/csi-volumesnapshot-class",
            Self::Default => "the driver's default",
            Self::Only => "the driver's only class",
        }
    }
}

/// A PVC judged.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is protected. The problems are settings that could not be read.
    Protected(Box<Protection>, Vec<Problem>),
    /// It is not, and this is why. The problems are settings that could not be read.
    Unprotected(Problem, Vec<Problem>),
}

/// Judges one PVC.
#[must_use]
pub fn judge(input: &Input<'_>) -> Verdict {
    explain(input).0
}

/// Judges one PVC, and names the places that decided.
#[must_use]
pub fn explain(input: &Input<'_>) -> (Verdict, Origins) {
    let mut warnings = Vec::new();
    let mut origins = Origins { selected: None, settings: None };
    match protection(input, &mut warnings, &mut origins) {
        Ok(protection) => (Verdict::Protected(Box::new(protection), warnings), origins),
        Err(problem) => (Verdict::Unprotected(problem, warnings), origins),
    }
}

fn protection(input: &Input<'_>, warnings: &mut Vec<Problem>, origins: &mut Origins) -> Result<Protection, Problem> {
    if let Some(problem) = not_a_source(input) {
        return Err(problem);
    }
    let (selected, left_out) = selection(input, warnings);
    origins.selected = Some(selected);
    if let Some(problem) = left_out.or_else(|| not_possible(input)) {
        return Err(problem);
    }
    let driver = driver(input).unwrap_or_default();
    let snapshot_class = classes::snapshot_class(input, driver, warnings)?;
    let promoter = classes::promoter(input, driver)?;
    warnings.extend(classes::unsafe_mounts(input, &promoter.shape));
    let (protection, settings) = settings(input, snapshot_class, promoter, warnings)?;
    origins.settings = Some(settings);
    Ok(protection)
}

/// Volumes of our own, and PVCs that are gone or going.
fn not_a_source(input: &Input<'_>) -> Option<Problem> {
    let claim = input.claim;
    let own = |what: &str| Some(Problem::new(Reason::OwnVolume, format!("this PVC is {what}")));
    match claim.ours.as_ref().map(|o| o.component) {
        Some(Component::Promoter) => return own("the promoter of a snapshot"),
        Some(Component::Disk) => return own("a BackupDisk"),
        Some(Component::Central) => return own("an intermediate volume of a central copy"),
        Some(Component::Grant | Component::Target) => return own("an alias volume of a restore"),
        _ => {}
    }
    if input.from_our_snapshot && claim.from_snapshot.as_deref() == Some(claim.id.name.as_str()) {
        return own("a promoter: it was made from the snapshot that has its name");
    }
    if input.config.destinations.iter().any(|d| d.disk_claim().as_ref() == Some(&claim.id.name)) {
        return own("named like a BackupDisk");
    }
    if input.namespace.terminating {
        return Some(Problem::new(Reason::NamespaceTerminating, "the namespace is being deleted"));
    }
    claim.terminating.then(|| Problem::new(Reason::Terminating, "the PVC is being deleted"))
}

/// Selection: the administrator's lists first, then the annotations. Gives the place that decides, and why the PVC is
/// left out, if it is.
fn selection(input: &Input<'_>, warnings: &mut Vec<Problem>) -> (Place, Option<Problem>) {
    let (claim, config) = (input.claim, input.config);
    // Exclusion by the administrator is not the tenant's to lift.
    let selection = &config.selection;
    let by_list = |reason, message| (Place::Selection, Some(Problem::new(reason, message)));
    if !selection.namespaces.matches(&claim.namespace) {
        return by_list(
            Reason::NamespaceExcluded,
            format!("selection.namespaces excludes namespace {}", claim.namespace),
        );
    }
    // A volume without a class has the empty one, which a list of certain classes leaves out.
    let class = claim.class.as_deref().unwrap_or_default();
    if !selection.storage_classes.matches(class) {
        let message = format!("selection.storageClasses excludes StorageClass \"{class}\"");
        return by_list(Reason::ClassExcluded, message);
    }
    if let Some(driver) = driver(input)
        && !selection.drivers.matches(driver)
    {
        return by_list(Reason::DriverExcluded, format!("selection.drivers excludes driver {driver}"));
    }
    let on_claim = read_enabled(&claim.settings, "the PVC", warnings).map(|enabled| (enabled, Place::Claim));
    let on_namespace =
        read_enabled(&input.namespace.settings, "the Namespace", warnings).map(|enabled| (enabled, Place::Namespace));
    let of_group = || group(input).and_then(|g| Some((g.enabled?, Place::Group(g.name.clone()))));
    match on_claim.or(on_namespace).or_else(of_group) {
        Some((true, place)) => (place, None),
        Some((false, place)) => {
            let message = match &place {
                Place::Group(name) => format!("group {name} of the configuration sets enabled: false"),
                Place::Namespace => format!("{} is \"false\" on the Namespace", names::ENABLED),
                _ => format!("{} is \"false\" on the PVC", names::ENABLED),
            };
            (place, Some(Problem::new(Reason::Disabled, message)))
        }
        None if config.selection.mode == Mode::OptIn => {
            let message =
                format!("selection.mode is opt-in, and neither the PVC nor its Namespace has {}=true", names::ENABLED);
            by_list(Reason::NotOptedIn, message)
        }
        None => (Place::Defaults, None),
    }
}

/// The group that a PVC belongs to: the first one that fits.
#[must_use]
pub fn group_of<'a>(config: &'a Config, claim: &Claim, namespace: &Namespace) -> Option<&'a Group> {
    let fits = |group: &&Group| {
        let named = group.namespaces.is_empty() || group.namespaces.iter().any(|p| glob(p, &claim.namespace));
        named && namespace.labels.have(&group.namespace_labels) && claim.labels.have(&group.pvc_labels)
    };
    config.groups.iter().find(fits)
}

fn group<'a>(input: &Input<'a>) -> Option<&'a Group> {
    group_of(input.config, input.claim, input.namespace)
}

/// A text other than true or false is reported and counts as not set (F73).
fn read_enabled(settings: &BTreeMap<String, String>, place: &str, warnings: &mut Vec<Problem>) -> Option<bool> {
    match settings.get(names::ENABLED).map(|t| t.trim()) {
        None => None,
        Some("true") => Some(true),
        Some("false") => Some(false),
        Some(other) => {
            warnings.push(invalid(names::ENABLED, place, other, "must be \"true\" or \"false\"; it is ignored"));
            None
        }
    }
}

fn invalid(key: &str, place: &str, value: &str, why: impl std::fmt::Display) -> Problem {
    let value = clip(value, 80);
    Problem::new(Reason::InvalidSetting, format!("{key}: \"{value}\" on {place}: {why}"))
}

fn driver<'a>(input: &Input<'a>) -> Option<&'a str> {
    if let Some(volume) = input.volume {
        return volume.driver.as_deref();
    }
    let class = input.classes.storage.get(input.claim.class.as_deref()?)?;
    Some(&class.driver)
}

/// What the volume itself lacks.
fn not_possible(input: &Input<'_>) -> Option<Problem> {
    let claim = input.claim;
    match claim.phase {
        ClaimPhase::Pending => return Some(Problem::new(Reason::NotBound, "the PVC is not bound to a volume")),
        ClaimPhase::Lost => return Some(Problem::new(Reason::VolumeLost, "the PVC's volume is gone")),
        ClaimPhase::Bound => {}
    }
    if driver(input).is_none() {
        return Some(Problem::new(Reason::NotCsi, "the PVC's volume has no CSI driver"));
    }
    (!input.classes.snapshot_api)
        .then(|| Problem::new(Reason::NoSnapshotApi, "the cluster does not have the API snapshot.storage.k8s.io/v1"))
}

/// The setting that is in force: the PVC's, else the Namespace's. One that cannot be read is told, and counts
/// as not set.
fn setting<T>(
    input: &Input<'_>,
    key: &str,
    warnings: &mut Vec<Problem>,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<Found<T>> {
    let places = [
        (&input.claim.settings, "the PVC", Place::Claim),
        (&input.namespace.settings, "the Namespace", Place::Namespace),
    ];
    places.into_iter().find_map(|(settings, words, place)| {
        let text = settings.get(key)?.trim();
        let value = read(text).map_err(|why| warnings.push(invalid(key, words, text, why))).ok()?;
        Some((value, Written { place, text: text.to_owned() }))
    })
}

fn settings(
    input: &Input<'_>,
    snapshot_class: (String, ClassChoice),
    promoter: PromoterRules,
    warnings: &mut Vec<Problem>,
) -> Result<(Protection, Settings), Problem> {
    let (defaults, bounds) = (&input.config.defaults, &input.config.bounds);
    let group = group(input);
    let readable = warnings.len();
    let seed = input.claim.source().seed();

    let zone = setting(input, names::TIME_ZONE, warnings, |text| text.parse::<Zone>().map_err(|e| e.to_string()));
    let due = match setting(input, names::SCHEDULE, warnings, |t| allowed_schedule(t, &seed, bounds.min_interval)) {
        Some(due) => due,
        None => configured_schedule(input, &seed)?,
    };
    let (due, schedule) = due;
    let retention = setting(input, names::RETENTION, warnings, |text| {
        let read = text.parse::<Retention>().map_err(|e| e.to_string())?;
        if read.longest(due.shortest_interval()) > bounds.max_retention {
            return Err(format!("it keeps restore points longer than bounds.maxRetention ({})", bounds.max_retention));
        }
        Ok(read)
    });
    let half = due.shortest_interval().as_secs() / 2;
    let (destinations, chosen) = destinations(input, warnings);
    let options = setting(input, names::COPY_OPTIONS, warnings, |t| t.parse::<Options>().map_err(|e| e.to_string()));
    let accept_empty = accept_empty(input, warnings);
    let (zone, time_zone) = zone
        .or_else(|| group.and_then(|g| Some(of_group(g, g.time_zone.clone()?))))
        .unwrap_or_else(|| of_defaults(&defaults.time_zone));
    let (retention, keeps) = retention
        .or_else(|| group.and_then(|g| Some(of_group(g, g.retention.clone()?))))
        .unwrap_or_else(|| of_defaults(&defaults.retention));
    let protection = Protection {
        starting_deadline: Span::from_secs(half.clamp(30, 3600)),
        schedule: due.text(),
        after: due.after(),
        zone,
        retention,
        // Of all destinations: a run may have been taken for one that is not chosen any more.
        secrets: group.map(|g| g.secrets.clone()).unwrap_or_default(),
        destinations,
        options: options.map(|(options, _)| options).unwrap_or_default(),
        unreadable: warnings.len() > readable,
        snapshot_class,
        promoter,
        accept_empty,
    };
    Ok((protection, Settings { schedule, time_zone, retention: keeps, destinations: chosen }))
}

/// What the group says, or the defaults.
fn configured_schedule(input: &Input<'_>, seed: &str) -> Result<Found<Due>, Problem> {
    let of_group = group(input).and_then(|g| Some((g, g.schedule.as_ref()?)));
    let (key, (text, written)) = match of_group {
        Some((group, text)) => (format!("groups ({})", group.name), origin::of_group(group, text.clone())),
        None => ("defaults".to_owned(), of_defaults(&input.config.defaults.schedule)),
    };
    match Due::parse(&text, seed) {
        Ok(due) => Ok((due, written)),
        Err(why) => Err(Problem::new(Reason::InvalidSetting, format!("{key}.schedule: {why}"))),
    }
}

/// Of the PVC alone: that a volume is meant to be empty is true of this one, not of a whole Namespace.
fn accept_empty(input: &Input<'_>, warnings: &mut Vec<Problem>) -> bool {
    match input.claim.settings.get(names::ACCEPT_EMPTY).map(|t| t.trim()) {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => {
            let why = "must be \"true\" or \"false\"; it is ignored";
            warnings.push(invalid(names::ACCEPT_EMPTY, "the PVC", other, why));
            false
        }
    }
}

fn allowed_schedule(text: &str, seed: &str, min_interval: Span) -> Result<Due, String> {
    let due = Due::parse(text, seed).map_err(|e| e.to_string())?;
    let shortest = due.shortest_interval();
    if shortest < min_interval {
        return Err(format!("runs would be {shortest} apart, less than bounds.minInterval ({min_interval})"));
    }
    Ok(due)
}

/// The destinations that are in force; `none` chooses snapshots only.
fn destinations(input: &Input<'_>, warnings: &mut Vec<Problem>) -> Found<Vec<String>> {
    let config = input.config;
    let names = config.destinations.iter().map(|d| d.name.as_str());
    let allowed: Vec<&str> = names.filter(|name| config.bounds.allows_destination(name)).collect();
    old_spelling(input, warnings);
    let before = warnings.len();
    let chosen = setting(input, names::DESTINATION_SETTING, warnings, |text| {
        let wanted = if text == "none" { Vec::new() } else { facts::list(text) };
        let known = wanted.iter().all(|w| allowed.contains(&w.as_str()));
        if !known || (wanted.is_empty() && text != "none") {
            return Err(format!("allowed are {}", [allowed.as_slice(), &["none"]].concat().join(", ")));
        }
        Ok(allowed.iter().filter(|a| wanted.iter().any(|w| w == *a)).map(|a| (*a).to_owned()).collect())
    });
    warnings.iter_mut().skip(before).for_each(|w| w.reason = Reason::UnknownDestination);
    // As the configuration says it, which may name what a tenant may not choose.
    let written = |place, names: &[String]| Written { place, text: origin::list(names) };
    let configured = || {
        let group = group(input)?;
        let names = group.destinations.clone()?;
        Some((names.clone(), written(Place::Group(group.name.clone()), &names)))
    };
    let defaults = &config.defaults.destinations;
    chosen.or_else(configured).unwrap_or_else(|| (defaults.clone(), written(Place::Defaults, defaults)))
}

/// The annotation `destination` is not read any more. It is reported wherever `destinations` would be read.
fn old_spelling(input: &Input<'_>, warnings: &mut Vec<Problem>) {
    let (old, new) = (names::OLD_DESTINATION_SETTING, names::DESTINATION_SETTING);
    for (settings, place) in [(&input.claim.settings, "the PVC"), (&input.namespace.settings, "the Namespace")] {
        if settings.contains_key(old) {
            let message = format!("{old} is now {new}; rename the annotation on {place}");
            warnings.push(Problem::new(Reason::InvalidSetting, message));
        }
        if settings.contains_key(new) {
            break;
        }
    }
}
