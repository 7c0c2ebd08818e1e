//! A real Kubernetes on this machine, without a container engine and without downloading a binary: its
//! parts are built from source once and kept in a cache outside of the work tree.
//!
//! There are two levels.
//!
//! * [`ControlPlane`] is etcd, kube-apiserver and kube-controller-manager: no root, a few seconds, many at
//!   once. The test plays storage and kubelet by writing status. For decisions, faults and scale.
//! * [`Cluster`] finds the full cluster that `dev-cluster up` started (two nodes, storage with snapshots),
//!   or the one that `KUBECONFIG` names. For real bytes.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use dev_cluster::{ControlPlane, Options};
//!
//! let plane = ControlPlane::start()?; // or:
//! let strict = ControlPlane::start_with(&Options {
//!     audit: true,
//!     disabled_controllers: vec!["persistentvolume-binder-controller".into()],
//!     ..Options::default()
//! })?;
//! plane.kubectl(&["create", "namespace", "demo"])?;
//! strict.stop_apiserver()?;
//! strict.start_apiserver()?;
//! for request in strict.audit_log()? {
//!     println!("{} {} {}", request.user, request.verb, request.resource);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Everything ends when the value is dropped, and also when the test process is killed: each process hangs
//! on a pipe that the kernel closes with the test.

mod audit;
mod building;
mod cluster;
mod control_plane;
pub mod full;
mod guard;
mod kubectl;
mod parts;
mod plane;
mod ports;
pub mod progress;
mod s3;
mod tools;

pub use audit::AuditedRequest;
pub use building::ensure_built;
pub use cluster::{Cluster, DEFAULT_DIR};
pub use control_plane::{ControlPlane, Options};
pub use kubectl::Kubectl;
pub use parts::{Part, cache_dir};
pub use s3::S3;
pub use tools::link_tools;
