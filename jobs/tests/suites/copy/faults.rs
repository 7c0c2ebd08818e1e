//! What goes wrong, and what is said about it.

use std::fs;
use std::path::Path;

use model::record::CopyState;

use crate::compare::{list, same};
use crate::copy::history::UNREADABLE;
use crate::place::{Place, RUNS, root};

/// Law 6.
#[test]
fn an_incomplete_copy_is_kept_and_marked() {
    let place = Place::new("incomplete");
    place.write("file", "x");
    place.fake_rsync(UNREADABLE);
    let ended = place.copy(RUNS[0]).run();
    assert_eq!(ended.code, Some(3));
    let result = ended.result();
    assert_eq!((result.state, result.files), (CopyState::Incomplete, 1));
    assert_eq!(result.reason.unwrap().as_str(), "Unreadable");
    assert_eq!(result.message, "1 entry is not in the copy: /source/bad (Input/output error)");
    assert_eq!(place.manifest(RUNS[0])["state"], "Incomplete");
    place.holds(&RUNS[..1]);
}

/// F51: retries do not help, nothing is deleted for room, and nothing is left behind that takes room.
#[test]
fn a_full_disk_is_told_and_deletes_nothing() {
    let place = Place::new("full-fake");
    place.write("file", "x");
    for run in &RUNS[..3] {
        place.copy(run).run().complete();
    }
    let before = list(&place.disk("."));
    for script in [
        "echo 'rsync: [receiver] write failed on \"/d/x\": No space left on device (28)' >&2; exit 11",
        "echo 'rsync: [generator] recv_generator: mkdir \"/d/x\" failed: Disk quota exceeded (122)' >&2; exit 23",
        "exit 11",
    ] {
        place.fake_rsync(script);
        place.copy(RUNS[3]).args(&["--retention=last=1", "--max-deletes=9"]).run().failed(3, "DiskFull");
        place.holds(&RUNS[..3]);
    }
    let mut after = list(&place.disk("."));
    // Only the time of the folder that held the partial.
    after.insert("".into(), before[Path::new("")].clone());
    same(&before, &after);
}

/// F51, with a real disk: without room for data, and without room for names.
#[test]
fn a_disk_that_is_really_full_is_told_and_deletes_nothing() {
    if !root("a small disk that is really full deletes nothing") {
        return;
    }
    for (options, name) in [("size=3m", "full-bytes"), ("size=30m,nr_inodes=60", "full-names")] {
        let mut place = Place::new(name);
        let disk = place.disk("");
        place.mount(&["-t", "tmpfs", "-o", options, "tmpfs"], &disk);
        place.write("first", &"x".repeat(1 << 20));
        place.copy(RUNS[0]).run().complete();
        let before = place.tree(RUNS[0]);
        for i in 0..80 {
            place.write(&format!("folder-{i}/file"), &"y".repeat(40 << 10));
        }
        for run in &RUNS[1..3] {
            let message = place.copy(run).args(&["--retention=1h", "--min-keep=0"]).run().failed(3, "DiskFull");
            assert!(message.starts_with("no space left on the destination"), "{message}");
            place.holds(&RUNS[..1]);
        }
        same(&before, &place.tree(RUNS[0]));
        // With room again, the next run is as any.
        for i in 0..70 {
            fs::remove_dir_all(place.file(&format!("folder-{i}"))).unwrap();
        }
        place.copy(RUNS[3]).run().complete();
    }
}

#[test]
fn an_image_without_rsync_is_told() {
    let place = Place::new("no-rsync");
    place.write("file", "x");
    let job = place.copy(RUNS[0]).env("PATH", place.path.join("bin"));
    let message = job.run().failed(3, "CopyFailed");
    assert!(message.contains("no rsync"), "{message}");
    assert!(!place.disk(RUNS[0]).exists());
}

#[test]
fn an_error_of_rsync_that_may_pass_is_tried_again_and_goes_on_where_it_stopped() {
    let place = Place::new("again");
    place.write("file", "x");
    for (script, words) in [
        ("\"$RSYNC\" \"$@\"; echo 'rsync error: timeout' >&2; exit 30", "code 30: rsync error: timeout"),
        ("kill -9 $$", "killed"),
        ("exit 0", "no statistics"),
        ("echo 'rsync: [receiver] mkstemp \"/d/.x\" failed: Read-only file system (30)' >&2; exit 23", "Read-only"),
    ] {
        place.fake_rsync(script);
        let message = place.copy(RUNS[0]).run().failed(1, "CopyFailed");
        assert!(message.contains(words), "{message}");
        assert!(!place.disk(RUNS[0]).exists());
    }
    place.real_rsync();
    let result = place.copy(RUNS[0]).run().complete();
    assert_eq!(result.written, 0, "the first try had copied it");
    place.holds(&RUNS[..1]);
}

/// F47, F48, law 6.
#[test]
fn an_empty_source_is_good_only_if_it_always_was_or_is_accepted() {
    let place = Place::new("empty");
    fs::create_dir(place.file("lost+found")).unwrap();
    assert_eq!(place.copy(RUNS[0]).run().complete().files, 0);
    place.write("file", "x");
    place.copy(RUNS[1]).run().complete();
    fs::remove_file(place.file("file")).unwrap();
    let message = place.copy(RUNS[2]).args(&["--retention=1h", "--min-keep=0"]).run().failed(3, "SourceEmpty");
    assert!(message.contains(RUNS[1]) && message.contains("1 entries"), "{message}");
    place.holds(&RUNS[..2]);
    place.copy(RUNS[2]).arg("--accept-empty").run().complete();
    place.holds(&RUNS[..3]);
}

/// F47: an empty mount point looks like an empty volume.
#[test]
fn a_source_that_is_not_mounted_is_not_copied() {
    let mut place = Place::new("unmounted");
    place.write("file", "x");
    let message = place.copy(RUNS[0]).without("--allow-unmounted").run().failed(1, "CopyFailed");
    assert!(message.contains("no volume is mounted"), "{message}");
    if !root("a bind mount of the same file system counts as mounted") {
        return;
    }
    let (from, at) = (place.source().display().to_string(), place.path.join("mounted"));
    fs::create_dir(&at).unwrap();
    place.mount(&["--bind", &from], &at);
    let job = place.copy(RUNS[0]).without("--allow-unmounted").instead(&format!("--source={}", at.display()));
    job.run().complete();
}

#[test]
fn a_destination_or_source_that_is_missing_is_tried_again() {
    let place = Place::new("missing");
    let no = place.path.join("no").display().to_string();
    place.copy(RUNS[0]).instead(&format!("--destination={no}")).run().failed(1, "DiskNotReady");
    place.copy(RUNS[0]).instead(&format!("--source={no}")).run().failed(1, "Unreadable");
}

/// What a tenant or an image sets outside of our arguments changes nothing.
#[test]
fn only_our_arguments_reach_rsync() {
    let place = Place::new("env");
    place.write("file", "x");
    place.write("sub/file", "x");
    fs::write(place.path.join(".popt"), "rsync alias --delete --exclude=sub\nrsync alias -S -n\n").unwrap();
    place
        .copy(RUNS[0])
        .env("HOME", &place.path)
        .env("RSYNC_CHECKSUM_LIST", "bad")
        .env("RSYNC_MAX_ALLOC", "1")
        .run()
        .complete();
    same(&list(&place.source()), &place.tree(RUNS[0]));
}

/// F55: whatever cannot be read, and whatever it is called, the result is small and is JSON.
#[test]
fn a_result_always_fits_into_a_termination_message() {
    let place = Place::new("long-message");
    place.write("file", "x");
    let name = "\\#377\\\"{}$(x)".repeat(60);
    place.fake_rsync(&format!(
        "\"$RSYNC\" \"$@\"; for i in $(seq 3000); do \
         echo 'rsync: [sender] send_files failed to open \"/source/{name}\": Permission denied (13)' >&2; done; exit 23"
    ));
    let ended = place.copy(RUNS[0]).run();
    assert!(ended.message.len() <= 4096 && ended.result().message.len() <= 512, "{ended:?}");
    assert!(ended.result().message.starts_with("3000 entries are not in the copy"), "{ended:?}");
    assert!(ended.output.lines().count() < 100, "the log is bounded too");
}

#[test]
fn a_wrong_command_line_is_2() {
    let place = Place::new("usage");
    for job in [place.job(&["copy"]), place.job(&[]), place.copy("../x"), place.copy(RUNS[0]).arg("--attempt=a/b")] {
        assert_eq!(job.run().code, Some(2));
    }
    assert!(place.names().is_empty());
}
