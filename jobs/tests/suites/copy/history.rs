//! Trees of many days: what they share, and which go.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, symlink};

use model::facts::Journal;
use model::record::CopyState;
use rustix::fs::{XattrFlags, lsetxattr};

use crate::compare::{list, same};
use crate::corpus::set_acl;
use crate::place::{Ended, Place, RUNS, has, set_time, set_time_ns};

#[test]
fn unchanged_files_are_shared_and_changed_ones_are_not() {
    let place = Place::new("shared");
    place.write("same", "the same");
    place.write("changed", "before");
    place.write("gone", "x");
    place.copy(RUNS[0]).run().complete();
    let first = place.tree(RUNS[0]);

    place.write("changed", "after it");
    fs::remove_file(place.file("gone")).unwrap();
    place.write("new", "new");
    let result = place.copy(RUNS[1]).run().complete();

    assert_eq!(place.inode(RUNS[0], "same"), place.inode(RUNS[1], "same"));
    assert_ne!(place.inode(RUNS[0], "changed"), place.inode(RUNS[1], "changed"));
    assert_eq!((result.files, result.written), (3, 8 + 3));
    same(&list(&place.source()), &place.tree(RUNS[1]));
    same(&first, &place.tree(RUNS[0]));
    assert_eq!(place.manifest(RUNS[1])["linked"], RUNS[0]);
}

/// The tree outlives its promoter: it says itself that the promoter's journal was passed over.
#[test]
fn a_tree_of_a_promoter_without_its_journal_says_so() {
    let place = Place::new("journal");
    place.write("file", "x");
    assert_eq!(place.copy(RUNS[0]).run().complete().journal, Journal::Replayed);
    assert_eq!(place.copy(RUNS[1]).args(&["--journal=skipped"]).run().complete().journal, Journal::Skipped);
    assert_eq!(place.manifest(RUNS[1])["journal"], "skipped");
    assert!(place.manifest(RUNS[0]).get("journal").is_none());
}

/// rsync compares whole seconds unless it is told not to: a database that is written to right after its
/// snapshot would keep the old page, for as long as contents are not compared.
#[test]
fn a_change_within_the_same_second_at_the_same_size_is_seen() {
    let place = Place::new("nanoseconds");
    let second = 1_600_000_000;
    place.write("page", "before");
    set_time_ns(&place.file("page"), second, 300_000_000);
    place.copy(RUNS[0]).run().complete();
    place.write("page", "after!");
    set_time_ns(&place.file("page"), second, 900_000_000);
    place.copy(RUNS[1]).run().complete();
    assert_eq!(fs::read_to_string(place.disk(RUNS[1]).join("page")).unwrap(), "after!");
    assert_eq!(fs::read_to_string(place.disk(RUNS[0]).join("page")).unwrap(), "before");
}

/// The fault of `cp -al` and of links into a tree that is written to again.
#[test]
fn a_change_of_mode_time_attribute_or_acl_alone_leaves_older_trees_as_they_were() {
    let place = Place::new("attributes-only");
    for file in ["mode", "time", "attribute", "acl", "owner"] {
        place.write(file, "the content stays");
    }
    place.copy(RUNS[0]).run().complete();
    let first = place.tree(RUNS[0]);

    fs::set_permissions(place.file("mode"), fs::Permissions::from_mode(0o4711)).unwrap();
    set_time(&place.file("time"), 7);
    lsetxattr(place.file("attribute"), "user.new", b"x", XattrFlags::empty()).unwrap();
    let mut changed = vec!["mode", "time", "attribute"];
    if has("setfacl", "a change of an ACL alone is seen") {
        set_acl(&["-m", "u:1234:r"], &place.file("acl"));
        changed.push("acl");
    }
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(place.file("owner"), Some(12), Some(34)).unwrap();
        changed.push("owner");
    }
    place.copy(RUNS[1]).run().complete();
    same(&first, &place.tree(RUNS[0]));
    same(&list(&place.source()), &place.tree(RUNS[1]));
    for file in changed {
        assert_ne!(place.inode(RUNS[0], file), place.inode(RUNS[1], file), "{file}");
    }
}

/// rsync alone links both names to the file that they were: a restore would tie them together again.
#[test]
fn names_that_were_one_file_and_are_two_are_two_in_the_next_tree() {
    let place = Place::new("parted");
    for file in ["a", "c", "alone"] {
        place.write(file, "the same content");
    }
    fs::hard_link(place.file("a"), place.file("b")).unwrap();
    place.write("sub/x", "other");
    fs::hard_link(place.file("a"), place.file("sub/three")).unwrap();
    place.copy(RUNS[0]).run().complete();
    let first = place.tree(RUNS[0]);
    assert_eq!(place.manifest(RUNS[0])["hardLinks"], 3);

    // b is a file of its own now, with everything as it was; c has got a second name.
    fs::remove_file(place.file("b")).unwrap();
    place.write("b", "the same content");
    fs::hard_link(place.file("c"), place.file("sub/d")).unwrap();
    let result = place.copy(RUNS[1]).run().complete();
    same(&list(&place.source()), &place.tree(RUNS[1]));
    same(&first, &place.tree(RUNS[0]));
    assert_eq!(result.written, 16, "the rest is linked");
    assert_eq!(place.inode(RUNS[0], "alone"), place.inode(RUNS[1], "alone"));
    // Nothing is copied again for groups that are as they were.
    assert_eq!(place.copy(RUNS[2]).run().complete().written, 0);
    same(&list(&place.source()), &place.tree(RUNS[2]));
}

/// ext4 gives a file 65,000 names, in all trees together. rsync ends with code 12 then, at every try.
#[test]
fn a_file_with_too_many_names_in_all_trees_together_costs_no_copy() {
    let place = Place::new("too-many-names");
    place.write("file-0", "x");
    for i in 1..33_000 {
        fs::hard_link(place.file("file-0"), place.file(&format!("file-{i}"))).unwrap();
    }
    for run in &RUNS[..2] {
        place.copy(run).run().complete();
    }
    same(&list(&place.source()), &place.tree(RUNS[1]));
    place.holds(&RUNS[..2]);
}

#[test]
fn the_third_tree_prunes_the_first_and_says_so() {
    let place = Place::new("prune");
    place.write("file", "x");
    for (number, run) in RUNS[..3].iter().enumerate() {
        let result = place.copy(run).arg("--retention=last=2").run().complete();
        let pruned: Vec<_> = result.pruned.iter().map(model::names::Run::as_str).collect();
        assert_eq!(pruned, if number == 2 { &RUNS[..1] } else { &[] });
    }
    place.holds(&RUNS[1..3]);
}

/// What a result names can be restored from: the trees that are there, and none that is going.
#[test]
fn a_result_names_the_trees_that_are_kept_newest_first() {
    let place = Place::new("kept");
    place.write("file", "x");
    let kept = |ended: &Ended| ended.complete().kept.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(kept(&place.copy(RUNS[0]).run()), RUNS[..1]);
    assert_eq!(kept(&place.copy(RUNS[2]).run()), [RUNS[2], RUNS[0]]);
    let pruning = place.copy(RUNS[3]).arg("--retention=last=2").run();
    assert_eq!(kept(&pruning), [RUNS[3], RUNS[2]], "the first one was pruned");
    assert_eq!(pruning.complete().pruned.len(), 1);
    place.holds(&[RUNS[2], RUNS[3]]);
    // A run that is there already names what is there now, not what was when it was made.
    assert_eq!(kept(&place.copy(RUNS[2]).run()), [RUNS[3], RUNS[2]]);
    assert!(place.manifest(RUNS[3])["kept"].is_null(), "it would be old the next day");
}

/// Law 1: whatever its age, and whoever set the clock.
#[test]
fn the_last_good_tree_and_at_most_three_at_once() {
    let place = Place::new("floor");
    place.write("file", "x");
    for run in &RUNS[..4] {
        place.copy(run).run().complete();
    }
    let pruned = place.copy(RUNS[4]).args(&["--retention=1h", "--min-keep=2", "--max-deletes=2"]).run().complete();
    assert_eq!(pruned.pruned.len(), 2);
    place.holds(&RUNS[2..]);
    place.copy("20190101T0000Z").args(&["--retention=1h", "--min-keep=2"]).run().complete();
    place.holds(&[RUNS[4], "20190101T0000Z"]);
}

/// Law 3.
#[test]
fn an_incomplete_tree_replaces_no_good_one() {
    let place = Place::new("incomplete-prunes");
    place.write("file", "x");
    place.copy(RUNS[0]).run().complete();
    place.fake_rsync(UNREADABLE);
    for (number, run) in RUNS[1..4].iter().enumerate() {
        let ended = place.copy(run).args(&["--retention=last=1", "--max-unconfirmed=2"]).run();
        assert_eq!(ended.code, Some(3));
        assert_eq!(ended.result().pruned.len(), usize::from(number == 2));
    }
    place.holds(&[RUNS[0], RUNS[2], RUNS[3]]);
    // What the incomplete trees lack comes from the good one.
    place.real_rsync();
    let inode = place.inode(RUNS[0], "file");
    place.copy(RUNS[4]).args(&["--retention=last=1", "--max-unconfirmed=2"]).run().complete();
    assert_eq!(place.inode(RUNS[4], "file"), inode);
    // L8: in one series with the good ones, the incomplete ones are older than the last that the retention keeps.
    place.holds(&RUNS[4..]);
}

/// rsync to the end, and then 23.
pub(crate) const UNREADABLE: &str = r#""$RSYNC" "$@" || exit
echo 'rsync: [sender] send_files failed to open "/source/bad": Input/output error (5)' >&2
echo 'rsync error: some files/attrs were not transferred (see previous errors) (code 23) at main.c(1394)' >&2
exit 23"#;

/// Law 8.
#[test]
fn the_same_run_twice_is_the_same_as_once() {
    let place = Place::new("twice");
    place.write("file", "x");
    let first = place.copy(RUNS[0]).run();
    let inode = place.inode(RUNS[0], "file");
    place.write("file", "the volume is another now");
    // Nothing is looked at: the promoter may be gone by now.
    fs::remove_dir_all(place.source()).unwrap();
    let second = place.copy(RUNS[0]).arg("--attempt=pod-2").arg("--retention=last=1").run();
    assert_eq!((second.code, &second.message), (first.code, &first.message));
    assert_eq!(place.inode(RUNS[0], "file"), inode);
    place.holds(&RUNS[..1]);
}

#[test]
fn an_incomplete_run_twice_is_still_incomplete() {
    let place = Place::new("twice-incomplete");
    place.write("file", "x");
    place.fake_rsync(UNREADABLE);
    let first = place.copy(RUNS[0]).run();
    assert_eq!((first.code, first.result().state), (Some(3), CopyState::Incomplete));
    place.real_rsync();
    let second = place.copy(RUNS[0]).run();
    assert_eq!((second.code, second.message), (first.code, first.message));
}

/// A tree that rots on the disk has the right sizes and times.
#[test]
fn rot_is_not_linked_for_ever() {
    let place = Place::new("rot");
    place.write("file", "as it should be");
    place.copy(RUNS[0]).arg("--checksum-every=3").run().complete();
    let path = place.disk(RUNS[0]).join("file");
    OpenOptions::new().write(true).open(&path).unwrap().write_at(b"ROT", 0).unwrap();
    set_time(&path, 1_500_000_015);

    for run in &RUNS[1..3] {
        let result = place.copy(run).arg("--checksum-every=3").run().complete();
        assert!(!result.checksummed);
        assert_eq!(place.inode(run, "file"), place.inode(RUNS[0], "file"), "by size and time it is the same");
    }
    let result = place.copy(RUNS[3]).arg("--checksum-every=3").run().complete();
    assert!(result.checksummed && result.written > 0);
    assert_eq!(fs::read_to_string(place.disk(RUNS[3]).join("file")).unwrap(), "as it should be");
    assert_eq!(place.manifest(RUNS[3])["sinceChecksum"], 0);
    assert!(!place.copy(RUNS[4]).arg("--checksum-every=3").run().complete().checksummed);
}

/// Law 4, F76.
#[test]
fn a_setting_that_cannot_be_read_prunes_nothing_and_is_told() {
    let place = Place::new("unreadable-setting");
    place.write("file", "x");
    place.copy(RUNS[0]).run().complete();
    for (run, bad) in
        [(RUNS[1], "--retention="), (RUNS[2], "--retention=forever and a day"), (RUNS[3], "--time-zone=Mars/Olympus")]
    {
        let ended = place.copy(run).args(&["--retention=1h", "--max-deletes=9"]).instead(bad).run();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let result = ended.result();
        assert_eq!((result.state, result.pruned.len()), (CopyState::Complete, 0));
        assert!(result.message.contains("nothing is pruned"), "{}", result.message);
    }
    place.holds(&RUNS[..4]);
}

/// Law 2: what we did not make is neither used, nor changed, nor removed.
#[test]
fn strangers_are_left_alone() {
    let place = Place::new("strangers");
    place.write("file", "x");
    let made = |name: &str| fs::create_dir_all(place.disk(name).join("inside")).unwrap();
    made(RUNS[0]);
    made("photos");
    made(RUNS[1]);
    fs::write(place.disk(&format!("{}.json", RUNS[1])), "{\"mine\": true}").unwrap();
    fs::write(place.disk("notes.json"), "{}").unwrap();
    symlink("photos", place.disk(RUNS[2])).unwrap();
    let before = list(&place.disk("."));
    let names = place.names();

    let message = place.copy(RUNS[0]).run().failed(3, "NameTaken");
    assert!(message.contains(RUNS[0]), "{message}");
    assert_eq!(place.names(), names);
    let ended = place.copy(RUNS[4]).args(&["--retention=1h", "--max-deletes=9"]).run();
    ended.complete();
    assert!(ended.output.contains("has no manifest"), "{}", ended.output);
    let mut after = list(&place.disk("."));
    after.retain(|path, _| before.contains_key(path));
    after.insert("".into(), before[std::path::Path::new("")].clone());
    same(&before, &after);
}

/// A tenant can write to his disk, and the job that prunes is root.
#[test]
fn pruning_follows_no_link_and_knows_no_depth() {
    let place = Place::new("prune-hostile");
    let precious = place.path.join("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "x").unwrap();
    symlink(&precious, place.file("link")).unwrap();
    let mut deep = fs::File::open(place.source()).unwrap().into();
    // rsync 3.5 gives up at 1,024, and needs the square of that in time.
    for _ in 0..400 {
        rustix::fs::mkdirat(&deep, "d", rustix::fs::Mode::RWXU).unwrap();
        deep = rustix::fs::openat(&deep, "d", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    }
    drop(deep);
    place.copy(RUNS[0]).run().complete();
    symlink(&precious, place.disk(".trash-20181101T0000Z")).unwrap();
    symlink(&precious, place.disk(".partial-20181101T0000Z-a-b")).unwrap();
    symlink(&precious, place.disk(RUNS[0]).join("planted")).unwrap();

    // Fewer open files than levels, as some runtimes start containers.
    let few = ["sh", "-c", "ulimit -Sn 128; exec \"$@\"", "sh"];
    place.copy(RUNS[1]).args(&["--retention=last=1"]).by(&few).run().complete();
    place.holds(&RUNS[1..2]);
    assert!(precious.join("file").exists());
}

/// L13: a drill finds the byte, the next run by size and time links the same damaged file, and so does every one after it.
#[test]
fn the_copy_after_a_finding_links_nothing_that_rotted() {
    let place = Place::new("after-finding");
    place.write("rotten", "as it should be");
    place.write("sound", "the same");
    place.copy(RUNS[0]).run().complete();
    let path = place.disk(RUNS[0]).join("rotten");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_at(b"X", 3).unwrap();
    file.set_modified(time).unwrap();
    let content = |run: &str| fs::read_to_string(place.disk(run).join("rotten")).unwrap();
    assert!(!place.copy(RUNS[1]).run().complete().checksummed);
    assert_eq!(content(RUNS[1]), "as Xt should be", "size and time are the same");

    let result = place.copy(RUNS[2]).args(&["--after-finding", "--checksum-every=0"]).run().complete();
    assert!(result.checksummed);
    same(&list(&place.source()), &place.tree(RUNS[2]));
    assert_eq!(place.inode(RUNS[2], "sound"), place.inode(RUNS[1], "sound"), "what is the same is linked");
    // The next one links what is sound now.
    place.copy(RUNS[3]).run().complete();
    assert_eq!(content(RUNS[3]), "as it should be");
    assert_eq!(place.inode(RUNS[3], "rotten"), place.inode(RUNS[2], "rotten"));
}
