//! A raw block volume out of a repository: what restic dumps is written to the device.
//!
//! A stream that ends early, and one after which restic did not end well, is a restore that failed, whatever was
//! written until then.

use std::cell::RefCell;
use std::path::Path;
use std::process::ChildStdout;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use model::reason::{Problem, Reason};

use crate::device::stream::{self, Broken, Target};
use crate::outcome::Failure;
use crate::restic::dump::Dump;
use crate::restic::exec::Restic;
use crate::restic::point::RepositoryPoint;
use crate::restore::TASK;
use crate::restore::device::{Pouring, overwrite};
use crate::restore::holders::Watch;
use crate::restore::session::{Ended, Session};

pub(super) fn restore(
    session: &mut Session<'_>,
    restic: &Restic,
    point: &RepositoryPoint,
    target: &Path,
) -> Result<Ended, Failure> {
    if point.incomplete {
        let text = "this snapshot does not contain the whole device: choose another restore point";
        return Err(Failure::last(Problem::new(Reason::RestorePointEmpty, text)));
    }
    let dump = Dump::open(restic, point)?;
    overwrite(session, &point.name(), (dump.size, target), |pouring, watch, target| {
        pour(restic, &dump, pouring, watch, target)
    })
}

fn pour(
    restic: &Restic,
    dump: &Dump<'_>,
    pouring: &mut Pouring,
    watch: &mut Watch<'_>,
    target: Target,
) -> (Option<u64>, Result<(), Failure>) {
    let passed = Arc::new(AtomicU64::new(0));
    let watched = RefCell::new((pouring, watch));
    // restic may go on to give for a while after it was asked to end: the device takes nothing more of it.
    let ends = Arc::new(AtomicBool::new(false));
    let over = || {
        let (pouring, watch) = &mut *watched.borrow_mut();
        if !pouring.go_on(passed.load(Ordering::Relaxed), watch) {
            ends.store(true, Ordering::Relaxed);
        }
        ends.load(Ordering::Relaxed)
    };
    let (size, count, ended) = (dump.size, Arc::clone(&passed), Arc::clone(&ends));
    let take = move |pipe: ChildStdout| take(pipe, size, target, &count, &ended);
    let poured = dump.pour(&over, &passed, take);
    let (pouring, watch) = watched.into_inner();
    let (ended, taken) = match poured {
        Ok(poured) => poured,
        Err(failure) => return (None, Err(failure)),
    };
    let Some((written, took)) = taken else {
        return (None, Err(TASK.failed("the device did not write restic's data in time".to_owned())));
    };
    let ended = match took {
        // Of all that ends it early, restic's own words tell most.
        Err(Broken::From(..)) if watch.problem().is_none() && !restic.stopped() && ended.code != Some(0) => {
            Err(restic.failure(&ended))
        }
        Err(broken) => Err(pouring.failure(broken, watch)),
        Ok(()) if ended.code == Some(0) => Ok(()),
        Ok(()) => Err(restic.failure(&ended)),
    };
    (Some(written), ended)
}

/// Writes the stream, which has to be exactly `size` bytes, until it `ends` early. Gives how many of them were written.
fn take(
    mut pipe: ChildStdout,
    size: u64,
    mut target: Target,
    passed: &AtomicU64,
    ends: &AtomicBool,
) -> (u64, Result<(), Broken>) {
    let took = stream::write(&mut pipe, (0, size), &mut target, &mut |done| {
        passed.store(done, Ordering::Relaxed);
        !ends.load(Ordering::Relaxed)
    });
    (target.written, took.and_then(|()| stream::end(&mut pipe, size)))
}
