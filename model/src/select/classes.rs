//! Of which classes a source's snapshots and promoters are.

use super::input::{Input, group, invalid};
use super::protection::{ClassChoice, PromoterRules};
use crate::config::ClassRule;
use crate::facts::{Journal, SnapshotClass, VELERO_SNAPSHOT_CLASS};
use crate::names;
use crate::promoter::PromoterShape;
use crate::reason::{Problem, Reason};
use crate::text::clip;

/// The VolumeSnapshotClass: our settings, then Velero's rules in Velero's order.
pub(super) fn snapshot_class(
    input: &Input<'_>,
    driver: &str,
    warnings: &mut Vec<Problem>,
) -> Result<(String, ClassChoice), Problem> {
    let classes = &input.classes.snapshot;
    let named =
        |key: &str| input.claim.settings.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.trim());
    let fits = |name: &str| -> Result<(), String> {
        match classes.get(name) {
            None => Err(format!("there is no VolumeSnapshotClass \"{}\"", clip(name, 80))),
            Some(class) if class.driver != driver => Err(format!(
                "VolumeSnapshotClass {name} has driver {}, but the volume has driver {driver}",
                class.driver
            )),
            Some(_) => Ok(()),
        }
    };
    if let Some(name) = named(names::SNAPSHOT_CLASS) {
        return match fits(name) {
            Ok(()) => Ok((name.to_owned(), ClassChoice::Annotation)),
            Err(why) => Err(Problem::new(Reason::WrongSnapshotClass, format!("{}: {why}", names::SNAPSHOT_CLASS))),
        };
    }
    if let Some(name) = named(VELERO_SNAPSHOT_CLASS) {
        match fits(name) {
            Ok(()) => return Ok((name.to_owned(), ClassChoice::Annotation)),
            // As Velero does: told, then passed over.
            Err(why) => warnings.push(invalid(VELERO_SNAPSHOT_CLASS, "the PVC", name, why)),
        }
    }
    if let Some(name) = class_rule(input).and_then(|r| r.snapshot_class.as_ref()) {
        return match fits(name) {
            Ok(()) => Ok((name.clone(), ClassChoice::Configured)),
            Err(why) => {
                let class = key(input);
                Err(Problem::new(Reason::WrongSnapshotClass, format!("classes.{class}.snapshotClass: {why}")))
            }
        };
    }
    let fitting: Vec<&SnapshotClass> = classes.values().filter(|c| c.driver == driver).collect();
    let one = |wanted: &dyn Fn(&SnapshotClass) -> bool, choice| -> Option<Result<(String, ClassChoice), Problem>> {
        let found: Vec<&str> = fitting.iter().filter(|c| wanted(c)).map(|c| c.name.as_str()).collect();
        match found.as_slice() {
            [] => None,
            [name] => Some(Ok(((*name).to_owned(), choice))),
            several => Some(Err(Problem::new(
                Reason::AmbiguousSnapshotClass,
                format!(
                    "{} VolumeSnapshotClasses of driver {driver} fit equally: {}",
                    several.len(),
                    several.join(", ")
                ),
            ))),
        }
    };
    one(&|c| c.velero, ClassChoice::Velero)
        .or_else(|| one(&|c| c.default, ClassChoice::Default))
        .or_else(|| one(&|_| true, ClassChoice::Only))
        .unwrap_or_else(|| {
            Err(Problem::new(Reason::NoSnapshotClass, format!("no VolumeSnapshotClass has driver {driver}")))
        })
}

/// The key of the rule for a volume's class, as it is written: a volume may have none.
fn key<'a>(input: &Input<'a>) -> &'a str {
    input.claim.class.as_deref().filter(|class| !class.is_empty()).unwrap_or("\"\"")
}

fn class_rule<'a>(input: &Input<'a>) -> Option<&'a ClassRule> {
    input.config.classes.get(input.claim.class.as_deref().unwrap_or_default())
}

/// How promoters are made: of the class that the configuration names, or of the volume's own.
pub(super) fn promoter(input: &Input<'_>, driver: &str) -> Result<PromoterRules, Problem> {
    let rule = class_rule(input);
    let default = || input.classes.storage.values().find(|c| c.driver == driver && c.default);
    let name = rule
        .and_then(|r| r.storage_class.clone())
        .or_else(|| input.claim.class.clone().filter(|c| !c.is_empty()))
        // A static volume has no class: its driver's default, or its only one, makes the promoter.
        .or_else(|| default().map(|c| c.name.clone()))
        .or_else(|| {
            let mut of_driver = input.classes.storage.values().filter(|c| c.driver == driver);
            of_driver.next().filter(|_| of_driver.next().is_none()).map(|c| c.name.clone())
        })
        .ok_or_else(|| {
            let message =
                format!("the PVC has no StorageClass, and driver {driver} has neither a default one nor exactly one: set classes.\"\".storageClass");
            Problem::new(Reason::WrongStorageClass, message)
        })?;
    let class = input
        .classes
        .storage
        .get(&name)
        .ok_or_else(|| Problem::new(Reason::WrongStorageClass, format!("there is no StorageClass {name}")))?;
    if class.driver != driver {
        let message = format!("StorageClass {name} has driver {}, but the volume has driver {driver}", class.driver);
        return Err(Problem::new(Reason::WrongStorageClass, message));
    }
    let mode = input.claim.mode;
    let shape = PromoterShape {
        storage_class: name,
        read_only: rule.is_some_and(|r| r.read_only),
        mode,
        // A raw block device is not mounted.
        journal: if mode.is_block() { Journal::Replayed } else { class.journal },
        annotations: rule.map(|r| r.annotations.clone()).unwrap_or_default(),
    };
    Ok(PromoterRules {
        shape,
        waits_for_consumer: class.waits_for_consumer,
        spc_no_relabeling: rule.is_some_and(|r| r.spc_no_relabeling),
        retention: group(input).and_then(|g| g.promoter_retention).unwrap_or(input.config.defaults.promoter_retention),
    })
}

/// Filesystems that are written without their journal: each crash damages them, and nothing tells. It is the
/// administrator's to mend, and no reason to make no backups.
pub(super) fn unsafe_mounts(input: &Input<'_>, promoter: &PromoterShape) -> Option<Problem> {
    if input.claim.mode.is_block() {
        return None;
    }
    let own = input.claim.class.as_deref().unwrap_or_default();
    let own_skips = input.classes.storage.get(own).is_some_and(|c| c.journal.is_skipped());
    let message = if own_skips {
        format!("StorageClass {own} of this PVC mounts without a journal: a crash damages the volume")
    } else if promoter.journal.is_skipped() && !promoter.read_only {
        let class = &promoter.storage_class;
        format!(
            "StorageClass {class} mounts writable promoters without their journal, so copies read files as a crash \
             left them. Set classes.{}.readOnly, or name a class without such options",
            key(input)
        )
    } else {
        return None;
    };
    Some(Problem::new(Reason::UnsafeMountOptions, message))
}
