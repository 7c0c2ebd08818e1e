//! What a step that moves files asks of its own process.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A flag that the signals to stop set.
pub(crate) fn stop_flag() -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&flag)) {
            tracing::warn!(%error, "cannot handle signal {signal}");
        }
    }
    flag
}

/// The same, also when a terminal goes away. While `default` is set, a signal ends the process as if nobody listened.
pub(crate) fn stop_flag_unless(default: &Arc<AtomicBool>) -> Arc<AtomicBool> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGHUP] {
        let first = signal_hook::flag::register_conditional_default(signal, Arc::clone(default));
        if let Err(error) = first.and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag))) {
            tracing::warn!(%error, "cannot handle signal {signal}");
        }
    }
    flag
}

/// Removing a tree keeps a folder open for every level, some runtimes start with 1,024 open files, and rsync
/// gets as deep as that.
pub(crate) fn allow_deep_trees() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}
