//! The copy of a raw block volume: restic reads the device itself, as its standard input.
//!
//! restic compares such a copy with none before: every run gets its snapshot, which shares the data that it has in
//! common with others. What was read has to be the whole device.

use std::ffi::OsString;

use model::names::{DEVICE_IMAGE, Run};
use model::quantity::human;
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState};

use super::args::Args;
use super::backup::{Beside, CheckEmpty, Copied, belongs, beside, incomplete, kept, mark};
use crate::copy::image;
use crate::copy::source::{self, Source};
use crate::device::Device;
use crate::outcome::{Failure, now};
use crate::restic::exec::Restic;
use crate::restic::snapshots::{EMPTY, Snapshot};

/// Copies the device.
pub(super) fn copy(restic: &Restic, args: &Args) -> Result<CopyResult, Failure> {
    let device = Device::open(&args.source).map_err(|error| image::unreadable(&error))?;
    let blank = image::is_blank(&device, &|| restic.stopped())?;
    tracing::info!("copying a device of {}", human(device.size));
    let words = backup(args, blank);
    let reading = restic.reading(&args.source);
    let make = || Copied::make(&reading, args, &words);
    let check = |before: &[Snapshot]| check_empty(args, before);
    let check: Option<&CheckEmpty<'_>> = if blank && !args.accept_empty { Some(&check) } else { None };
    let Beside { copied, before, repository } = beside(restic, args, &make, check)?;
    let id = whole(restic, &device, &copied)?;
    Ok(CopyResult {
        files: u64::from(!blank),
        bytes: device.size,
        written: copied.report.counts().map_or(0, |counts| counts.data_added),
        checksummed: args.after_finding,
        kept: kept(args, &before, Some(&args.run)),
        incomplete: incomplete(args, &before),
        snapshot: Some(id),
        repository: Some(repository),
        ..CopyResult::new(CopyState::Complete, now())
    })
}

/// The arguments of `restic backup`.
fn backup(args: &Args, blank: bool) -> Vec<OsString> {
    let mut words: Vec<OsString> =
        ["backup", "--no-scan", "--stdin", "--stdin-filename", DEVICE_IMAGE].map(Into::into).into();
    words.extend(belongs(args));
    if blank {
        words.extend(["--tag".into(), EMPTY.into()]);
    }
    words
}

/// A device of zeros that was none before is refused (law 6).
fn check_empty(args: &Args, before: &[Snapshot]) -> Result<(), Failure> {
    let entries = |snapshot: &Snapshot| u64::from(!snapshot.is_empty());
    let runs: Vec<(Run, u64)> = before.iter().filter_map(|s| Some((s.ours(&args.common)?, entries(s)))).collect();
    let source = Source { empty: true, leave_lost_and_found: false };
    source::check_empty(source, false, args.filled.as_ref(), runs.iter().map(|(run, entries)| (run, *entries)))
}

/// The snapshot's id, if all of the device is in it. Otherwise it is marked before anything is said.
fn whole(restic: &Restic, device: &Device, copied: &Copied) -> Result<String, Failure> {
    let read = copied.report.counts().map_or(0, |counts| counts.total_bytes_processed);
    let id = copied.report.snapshot();
    match id {
        Some(id) if copied.ended.code == Some(0) && read == device.size => return Ok(id.to_owned()),
        Some(id) => drop(mark(restic, id)?),
        None if copied.ended.code == Some(0) => {
            return Err(restic.unclear("the backup succeeded, but its output names no snapshot"));
        }
        None => {}
    }
    if restic.stopped() {
        return Err(restic.failure(&copied.ended));
    }
    let mut text = format!("restic read only {read} of {} bytes of the device", device.size);
    if copied.ended.code != Some(0) {
        text = format!("{text}: {}", copied.report.missing());
    }
    Err(Failure::again(Problem::new(Reason::Unreadable, text)))
}
