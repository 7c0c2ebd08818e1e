//! Waiting with a deadline, and with what was seen when it passes.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks until there is an answer. When the deadline passes, the error shows what was seen and the last
/// error, if asking failed.
pub fn wait_for<T>(
    what: &str,
    deadline: Duration,
    seen: impl Fn() -> String,
    mut ask: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut last = None;
    while Instant::now() < end {
        match ask() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        // kubectl's own start takes as long; this only keeps it from filling a core.
        std::thread::sleep(Duration::from_millis(250));
    }
    let last = last.map(|e| format!("\nlast error: {e:#}")).unwrap_or_default();
    bail!("{what}: not within {} s{last}\n{}", deadline.as_secs(), seen())
}
