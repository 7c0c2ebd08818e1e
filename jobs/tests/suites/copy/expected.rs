//! Law 12: a disk that had trees of a source is expected to have some of them.

use std::fs;

use crate::place::{Job, Place, RUNS};

fn expect(job: Job, runs: &[&str]) -> Job {
    runs.iter().fold(job, |job, run| job.arg(&format!("--expect-tree={run}")))
}

/// A PVC of the disk that was deleted is replaced by an empty one. A disk may also have been emptied, or changed.
#[test]
fn a_disk_without_the_trees_that_it_had_is_told_and_nothing_is_made_until_somebody_accepts_it() {
    let place = Place::new("disk-missing");
    place.write("file", "x");
    for run in &RUNS[..2] {
        place.copy(run).run().complete();
    }
    for name in place.names() {
        let path = place.disk(&name);
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    let message = expect(place.copy(RUNS[2]), &RUNS[..2]).run().failed(3, "DiskMissing");
    assert!(message.contains(&format!("the newest of which was run {}", RUNS[1])), "{message}");
    assert!(place.names().is_empty(), "{:?}", place.names());
    // Once the loss is accepted the controller expects nothing.
    place.copy(RUNS[3]).run().complete();
    expect(place.copy(RUNS[4]), &[RUNS[3]]).run().complete();
    place.holds(&RUNS[3..5]);
}

#[test]
fn an_older_tree_of_another_disk_does_not_stand_for_those_that_are_missing() {
    let place = Place::new("disk-changed");
    place.write("file", "x");
    place.copy(RUNS[0]).run().complete();
    expect(place.copy(RUNS[3]), &RUNS[1..3]).run().failed(3, "DiskMissing");
    place.holds(&RUNS[..1]);
}

#[test]
fn one_tree_that_is_expected_is_enough_and_so_is_a_newer_one() {
    let place = Place::new("disk-there");
    place.write("file", "x");
    place.copy(RUNS[1]).run().complete();
    expect(place.copy(RUNS[2]), &RUNS[..2]).run().complete();
    // The result of a copy was lost, and it had pruned all that are expected.
    fs::remove_dir_all(place.disk(RUNS[1])).unwrap();
    fs::remove_file(place.disk(&format!("{}.json", RUNS[1]))).unwrap();
    expect(place.copy(RUNS[3]), &RUNS[..2]).run().complete();
    // This run's own is there, and tells its result again.
    expect(place.copy(RUNS[2]), &RUNS[4..]).run().complete();
}

/// L6: a new destination has no tree of its own to compare the volume with.
#[test]
fn an_empty_volume_that_another_destination_knows_as_filled_is_not_copied() {
    let place = Place::new("filled-elsewhere");
    let filled = format!("--filled={}", RUNS[0]);
    let message = place.copy(RUNS[1]).arg(&filled).run().failed(3, "SourceEmpty");
    assert_eq!(message, format!("the volume is empty, but the copy of run {} to another destination is not", RUNS[0]));
    assert!(place.names().is_empty());
    place.copy(RUNS[1]).args(&[&filled, "--accept-empty"]).run().complete();
    place.write("file", "x");
    place.copy(RUNS[2]).arg(&filled).run().complete();
}
