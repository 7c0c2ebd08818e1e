//! What a restic destination and a drill must be.

use super::words::{Faults, at_least_one, class_name, is_subdomain, size};
use crate::config::path::Path;
use crate::config::{Drill, Restic, Sample, Times};
use crate::duration::shown;
use crate::schedule::{Due, Schedule};
use crate::{restic_environment, restic_options};

/// restic's own bounds of `--pack-size`, in MiB.
const PACK_SIZES: std::ops::RangeInclusive<u32> = 4..=128;
/// What stands for a source in an address.
const VARIABLES: [&str; 3] = ["namespace", "pvc", "uid"];
/// What we say to restic ourselves: other keys say it.
const RESERVED: [&str; 6] = [
    "RESTIC_REPOSITORY",
    "RESTIC_REPOSITORY_FILE",
    "RESTIC_PASSWORD",
    "RESTIC_PASSWORD_FILE",
    "RESTIC_PASSWORD_COMMAND",
    "RESTIC_CACHE_DIR",
];

/// The first fault of a restic destination: its key, and what is wrong.
pub(crate) fn restic_fault(restic: &Restic) -> Option<(String, String)> {
    let mut faults = Faults::new();
    check(&Path::default(), restic, &mut faults);
    faults.into_iter().next().map(|(path, fault)| (path.to_string(), fault))
}

pub(super) fn check(path: &Path, restic: &Restic, faults: &mut Faults) {
    if restic.disk.is_none() {
        address(&path.key("repository"), &restic.repository, faults);
    }
    for (key, name) in [("secret", Some(&restic.secret)), ("ca", restic.ca.as_ref())] {
        if let Some(name) = name.filter(|name| !is_subdomain(name)) {
            faults.push((path.key(key), format!("{} is not a valid object name", shown(name))));
        }
    }
    if let Some(size) = restic.pack_size.filter(|size| !PACK_SIZES.contains(size)) {
        let (least, most) = (PACK_SIZES.start(), PACK_SIZES.end());
        faults.push((path.key("packSize"), format!("{size} is not allowed; use {least} to {most} (MiB)")));
    }
    for (key, limit) in [("limitUpload", restic.limit_upload), ("limitDownload", restic.limit_download)] {
        if let Some(limit) = limit {
            at_least_one(&path.key(key), limit, faults);
        }
    }
    for (number, pattern) in restic.exclude.iter().enumerate() {
        if pattern.trim().is_empty() || pattern.contains(['\0', '\n']) {
            let fault = format!("{} is not a valid pattern", shown(pattern));
            faults.push((path.key("exclude").item(number), fault));
        }
    }
    for name in restic.environment.keys() {
        let fault = if restic_environment::is_known(name) {
            continue;
        } else if RESERVED.contains(&name.as_str()) {
            format!("{name} cannot be set here; use `repository`, `secret` and `cache`")
        } else {
            let name = shown(name);
            format!("{name} is not an allowed environment variable; docs/configure.md lists them")
        };
        faults.push((path.key("environment").key(name), fault));
    }
    for (name, value) in &restic.backend_options {
        if let Some(fault) = restic_options::fault(name, value) {
            faults.push((path.key("backendOptions").key(name), fault));
        }
    }
    if let Some(cache) = &restic.cache {
        size(&path.key("cache"), cache, faults);
    }
    for (key, times) in [("prune", &restic.prune), ("verify", &restic.verify)] {
        schedule(&path.key(key).key("schedule"), &times.schedule, faults);
    }
}

pub(super) fn drill(path: &Path, drill: &Drill, faults: &mut Faults) {
    schedule(&path.key("schedule"), &drill.schedule, faults);
    match drill.sample {
        Sample::Files(number) if !(1..=Sample::MOST).contains(&number) => {
            let fault = format!("{number} is not allowed; use 1 to {} files, or `all`", Sample::MOST);
            faults.push((path.key("sample"), fault));
        }
        Sample::Files(_) | Sample::All(_) => {}
    }
    size(&path.key("scratch").key("size"), &drill.scratch.size, faults);
    class_name(&path.key("scratch").key("storageClass"), drill.scratch.storage_class.as_deref(), faults);
}

fn schedule(path: &Path, text: &str, faults: &mut Faults) {
    if text == Times::NEVER {
        return;
    }
    if let Ok(Due::After(_)) = Due::parse(text, "") {
        let fault =
            format!("{} counts from the end of a run, and only runs do; write five fields, or `never`", shown(text));
        faults.push((path.clone(), fault));
    } else if let Err(fault) = Schedule::parse(text, "") {
        faults.push((path.clone(), fault.to_string()));
    }
}

fn address(path: &Path, pattern: &str, faults: &mut Faults) {
    let mut fault = |text: String| faults.push((path.clone(), text));
    if pattern.trim() != pattern || pattern.is_empty() || pattern.contains(char::is_control) {
        return fault(format!("{} is not a repository address", shown(pattern)));
    }
    let mut rest = pattern;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, behind)) = after.split_once('}') else {
            return fault("a `{` has no `}`".to_owned());
        };
        if !VARIABLES.contains(&name) && !is_variable(name) {
            return fault(format!(
                "{{{name}}} is unknown; use {{namespace}}, {{pvc}}, {{uid}}, and keys of the Secret in capital letters"
            ));
        }
        rest = behind;
    }
    if !pattern.contains("{uid}") {
        fault("must contain {uid}: otherwise two PVCs could share a repository".to_owned());
    }
}

/// The name of an environment variable in capital letters.
fn is_variable(name: &str) -> bool {
    let inside = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    !name.is_empty() && name.bytes().all(inside) && !name.as_bytes()[0].is_ascii_digit()
}
