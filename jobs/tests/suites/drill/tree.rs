//! A dated tree on a disk, restored and compared.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt, chown, symlink};
use std::path::Path;

use rustix::fs::{XattrFlags, lsetxattr};

use crate::compare::{list, same};
use crate::corpus;
use crate::drill::scene::{Drilled as _, Scene};
use crate::place::{has, root, set_time, set_time_ns};

/// Law 9: whatever a volume has in it, the copy is proven, and by a pod's few rights.
#[test]
fn an_awkward_volume_is_proven_whole_and_by_samples() {
    let claim = "a copy of an awkward volume is proven";
    if !root(claim) {
        return;
    }
    let scene = Scene::new("corpus");
    corpus::fill(&scene.place.source());
    scene.copy();
    let (tree, source) = (list(&scene.tree("")), list(&scene.place.source()));

    let result = scene.drill().with_a_pods_rights(claim).run().proven();
    assert_eq!(result.files, source.len() as u64 - 1, "every entry below the root was compared");
    assert!(result.whole && result.bytes > 72 << 20, "{result:?}");
    scene.is_tidy();
    let result = scene.sample("500").with_a_pods_rights(claim).run().proven();
    assert!(result.files >= 500 && result.files < source.len() as u64 && !result.whole, "{result:?}");
    let result = scene.sample("100000").with_a_pods_rights(claim).run().proven();
    assert_eq!(result.files, source.len() as u64 - 1, "a sample of more than there is has all");

    scene.is_tidy();
    same(&tree, &list(&scene.tree("")));
    same(&source, &list(&scene.place.source()));
}

/// What rots on a disk keeps its size and time: only a comparison of bytes finds it.
#[test]
fn a_flipped_byte_in_a_tree_is_found() {
    let scene = Scene::copied("flipped");
    scene.drill().run().proven();
    let path = scene.tree("folder-1/file-5");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_at(b"X", 7).unwrap();
    file.set_modified(time).unwrap();
    for sample in ["all", "40"] {
        let message = scene.sample(sample).run().differs();
        assert!(message.contains("1 of 4") && message.contains("folder-1/file-5 (content from byte 7)"), "{message}");
        scene.is_tidy();
    }
}

/// L13: a difference in an incomplete copy was told as damage, and nobody said that it never was whole.
#[test]
fn a_drill_of_an_incomplete_copy_says_that_it_is_incomplete() {
    let scene = Scene::copied("incomplete");
    let manifest = scene.tree("").with_extension("json");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(&manifest, text.replacen("Complete", "Incomplete", 1)).unwrap();
    fs::remove_file(scene.tree("folder-1/file-5")).unwrap();
    let message = scene.drill().run().differs();
    let words = "whose copy is incomplete (entries could not be read when it was made, or its disk does not keep all that \
                 belongs to them): 2 of 4";
    assert!(message.contains(words) && message.contains("folder-1/file-5"), "{message}");
}

#[test]
fn a_flipped_byte_beside_holes_is_found() {
    let scene = Scene::new("holes");
    let file = fs::File::create(scene.place.file("disk.img")).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_at(b"x", 700 << 20).unwrap();
    scene.copy();
    assert_eq!(scene.drill().run().proven().bytes, 1 << 30);
    let tree = fs::OpenOptions::new().write(true).open(scene.tree("disk.img")).unwrap();
    let time = tree.metadata().unwrap().modified().unwrap();
    tree.write_at(b"x", (1 << 30) - 1).unwrap();
    tree.set_modified(time).unwrap();
    let message = scene.drill().run().differs();
    assert!(message.contains("disk.img (content from byte 1073741823)"), "{message}");
}

/// What one may do to an entry, and the words for it.
type Change = (&'static str, fn(&Path), &'static str);

#[test]
fn a_changed_mode_or_owner_or_time_or_attribute_is_found() {
    if !root("a changed owner or device of a copy is found") {
        return;
    }
    let changes: [Change; 12] = [
        (
            "folder-1/file-5",
            |p| fs::set_permissions(p, PermissionsExt::from_mode(0o4755)).unwrap(),
            "mode 4755, was 644",
        ),
        ("folder-1", |p| fs::set_permissions(p, PermissionsExt::from_mode(0o700)).unwrap(), "mode 700, was 755"),
        ("folder-1/file-5", |p| chown(p, Some(7), None).unwrap(), "owner 7:0, was 0:0"),
        ("folder-1", |p| chown(p, None, Some(8)).unwrap(), "owner 0:8, was 0:0"),
        ("folder-1/file-5", |p| set_time(p, 1), "time 1.123456789, was 15000000"),
        ("folder-1/file-5", |p| set_time_ns(p, 1_500_000_017, 1), "time 1500000017.000000001, was 1500000017.123"),
        ("folder-1/file-5", |p| lsetxattr(p, "user.x", b"1", XattrFlags::empty()).unwrap(), "attribute user.x"),
        ("named", |p| lsetxattr(p, "user.mine", b"2", XattrFlags::empty()).unwrap(), "attribute user.mine"),
        ("link", |p| relink(p, "elsewhere"), "leads to elsewhere, led to folder-1"),
        ("folder-1/file-5", |p| fs::write(p, "short").unwrap(), "size 5, was 17"),
        ("folder-1/file-5", |p| relink(p, "file-9"), "a link, was a file"),
        ("", |p| fs::set_permissions(p, PermissionsExt::from_mode(0o700)).unwrap(), "the root (mode 700"),
    ];
    for (name, change, words) in changes {
        let scene = Scene::copied("changed");
        scene.place.write("named", "x");
        symlink("folder-1", scene.place.file("link")).unwrap();
        lsetxattr(scene.place.file("named"), "user.mine", b"1", XattrFlags::empty()).unwrap();
        fs::remove_dir_all(scene.tree("")).unwrap();
        fs::remove_file(scene.place.disk(&format!("{}.json", crate::place::RUNS[0]))).unwrap();
        scene.copy();
        scene.drill().run().proven();
        change(&scene.tree(name));
        let message = scene.drill().run().differs();
        assert!(message.contains(words), "{words}: {message}");
        assert!(message.contains(if name.is_empty() { "the root" } else { name }), "{message}");
        // By a sample, all but the root.
        if !name.is_empty() {
            assert!(scene.sample("1000").run().differs().contains(words), "{words}");
        }
    }
}

fn relink(path: &Path, to: &str) {
    fs::remove_file(path).unwrap();
    symlink(to, path).unwrap();
}

#[test]
fn a_changed_acl_or_capability_is_found() {
    if !root("a changed capability of a copy is found") || !has("setfacl", "a changed ACL of a copy is found") {
        return;
    }
    let scene = Scene::new("acl");
    scene.place.write("file", "x");
    corpus::set_acl(&["-m", "u:1234:rw"], &scene.place.file("file"));
    scene.copy();
    scene.drill().run().proven();
    corpus::set_acl(&["-m", "u:1234:r,m::rw"], &scene.tree("file"));
    let message = scene.drill().run().differs();
    assert!(message.contains("file (ACL)"), "{message}");
    corpus::set_acl(&["-m", "u:1234:rw"], &scene.tree("file"));
    scene.drill().run().proven();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    lsetxattr(scene.tree("file"), "security.capability", &capability, XattrFlags::empty()).unwrap();
    let message = scene.drill().run().differs();
    assert!(message.contains("file (capabilities)"), "{message}");
}

#[test]
fn a_missing_file_is_found() {
    let scene = Scene::copied("missing");
    fs::remove_file(scene.tree("folder-1/file-5")).unwrap();
    for sample in ["all", "40"] {
        let message = scene.sample(sample).run().differs();
        assert!(message.contains("folder-1/file-5 (missing)"), "{message}");
    }
    fs::remove_dir_all(scene.tree("folder-1")).unwrap();
    let message = scene.sample("40").run().differs();
    assert!(message.contains("11 of 44 entries differ"), "{message}");
    // Nothing of the sample is left.
    for folder in ["folder-0", "folder-2", "folder-3"] {
        fs::remove_dir_all(scene.tree(folder)).unwrap();
    }
    let message = scene.sample("40").run().differs();
    assert!(message.contains("44 of 44 entries differ"), "{message}");
}

#[test]
fn an_entry_too_many_is_found_by_a_drill_of_everything() {
    let scene = Scene::copied("extra");
    fs::write(scene.tree("folder-1/planted"), "x").unwrap();
    set_time(&scene.tree("folder-1"), 1);
    set_time(&scene.place.file("folder-1"), 1);
    let message = scene.drill().run().differs();
    assert!(message.contains("1 of 44 entries differ: folder-1/planted (not in the original)"), "{message}");
    scene.sample("40").run().proven();
}

/// A write to one name of a restored file must not reach another one.
#[test]
fn names_that_became_one_file_or_were_parted_are_found() {
    let scene = Scene::new("links");
    for name in ["a", "b", "c"] {
        scene.place.write(name, "the same");
    }
    fs::hard_link(scene.place.file("c"), scene.place.file("d")).unwrap();
    scene.copy();
    scene.drill().run().proven();
    // The root's time is not what this is about.
    let touch = |name: &str, change: &dyn Fn(&Path)| {
        fs::remove_file(scene.tree(name)).unwrap();
        change(&scene.tree(name));
        for path in [scene.tree(""), scene.place.source()] {
            set_time(&path, 1);
        }
    };
    touch("b", &|b| fs::hard_link(scene.tree("a"), b).unwrap());
    let message = scene.drill().run().differs();
    assert!(message.contains("(hard links)") && message.contains("1 of 4"), "{message}");
    let alone = |path: &Path| {
        fs::write(path, "the same").unwrap();
        set_time(path, 1_500_000_008);
    };
    touch("b", &alone);
    scene.drill().run().proven();
    touch("d", &alone);
    assert!(scene.drill().run().differs().contains("(hard links)"));
}

/// The restore's own words count, whatever the bytes are.
#[test]
fn a_restore_that_leaves_something_out_proves_nothing() {
    let scene = Scene::copied("words");
    scene.place.fake_rsync(
        "\"$RSYNC\" \"$@\" || exit\n\
         echo 'rsync: [sender] read errors mapping \"/destination/bad\": Input/output error (5)' >&2\nexit 23",
    );
    let message = scene.drill().run().differs();
    assert!(message.contains("not restored: /destination/bad (Input/output error)"), "{message}");
}

/// F55: whatever differs and whatever it is called, the result is small and is JSON.
#[test]
fn many_differences_are_counted_and_few_are_named() {
    let scene = Scene::new("many");
    for i in 0..300 {
        scene.place.write(&format!("{}-{i}", "\u{1b}[2J\"x".repeat(30)), "x");
    }
    scene.copy();
    for entry in fs::read_dir(scene.tree("")).unwrap() {
        fs::write(entry.unwrap().path(), "Y").unwrap();
    }
    let ended = scene.drill().run();
    let message = ended.differs();
    assert!(message.contains("300 of 300 entries differ") && ended.message.len() <= 4096, "{message}");
}
