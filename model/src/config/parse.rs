//! From text to settings, with the place of every fault.

use std::fmt;

use super::path::{Path, place_of};
use super::{Config, check, renamed};

/// Why a configuration was refused: everything that is wrong with its settings, or the first
/// thing that is wrong with its form. One line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// At least one.
    pub problems: Vec<ConfigProblem>,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// Line and column, from 1; nothing if what is wrong is not in the file but a default.
    pub place: Option<(usize, usize)>,
    /// The key with its path, what is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line} column {column}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl Config {
    /// Reads a configuration file. What is wrong with its form ends the reading; what is wrong
    /// with its settings is told all at once.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        parse(text)
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    let form = |fault: serde_yaml::Error| ConfigError { problems: vec![located(&fault)] };
    // A typed map lets the last of two keys win. This reading refuses them.
    let value: serde_yaml::Value = serde_yaml::from_str(text).map_err(form)?;
    if value.is_null() {
        return Ok(Config::default());
    }
    let renamed = renamed::renamed(&value);
    if !renamed.is_empty() {
        return Err(placed(text, renamed));
    }
    let config: Config = serde_yaml::from_str(text).map_err(form)?;
    let faults = check::check(&config);
    if faults.is_empty() {
        return Ok(config);
    }
    Err(placed(text, faults.into_iter().map(|(path, fault)| (path.clone(), format!("{path}: {fault}")))))
}

/// The messages, each at the place of its setting, in the order of the file.
fn placed(text: &str, messages: impl IntoIterator<Item = (Path, String)>) -> ConfigError {
    let mut problems: Vec<ConfigProblem> =
        messages.into_iter().map(|(path, message)| ConfigProblem { place: place_of(text, &path), message }).collect();
    problems.sort_by_key(|problem| problem.place);
    ConfigError { problems }
}

/// The place leads, and does not stand at the end too.
fn located(fault: &serde_yaml::Error) -> ConfigProblem {
    let place = fault.location().map(|l| (l.line(), l.column()));
    let mut message = fault.to_string();
    if let Some((line, column)) = place
        && let Some(short) = message.strip_suffix(&format!(" at line {line} column {column}"))
    {
        message = short.to_owned();
    }
    if message.contains("alias") || message.contains("anchor") {
        message.push_str(" (quote a value that begins with * or &)");
    }
    ConfigProblem { place, message }
}
