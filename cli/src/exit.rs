//! Exit codes that several verbs have.

/// At least one PVC needs attention, or what was asked for did not succeed.
pub(crate) const ATTENTION: u8 = 3;

/// Somebody ended the command with Ctrl-C: what a shell says of it.
pub(crate) const INTERRUPTED: u8 = 130;
