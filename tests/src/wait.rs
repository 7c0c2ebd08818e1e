//! Waiting with a deadline, and with what was seen when it passes.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long something may take that needs no deadline of its own to pass. Long, because the machine may be
/// busy: it is only ever used up by a failure.
pub const DEADLINE: Duration = Duration::from_secs(45);

/// Asks until there is an answer. When the deadline passes, the error shows what was seen.
pub async fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut ask: impl AsyncFnMut() -> Result<Option<T>>,
    seen: impl AsyncFnOnce() -> String,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut last;
    loop {
        match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => last = String::new(),
            Err(error) => last = format!("\nthe last try failed: {error:#}"),
        }
        if Instant::now() > end {
            bail!("not within {} s: {what}{last}\n{}", deadline.as_secs(), seen().await);
        }
        tokio::time::sleep(Duration::from_millis(75)).await;
    }
}
