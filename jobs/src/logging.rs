//! The log: one line an event, where `kubectl logs` finds it: on standard output, or on standard error for a step
//! that a person runs.

use std::str::FromStr as _;

use clap::ValueEnum;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::redact::Lines;

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// JSON for log collectors.
    Json,
}

/// Starts the log. `filter` is a level or levels by target (`info,kube=warn`); one that cannot be read
/// is told and counts as `info`. `Targets` is enough for that and, unlike `EnvFilter`, brings no regular
/// expressions along: these pods are many and small.
pub(crate) fn start(filter: &str, format: Format, to_error: bool) {
    let (targets, fault) = match Targets::from_str(filter) {
        Ok(targets) => (targets, None),
        Err(error) => (Targets::new().with_default(LevelFilter::INFO), Some(error)),
    };
    let writer = if to_error { BoxMakeWriter::new(std::io::stderr) } else { BoxMakeWriter::new(std::io::stdout) };
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(Lines(writer));
    let lines = match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().flatten_event(true).boxed(),
    };
    // Fails only if a log was started before, which then goes on.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
    if let Some(error) = fault {
        tracing::warn!("invalid log level '{filter}' ({error}): using info");
    }
}
