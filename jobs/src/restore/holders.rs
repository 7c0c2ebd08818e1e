//! Who else has the volume, by the word of the controller (law 7).
//!
//! The pod has no token. The controller writes what it sees into an annotation, and the kubelet that into a file. A
//! word that is old is none: the controller may be gone, and a pod may have come.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use model::Timestamp;
use model::reason::{Problem, Reason};
use model::record::{HOLDERS_STALE, Holders};
use model::text::clip;

use super::console::shown;

/// How often a word is looked for that is not there.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is looked at while the volume is written.
const EVERY: Duration = Duration::from_secs(1);

/// What is known of other pods that have the volume.
#[derive(Debug, PartialEq, Eq)]
enum Known {
    /// There are none.
    Free(Timestamp),
    /// There are these.
    Held(Vec<String>),
    /// Nobody knows, and why.
    Unknown(String),
}

fn judge(file: &Path, now: Timestamp) -> Known {
    let name = shown(file);
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return Known::Unknown(format!("cannot read {name} ({error})")),
    };
    if text.trim().is_empty() {
        return Known::Unknown(format!("{name} is empty"));
    }
    match serde_json::from_str::<Holders>(&text) {
        Err(error) => Known::Unknown(format!("{name} has invalid content ({error})")),
        Ok(said) => age(said, now),
    }
}

/// Clocks differ a little, both ways.
fn age(said: Holders, now: Timestamp) -> Known {
    let seconds = now.as_second().saturating_sub(said.at.as_second());
    if seconds.unsigned_abs() > HOLDERS_STALE {
        let way = if seconds < 0 { "ahead of this node's clock" } else { "old" };
        return Known::Unknown(format!("the controller's last report is {} s {way}", seconds.unsigned_abs()));
    }
    if said.pods.is_empty() { Known::Free(said.at) } else { Known::Held(said.pods) }
}

/// The reason and the words for a volume that is not free.
fn refusal(known: Known) -> Result<Timestamp, Problem> {
    match known {
        Known::Free(at) => Ok(at),
        Known::Held(pods) => {
            let text = format!(
                "other pods use the volume: {}. Stop them first: kubectl scale deployment NAME --replicas=0",
                clip(&pods.join(", "), 240)
            );
            Err(Problem::new(Reason::TargetInUse, text))
        }
        Known::Unknown(why) => {
            let text = format!(
                "it is unknown whether other pods use the volume: {}. Check that the backup-controller runs",
                clip(&why, 240)
            );
            Err(Problem::new(Reason::MountStateUnknown, text))
        }
    }
}

/// Asks before anything is written. A word that is not there, or old, is waited for.
pub(crate) fn ask(file: &Path, wait: Duration, stop: &AtomicBool) -> Result<Timestamp, Problem> {
    let end = Instant::now() + wait;
    loop {
        let known = judge(file, Timestamp::now());
        if !matches!(known, Known::Unknown(_)) || Instant::now() >= end || stop.load(Ordering::Relaxed) {
            return refusal(known);
        }
        thread::sleep(AGAIN);
    }
}

/// Asks again and again while the volume is written.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    file: &'a Path,
    next: Instant,
    /// When the controller last said that nobody has the volume.
    free: Timestamp,
    /// Why the volume may not be written any more.
    problem: Option<Problem>,
}

impl<'a> Watch<'a> {
    /// A watch that begins with what was asked before.
    pub(crate) fn new(file: &'a Path, free: Timestamp) -> Self {
        Self { file, next: Instant::now() + EVERY, free, problem: None }
    }

    /// Whether the volume may not be written any more. The file is looked at once a second.
    pub(crate) fn is_over(&mut self) -> bool {
        if self.problem.is_none() && Instant::now() >= self.next {
            self.next = Instant::now() + EVERY;
            self.problem = self.look(Timestamp::now()).err();
        }
        self.problem.is_some()
    }

    /// A file that cannot be read for a moment does not make the last word older than it is.
    fn look(&mut self, now: Timestamp) -> Result<(), Problem> {
        match judge(self.file, now) {
            Known::Unknown(why) => match age(Holders { at: self.free, pods: Vec::new() }, now) {
                Known::Free(_) => Ok(()),
                _ => refusal(Known::Unknown(why)).map(drop),
            },
            known => refusal(known).map(|at| self.free = at),
        }
    }

    /// Why it is over.
    pub(crate) fn problem(&self) -> Option<&Problem> {
        self.problem.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn now() -> Timestamp {
        "2018-12-02T12:00:00Z".parse().unwrap()
    }

    fn said(seconds_ago: i64, pods: &[&str]) -> Known {
        let at = Timestamp::from_second(now().as_second() - seconds_ago).unwrap();
        age(Holders { at, pods: pods.iter().map(|p| (*p).to_owned()).collect() }, now())
    }

    #[test]
    fn a_word_counts_until_it_is_stale_and_clocks_may_differ() {
        for good in [0, 1, 120, -1, -120] {
            assert!(matches!(said(good, &[]), Known::Free(_)), "{good}");
        }
        for bad in [121, 9999, -121] {
            assert!(matches!(said(bad, &[]), Known::Unknown(_)), "{bad}");
            assert!(matches!(said(bad, &["app"]), Known::Unknown(_)), "{bad}");
        }
        assert_eq!(said(5, &["app-0"]), Known::Held(vec!["app-0".to_owned()]));
    }

    #[test]
    fn a_refusal_names_the_pods_and_what_to_do() {
        let problem = refusal(said(0, &["app-0", "app-1"])).unwrap_err();
        assert_eq!(problem.reason, Reason::TargetInUse);
        assert!(problem.message.contains("app-0, app-1") && problem.message.contains("--replicas=0"), "{problem}");
        let problem = refusal(said(300, &[])).unwrap_err();
        assert_eq!(problem.reason, Reason::MountStateUnknown);
        assert!(problem.message.contains("300 s old"), "{problem}");
    }

    #[test]
    fn while_the_volume_is_written_the_last_word_counts_until_it_is_stale() {
        let path: PathBuf = std::env::temp_dir().join(format!("holders-{}", std::process::id()));
        fs::write(&path, format!(r#"{{"at":"{}","pods":[]}}"#, now())).unwrap();
        let mut watch = Watch::new(&path, now());
        let after = |seconds: i64| Timestamp::from_second(now().as_second() + seconds).unwrap();
        watch.look(after(100)).unwrap();
        assert_eq!(watch.look(after(121)).unwrap_err().reason, Reason::MountStateUnknown);
        fs::write(&path, "").unwrap();
        watch.look(after(119)).unwrap();
        assert_eq!(watch.look(after(121)).unwrap_err().reason, Reason::MountStateUnknown);
        fs::write(&path, format!(r#"{{"at":"{}","pods":["app"]}}"#, after(60))).unwrap();
        assert_eq!(watch.look(after(61)).unwrap_err().reason, Reason::TargetInUse);
        fs::remove_file(path).unwrap();
    }
}
