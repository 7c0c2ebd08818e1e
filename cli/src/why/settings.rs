//! Which settings are in force, and where each comes from. Pure.

use model::copy_options::Options;
use model::facts::Claim;
use model::names;
use model::plan;
use model::promoter::PromoterShape;
use model::reason::Reason;
use model::select::{self, Origins, Place, Protection, Settings, Verdict, Written};
use serde::Serialize;

use crate::observe::Observed;

/// A setting that is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Setting {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// Where that comes from.
    pub(super) from: String,
}

/// The settings of a PVC, if what decides may be read and it is protected.
pub(super) fn settings(observed: &Observed, claim: &Claim) -> Vec<Setting> {
    if !observed.knows.verdicts() {
        return Vec::new();
    }
    match plan::explain(&observed.world, claim) {
        (Verdict::Protected(protection, _), Origins { settings: Some(written), .. }) => {
            in_force(observed, claim, &protection, &written)
        }
        (Verdict::Protected(..) | Verdict::Unprotected(..), _) => Vec::new(),
    }
}

fn in_force(observed: &Observed, claim: &Claim, protection: &Protection, written: &Settings) -> Vec<Setting> {
    let config = &observed.world.config;
    let defaults = &config.defaults;
    let namespace = observed.world.namespaces.get("", &claim.namespace);
    let group = namespace.and_then(|namespace| select::group_of(config, claim, namespace));
    // An annotation, what the group says, or the default.
    let from = |written: &Written, annotation: &str, key: &str, of_group: Option<String>, default: String| {
        annotated(observed, claim, annotation, written).unwrap_or_else(|| match (group, of_group) {
            (Some(group), Some(text)) => format!("the configuration: {key} of the group {} ({text})", group.name),
            _ => format!("the configuration: defaults.{key} ({default})"),
        })
    };
    let schedule = group.and_then(|g| g.schedule.clone());
    let zone = group.and_then(|g| g.time_zone.as_ref()).map(ToString::to_string);
    let retention = group.and_then(|g| g.retention.as_ref()).map(ToString::to_string);
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let destinations = group.and_then(|g| g.destinations.as_deref()).map(list);
    let (class, choice) = &protection.snapshot_class;
    let mut settings = vec![
        Setting {
            name: "schedule",
            value: protection.due.text(),
            from: from(&written.schedule, names::SCHEDULE, "schedule", schedule, defaults.schedule.clone()),
        },
        Setting {
            name: "time zone",
            value: protection.zone.name().to_owned(),
            from: from(&written.time_zone, names::TIME_ZONE, "timeZone", zone, defaults.time_zone.to_string()),
        },
        Setting {
            name: "retention",
            value: protection.retention.to_string(),
            from: from(&written.retention, names::RETENTION, "retention", retention, defaults.retention.to_string()),
        },
        Setting {
            name: "destinations",
            value: list(&protection.destinations),
            from: from(
                &written.destinations,
                names::DESTINATION_SETTING,
                "destinations",
                destinations,
                list(&defaults.destinations),
            ),
        },
        Setting { name: "snapshot class", value: class.clone(), from: choice.as_str().to_owned() },
        Setting {
            name: "promoter class",
            value: protection.promoter.shape.storage_class.clone(),
            from: promoter_class(observed, claim, &protection.promoter.shape),
        },
    ];
    if claim.mode.is_block() {
        let from = "the PVC: a raw block volume is copied and restored whole".to_owned();
        settings.push(Setting { name: "volume mode", value: claim.mode.as_str().to_owned(), from });
    }
    if let Some((value, from)) = copy_options(observed, claim, protection) {
        settings.push(Setting { name: "copy options", value, from });
    }
    settings
}

/// What it says of its copies in restic repositories, and where, if it says something.
fn copy_options(observed: &Observed, claim: &Claim, protection: &Protection) -> Option<(String, String)> {
    let namespace = observed.world.namespaces.get("", &claim.namespace);
    let places = [(Some(&claim.settings), "the PVC"), (namespace.map(|n| &n.settings), "the Namespace")];
    places.into_iter().find_map(|(settings, place)| {
        let text = settings?.get(names::COPY_OPTIONS)?.trim();
        let in_force = text.parse().is_ok_and(|options: Options| options == protection.options);
        in_force.then(|| (text.to_owned(), format!("annotation {} on {place}", names::COPY_OPTIONS)))
    })
}

/// What chose the class of promoters.
fn promoter_class(observed: &Observed, claim: &Claim, promoter: &PromoterShape) -> String {
    let own = claim.class.as_deref().unwrap_or_default();
    let rule = observed.world.config.classes.get(own);
    let chosen = match rule.and_then(|rule| rule.storage_class.as_ref()) {
        Some(_) => format!("the configuration: classes.{own}.storageClass"),
        None if own == promoter.storage_class => "the PVC's own class".to_owned(),
        None => "the driver's default class".to_owned(),
    };
    if promoter.journal.is_skipped() { format!("{chosen}; it mounts without the journal") } else { chosen }
}

/// The place where a setting in force is written, if that is an annotation; `None`: the configuration.
fn annotated(observed: &Observed, claim: &Claim, key: &str, written: &Written) -> Option<String> {
    let (settings, place) = match &written.place {
        Place::Claim => (Some(&claim.settings), "the PVC"),
        Place::Namespace => (observed.world.namespaces.get("", &claim.namespace).map(|n| &n.settings), "the Namespace"),
        Place::Selection | Place::Group(_) | Place::Defaults => return None,
    };
    let value = settings.and_then(|s| s.get(key)).unwrap_or(&written.text);
    Some(format!("annotation {key} on {place} ({value})"))
}

/// What decides that a PVC is not protected, in words.
pub(super) fn decider(reason: Reason) -> &'static str {
    match reason {
        Reason::Disabled => {
            "the annotation backup-controller.io/enabled on the PVC or its Namespace, or a group of the configuration"
        }
        Reason::NotOptedIn => "selection.mode of the administrator's configuration",
        Reason::OwnedByPod => "the PVC's owner, which is a pod",
        Reason::NamespaceExcluded => "selection.namespaces of the administrator's configuration",
        Reason::ClassExcluded => "selection.storageClasses of the administrator's configuration",
        Reason::DriverExcluded => "selection.drivers of the administrator's configuration",
        Reason::NoSnapshotApi => "the cluster, which has no VolumeSnapshot API",
        Reason::NoSnapshotClass | Reason::AmbiguousSnapshotClass => "the cluster's VolumeSnapshotClasses",
        Reason::WrongSnapshotClass => "the annotation or classes.<class>.snapshotClass that names the class",
        Reason::WrongStorageClass => "classes.<class>.storageClass of the configuration",
        Reason::InvalidSetting | Reason::UnknownDestination => "the setting that the message names",
        Reason::NamespaceTerminating => "the Namespace, which is being deleted",
        _ => "the PVC itself",
    }
}
