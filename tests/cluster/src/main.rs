//! The command `dev-cluster`; see the library for what it does.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use dev_cluster::full::{self, Settings};

/// A real Kubernetes with two nodes and storage with snapshots on this machine, built from source.
#[derive(Debug, Parser)]
#[command(version)]
struct Command {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Args)]
struct Place {
    /// The folder of everything that the cluster keeps; `down` removes it.
    #[arg(long, global = true, env = "DEV_CLUSTER_DIR", default_value = dev_cluster::DEFAULT_DIR)]
    dir: PathBuf,
    /// The first of about thirty ports.
    #[arg(long, global = true, env = "DEV_CLUSTER_PORT_BASE", default_value_t = 26_440)]
    port_base: u16,
    /// The size of the storage, in GiB. Room is taken as volumes are filled.
    #[arg(long, global = true, env = "DEV_CLUSTER_POOL_GIB", default_value_t = 20)]
    pool_gib: u64,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the cluster (builds what is missing; needs root).
    Up {
        /// Leave a failed start as it is, to look at it.
        #[arg(long)]
        keep_failed: bool,
        /// Let the API server record every request in `audit.log` of the folder.
        #[arg(long, env = "DEV_CLUSTER_AUDIT")]
        audit: bool,
    },
    /// End the cluster and remove every trace of it.
    Down,
    /// Tell what runs; exit code 1 if not all of it does.
    Status,
    /// Print the shell's commands to use the cluster: `eval "$(dev-cluster env)"`.
    Env,
    /// Print where kubectl is.
    Kubectl,
    /// Build the parts from source and start nothing (no root).
    Build {
        /// Only what tests on a control plane without nodes need.
        #[arg(long, group = "only")]
        control_plane: bool,
        /// Only the parts of a cluster with nodes. `up` needs the S3 server too.
        #[arg(long, group = "only")]
        nodes: bool,
        /// Only the S3 server.
        #[arg(long, group = "only")]
        s3: bool,
    },
    /// Install the Debian packages that the nodes and the images need, and make the images' base (root).
    Base,
    /// Build restic and an S3 server for tests that need no cluster, and print the folder they are in.
    Tools,
    /// Build the images from the Containerfile (root, but no cluster).
    Images {
        /// The folder with the static binaries.
        #[arg(long, default_value = "target/dev-image")]
        binaries: PathBuf,
    },
    /// Build the images from the Containerfile and import them on every node.
    LoadImages {
        /// The folder with the static binaries.
        #[arg(long, default_value = "target/dev-image")]
        binaries: PathBuf,
    },
    /// Build the static binaries that the images hold.
    Binaries {
        /// Cargo's profile: `dev` for tests, `dist` for what is shipped.
        #[arg(long, default_value = "dev")]
        profile: String,
        /// Where they are put.
        #[arg(long, default_value = "target/dev-image")]
        into: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("dev-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let Place { dir, port_base, pool_gib } = command.place;
    let mut settings =
        Settings { dir: std::path::absolute(dir)?, port_base, pool_gib, audit: false, keep_failed: false };
    match command.verb {
        Verb::Up { keep_failed, audit } => {
            settings.audit = audit;
            settings.keep_failed = keep_failed;
            full::up(&settings)?;
            eprintln!("dev-cluster: use it with: export KUBECONFIG={}", settings.kubeconfig().display());
        }
        Verb::Down => full::down(&settings)?,
        Verb::Status => {
            let (text, whole) = full::status(&settings)?;
            print!("{text}");
            return Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Verb::Env => {
            println!("export KUBECONFIG='{}'", settings.kubeconfig().display());
            println!("export PATH='{}':\"$PATH\"", settings.dir.join("bin").display());
            for (name, value) in settings.s3().iter().flat_map(dev_cluster::S3::environment) {
                println!("export {name}='{value}'");
            }
        }
        Verb::Kubectl => println!("{}", settings.kubectl_path().display()),
        Verb::Build { control_plane: true, .. } => full::build(full::Wanted::ControlPlane)?,
        Verb::Build { nodes: true, .. } => full::build(full::Wanted::Nodes)?,
        Verb::Build { s3: true, .. } => full::build(full::Wanted::S3)?,
        Verb::Build { .. } => full::build(full::Wanted::Everything)?,
        Verb::Base => full::base()?,
        Verb::Tools => println!("{}", dev_cluster::link_tools()?.display()),
        Verb::Images { binaries } => full::images(&binaries)?,
        Verb::LoadImages { binaries } => full::load_images(&settings, &binaries)?,
        Verb::Binaries { profile, into } => full::binaries(&profile, &into)?,
    }
    Ok(ExitCode::SUCCESS)
}
