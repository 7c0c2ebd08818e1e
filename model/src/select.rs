//! Which PVCs are sources, with which settings; and for each of the others, why not.
//!
//! A PVC's annotation overrides its Namespace's, which overrides the configuration: the group that the PVC belongs
//! to, and then the defaults. Annotations stay inside the administrator's bounds. A setting that cannot be read is reported, and never guessed at.

mod classes;
mod input;
mod origin;
mod protection;
mod unknown;

use std::collections::BTreeMap;

use crate::config::{Destination, Group, Mode};
use crate::copy_options::Options;
use crate::duration::Span;
use crate::facts::{self, ClaimPhase};
use crate::names::{self, Component};
use crate::reason::{Problem, Reason};
use crate::record::Choice;
use crate::retention::Retention;
use crate::schedule::{Due, Zone};
use crate::text::clip;
pub use input::{Classes, Input, group_of};
use input::{driver, group, invalid, unlabelled_group};
use origin::{Found, of_defaults, of_group};
pub use origin::{Origins, Place, Settings, Written};
pub use protection::{ClassChoice, PromoterRules, Protection, Wanted};

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
    if claim.of_pod && on_claim.is_none() {
        let message =
            format!("a pod owns the PVC, so it goes with that pod, and {} on the PVC is not \"true\"", names::ENABLED);
        return (Place::Claim, Some(Problem::new(Reason::OwnedByPod, message)));
    }
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
        None => match config.selection.mode {
            Mode::OptIn => {
                let neither = "selection.mode is opt-in, and neither the PVC nor its Namespace has";
                by_list(Reason::NotOptedIn, format!("{neither} {}=true", names::ENABLED))
            }
            Mode::All => (Place::Defaults, None),
        },
    }
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
    let configured =
        group.and_then(|g| Some(of_group(g, g.retention.clone()?))).unwrap_or_else(|| of_defaults(&defaults.retention));
    let least = bounds.min_retention.as_ref();
    let central_retention = match &retention {
        Some((annotated, _)) => annotated.or(least.unwrap_or(&configured.0)),
        // L4: which group that is, the tenant chooses as well. Without a bound each group is offered to all of them.
        None if by_labels(input).is_some() => {
            least.map_or_else(|| configured.0.clone(), |least| configured.0.or(least))
        }
        None => configured.0.clone(),
    };
    let (retention, keeps) = retention.unwrap_or(configured);
    let wanted = wanted(input, &retention, &keeps);
    let protection = Protection {
        starting_deadline: Span::from_secs(half.clamp(30, 3600)),
        due,
        zone,
        retention,
        central_retention,
        wanted,
        // Of all destinations: a run may have been taken for one that is not chosen any more.
        secrets: group.map(|g| g.secrets.clone()).unwrap_or_default(),
        destinations,
        options: options.map(|(options, _)| options).unwrap_or_default(),
        unreadable: warnings.len() > readable,
        snapshot_class,
        promoter,
        accept_empty,
    };
    warnings.extend(too_short(input, &protection, &keeps));
    warnings.extend(without_effect(input, &protection));
    warnings.extend(no_drill(input, &protection));
    warnings.extend(unknown::annotations(input));
    Ok((protection, Settings { schedule, time_zone, retention: keeps, destinations: chosen }))
}

/// Whose choice a retention is.
fn wanted(input: &Input<'_>, retention: &Retention, keeps: &Written) -> Wanted {
    let choice = match (&keeps.place, by_labels(input)) {
        (Place::Claim | Place::Namespace, _) => Choice::Annotation(retention.clone()),
        // Labels of a PVC are the tenant's, as its annotations are.
        (_, Some(group)) => Choice::Group(group.name.clone()),
        (_, None) => Choice::Nothing,
    };
    let unchosen = unlabelled_group(input).and_then(|g| g.retention.clone());
    let unchosen = unchosen.unwrap_or_else(|| input.config.defaults.retention.clone());
    Wanted { retention: retention.clone(), choice, unchosen }
}

/// The group that labels of the PVC select, if one does.
fn by_labels<'a>(input: &Input<'a>) -> Option<&'a Group> {
    group(input).filter(|group| !group.pvc_labels.is_empty())
}

/// What an annotation or a label does not shorten, though it says so. Nothing is misread: the rest of it is in force.
fn too_short(input: &Input<'_>, protection: &Protection, keeps: &Written) -> Option<Problem> {
    if protection.central_retention == protection.retention {
        return None;
    }
    let destinations = protection.destinations.iter().filter_map(|name| input.config.destination(name));
    // One with a retention of its own goes by that alone.
    let central: Vec<&str> =
        destinations.filter(|d| d.is_central() && d.retention.is_none()).map(|d| d.name.as_str()).collect();
    if central.is_empty() {
        return None;
    }
    let text = clip(&keeps.text, 80);
    let chosen = match (&keeps.place, by_labels(input)) {
        (Place::Claim, _) => format!("{}: \"{text}\" on the PVC", names::RETENTION),
        (Place::Namespace, _) => format!("{}: \"{text}\" on the Namespace", names::RETENTION),
        (_, group) => {
            let group = group.map(|group| group.name.as_str()).unwrap_or_default();
            format!("labels of the PVC select the group {group} with the retention '{text}'")
        }
    };
    let message = format!(
        "{chosen}: the central destination {} keeps '{}', because annotations and labels of a PVC cannot shorten what the \
         administrator says (bounds.minRetention)",
        central.join(", "),
        protection.central_retention
    );
    Some(Problem::new(Reason::RetentionTooShort, message))
}

/// Why a drill that is asked for will not come.
fn no_drill(input: &Input<'_>, protection: &Protection) -> Option<Problem> {
    let text = input.claim.settings.get(names::DRILL_NOW)?;
    if input.claim.drill_now().is_none() {
        let why = "must be a time, for example 2026-11-30T21:45:00Z; it is ignored";
        return Some(invalid(names::DRILL_NOW, "the PVC", text, why));
    }
    let mut destinations = protection.destinations.iter().filter_map(|name| input.config.destination(name));
    let why = "has no effect: no destination of this PVC has a drill in the configuration";
    (!destinations.any(Destination::is_drilled)).then(|| invalid(names::DRILL_NOW, "the PVC", text, why))
}

/// The options of copies that have no effect at a central destination. Nothing is misread here either.
fn without_effect(input: &Input<'_>, protection: &Protection) -> Option<Problem> {
    let ignored: Vec<&str> = protection.options.of_the_administrator().collect();
    let destinations = protection.destinations.iter().filter_map(|name| input.config.destination(name));
    let central: Vec<&str> = destinations.filter(|d| d.is_central()).map(|d| d.name.as_str()).collect();
    let message = || {
        format!(
            "{}: {} has no effect at the central destination {}: only the administrator sets it there",
            names::COPY_OPTIONS,
            ignored.join(", "),
            central.join(", ")
        )
    };
    (!ignored.is_empty() && !central.is_empty()).then(|| Problem::new(Reason::OptionNotAllowed, message()))
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
