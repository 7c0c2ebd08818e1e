//! The names of what the demo makes.

/// The application's namespace.
pub(crate) const NAMESPACE: &str = "demo";
/// Where the playbook installs.
pub(crate) const INSTALLATION: &str = "backup";
/// On the namespaces that the demo made: it changes and removes no others.
pub(crate) const MADE_BY_DEMO: &str = "backup-controller-demo";
