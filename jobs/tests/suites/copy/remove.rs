//! `backup-job remove`: all copies of a source that is gone, and nothing else.

use std::fs;
use std::os::unix::fs::symlink;

use model::maintain::{MaintainResult, TaskState};

use crate::place::{Ended, Place, RUNS};

const OF: &str = "shop/data/u-1";

fn remove(place: &Place, of: &str, more: &[&str]) -> (Ended, MaintainResult) {
    let args = ["remove", "--name=disk", &format!("--of={of}")].map(str::to_owned);
    let disk = format!("--destination={}", place.path.join("disk").display());
    let words: Vec<&str> = args.iter().map(String::as_str).chain([disk.as_str()]).chain(more.iter().copied()).collect();
    let ended = place.job(&words).run();
    let result = serde_json::from_str(&ended.message).unwrap_or_else(|e| panic!("{e}: {ended:?}"));
    (ended, result)
}

/// Two copies of the source.
fn copied(name: &str) -> Place {
    let place = Place::new(name);
    place.write("etc/file", "x");
    for run in &RUNS[..2] {
        place.copy(run).args(&[&format!("--of={OF}")]).run().complete();
    }
    place
}

#[test]
fn all_copies_go_and_links_in_them_lead_nowhere() {
    let place = copied("remove-all");
    let outside = place.path.join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "x").unwrap();
    symlink(&outside, place.disk(RUNS[0]).join("link")).unwrap();
    symlink(&outside, place.disk(".trash-20181130T0000Z")).unwrap();
    symlink(&outside, place.disk("20181109T0000Z")).unwrap();
    fs::create_dir_all(place.disk(".partial-20181204T0000Z-0123abcd-pod-1/inside")).unwrap();
    for name in ["20181110T0000Z", "photos"] {
        fs::create_dir(place.disk(name)).unwrap();
    }
    let (ended, result) = remove(&place, OF, &[&format!("--expect-tree={}", RUNS[0])]);
    assert_eq!((ended.code, result.state, result.files), (Some(0), TaskState::Done, 2), "{ended:?}");
    assert!(outside.join("kept").exists(), "no link is followed");
    let strangers = [".removed", "20181109T0000Z", "20181110T0000Z", "photos"];
    assert_eq!(place.names(), strangers, "what we did not make stays");
    // Its result may be lost: again is the same.
    let (ended, result) = remove(&place, OF, &[&format!("--expect-tree={}", RUNS[0])]);
    assert_eq!((ended.code, result.state, result.files), (Some(0), TaskState::Done, 0), "{ended:?}");
    assert_eq!(place.names(), strangers);
}

#[test]
fn one_manifest_of_another_source_or_destination_keeps_everything() {
    let place = copied("remove-foreign");
    let before = place.names();
    for of in ["shop/data/u-2", "other/data/u-1", "shop/date/u-1"] {
        let (ended, result) = remove(&place, of, &[]);
        assert_eq!((ended.code, result.state, result.files), (Some(3), TaskState::Failed, 0), "{ended:?}");
        let problem = result.problem.unwrap();
        assert!(problem.message.contains(OF) && problem.message.contains(of), "{problem}");
        assert_eq!(place.names(), before);
    }
    let path = place.disk(&format!("{}.json", RUNS[1]));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"disk\"", "\"attic\"")).unwrap();
    let (ended, _) = remove(&place, OF, &[]);
    assert_eq!((ended.code, place.names()), (Some(3), before));
}

/// Law 12.
#[test]
fn a_disk_that_has_none_of_the_copies_is_another_one() {
    let place = Place::new("remove-missing");
    let (ended, result) = remove(&place, OF, &[&format!("--expect-tree={}", RUNS[0])]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(result.problem.unwrap().reason.as_str(), "DiskMissing");
    assert!(place.names().is_empty());
}

/// Killed in the middle: what is left is no restore point, and the next try goes on.
#[test]
fn a_removal_that_was_interrupted_is_finished_by_the_next() {
    let place = copied("remove-interrupted");
    // As it stands after the mark and the rename of the first tree.
    fs::write(place.disk(".removed"), "").unwrap();
    fs::rename(place.disk(RUNS[0]), place.disk(&format!(".trash-{}", RUNS[0]))).unwrap();
    let (ended, result) = remove(&place, OF, &[&format!("--expect-tree={}", RUNS[0])]);
    assert_eq!((ended.code, result.state), (Some(0), TaskState::Done), "{ended:?}");
    assert_eq!(place.names(), [".removed"]);
}
