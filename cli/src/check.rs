//! `kubectl backup config check`: whether the controller accepts a configuration. No cluster is asked (U10).

use std::path::PathBuf;
use std::process::ExitCode;

use crate::plan::config;
use crate::terminal;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// config.yaml, or manifests that contain its ConfigMap; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    config::read(&args.file)?;
    terminal::write(&format!("{}: the configuration is valid\n", config::name(&args.file)))?;
    Ok(ExitCode::SUCCESS)
}

/// What `--help` has below the flags.
pub(crate) const HELP: &str = "\
It reads the configuration with the controller's own code, and contacts no cluster. Use a plugin of the same version as
the controller's image. An unknown key, a value that cannot be read, and settings that contradict each other are errors.
The message names the line or the key.

Examples:
  kubectl backup config check config.yaml
  kubectl kustomize overlay | kubectl backup config check -
  helm template backup ./helm/backup-controller -n backup -f values.yaml | kubectl backup config check -

Exit codes:
  0  the controller accepts the configuration
  1  it refuses the configuration, or the file cannot be read
  2  the command line is wrong";
