//! What a Template takes.

use serde::Deserialize;

/// One parameter of a Template.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) description: String,
    /// Its value, unless another is given.
    pub(crate) value: String,
    /// `expression`: a random value is made of `from`.
    pub(crate) generate: String,
    /// Such as `[a-z0-9]{8}`.
    pub(crate) from: String,
    /// Whether it needs a value.
    pub(crate) required: bool,
}
