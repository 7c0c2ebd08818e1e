//! How a job ends: its exit code, and the termination message that says more.
//!
//! A Job's `podFailurePolicy` goes by the exit code alone, so it says exactly one thing: whether another
//! try can help. What happened is JSON in the termination message, which the kubelet keeps in the pod's
//! status.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use model::Timestamp;
use model::quantity;
use model::reason::Problem;
use model::record::termination_message;
use serde::Serialize;

use crate::redact::struck;

/// Where the kubelet looks for the message, unless the pod says otherwise.
const DEFAULT_LOG: &str = "/dev/termination-log";

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done: nothing is left to do.
    Done,
    /// It did not work, and another try may.
    Again,
    /// A question had no answer: the command line has to say more.
    Usage,
    /// It did not work or not wholly, and no retry helps: the result says why.
    Final,
}

impl Exit {
    /// The process's exit code. 2 is a wrong command line, which clap mostly reports itself.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Again => 1,
            Self::Usage => 2,
            Self::Final => 3,
        }
    }
}

/// How a job ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the exit code says.
    pub(crate) exit: Exit,
    /// The termination message; empty: there is none, or it was written already.
    pub(crate) message: String,
}

impl Outcome {
    /// An outcome with its result, as the termination message has it.
    pub(crate) fn new<T: Serialize>(exit: Exit, result: &T) -> Self {
        Self { exit, message: termination_message(result) }
    }

    /// Writes the message, and gives the process's exit code.
    ///
    /// A message that cannot be written changes no verdict: the log has it too.
    pub(crate) fn finish(self, log: &TerminationLog) -> ExitCode {
        if !self.message.is_empty() {
            log.write(&self.message);
        }
        ExitCode::from(self.exit.code())
    }
}

/// Why a job did not do what it is for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The reason, and a sentence for a person.
    pub(crate) problem: Problem,
    /// Whether another try may help.
    pub(crate) exit: Exit,
}

impl Failure {
    /// Another try may help.
    pub(crate) fn again(problem: Problem) -> Self {
        Self { problem, exit: Exit::Again }
    }

    /// No retry helps.
    pub(crate) fn last(problem: Problem) -> Self {
        Self { problem, exit: Exit::Final }
    }
}

/// A17: how far a copy was when it was stopped, as the end of a sentence.
pub(crate) fn so_far(bytes: u64, files: u64) -> String {
    format!(" after {} in {files} files", quantity::human(bytes))
}

/// The file for the termination message.
#[derive(Debug, Clone)]
pub(crate) struct TerminationLog {
    path: PathBuf,
    /// Whether somebody named the file. Outside a pod the default one does not exist, and is not made.
    named: bool,
}

impl TerminationLog {
    /// The file that was named, or the kubelet's.
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { named: path.is_some(), path: path.unwrap_or_else(|| DEFAULT_LOG.into()) }
    }

    /// Whether a message is for the kubelet: its file was named, or this is the container's main process. A step
    /// that somebody runs beside that says nothing for the pod.
    pub(crate) fn is_ours(&self) -> bool {
        self.named || std::process::id() == 1
    }

    /// Replaces what stands there. The last message counts.
    pub(crate) fn write(&self, message: &str) {
        match put(&self.path, self.named, &struck(message)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.named => {
                tracing::debug!("{} does not exist: not running in a pod", self.path.display());
            }
            Err(error) => tracing::warn!(%error, "cannot write the termination message to {}", self.path.display()),
        }
    }
}

fn put(path: &Path, create: bool, message: &str) -> io::Result<()> {
    // Not by a temporary file: the kubelet has mounted this very file.
    OpenOptions::new().write(true).truncate(true).create(create).open(path)?.write_all(message.as_bytes())
}

/// The machine's time, for records. Decisions go by the API server's clock or a run's own minute.
pub(crate) fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(elapsed.as_secs()).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_what_the_templates_pod_failure_policy_goes_by() {
        assert_eq!([Exit::Done, Exit::Again, Exit::Usage, Exit::Final].map(Exit::code), [0, 1, 2, 3]);
    }

    #[test]
    fn the_last_message_replaces_a_longer_one() {
        let path = std::env::temp_dir().join(format!("outcome-{}", std::process::id()));
        let log = TerminationLog::new(Some(path.clone()));
        log.write("a long message");
        log.write("short");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "short");
        std::fs::remove_file(path).unwrap();
    }
}
