//! A15: entries of a volume that cannot be changed: `chattr +i` and `+a`. Whoever set such a flag takes it away; rsync
//! waits for ever at a file that has one and a second name.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use model::reason::{Problem, Reason};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use super::console::shown;
use super::transfer::{Delete, Transfer};
use crate::outcome::Failure;

/// How many are named.
const NAMED: usize = 3;

/// Refuses a restore that would change one of them, before anything is written.
pub(crate) fn refuse(transfer: &Transfer<'_>) -> Result<(), Failure> {
    let mut found = Vec::new();
    let whole = [PathBuf::new()];
    for name in transfer.names.unwrap_or(&whole) {
        // What is put into a folder changes that folder.
        let above = name.ancestors().skip(1).find(|folder| transfer.into.join(folder).is_dir());
        found.extend(above.filter(|folder| is_fixed(&transfer.into.join(folder))).map(Path::to_owned));
        look(transfer, name, &mut found);
    }
    found.sort();
    found.dedup();
    if found.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = found.iter().take(NAMED).map(|name| shown(&Path::new("/").join(name))).collect();
    let more = found.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = format!(
        "entries of the volume may not be changed, and the restore would change them: {}{more}. Remove the flag \
         (chattr -i -a) in a pod of the application, and repeat the restore; nothing was written",
        named.join(", ")
    );
    Err(Failure::last(Problem::new(Reason::TargetNotReady, text)))
}

/// Looks at an entry of the volume, and at all below it. What becomes of an entry is found out only where it has a flag.
fn look(transfer: &Transfer<'_>, name: &Path, found: &mut Vec<PathBuf>) {
    let mut names = vec![name.to_owned()];
    while let Some(name) = names.pop() {
        let target = transfer.into.join(&name);
        let Ok(there) = fs::symlink_metadata(&target) else { continue };
        if is_fixed(&target) && changes(transfer, &name, &there) {
            found.push(name.clone());
        }
        let stays = || transfer.delete == Delete::No && fs::symlink_metadata(transfer.from.join(&name)).is_err();
        if there.is_dir() && !stays() {
            let inside = fs::read_dir(&target).into_iter().flatten().flatten();
            names.extend(inside.map(|entry| name.join(entry.file_name())));
        }
    }
}

/// Whether the restore would change an entry of the volume.
fn changes(transfer: &Transfer<'_>, name: &Path, there: &Metadata) -> bool {
    let Ok(wanted) = fs::symlink_metadata(transfer.from.join(name)) else { return transfer.delete != Delete::No };
    let is_compared = transfer.checksum && there.is_file();
    is_compared || differs(&wanted, there) || (there.is_dir() && has_other_names(transfer, name))
}

/// Whether rsync would touch an entry, by what it compares.
fn differs(wanted: &Metadata, there: &Metadata) -> bool {
    let of = |meta: &Metadata| (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec());
    let size = |meta: &Metadata| if meta.is_dir() { 0 } else { meta.size() };
    of(wanted) != of(there) || size(wanted) != size(there)
}

/// Whether entries would be made in a folder, taken from it, or replaced.
fn has_other_names(transfer: &Transfer<'_>, name: &Path) -> bool {
    let names = |folder: PathBuf| -> BTreeSet<_> {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect()
    };
    let (point, target) = (transfer.from.join(name), transfer.into.join(name));
    let (wanted, there) = (names(point.clone()), names(target.clone()));
    let lacks = wanted.difference(&there).next().is_some();
    let extra = transfer.delete != Delete::No && there.difference(&wanted).next().is_some();
    let replaces = |name: &std::ffi::OsString| {
        let both = (fs::symlink_metadata(point.join(name)), fs::symlink_metadata(target.join(name)));
        matches!(both, (Ok(wanted), Ok(there)) if !wanted.is_dir() && differs(&wanted, &there))
    };
    lacks || extra || wanted.intersection(&there).any(replaces)
}

/// Whether nothing but its flags can be changed of an entry, or only its end. File systems without flags say no.
fn is_fixed(path: &Path) -> bool {
    let fixed = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let looked = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::BASIC_STATS);
    looked.is_ok_and(|of| of.stx_attributes.intersects(fixed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{IFlags, ioctl_getflags, ioctl_setflags};

    /// Sets a flag for as long as it lives: what has one cannot be removed.
    struct Flag(PathBuf);

    impl Flag {
        fn set(path: &Path, flag: IFlags) -> Option<Self> {
            let file = fs::File::open(path).unwrap();
            let flags = ioctl_getflags(&file).ok()?;
            ioctl_setflags(&file, flags | flag).ok()?;
            Some(Self(path.to_owned()))
        }
    }

    impl Drop for Flag {
        fn drop(&mut self) {
            let file = fs::File::open(&self.0).unwrap();
            let flags = ioctl_getflags(&file).unwrap();
            ioctl_setflags(&file, flags - IFlags::IMMUTABLE - IFlags::APPEND).unwrap();
        }
    }

    /// A15: with a second name rsync would wait for ever, and without one nobody would know what to do.
    #[test]
    fn a_restore_that_would_change_an_immutable_entry_is_refused_by_its_name() {
        let root = std::env::temp_dir().join(format!("fixed-{}", std::process::id()));
        let (point, target) = (root.join("point"), root.join("target"));
        for side in [&point, &target] {
            fs::create_dir_all(side.join("etc")).unwrap();
            fs::write(side.join("etc/same"), "same").unwrap();
        }
        fs::write(point.join("etc/f"), "new").unwrap();
        fs::write(target.join("etc/f"), "older").unwrap();
        fs::hard_link(target.join("etc/f"), target.join("etc/g")).unwrap();
        for name in ["etc/same", "etc"] {
            let time = fs::metadata(point.join(name)).unwrap().modified().unwrap();
            fs::File::open(target.join(name)).unwrap().set_modified(time).unwrap();
        }
        let transfer = Transfer {
            from: &point,
            into: &target,
            names: None,
            deep: true,
            delete: Delete::No,
            checksum: false,
            nanoseconds: true,
            root: true,
            dry: false,
        };
        let told = |transfer: &Transfer<'_>| refuse(transfer).err().map(|failure| failure.problem.message);
        assert_eq!(told(&transfer), None);
        if let Some(_flag) = Flag::set(&target.join("etc/same"), IFlags::IMMUTABLE) {
            assert_eq!(told(&transfer), None, "it is not changed");
            let alone = [PathBuf::from("etc/same")];
            assert_eq!(told(&Transfer { names: Some(&alone), ..transfer.clone() }), None);
        }
        for (path, flag) in [("etc/f", IFlags::IMMUTABLE), ("etc", IFlags::IMMUTABLE), ("etc/f", IFlags::APPEND)] {
            let Some(_flag) = Flag::set(&target.join(path), flag) else { continue };
            let said = told(&transfer).unwrap_or_else(|| panic!("{path} has {flag:?}"));
            assert!(said.contains(&format!("/{path}")) && said.contains("chattr"), "{said}");
            let inside = [PathBuf::from("etc/f")];
            assert!(told(&Transfer { names: Some(&inside), ..transfer.clone() }).is_some(), "{path}");
        }
        if let Some(_flag) = Flag::set(&target.join("etc/g"), IFlags::IMMUTABLE) {
            assert!(told(&transfer).is_some(), "the file has both names");
            assert!(told(&Transfer { delete: Delete::During, ..transfer.clone() }).unwrap().contains("/etc/g"));
        }
        fs::remove_dir_all(root).unwrap();
    }
}
