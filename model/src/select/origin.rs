//! Where the settings of a source are written. Found where they are read, so that nothing else repeats the order.

use std::fmt::Display;

use crate::config::Group;

/// A place that can select a PVC, or give it a setting. The first one that does so counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `selection` of the configuration, which nobody else can lift.
    Selection,
    /// An annotation on the PVC.
    Claim,
    /// An annotation on its Namespace.
    Namespace,
    /// The group of the configuration that has this name.
    Group(String),
    /// `defaults` of the configuration, and `selection.mode: all`.
    Defaults,
}

impl Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Selection => f.write_str("selection"),
            Self::Claim => f.write_str("PVC annotation"),
            Self::Namespace => f.write_str("namespace annotation"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Defaults => f.write_str("default"),
        }
    }
}

/// A setting in force, as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where it is written.
    pub place: Place,
    /// The text there.
    pub text: String,
}

/// The settings of a protected source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// With its `H`, which [`super::Protection::schedule`] has resolved.
    pub schedule: Written,
    /// The schedule's zone.
    pub time_zone: Written,
    /// What rotation goes by.
    pub retention: Written,
    /// Names with commas between them, or `none`.
    pub destinations: Written,
}

/// What decided about a PVC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// What selects it, or leaves it out. Nothing of PVCs that can be no source: volumes of our own, and PVCs that are
    /// being deleted.
    pub selected: Option<Place>,
    /// Of a protected one.
    pub settings: Option<Settings>,
}

impl Origins {
    /// The places that select it or set something, the strongest first; the defaults alone only if there is no other.
    #[must_use]
    pub fn places(&self) -> Vec<&Place> {
        let settings = self.settings.iter().flat_map(|s| [&s.schedule, &s.time_zone, &s.retention, &s.destinations]);
        let mut places: Vec<&Place> = self.selected.iter().chain(settings.map(|s| &s.place)).collect();
        places.sort();
        places.dedup();
        if places.len() > 1 {
            places.retain(|place| **place != Place::Defaults);
        }
        places
    }
}

/// A value with the place where it is written.
pub(super) type Found<T> = (T, Written);

pub(super) fn of_group<T: Display>(group: &Group, value: T) -> Found<T> {
    let written = Written { place: Place::Group(group.name.clone()), text: value.to_string() };
    (value, written)
}

pub(super) fn of_defaults<T: Display + Clone>(value: &T) -> Found<T> {
    (value.clone(), Written { place: Place::Defaults, text: value.to_string() })
}

/// Names of destinations as an annotation would have them.
pub(super) fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}
