//! The page. Pure.

use std::fmt::Write as _;

use model::facts::VolumeMode;
use model::plan;
use model::reason::Reason;
use model::record::CopyState;
use model::restore::LACKS;
use model::{Timestamp, quantity};
use serde::Serialize;

use super::events::Told;
use super::settings::{self, Setting};
use crate::age;
use crate::observe::Observed;
use crate::status::{Finding, State, Volume, Word, word};
use crate::table::printable;

/// All that is told about one PVC.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    /// When this was true.
    pub(super) at: Timestamp,
    pub(super) volume: Volume,
    /// What pods get of it.
    pub(super) volume_mode: VolumeMode,
    /// What decided that it is not protected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) decided_by: Option<&'static str>,
    pub(super) settings: Vec<Setting>,
    /// Newest first.
    pub(super) events: Vec<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) events_not_read: Option<String>,
}

impl Page {
    pub(super) fn new(observed: &Observed, volume: Volume, events: Result<Vec<Told>, String>, now: Timestamp) -> Self {
        let claim = observed.world.claim_of(&volume.uid);
        let unprotected = matches!(volume.state, State::Unprotected | State::Excluded);
        let first = volume.findings.first().filter(|_| unprotected);
        let reason = first.and_then(|f| match f.reason {
            Word::Reason(reason) => Some(reason),
            Word::Overdue | Word::NoCronJob | Word::Suspended | Word::NothingLeft | Word::NotRecorded => None,
        });
        let (events, events_not_read) = match events {
            Ok(events) => (events, None),
            Err(why) => (Vec::new(), Some(why)),
        };
        Self {
            at: now,
            decided_by: reason.map(settings::decider),
            volume_mode: claim.map(|claim| claim.mode).unwrap_or_default(),
            settings: claim.map(|claim| settings::settings(observed, claim)).unwrap_or_default(),
            volume,
            events,
            events_not_read,
        }
    }

    /// The page as text.
    pub(super) fn text(&self) -> String {
        let mut out = format!("{}\n", self.headline());
        for finding in &self.volume.findings {
            self.finding(finding, &mut out);
        }
        if let Some(decider) = self.decided_by {
            let _ = writeln!(out, "\nDecided by: {decider}");
        }
        self.in_force(&mut out);
        self.backups(&mut out);
        self.told(&mut out);
        out
    }

    fn headline(&self) -> String {
        let Volume { name, namespace, good, .. } = &self.volume;
        let pvc = format!("PVC {name} in namespace {namespace}");
        let newest = match good {
            Some(good) => format!("the newest good run is {} ({} ago)", good.run, age::between(good.time, self.at)),
            None => "no run has been good yet".to_owned(),
        };
        match self.volume.state {
            State::Protected => format!("{pvc} is protected: {newest}."),
            State::Pending => format!("{pvc} will be protected by its next run: {newest}."),
            State::Failing => format!("{pvc} should be protected, but its newest run or step failed: {newest}."),
            // U1
            State::Degraded if !self.is_spoilt() => {
                format!("{pvc} is backed up, but not every destination has a good copy in time: {newest}.")
            }
            State::Degraded => format!("{pvc} is backed up, but copies of it are damaged or differ: {newest}."),
            State::Overdue => format!("{pvc} should be protected, but runs were missed: {newest}."),
            State::Unscheduled => format!("{pvc} should be protected, but no run is scheduled: {newest}."),
            State::Unprotected => format!("{pvc} is NOT protected: it cannot be backed up in its present state."),
            State::Excluded => format!("{pvc} is not protected: it is excluded by choice."),
            State::Vanished => format!("{pvc} is gone, but has restore points: {newest}."),
            State::Unknown => format!("It is unknown whether {pvc} is protected."),
        }
    }

    fn is_spoilt(&self) -> bool {
        let spoilt = [Reason::RepositoryDamaged, Reason::RestoreMismatch, Reason::UnknownReason].map(Word::Reason);
        self.volume.findings.iter().any(|f| spoilt.contains(&f.reason))
    }

    fn finding(&self, finding: &Finding, out: &mut String) {
        let run = finding.run.as_ref().map(|run| format!(", run {run}")).unwrap_or_default();
        let at = finding.at.map(|at| format!(", {} ago", age::between(at, self.at))).unwrap_or_default();
        let _ = writeln!(out, "\n{}{run}{at}: {}", finding.reason, printable(&finding.message));
        let _ = writeln!(out, "  What to do: {}", finding.help);
    }

    fn in_force(&self, out: &mut String) {
        if self.settings.is_empty() {
            return;
        }
        out.push_str("\nSettings in force:\n");
        let value = self.settings.iter().map(|s| s.value.chars().count()).max().unwrap_or(0);
        for setting in &self.settings {
            let _ = writeln!(out, "  {:<14}   {:<value$}   {}", setting.name, setting.value, printable(&setting.from));
        }
    }

    fn backups(&self, out: &mut String) {
        let volume = &self.volume;
        out.push_str("\nBackups:\n");
        let mut line = |name: &str, text: String| {
            let _ = writeln!(out, "  {name:<14}   {text}");
        };
        match volume.next_run {
            _ if volume.suspended => line("next run", "none: the CronJob is suspended".to_owned()),
            Some(next) => line("next run", format!("in {} ({next})", age::between(self.at, next))),
            None => match volume.after {
                Some(span) => line("next run", format!("{span} after the end of the run that is under way")),
                None => line("next run", "none known".to_owned()),
            },
        }
        for (destination, copy) in &volume.copies {
            let newest = match (copy.state, &copy.run, copy.finished) {
                (Some(state), Some(run), Some(at)) => {
                    let size = copy.bytes.map(|b| format!(", {}", quantity::human(b))).unwrap_or_default();
                    let journal = if copy.journal.is_skipped() { ", journal skipped" } else { "" };
                    format!("{state:?}: run {run}, {} ago{size}{journal}", age::between(at, self.at))
                }
                _ => "none yet".to_owned(),
            };
            let under_way = if copy.under_way { "; a copy is under way" } else { "" };
            line(&format!("copy to {destination}"), format!("{newest}{under_way}"));
            if !copy.lost.is_empty() {
                line("", format!("the disk does not keep: {}", copy.lost));
            }
            if copy.state == Some(CopyState::Incomplete) {
                line("", format!("incomplete: {LACKS}; drills restore complete copies only"));
            }
            if let Some(proof) = copy.maintenance.as_ref().and_then(|m| m.proof()) {
                let run = proof.run.as_ref().map(|r| format!(", run {r}")).unwrap_or_default();
                line(
                    "",
                    format!(
                        "{}{run}, {} ago",
                        plan::proven(proof, self.volume_mode),
                        age::between(proof.finished, self.at)
                    ),
                );
            }
        }
        match &volume.restore_points {
            None => line("restore points", "you lack permission to read them".to_owned()),
            Some(points) => {
                let ready = points.iter().filter(|p| p.ready).count();
                let newest =
                    points.iter().rfind(|p| p.ready).map(|p| format!(", the newest {} ({})", p.name, word(p.state)));
                let more = format!("; all: kubectl backup list {}", volume.name);
                line("restore points", format!("{ready} in the namespace{}{more}", newest.unwrap_or_default()));
            }
        }
        match volume.outside {
            Some(true) => line("outside", "a copy outlives the namespace".to_owned()),
            Some(false) => line(
                "outside",
                "not each copy that is to outlive the namespace is good and in time, or none is to".to_owned(),
            ),
            None => {}
        }
    }

    fn told(&self, out: &mut String) {
        out.push_str("\nEvents of the controller:\n");
        if let Some(why) = &self.events_not_read {
            let _ = writeln!(out, "  {why}");
        } else if self.events.is_empty() {
            out.push_str("  no recent events\n");
        }
        for event in &self.events {
            let age = event.at.map_or_else(|| "?".to_owned(), |at| age::between(at, self.at));
            let kind = if event.warning { "Warning" } else { "Normal" };
            let _ =
                writeln!(out, "  {age:<6}   {kind:<7}   {}: {}", printable(&event.reason), printable(&event.message));
        }
    }
}
