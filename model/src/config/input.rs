//! What serde does not do by itself: numbers as text.

use serde::Deserializer;

use crate::duration::from_text;

/// A quantity as text. YAML takes `1` and `0.5` for numbers.
pub(super) fn quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    from_text(deserializer, "a quantity such as `10Gi`")
}

pub(super) fn maybe_quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    quantity(deserializer).map(Some)
}
