//! What several settings must be.

use crate::config::path::Path;
use crate::duration::shown;
use crate::quantity;

pub(super) type Faults = Vec<(Path, String)>;

pub(super) fn at_least_one(path: &Path, number: u32, faults: &mut Faults) {
    if number == 0 {
        faults.push((path.clone(), "must be at least 1".to_owned()));
    }
}

pub(super) fn class_name(path: &Path, name: Option<&str>, faults: &mut Faults) {
    if let Some(name) = name.filter(|name| !is_subdomain(name)) {
        faults.push((path.clone(), format!("{} is not a valid class name", shown(name))));
    }
}

pub(super) fn size(path: &Path, text: &str, faults: &mut Faults) {
    match quantity::parse(text) {
        Ok(0) => faults.push((path.clone(), "must be more than 0".to_owned())),
        Ok(_) => {}
        Err(fault) => faults.push((path.clone(), fault.to_string())),
    }
}

/// A DNS label: at most 63 of a-z, 0-9 and `-`, with a letter or digit at both ends.
pub(super) fn is_label(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len()) && text.chars().all(inside) && !text.starts_with('-') && !text.ends_with('-')
}

/// DNS labels with dots between them, 253 characters at most.
pub(super) fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// The key of a label or annotation, or the name of a resource: a DNS name and `/`, or nothing,
/// and a name.
pub(super) fn is_qualified(text: &str) -> bool {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// The value of a label: empty, or at most 63 letters, digits, `-`, `_` and `.`, with a letter or
/// digit at both ends.
pub(super) fn is_label_value(text: &str) -> bool {
    let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let end = |c: char| c.is_ascii_alphanumeric();
    text.is_empty() || text.len() <= 63 && text.chars().all(inside) && text.starts_with(end) && text.ends_with(end)
}
