//! A copy that stops at any point: it is never good, and the next try goes on.

use std::fs;
use std::path::Path;
use std::process::Child;

use model::record::CopyState;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::compare::{list, same};
use crate::place::{Job, Place, RUNS, set_time, wait_until};

/// rsync so slow that a test can catch it in the middle of a file.
const SLOW: &str = r#"exec "$RSYNC" --bwlimit=300 "$@""#;

/// A volume that takes [`SLOW`] some seconds.
fn big(place: &Place) {
    place.write("a", "first");
    place.write("b", &"0123456789abcde\n".repeat(100_000));
    place.write("c", "last");
}

/// The partial tree, once there is something in it.
fn partial(place: &Place) -> Option<String> {
    let name = place.names().into_iter().find(|name| name.starts_with(".partial-"))?;
    fs::read_dir(place.disk(&name))
        .ok()?
        .any(|e| e.unwrap().file_name().as_encoded_bytes().starts_with(b".b."))
        .then_some(name)
}

fn start(place: &Place, job: &Job) -> Child {
    place.fake_rsync(SLOW);
    let child = job.start();
    wait_until("rsync writes a file", || partial(place).is_some());
    child
}

fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// F42.
#[test]
fn a_killed_copy_is_never_a_tree_and_the_next_try_goes_on_with_it() {
    let place = Place::new("killed");
    big(&place);
    place.write("z", "x");
    place.copy(RUNS[0]).run().complete();
    let before = place.tree(RUNS[0]);
    fs::remove_file(place.file("b")).unwrap();
    big(&place);
    set_time(&place.file("b"), 1_600_000_000);

    let mut child = start(&place, &place.copy(RUNS[1]));
    send(&child, Signal::KILL);
    child.wait().unwrap();
    // What is left is a partial; nothing has the run's name.
    assert!(!place.disk(RUNS[1]).exists() && !place.disk(&format!("{}.json", RUNS[1])).exists());
    let left = partial(&place).unwrap();
    assert!(left.ends_with("-pod-1"), "{left}");

    // rsync ends once nobody listens; in a pod it is killed with its parent.
    place.real_rsync();
    let mut ended = place.copy(RUNS[1]).arg("--attempt=pod-2").run();
    wait_until("rsync has ended", || {
        let busy = ended.code == Some(1);
        if busy {
            ended.failed(1, "DiskBusy");
            ended = place.copy(RUNS[1]).arg("--attempt=pod-2").run();
        }
        !busy
    });
    ended.complete();
    assert!(ended.output.contains("continuing the unfinished copy .partial-"), "{}", ended.output);
    same(&list(&place.source()), &place.tree(RUNS[1]));
    same(&before, &place.tree(RUNS[0]));
    place.holds(&RUNS[..2]);
}

/// A pod that is asked to stop has 30 seconds, and as process 1 no signal ends it by itself.
#[test]
fn a_copy_that_is_asked_to_stop_takes_rsync_with_it_and_says_that_a_retry_helps() {
    let place = Place::new("stopped");
    big(&place);
    let job = place.copy(RUNS[0]);
    let mut child = start(&place, &job);
    send(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let ended = job.ended(Some(1));
    assert!(ended.failed(1, "CopyFailed").contains("stopped"), "{ended:?}");
    assert!(!Path::new(&place.disk(RUNS[0])).exists());
    // No writer is left: the next try has the lock at once.
    place.real_rsync();
    place.copy(RUNS[0]).run().complete();
    same(&list(&place.source()), &place.tree(RUNS[0]));
    place.holds(&RUNS[..1]);
}

/// The controller admits one writer to a disk. This is for the day on which it errs.
#[test]
fn a_second_writer_is_kept_out() {
    let place = Place::new("second");
    big(&place);
    let mut child = start(&place, &place.copy(RUNS[0]));
    for run in [RUNS[0], RUNS[1]] {
        place.copy(run).arg("--attempt=pod-2").run().failed(1, "DiskBusy");
    }
    let left = partial(&place);
    assert!(left.is_some(), "the first one's files are where they were");
    // Its parent is gone, but rsync is not.
    let rsync = children(&child);
    kill_process_group(rsync, Signal::STOP).unwrap();
    send(&child, Signal::KILL);
    child.wait().unwrap();
    place.copy(RUNS[0]).arg("--attempt=pod-3").run().failed(1, "DiskBusy");
    assert_eq!(partial(&place), left);
    kill_process_group(rsync, Signal::KILL).unwrap();
    place.real_rsync();
    wait_until("the lock is free", || place.copy(RUNS[0]).run().code == Some(0));
}

/// The group of the processes that a copy has started.
fn children(child: &Child) -> Pid {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
    Pid::from_raw(children.split_whitespace().next().unwrap().parse().unwrap()).unwrap()
}

/// The states in which a crash can leave the disk between the steps of `copy/commit.rs`.
#[test]
fn a_partial_copy_is_never_good() {
    let place = Place::new("crash-points");
    place.write("file", "x");
    place.copy(RUNS[0]).run().complete();
    place.copy(RUNS[1]).run().complete();
    let (tree, json) = (RUNS[1].to_owned(), format!("{}.json", RUNS[1]));
    let partial = format!(".partial-{}-{}-pod-0", RUNS[1], boot());
    let draft = format!("{partial}.json");
    let rename = |from: &str, to: &str| fs::rename(place.disk(from), place.disk(to)).unwrap();

    for (point, is_good) in [("copying", false), ("1", false), ("2", false), ("3", false), ("4, 5", true)] {
        match point {
            "copying" => {
                rename(&tree, &partial);
                fs::remove_file(place.disk(&json)).unwrap();
                fs::remove_file(place.disk(&partial).join("file")).unwrap();
                fs::write(place.disk(&partial).join(".file.x1Y2z3"), "half").unwrap();
            }
            "1" => {
                rename(&tree, &partial);
                fs::remove_file(place.disk(&json)).unwrap();
            }
            "2" => {
                rename(&tree, &partial);
                rename(&json, &draft);
            }
            "3" => rename(&tree, &partial),
            _ => {}
        }
        // Another run neither counts nor links what is not good, and prunes no good tree for it. (An empty
        // source fails it before it tidies up.)
        let empty = place.path.join("empty");
        fs::create_dir_all(&empty).unwrap();
        let probe = place.copy(RUNS[2]).instead(&format!("--source={}", empty.display())).run();
        let message = probe.failed(3, "SourceEmpty");
        assert_eq!(message.contains(RUNS[1]), is_good, "{point}: {message}");

        let ended = place.copy(RUNS[1]).run();
        ended.complete();
        assert_eq!(ended.output.contains("already exists"), is_good, "{point}: {}", ended.output);
        same(&list(&place.source()), &place.tree(RUNS[1]));
        place.holds(&RUNS[..2]);
    }
}

/// A crash between the renames of an expired tree, or while its files are removed.
#[test]
fn an_expired_tree_never_comes_back() {
    let place = Place::new("crash-trash");
    place.write("file", "x");
    for run in &RUNS[..2] {
        place.copy(run).run().complete();
    }
    // Renamed, and its manifest still there.
    fs::rename(place.disk(RUNS[0]), place.disk(&format!(".trash-{}", RUNS[0]))).unwrap();
    place.copy(RUNS[2]).run().complete();
    place.holds(&RUNS[1..3]);
}

/// Without this a volume that takes longer than the copy's deadline would be begun anew every day.
#[test]
fn what_an_older_run_left_is_used_and_never_written_to() {
    let place = Place::new("older-partial");
    for file in ["kept", "mode", "content"] {
        place.write(file, "as it was");
    }
    place.copy(RUNS[0]).run().complete();
    let first = place.tree(RUNS[0]);
    // The second run stopped in the middle: it had linked all of these, and copied one more.
    place.write("big", "copied by the second run");
    place.copy(RUNS[1]).run().complete();
    fs::remove_file(place.disk(&format!("{}.json", RUNS[1]))).unwrap();
    fs::rename(place.disk(RUNS[1]), place.disk(&format!(".partial-{}-{}-pod-0", RUNS[1], boot()))).unwrap();
    let left = fs::read_dir(place.disk(""))
        .unwrap()
        .map(|e| e.unwrap().path())
        .find(|p| p.to_string_lossy().contains(".partial"))
        .unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(left.join("big")).unwrap());

    fs::set_permissions(place.file("mode"), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    place.write("content", "another");
    let result = place.copy(RUNS[2]).run().complete();
    assert_eq!(place.inode(RUNS[2], "big"), inode);
    assert_eq!(result.written, 7);
    same(&first, &place.tree(RUNS[0]));
    same(&list(&place.source()), &place.tree(RUNS[2]));
    place.holds(&[RUNS[0], RUNS[2]]);
}

/// A machine that crashed may have lost bytes of files whose size and time are right.
#[test]
fn a_partial_from_before_a_reboot_is_compared_by_content() {
    let place = Place::new("reboot");
    place.write("file", "as it should be");
    place.copy(RUNS[0]).run().complete();
    let partial = place.disk(&format!(".partial-{}-00000000-pod-0", RUNS[0]));
    fs::rename(place.disk(RUNS[0]), &partial).unwrap();
    fs::remove_file(place.disk(&format!("{}.json", RUNS[0]))).unwrap();
    fs::write(partial.join("file"), "\0".repeat(15)).unwrap();
    set_time(&partial.join("file"), 1_500_000_015);

    let result = place.copy(RUNS[0]).run().complete();
    assert_eq!((result.state, result.checksummed), (CopyState::Complete, true));
    assert_eq!(fs::read_to_string(place.disk(RUNS[0]).join("file")).unwrap(), "as it should be");
    place.holds(&RUNS[..1]);

    // What another run left then is of no use.
    let older = place.disk(".partial-20181111T0000Z-00000000-pod-0");
    fs::create_dir(&older).unwrap();
    place.write("new", "as it was");
    fs::write(older.join("new"), "\0".repeat(9)).unwrap();
    set_time(&older.join("new"), 1_500_000_009);
    assert!(!place.copy(RUNS[1]).run().complete().checksummed);
    same(&list(&place.source()), &place.tree(RUNS[1]));
    place.holds(&RUNS[..2]);
}

/// This start of the machine, as partial trees' names have it.
fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    model::names::hash(id.trim(), 8)
}

/// A deletion in the volume while the copy was interrupted does not come back by the partial: the promoter is
/// a snapshot, but a plain clone may be written to.
#[test]
fn what_left_the_volume_between_two_tries_is_not_in_the_tree() {
    let place = Place::new("stale-partial");
    place.write("file", "x");
    let stale = place.disk(&format!(".partial-{}-{}-pod-0/gone", RUNS[0], boot()));
    fs::create_dir_all(stale.parent().unwrap()).unwrap();
    fs::write(stale, "x").unwrap();
    place.copy(RUNS[0]).run().complete();
    same(&list(&place.source()), &place.tree(RUNS[0]));
}
