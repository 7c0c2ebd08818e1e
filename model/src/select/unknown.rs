//! Annotations that somebody thinks are ours (U9): a slip of the keyboard is told, and not passed over.

use super::input::Input;
use crate::names;
use crate::reason::{Problem, Reason};
use crate::text::clip;

/// How many are told: a tenant writes any number.
const MOST: usize = 3;
/// How near a known one must be to be offered; 1 is the same.
const NEAR: f64 = 0.8;
/// The longest name that is compared and shown; ours are shorter.
const LONGEST: usize = 80;

/// Those of a PVC and of its Namespace that do nothing.
pub(super) fn annotations(input: &Input<'_>) -> impl Iterator<Item = Problem> {
    // The old spelling of one has an error of its own.
    let of_claim = input.claim.settings.keys().filter(|key| *key != names::OLD_DESTINATION_SETTING);
    let of_claim = of_claim.filter_map(|key| unknown(key, &names::ON_CLAIM, "the PVC"));
    let of_namespace = input.namespace.settings.keys().filter(|key| *key != names::OLD_DESTINATION_SETTING);
    let of_namespace = of_namespace.filter_map(|key| unknown(key, &names::ON_NAMESPACE, "the Namespace"));
    of_claim.take(MOST).chain(of_namespace.take(MOST))
}

fn unknown(key: &str, known: &[&str], place: &str) -> Option<Problem> {
    let name = key.strip_prefix(names::PREFIX).filter(|_| !known.contains(&key))?;
    let name = clip(name, LONGEST);
    let likeness = |known: &str| strsim::jaro_winkler(&name, &known[names::PREFIX.len()..]);
    let nearest = known.iter().map(|known| (likeness(known), known)).filter(|(likeness, _)| *likeness >= NEAR);
    let nearest = nearest.max_by(|a, b| a.0.total_cmp(&b.0));
    let hint = nearest.map(|(_, known)| format!("; did you mean {known}?")).unwrap_or_default();
    let message = format!("{}{name} on {place} has no effect: there is no such annotation of it{hint}", names::PREFIX);
    Some(Problem::new(Reason::InvalidSetting, message))
}
