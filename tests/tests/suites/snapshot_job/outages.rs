//! The API server goes away, or lacks what a run needs.

use crate::snapshot_job::support::{Stage, eventually, new_plane};

/// F63, F64: the watch breaks, and what happened meanwhile is looked up.
#[test]
fn an_outage_while_the_snapshot_is_waited_for_costs_nothing() {
    let plane = new_plane(true);
    let mut stage = Stage::on(plane, "outage");
    stage.storage.ready = false;
    let running = stage.start("snapshot", &stage.job("a", "2026-11-20T03:00:00Z"), &[]);
    eventually("the snapshot is made", || if stage.names("vs").len() == 1 { Ok(()) } else { Err("none".to_owned()) });
    plane.stop_apiserver().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    plane.start_apiserver().unwrap();
    stage.storage.ready = true;
    let ended = stage.finish(running);
    assert_eq!(ended.done().restore_point.as_deref(), Some("data-20261120"), "{}", ended.output);
    assert_eq!(stage.points(), (vec!["data-20261120".into()], vec!["data-20261120".into()]));
}

/// F04.
#[test]
fn a_cluster_without_the_snapshot_api_is_told() {
    let stage = Stage::on(new_plane(false), "no-api");
    let running = stage.start("snapshot", &stage.job("a", "2026-11-20T03:00:00Z"), &[]);
    let ended = running.ended();
    assert_eq!(ended.reason(3), "NoSnapshotApi", "{}", ended.output);
    assert_eq!(stage.json(&["get", "pvc"])["items"].as_array().map(Vec::len), Some(1));
}
