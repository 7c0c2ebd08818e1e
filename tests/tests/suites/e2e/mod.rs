//! End to end on two real nodes: real bytes, real snapshots, real pods.
//!
//! Each test has a namespace of its own, and the playbooks' tests an installation of their own too, so that several run
//! side by side. The one that goes by the clock is `backup::three_runs_…`; the others ask for their runs.

mod ansible;
mod backup;
mod block;
mod disks;
mod life;
mod restic;
mod restore;
mod restore_from;
mod tasks;

use std::sync::{Once, OnceLock};

use backup_controller_tests::nodes;
use dev_cluster::{Cluster, Kubectl};

/// The cluster with the controller installed and nothing of an earlier run, once for all tests.
fn cluster() -> &'static Kubectl {
    static CLUSTER: OnceLock<Kubectl> = OnceLock::new();
    CLUSTER.get_or_init(|| {
        let cluster = Cluster::existing().expect("a cluster: make e2e starts one");
        nodes::install(cluster.kubectl(), "e2e").expect("the controller is installed");
        // In a cluster of somebody's own, namespaces of such names may be somebody's own.
        if cluster.is_dev() {
            nodes::leftovers::remove(cluster.kubectl(), "e2e-").expect("what a killed run left goes");
        }
        cluster.kubectl().clone()
    })
}

/// What an administrator does once for a host's disk: mounts it, and leaves the marker on it.
fn prepare_vault() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vault = nodes::manifest("vault.yaml", &[]).unwrap();
        cluster().run_with_input(&["apply", "-f", "-"], &vault).unwrap();
        let done = "--for=jsonpath={.status.phase}=Succeeded";
        cluster().run(&["-n", "backup", "wait", done, "pod/prepare-vault", "--timeout=60s"]).unwrap();
        cluster().run(&["-n", "backup", "delete", "pod/prepare-vault", "--wait=true"]).unwrap();
    });
}
