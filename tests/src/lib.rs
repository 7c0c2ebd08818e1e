//! What the suites share.
//!
//! There are two kinds of suites, as there are two levels of [`dev_cluster`]:
//!
//! * **On a real control plane** (etcd, kube-apiserver, kube-controller-manager; no nodes). Our binaries run
//!   as they are; the test plays storage and kubelet. [`Scene`] is one test's corner of the control plane
//!   that all tests of a binary share: namespaces, classes and an instance name of its own, so that tests
//!   run side by side. [`storage`] makes volumes, snapshots and promoters, [`kubelet`] ends pods,
//!   [`Controller`] is a running `backup-controller`, [`binaries`] finds our programs.
//! * **On real nodes**, with real bytes: [`nodes`].
//!
//! Waits are bounded and end as soon as what they wait for is there; when one runs out, its error shows the
//! scene's objects, Events and logs. Nothing outlives a test process: each child hangs on a pipe that the
//! kernel closes with it.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use backup_controller_tests::{NewClaim, Scene, storage};
//!
//! let scene = Scene::new().await?;
//! let controller = scene.controller("").await?;
//! let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
//! let cronjob = scene.cronjob_of(&claim).await?;
//! # let _ = (controller, cronjob, storage::GIB);
//! # Ok(())
//! # }
//! ```

pub mod binaries;
pub mod chart;
mod controller;
pub mod figures;
mod http;
mod identity;
pub mod kubelet;
pub mod ledger;
pub mod nodes;
mod process;
mod scene;
pub mod storage;
mod wait;

pub use controller::{Controller, Setup};
pub use identity::Identity;
pub use process::Process;
pub use scene::{Scene, source};
pub use storage::NewClaim;
pub use wait::{DEADLINE, wait_for};
