//! A12: what the destination's file system keeps of what a copy is to keep. It is asked, not guessed by its name: a few
//! calls in a folder of our own, beside the partial trees.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

use model::losses::{Loss, Losses};
use rustix::fs::{
    AtFlags, Dir, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, fgetxattr, fsetxattr,
    fstat, ftruncate, futimens, linkat, openat, readlinkat, symlinkat,
};
use rustix::io::{Errno, Result, pwrite};
use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

use super::layout::Shelf;

/// What the destination does not keep.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) lost: Losses,
    /// rsync's options that ask for none of it: it would fail at each file, and find none unchanged.
    pub(crate) without: Vec<&'static str>,
    /// Whether owners are lost for want of a right of ours, whatever the disk could do.
    pub(crate) may_not_own: bool,
}

/// What was asked, and what came of it: whether it was kept, or what was said.
struct Answer {
    loss: Loss,
    without: &'static [&'static str],
    kept: Result<bool>,
}

/// Asks the file system.
pub(crate) fn probe(shelf: &Shelf) -> io::Result<Found> {
    let folder = shelf.begin_probe()?;
    let rights = capabilities(None)?.effective;
    let answers = ask(&folder, rights);
    // The next copy removes it if this cannot.
    if let Err(error) = shelf.end_probe() {
        tracing::warn!(%error, "cannot remove the folder in which the destination was probed");
    }
    let found = judge(&answers?)?;
    let may_not_own = found.lost.has(Loss::Owners) && !rights.contains(CapabilitySet::CHOWN);
    Ok(Found { may_not_own, ..found })
}

/// What follows from the answers. An error says nothing about what is kept: the disk is full, or does not work.
fn judge(answers: &[Answer]) -> io::Result<Found> {
    let (mut lost, mut without) = (Vec::new(), Vec::new());
    for Answer { loss, without: options, kept } in answers {
        match kept {
            Ok(true) => {}
            Err(error) if is_no_answer(*error) => return Err((*error).into()),
            Ok(false) | Err(_) => {
                lost.push(*loss);
                without.extend(options.iter().filter(|option| !without.contains(*option)).collect::<Vec<_>>());
            }
        }
    }
    Ok(Found { lost: lost.into_iter().collect(), without, may_not_own: false })
}

/// Whether an error is one of the disk at this moment, or of somebody who removes our files. Others are refusals.
fn is_no_answer(error: Errno) -> bool {
    matches!(
        error,
        Errno::NOSPC
            | Errno::DQUOT
            | Errno::IO
            | Errno::ROFS
            | Errno::STALE
            | Errno::NOTCONN
            | Errno::TIMEDOUT
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::NODEV
            | Errno::INTR
            | Errno::AGAIN
            | Errno::NOMEM
            | Errno::MFILE
            | Errno::NFILE
            | Errno::NOENT
    )
}

/// Numbers that nobody squashes to, and that a user namespace of the usual size has.
const OWNER: (u32, u32) = (12_345, 23_456);
/// The first second that FAT can write, and an odd number of nanoseconds.
const TIME: (i64, i64) = (1_000_000_000, 123_456_789);
/// In 1938 and in 2100.
const FAR: [i64; 2] = [-1_000_000_000, 4_102_444_800];
/// Much larger than what file systems allocate at once.
const HOLE: u64 = 1 << 20;
/// What DOS, SMB or a list in UTF-8 would not take, or not give back.
const ODD: &[u8] = b"odd\x01\"*:<>?\\|\xff. ";
/// The same letter in two spellings of Unicode: two names.
const SPELLINGS: [&str; 2] = ["\u{e9}", "e\u{301}"];
/// `user::rw-,user:1:r--,group::---,mask::r--,other::---`, as the kernel has it.
const ACL: &[u8] = b"\x02\0\0\0\
    \x01\0\x06\0\xff\xff\xff\xff\
    \x02\0\x04\0\x01\0\0\0\
    \x04\0\0\0\xff\xff\xff\xff\
    \x10\0\x04\0\xff\xff\xff\xff\
    \x20\0\0\0\xff\xff\xff\xff";
/// `cap_net_bind_service=p`, as the kernel has it.
const CAPABILITY: &[u8] = b"\0\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn ask(folder: &OwnedFd, rights: CapabilitySet) -> io::Result<Vec<Answer>> {
    let file = make(folder, "file")?;
    let other = make(folder, "other")?;
    let answer = |loss, without, kept| Answer { loss, without, kept };
    let mut answers = vec![
        answer(Loss::Owners, &["--no-owner", "--no-group"], owners(&other)),
        answer(Loss::Modes, &["--no-perms"], modes(&file)),
        answer(Loss::Times, &[], times(&file, TIME).map(|kept| kept == TIME)),
        answer(Loss::FarTimes, &[], far_times(&file)),
        answer(Loss::Links, &[], links(folder)),
        answer(Loss::HardLinks, &["--no-hard-links"], hard_links(folder, &file)),
        answer(Loss::Attributes, &["--no-xattrs"], attribute(&file, "user.backup-controller", b"probe")),
        answer(Loss::Acls, &["--no-acls"], attribute(&file, "system.posix_acl_access", ACL)),
        answer(Loss::Holes, &[], holes(folder)),
        answer(Loss::Case, &[], both(folder, ["case", "CASE"])),
        answer(Loss::Names, &[], names(folder)),
    ];
    // Without these rights copies leave capabilities out by design.
    if geteuid().is_root() && rights.contains(CapabilitySet::SETFCAP) {
        let kept = attribute(&file, "security.capability", CAPABILITY);
        answers.push(answer(Loss::Attributes, &["--filter=-x security.capability"], kept));
    }
    Ok(answers)
}

/// Makes a file, which is not there.
fn make(folder: &OwnedFd, name: impl AsRef<OsStr>) -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name.as_ref(), flags, Mode::RUSR | Mode::WUSR)
}

fn owners(file: &OwnedFd) -> Result<bool> {
    let (owner, group) = OWNER;
    fchown(file, Some(Uid::from_raw(owner)), Some(Gid::from_raw(group)))?;
    let stat = fstat(file)?;
    Ok((stat.st_uid, stat.st_gid) == OWNER)
}

fn modes(file: &OwnedFd) -> Result<bool> {
    // A group may be given to a file's programs by its members alone.
    let bits = if geteuid().is_root() { 0o7751 } else { 0o5751 };
    fchmod(file, Mode::from_raw_mode(bits))?;
    let kept = fstat(file)?.st_mode & 0o7777 == bits;
    fchmod(file, Mode::RUSR | Mode::WUSR)?;
    Ok(kept)
}

/// The time that a file has after it was given one.
fn times(file: &OwnedFd, (seconds, nanoseconds): (i64, i64)) -> Result<(i64, i64)> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    futimens(file, &Timestamps { last_access: time, last_modification: time })?;
    let stat = fstat(file)?;
    Ok((stat.st_mtime, i64::try_from(stat.st_mtime_nsec).unwrap_or(-1)))
}

fn far_times(file: &OwnedFd) -> Result<bool> {
    let kept = |second: i64| Ok(times(file, (second, 0))?.0 == second);
    Ok(kept(FAR[0])? && kept(FAR[1])?)
}

fn links(folder: &OwnedFd) -> Result<bool> {
    // It leads nowhere.
    let target = "../nowhere/\u{fc}";
    symlinkat(target, folder, "link")?;
    Ok(readlinkat(folder, "link", Vec::new())?.to_bytes() == target.as_bytes())
}

fn hard_links(folder: &OwnedFd, file: &OwnedFd) -> Result<bool> {
    linkat(folder, "file", folder, "again", AtFlags::empty())?;
    let again = openat(folder, "again", OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let (file, again) = (fstat(file)?, fstat(again)?);
    Ok(file.st_nlink == 2 && file.st_ino == again.st_ino)
}

fn attribute(file: &OwnedFd, name: &str, value: &[u8]) -> Result<bool> {
    fsetxattr(file, name, value, XattrFlags::empty())?;
    let mut found = [0; 256];
    let length = fgetxattr(file, name, &mut found[..])?;
    Ok(found.get(..length) == Some(value))
}

fn holes(folder: &OwnedFd) -> Result<bool> {
    let file = make(folder, "hole")?;
    ftruncate(&file, HOLE)?;
    pwrite(&file, b"x", HOLE - 1)?;
    // Blocks of 512 bytes.
    Ok(u64::try_from(fstat(&file)?.st_blocks).unwrap_or(u64::MAX) < HOLE / 2 / 512)
}

/// Whether two names can be there together.
fn both(folder: &OwnedFd, names: [&str; 2]) -> Result<bool> {
    make(folder, names[0])?;
    match make(folder, names[1]) {
        Ok(_) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

fn names(folder: &OwnedFd) -> Result<bool> {
    make(folder, OsStr::from_bytes(ODD))?;
    if !both(folder, SPELLINGS)? {
        return Ok(false);
    }
    let mut left = vec![ODD, SPELLINGS[0].as_bytes(), SPELLINGS[1].as_bytes()];
    for entry in Dir::read_from(folder.as_fd())? {
        let entry = entry?;
        left.retain(|name| *name != entry.file_name().to_bytes());
    }
    Ok(left.is_empty())
}

/// Why a copy is incomplete that lacks something by this, unless it is accepted; `None`: it does not.
pub(crate) fn complaint(found: &Found, accepted: &Losses) -> Option<String> {
    let counted = found.lost.that_count(accepted);
    if counted.is_empty() {
        return None;
    }
    let rest = found.lost.without(&counted);
    let rest = if rest.is_empty() { String::new() } else { format!("; nor, accepted or harmless: {rest}") };
    let ours = if found.may_not_own && counted.has(Loss::Owners) {
        "; owners: the copy may not set them, as it does not run as root with the capability CHOWN"
    } else {
        ""
    };
    Some(format!("the disk does not keep: {counted}{rest}{ours}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(answers: &[(Loss, &'static [&'static str], Result<bool>)]) -> io::Result<Found> {
        let answers: Vec<Answer> =
            answers.iter().map(|&(loss, without, kept)| Answer { loss, without, kept }).collect();
        judge(&answers)
    }

    /// A12.
    #[test]
    fn what_is_refused_or_changed_is_lost_and_rsync_is_not_asked_for_it() {
        let vfat = found(&[
            (Loss::Owners, &["--no-owner", "--no-group"], Err(Errno::PERM)),
            (Loss::Modes, &["--no-perms"], Ok(false)),
            (Loss::Times, &[], Ok(false)),
            (Loss::Attributes, &["--no-xattrs"], Err(Errno::OPNOTSUPP)),
            (Loss::Acls, &["--no-acls"], Err(Errno::OPNOTSUPP)),
            (Loss::Case, &[], Ok(false)),
            (Loss::Names, &[], Err(Errno::INVAL)),
            (Loss::Holes, &[], Ok(true)),
        ])
        .unwrap();
        assert_eq!(vfat.lost.to_string(), "owners, modes, times, attributes, acls, case, names");
        assert_eq!(vfat.without, ["--no-owner", "--no-group", "--no-perms", "--no-xattrs", "--no-acls"]);
    }

    /// A12.
    #[test]
    fn a_full_or_broken_disk_says_nothing_about_what_it_keeps() {
        for error in [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::STALE, Errno::ROFS, Errno::NOENT] {
            let answers = [(Loss::Owners, &[][..], Err(Errno::PERM)), (Loss::Times, &[][..], Err(error))];
            assert_eq!(found(&answers).unwrap_err().raw_os_error(), Some(error.raw_os_error()));
        }
    }

    /// A12.
    #[test]
    fn what_is_lost_is_complained_of_until_it_is_accepted() {
        let lost = |losses: &[Loss]| losses.iter().copied().collect::<Losses>();
        let mut found = Found { lost: lost(&[Loss::Owners, Loss::Acls, Loss::Holes]), ..Found::default() };
        let complained = complaint(&found, &lost(&[Loss::Acls])).unwrap();
        assert_eq!(complained, "the disk does not keep: owners; nor, accepted or harmless: acls, holes");
        assert_eq!(complaint(&found, &lost(&[Loss::Owners, Loss::Acls])), None);
        assert_eq!(complaint(&Found { lost: lost(&[Loss::Holes]), ..Found::default() }, &lost(&[])), None);
        found.may_not_own = true;
        assert!(complaint(&found, &lost(&[])).unwrap().contains("the copy may not set them"));
        assert!(!complaint(&found, &lost(&[Loss::Owners])).unwrap().contains("may not set"));
    }
}
