//! How a source is protected.

use std::collections::BTreeMap;

use crate::config::PromoterRetention;
use crate::copy_options::Options;
use crate::duration::Span;
use crate::promoter::PromoterShape;
use crate::record::{self, Choice};
use crate::retention::Retention;
use crate::schedule::{Due, Zone};

/// How a source is protected.
#[derive(Debug, Clone, PartialEq)]
pub struct Protection {
    /// When its runs are due, `H` resolved.
    pub due: Due,
    /// The schedule's zone.
    pub zone: Zone,
    /// Half of the schedule's shortest interval, one hour at most: how late a run may still start.
    pub starting_deadline: Span,
    /// What rotation goes by.
    pub retention: Retention,
    /// The same at central destinations: a tenant's annotation or label keeps no less there than the administrator says (L4).
    pub central_retention: Retention,
    /// The retention that the settings say. Both others keep more for a day after a tenant shortened it.
    pub wanted: Wanted,
    /// Names of destinations, in the configuration's order.
    pub destinations: Vec<String>,
    /// By destination: the Secret with its credentials, where the source's group names another one than the
    /// destination does.
    pub secrets: BTreeMap<String, String>,
    /// What it says of its copies in restic repositories.
    pub options: Options,
    /// The class of its snapshots, and the rule that chose it.
    pub snapshot_class: (String, ClassChoice),
    /// How promoters are made.
    pub promoter: PromoterRules,
    /// Whether an empty volume is as it should be.
    pub accept_empty: bool,
    /// Whether a setting could not be read, so that a default stands in for it. A protection that is in
    /// force is then left as it is, and a new one rotates nothing (law 4).
    pub unreadable: bool,
}

/// The retention that the settings of a source say, and who decides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// How long its restore points are kept.
    pub retention: Retention,
    /// Which of the tenant's choices says so.
    pub choice: Choice,
    /// What the configuration says if the tenant chooses nothing.
    pub unchosen: Retention,
}

/// A day that never comes.
const NEVER: &str = "0 0 30 2 *";

impl Protection {
    /// What its runs go by, as its ledger has it; nothing while a setting cannot be read.
    #[must_use]
    pub fn in_force(&self) -> Option<record::Settings> {
        (!self.unreadable).then(|| record::Settings {
            retention: self.retention.to_string(),
            time_zone: self.zone.name().to_owned(),
            choice: Some(self.wanted.choice.clone()),
            destinations: self.destinations.clone(),
        })
    }

    /// What the CronJob says: its schedule, and whether it is suspended. One whose runs count from the end of the
    /// last is, and fires at no time besides: the controller alone starts its runs.
    #[must_use]
    pub fn cron(&self) -> (&str, bool) {
        match &self.due {
            Due::Cron(schedule) => (schedule.kubernetes(), false),
            Due::After(_) => (NEVER, true),
        }
    }
}

/// How a source's promoters are made, and what is done with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromoterRules {
    /// What they look like.
    pub shape: PromoterShape,
    /// Whether volumes of their class bind only when a pod needs them.
    pub waits_for_consumer: bool,
    /// Whether copy pods need the `SELinux` type `spc_t` to read them.
    pub spc_no_relabeling: bool,
    /// How long promoters stay.
    pub retention: PromoterRetention,
}

/// The rule that chose a VolumeSnapshotClass; Velero's order, after our own settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClassChoice {
    /// Our annotation on the PVC, or Velero's.
    Annotation,
    /// `classes.<class>.snapshotClass` of the configuration.
    Configured,
    /// The class that carries Velero's key.
    Velero,
    /// The driver's default.
    Default,
    /// The only class of the driver.
    Only,
}

impl ClassChoice {
    /// The rule in words, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Annotation => "named by the PVC's annotation",
            Self::Configured => "named in classes.<class>.snapshotClass",
            Self::Velero => "carries velero.io/csi-volumesnapshot-class",
            Self::Default => "the driver's default",
            Self::Only => "the driver's only class",
        }
    }
}
