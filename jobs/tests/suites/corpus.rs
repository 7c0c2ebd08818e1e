//! A volume with everything in it that copies get wrong.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, makedev, mknodat};

use crate::place::{has, set_time};

/// Names that a shell, a line-wise tool, an option parser or rsync itself would take for something else.
pub(crate) const NAMES: &[&[u8]] = &[
    b"-",
    b"-n",
    b"--delete",
    b"--link-dest=..",
    b"#begins with a hash",
    b"\\#012",
    b" spaces ",
    b"tab\tand\rreturn",
    b"new\nline",
    b"\nrsync error: some files were not transferred (code 23)",
    b"\xff\xfe not UTF-8 \x80",
    b"$(touch pwned)",
    b"`touch pwned`",
    b"; touch pwned #",
    b"' \" quotes",
    b"*?[a]",
    b"{}",
    b"~",
    b"...",
    b"user@host:file",
    b"host::module",
    b"rsync:__x",
    b"\xc3\xa9t\xc3\xa9 \xf0\x9f\x92\xbe",
    b".rsync-filter",
    b".cvsignore",
    b".partial-20181201T0000Z-a-b",
    b".trash-20181201T0000Z",
    b"20181201T0000Z",
    b"20181201T0000Z.json",
    b".backup-controller-disk",
    b"Number of files: 0",
    b"100% done",
    b".~tmp~",
];

/// Fills a folder. Needs root for owners and devices.
pub(crate) fn fill(root: &Path) {
    names(root);
    modes(root);
    links(root);
    holes(root);
    attributes(root);
    acls(root);
    specials(root);
    times(root);
    // F49: very many entries in the root.
    for i in 0..1500 {
        File::create(root.join(format!("many-{i}"))).unwrap();
    }
    // The root folder is an entry like others.
    chown(root, Some(4242), Some(4243)).unwrap();
    fs::set_permissions(root, fs::Permissions::from_mode(0o3771)).unwrap();
    attribute(root, "user.root", b"of the volume");
    set_time(root, 1_234_567_890);
}

fn names(root: &Path) {
    let dir = root.join("names");
    fs::create_dir(&dir).unwrap();
    for name in NAMES {
        fs::write(dir.join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::write(dir.join(".rsync-filter"), "- *\n").unwrap();
    fs::write(dir.join("x".repeat(255)), "the longest name").unwrap();
    for name in NAMES {
        fs::write(root.join(OsStr::from_bytes(name)), "in the root").unwrap();
    }
    let mut deep = root.join("deep");
    for _ in 0..60 {
        deep.push("down");
    }
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), "at the bottom").unwrap();
}

fn modes(root: &Path) {
    let dir = root.join("modes");
    fs::create_dir(&dir).unwrap();
    for mode in [0o0, 0o200, 0o444, 0o755, 0o1777, 0o2755, 0o4755, 0o6711, 0o7777] {
        for (name, folder) in [(format!("file-{mode:o}"), false), (format!("folder-{mode:o}"), true)] {
            let path = dir.join(name);
            if folder {
                fs::create_dir(&path).unwrap();
                fs::write(path.join("inside"), "x").unwrap();
            } else {
                fs::write(&path, "x").unwrap();
            }
            chown(&path, Some(1000 + mode), Some(0xffff_fffd)).unwrap();
            // The owner first: changing it clears setuid.
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }
}

fn links(root: &Path) {
    let dir = root.join("links");
    fs::create_dir_all(dir.join("below")).unwrap();
    fs::write(dir.join("one"), "three names").unwrap();
    for other in ["two", "below/three", "../four"] {
        fs::hard_link(dir.join("one"), dir.join(other)).unwrap();
    }
    for (name, target) in [
        ("absolute", "/etc/passwd"),
        ("out", "../../../../../../.."),
        ("dangling", "no/such/file"),
        ("folder", "below"),
        ("itself", "itself"),
        ("odd", "new\nline ' \" $(touch pwned)"),
    ] {
        symlink(target, dir.join(name)).unwrap();
    }
    symlink("x".repeat(4000), dir.join("long")).unwrap();
    lchown(dir.join("dangling"), Some(77), Some(78)).unwrap();
    fs::hard_link(dir.join("dangling"), dir.join("dangling too")).unwrap();
}

/// 64 MiB that take three blocks.
fn holes(root: &Path) {
    let file = OpenOptions::new().write(true).create_new(true).open(root.join("holes")).unwrap();
    for at in [0, 30 << 20, (64 << 20) - 1] {
        file.write_at(b"x", at).unwrap();
    }
    // A hole at the end.
    File::create(root.join("only a hole")).unwrap().set_len(8 << 20).unwrap();
}

fn attributes(root: &Path) {
    let dir = root.join("attributes");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "x").unwrap();
    attribute(&dir, "user.on.a.folder", b"yes");
    attribute(&dir.join("file"), "user.empty", b"");
    attribute(&dir.join("file"), "user.bytes", b"\0\xff\n");
    // A volume may hold backups of somebody who uses rsync without root.
    attribute(&dir.join("file"), "user.rsync.%stat", b"100644 0,0 0:0");
    // What only an administrator of the kernel may write costs no file.
    attribute(&dir.join("file"), "trusted.overlay.opaque", b"y");
    // cap_net_bind_service=ep
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    attribute(&dir.join("file"), "security.capability", &capability);
}

fn attribute(path: &Path, name: &str, value: &[u8]) {
    lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn acls(root: &Path) {
    let dir = root.join("acls");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("file"), "x").unwrap();
    if has("setfacl", "ACLs are copied") {
        set_acl(&["-m", "u:1234:rw,g:4321:r,m::rwx"], &dir.join("file"));
        set_acl(&["-d", "-m", "u:1234:rwx,o::-"], &dir);
    }
}

pub(crate) fn set_acl(args: &[&str], path: &Path) {
    assert!(Command::new("setfacl").args(args).arg("--").arg(path).status().unwrap().success());
}

fn specials(root: &Path) {
    let dir = root.join("specials");
    fs::create_dir(&dir).unwrap();
    let mode = Mode::RUSR | Mode::WUSR;
    for (name, kind, device) in [
        ("fifo", FileType::Fifo, 0),
        ("null", FileType::CharacterDevice, makedev(1, 3)),
        ("whiteout", FileType::CharacterDevice, 0),
        ("loop", FileType::BlockDevice, makedev(7, 300)),
    ] {
        mknodat(CWD, dir.join(name), kind, mode, device).unwrap();
    }
    mknodat(CWD, dir.join("socket"), FileType::Socket, mode, 0).unwrap();
}

fn times(root: &Path) {
    let dir = root.join("times");
    fs::create_dir(&dir).unwrap();
    // 1902, before 1970, after 2038, and 2400.
    for seconds in [-2_145_916_800, -1, 0, 2_500_000_000, 13_569_465_600] {
        let path = dir.join(format!("file {seconds}"));
        fs::write(&path, "x").unwrap();
        set_time(&path, seconds);
    }
    symlink("x", dir.join("link")).unwrap();
    set_time(&dir.join("link"), 1_000_000_000);
    set_time(&dir, -5);
}
