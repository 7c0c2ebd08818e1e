//! `kubectl backup restore` and `kubectl backup browse`.
//!
//! A call is a [`session`]. [`look`] and [`target`] answer bad input at once; [`claim`] makes a new PVC; [`pod`] asks
//! for the restore pod, waits for it and takes it away; [`exec`] runs a command in it, with the person's terminal
//! ([`tty`]); [`scale`] stops what mounts the volume, and [`zero`] looks first at what that would do. Whatever happens,
//! [`tidy`] takes back what [`undo`] lists at the end.

pub(crate) mod args;
mod central;
pub(crate) mod claim;
pub(crate) mod done;
pub(crate) mod exec;
pub(crate) mod interrupt;
mod look;
pub(crate) mod objects;
pub(crate) mod pod;
mod protected;
pub(crate) mod scale;
mod scaled;
pub(crate) mod session;
mod sight;
pub(crate) mod stage;
pub(crate) mod stop;
mod target;
pub(crate) mod tidy;
pub(crate) mod tty;
pub(crate) mod undo;
pub(crate) mod verb;
pub(crate) mod workload;
mod zero;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use model::Timestamp;
use model::record::RestoreResult;

use self::args::{Browse, Output, Restore};
use self::done::Done;
use self::session::Session;
use self::stop::Stop;
use self::tidy::tidy;
use crate::exit::ATTENTION;
use crate::flags::Cluster;
use crate::terminal::{self, say};

pub(crate) async fn restore(cluster: &Cluster, args: &Restore) -> anyhow::Result<ExitCode> {
    let terminal = io::stdin().is_terminal();
    if let Some(text) = args.contradiction(terminal) {
        return Ok(end(Err(Stop::Usage(text)), args.output));
    }
    let mut session = Session::open(cluster).await?;
    let ask = terminal && !args.yes && args.output == Output::Text;
    let result = Box::pin(verb::restore(&mut session, args, ask)).await;
    let result = Box::pin(tidy(&session, result)).await;
    Ok(end(result, args.output))
}

pub(crate) async fn browse(cluster: &Cluster, args: &Browse) -> anyhow::Result<ExitCode> {
    if !io::stdin().is_terminal() {
        let text = "browse opens a shell and needs a terminal. In a script, use kubectl backup restore --dry-run; or \
                    create a restore pod by kubectl backup new-app --template=restore, and use kubectl exec";
        return Ok(end(Err(Stop::Usage(text.to_owned())), Output::Text));
    }
    let mut session = Session::open(cluster).await?;
    let result = Box::pin(verb::browse(&mut session, args)).await;
    let result = Box::pin(tidy(&session, result)).await;
    Ok(end(result, Output::Text))
}

/// Tells how it ended.
fn end(result: Result<Done, Stop>, output: Output) -> ExitCode {
    let now = Timestamp::from_second(api::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
    let json = |result: &RestoreResult| {
        if output == Output::Json {
            let line = serde_json::to_string(result).unwrap_or_default();
            let _ = terminal::write(&format!("{line}\n"));
        }
    };
    match result {
        Ok(Done::Told(code)) => ExitCode::from(u8::try_from(code).ok().filter(|code| *code <= 3).unwrap_or(1)),
        Ok(Done::Ran(code, result)) => {
            if let Some(result) = result {
                json(&result);
            }
            ExitCode::from(u8::try_from(code).ok().filter(|code| *code <= 3).unwrap_or(1))
        }
        Ok(Done::Half(point, result)) => {
            if output == Output::Text {
                let _ = terminal::write(&format!("{}\n", central::words(&point, &result)));
            }
            json(&result);
            ExitCode::from(ATTENTION)
        }
        Ok(Done::There(point, result)) => {
            if output == Output::Text {
                let _ = terminal::write(&format!("{}\n", central::words(&point, &result)));
            }
            json(&result);
            ExitCode::from(central::code(&result))
        }
        Ok(Done::Here(text, waiting)) => {
            if output == Output::Text {
                let _ = terminal::write(&format!("{text}\n"));
            }
            json(&verb::without_pod(waiting, now));
            ExitCode::SUCCESS
        }
        Err(stop) => {
            for line in stop.text().lines() {
                say(line);
            }
            json(&stop.result(now));
            ExitCode::from(stop.code())
        }
    }
}
