//! A field in the words of a message.

use serde_json::Value;

use crate::error::Fault;

/// A pointer as people write it: `spec.containers[0].image`.
pub(crate) fn path(pointer: &str) -> String {
    let mut out = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|b| b.is_ascii_digit()) {
            out.push('[');
            out.push_str(part);
            out.push(']');
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    out
}

pub(crate) fn not_ours(path: String, expected: String, found: Option<&Value>) -> Fault {
    Fault::NotOurs { path, expected, found: shown(found) }
}

/// A value for a message: short.
pub(crate) fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "missing".to_owned(), |v| model::text::clip(&v.to_string(), 200))
}
