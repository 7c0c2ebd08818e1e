//! What a run costs: printed, for the benchmark page. `--ignored --nocapture`, with `BACKUP_BINARIES` at a release build.

use std::time::{Duration, SystemTime};

use model::Timestamp;

use crate::snapshot_job::support::{Stage, before};

/// From exec to the snapshot object, and the most memory that the process had.
#[test]
#[ignore = "a measurement, not a claim"]
fn the_cost_of_a_run() {
    let stage = Stage::new("measure");
    stage.has(&["20261101T0000Z", "20261102T0000Z", "20261103T0000Z", "20261104T0000Z", "20261105T0000Z"].map(before));
    let (mut times, mut sizes) = (Vec::new(), Vec::new());
    for hour in 0..10 {
        let job = stage.job(&hour.to_string(), &format!("2026-11-20T{hour:02}:00:00Z"));
        let begun: Timestamp = SystemTime::now().try_into().unwrap();
        let running = stage.start("snapshot", &job, &["--no-rotate"]);
        let status = format!("/proc/{}/status", running.child.id());
        std::thread::sleep(Duration::from_millis(400));
        let high = std::fs::read_to_string(status).unwrap();
        let size =
            |key| high.lines().find_map(|l| l.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        sizes.extend(["VmHWM:", "RssAnon:", "RssFile:"].map(|key| size(key).unwrap()));
        let ended = stage.finish(running);
        ended.done();
        let made = ended.output.lines().find(|l| l.contains("created the VolumeSnapshot")).unwrap();
        let made: Timestamp = made.split_whitespace().next().unwrap().parse().unwrap();
        times.push(made.duration_since(begun).as_millis());
    }
    times.sort_unstable();
    println!("exec to snapshot object, ms: {times:?}");
    println!("kB while it waits: most in all {}, private {}, of the program's file {}", sizes[0], sizes[1], sizes[2]);
}
