//! One run of a source, with what became of its copies.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::copy::{CopyResult, CopyState};
use crate::names::Run;
use crate::retention::Retention;

/// What a source's runs go by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// How long its restore points are kept, in the grammar of retentions.
    pub retention: String,
    /// The zone whose days that counts.
    pub time_zone: String,
    /// Which of the tenant's choices the retention goes by; `None`: nobody knows, as before this field was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// The destinations of its copies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
}

/// Which of a tenant's choices decides a retention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Choice {
    /// None: the configuration alone does.
    Nothing,
    /// An annotation on the PVC or its Namespace says this.
    Annotation(Retention),
    /// The PVC's labels select this group.
    Group(String),
}

/// What a run was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Taken {
    /// A snapshot.
    Snapshot {
        /// The VolumeSnapshot's name.
        name: String,
        /// Its UID.
        uid: String,
    },
}

/// How a copy gets on that is tried again until its destination is mended. By our own clock: results are the words of
/// pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// When it failed first.
    pub since: Timestamp,
    /// When it failed last.
    pub last: Timestamp,
    /// The Job (its UID) of the newest result.
    pub job: String,
}

/// One run of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// The run.
    pub run: Run,
    /// What it was taken from, as long as that is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Taken>,
    /// Whether its restore point was there before the ledger, or before somebody wrote into that: what became of its
    /// copies is not known before the destinations tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rebuilt: bool,
    /// Whether it is known that its snapshot was ready once, whatever that says now (L7).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ready: bool,
    /// The destinations that it is copied to. Not written where each of them has a result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<String>,
    /// The retention when it was taken, until each copy has its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<String>,
    /// By destination: what became of its copy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "short")]
    pub results: BTreeMap<String, CopyResult>,
    /// By destination: the Job (its UID) that ended well and whose result was lost. The copy is made once more: the
    /// data may be there, and another Job finds and tells it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<String, String>,
    /// U1: by destination: how a copy gets on that failed and is tried again. Its newest result stands until then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub retries: BTreeMap<String, Retry>,
    /// L20: the destinations where a copy of it may lie, though its result says that there is none: it was taken before the
    /// controller began to watch, and what came of it until then may be lost.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unsure: BTreeSet<String>,
    /// The best that was told of copies of it that an administrator had removed: they are forgotten, and its restore point
    /// is as good as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<CopyState>,
}

impl RunRecord {
    /// A run of which nothing is known but what it was taken from.
    #[must_use]
    pub fn new(run: Run, taken: Taken, settings: Option<&Settings>) -> Self {
        Self {
            run,
            taken: Some(taken),
            rebuilt: false,
            ready: false,
            destinations: settings.map(|s| s.destinations.clone()).unwrap_or_default(),
            retention: settings.map(|s| s.retention.clone()),
            results: BTreeMap::new(),
            lost: BTreeMap::new(),
            retries: BTreeMap::new(),
            unsure: BTreeSet::new(),
            removed: None,
        }
    }

    /// Whether what a copy Job tells, or will, is known: of a copy that is tried again, the result of this Job.
    #[must_use]
    pub fn has_result_of(&self, destination: &str, job: &str) -> bool {
        self.results.contains_key(destination) && self.retries.get(destination).is_none_or(|retry| retry.job == job)
    }

    /// Forgets its copy at a destination, and remembers how good that was.
    pub(crate) fn give_up(&mut self, destination: &str) {
        let told = self.results.remove(destination).map(|result| result.state);
        let wanted = self.destinations.iter().any(|name| name == destination);
        self.lost.remove(destination);
        self.retries.remove(destination);
        self.unsure.remove(destination);
        self.destinations.retain(|name| name != destination);
        if told.is_some() || wanted {
            let best = |state: &CopyState| match state {
                CopyState::Complete => 0,
                CopyState::Incomplete => 1,
                CopyState::Failed | CopyState::Superseded => 2,
            };
            self.removed = self.removed.into_iter().chain([told.unwrap_or(CopyState::Superseded)]).min_by_key(best);
        }
    }

    /// Whether some copy of it ended so, also if it was removed since.
    #[must_use]
    pub fn has_ended(&self, state: CopyState) -> bool {
        let told = self.destinations.iter().filter_map(|d| self.results.get(d)).map(|result| result.state);
        told.chain(self.removed).any(|its| its == state)
    }

    /// The VolumeSnapshot that the run was taken from (name and UID), as long as that is there.
    #[must_use]
    pub fn snapshot(&self) -> Option<(&str, &str)> {
        self.taken.as_ref().map(|Taken::Snapshot { name, uid }| (name.as_str(), uid.as_str()))
    }

    /// As it is written.
    pub(crate) fn packed(mut self) -> Self {
        let known: BTreeSet<&String> = self.results.keys().collect();
        if self.destinations.iter().collect::<BTreeSet<_>>() == known {
            self.destinations.clear();
        }
        self
    }

    /// As it was before it was written.
    pub(crate) fn unpacked(mut self) -> Self {
        if self.destinations.is_empty() {
            self.destinations = self.results.keys().cloned().collect();
        }
        self
    }

    /// Whether a copy of it has no result yet: what it is made from is needed.
    #[must_use]
    pub fn awaited(&self) -> bool {
        self.destinations.iter().any(|d| !self.results.contains_key(d))
    }

    /// The destinations that have data of it, with what they told.
    pub fn copied(&self) -> impl Iterator<Item = (&String, &CopyResult)> {
        self.results.iter().filter(|(_, r)| r.state.has_data())
    }
}

/// Results that have nothing to say but how much there is are written as a few words: there may be hundreds.
///
/// `Complete 2018-12-02T00:10:00Z 6693 162000000 0123456789abcdef`: state, end, entries, bytes, and the id of the restic
/// snapshot, if there is one.
mod short {
    use std::collections::BTreeMap;

    use k8s_openapi::jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::record::{CopyResult, CopyState};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Short(String),
        Whole(Box<CopyResult>),
    }

    /// The result that these words stand for.
    fn bare(state: CopyState, finished: Timestamp, files: u64, bytes: u64, snapshot: Option<&str>) -> CopyResult {
        CopyResult { files, bytes, snapshot: snapshot.map(str::to_owned), ..CopyResult::new(state, finished) }
    }

    fn form(result: &CopyResult) -> Form {
        let CopyResult { state, finished, files, bytes, snapshot, .. } = result;
        let words = snapshot.as_deref().is_none_or(|id| !id.is_empty() && !id.contains(' '));
        if !words || *result != bare(*state, *finished, *files, *bytes, snapshot.as_deref()) {
            return Form::Whole(Box::new(result.clone()));
        }
        let id = snapshot.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
        Form::Short(format!("{} {finished} {files} {bytes}{id}", word(*state)))
    }

    /// As it is written, whatever the variant is called.
    fn word(state: CopyState) -> &'static str {
        match state {
            CopyState::Complete => "Complete",
            CopyState::Incomplete => "Incomplete",
            CopyState::Failed => "Failed",
            CopyState::Superseded => "Superseded",
        }
    }

    fn read(text: &str) -> Option<CopyResult> {
        let mut words = text.split(' ');
        let state = match words.next()? {
            "Complete" => CopyState::Complete,
            "Incomplete" => CopyState::Incomplete,
            "Failed" => CopyState::Failed,
            "Superseded" => CopyState::Superseded,
            _ => return None,
        };
        let (finished, files, bytes) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let result = bare(state, finished.parse().ok()?, files, bytes, words.next());
        words.next().is_none().then_some(result)
    }

    pub(super) fn serialize<S: Serializer>(of: &BTreeMap<String, CopyResult>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(of.iter().map(|(destination, result)| (destination, form(result))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, CopyResult>, D::Error> {
        let forms = BTreeMap::<String, Form>::deserialize(from)?;
        let result = |(destination, form)| match form {
            Form::Whole(result) => Ok((destination, *result)),
            Form::Short(text) => {
                let result = read(&text);
                result
                    .map(|r| (destination, r))
                    .ok_or_else(|| serde::de::Error::custom(format!("a result says {text:?}")))
            }
        };
        forms.into_iter().map(result).collect()
    }
}
