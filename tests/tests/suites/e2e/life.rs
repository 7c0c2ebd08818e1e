//! After the source.

use std::time::Duration;

use backup_controller_tests::nodes::{App, Files, QUIET, wait::wait_for};

use crate::e2e::cluster;

/// Restore points outlive their source, and are swept once their time has passed.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_deleted_sources_points_stay_and_are_swept_later() {
    let kubectl = cluster();
    let settings = [QUIET, "backup-controller.io/retention=1m"];
    let app = App::create_with(kubectl, "e2e-life", "shared", Files::Few, &settings).unwrap();
    let run = app.back_up(&["disk"]).unwrap();
    let point = app.restore_point(&run).unwrap();
    let uid = app.uid().unwrap();
    app.kubectl(&["delete", "deployment/app", "--wait=true"]).unwrap();
    app.kubectl(&["delete", "pvc/data", "--wait=true", "--timeout=90s"]).unwrap();

    let label = format!("backup-controller.io/source-uid={uid}");
    let cronjobs = || kubectl.run(&["-n", "backup", "get", "cronjobs", "-l", &label, "-o", "name"]);
    wait_for(
        "the CronJob goes with its source",
        Duration::from_mins(1),
        || app.seen(),
        || Ok(cronjobs()?.trim().is_empty().then_some(())),
    )
    .unwrap();
    let snapshots = app.kubectl(&["get", "volumesnapshots", "-o", "name"]).unwrap();
    assert!(snapshots.contains(&point), "the restore point stays: {snapshots}");

    // The overlay's orphanRetention is one minute.
    let deadline = Duration::from_mins(4);
    let mut sweeps = 0;
    wait_for(
        "the points are swept",
        deadline,
        || app.seen(),
        || {
            sweeps += 1;
            if sweeps % 40 == 1 {
                let job = format!("sweep-{sweeps}");
                let sweep = kubectl.run(&[
                    "-n",
                    "backup",
                    "get",
                    "cronjobs",
                    "-l",
                    "backup-controller.io/component=sweep",
                    "-o",
                    "name",
                ])?;
                kubectl.run(&["-n", "backup", "create", "job", &job, &format!("--from={}", sweep.trim())])?;
            }
            let left = app.kubectl(&["get", "volumesnapshots,pvc", "-l", &label, "-o", "name"])?;
            Ok(left.trim().is_empty().then_some(()))
        },
    )
    .unwrap();
    app.delete().unwrap();
}
