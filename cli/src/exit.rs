//! Exit codes that several verbs have.

/// At least one PVC needs attention, or what was asked for did not succeed.
pub(crate) const ATTENTION: u8 = 3;
