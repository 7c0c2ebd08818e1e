//! Other storage: volumes of one node, a host's disk.

use backup_controller_tests::nodes::{App, Files, Tree};

use crate::e2e::{cluster, prepare_vault};

/// F20: the promoter of a class that waits for its first consumer binds when the copy's pod needs it.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_volume_of_one_node_is_copied_where_it_is() {
    let app = App::create_quiet(cluster(), "e2e-local", "local", Files::Some).unwrap();
    let run = app.back_up(&["disk"]).unwrap();
    let point = app.restore_point(&run).unwrap();
    let disk = Tree { claim: "backup-disk".into(), path: format!("e2e-local/data/{}/{run}", app.uid().unwrap()) };
    let found = app.compare("compare", &Tree::volume(&point), &disk).unwrap();
    assert!(found.equal(), "the tree differs from the promoter:\n{}", found.differences);
    assert!(found.entries > 300, "{} entries", found.entries);
    app.delete().unwrap();
}

/// A disk of one host: no pod of the tenant's has a hostPath, and each reaches only its own part.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_hosts_disk_is_reached_through_a_volume_of_the_namespace() {
    prepare_vault();
    let app = App::create_quiet(cluster(), "e2e-host", "shared", Files::Some).unwrap();
    let run = app.back_up(&["vault"]).unwrap();
    let point = app.restore_point(&run).unwrap();
    let disk = Tree { claim: "backup-disk-vault".into(), path: format!("data/{}/{run}", app.uid().unwrap()) };
    let found = app.compare("compare", &Tree::volume(&point), &disk).unwrap();
    assert!(found.equal(), "the tree differs from the promoter:\n{}", found.differences);
    app.delete().unwrap();
}

/// Snapshots alone are a choice: good when ready, and nothing is copied.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_volume_without_a_destination_has_snapshots_only() {
    let app = App::create_quiet(cluster(), "e2e-snapshots", "shared", Files::Few).unwrap();
    let run = app.back_up(&[]).unwrap();
    assert_eq!(app.status().unwrap()["snapshot"], run.as_str());
    let jobs = app.kubectl(&["get", "jobs", "-o", "name"]).unwrap();
    assert!(jobs.trim().is_empty(), "{jobs}");
    app.delete().unwrap();
}
