//! A source's ledger: what we know of its runs, their copies and their maintenance.
//!
//! One ConfigMap for each source, in the controller's namespace. The controller is its only writer; the snapshot job
//! and the sweeper read it. Everything that is decided about a run is decided from it: annotations in a tenant's
//! namespace are shown to people and read by nothing.
//!
//! A ledger that is absent or cannot be read stops every deletion of its source. One that is begun where restore points
//! are there already knows nothing of their copies: until each destination has told what it has, it is being rebuilt.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::facts::{Claim, Identity, Ours, VELERO_SNAPSHOT_CLASS};
use crate::names::{self, Component, Instance, Run, SourceId};
use crate::reason::{Problem, Reason};
use crate::record::{
    Announced, CopyResult, CopyState, Maintenance, Removal, Retry, RunRecord, Settings, Status, Taken, Volume,
};
use crate::text::clip;

/// The form of a ledger that this version writes. It reads no newer one.
pub const SCHEMA: u32 = 1;
/// The key of the ledger in its ConfigMap.
pub const KEY: &str = "ledger.json";
/// The key of the ledger's checksum beside it: what somebody edited by hand is not believed.
pub const CHECKSUM: &str = "sha256";
/// The most bytes that a ledger is read up to. Ours are a few KiB; etcd refuses objects of 1.5 MiB.
pub const LIMIT: usize = 256 * 1024;
/// How many runs without a restore point are remembered.
const REMEMBERED: usize = 20;
/// How many digits of the id of a restic snapshot are kept.
const ID: usize = 16;
/// How long the words of a result are that is not the newest of its destination.
const OLD_WORDS: usize = 160;
/// The longest word of an administrator that is read.
const WORD: usize = 256;
/// How many of a tenant's annotations and of his labels are kept, and how long each may be.
const SETTINGS: (usize, usize) = (16, 256);

/// What we know of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ledger {
    /// [`SCHEMA`] of who wrote it.
    pub schema: u32,
    /// Whose it is.
    pub source: Whose,
    /// What the source was when it was last seen.
    pub volume: Volume,
    /// When the source was first seen to be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone: Option<Timestamp>,
    /// The settings of its runs, as they were when its CronJob was last applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// Destinations that have not told yet what they have, since the ledger was begun beside restore points.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub rebuilding: BTreeSet<String>,
    /// By destination: the removal of its copies there, since it is gone.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub removals: BTreeMap<String, Removal>,
    /// By destination: the removal of its copies that the configuration asks for and that has not begun.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub announced: BTreeMap<String, Announced>,
    /// Its runs, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
    /// Where its backups stand.
    #[serde(default)]
    pub status: Status,
}

/// The source of a ledger. Names are used again; a UID is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Whose {
    /// Its namespace.
    pub namespace: String,
    /// That namespace's UID.
    #[serde(default)]
    pub namespace_uid: String,
    /// The PVC's name.
    pub name: String,
    /// The PVC's UID.
    pub uid: String,
}

/// What a plan found out about a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A copy has its result.
    Result(Box<CopyResult>),
    /// A copy failed and is tried again: what its Job (its UID) told, and when that was recorded.
    Failed(Box<CopyResult>, String, Timestamp),
    /// A copy's Job (its UID) ended well, and its result was lost.
    Lost(String),
}

/// What a plan found out about a run at a destination, to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The run.
    pub run: Run,
    /// The destination.
    pub destination: String,
    /// What.
    pub entry: Entry,
}

impl Ledger {
    /// An empty one.
    #[must_use]
    pub fn new(claim: &Claim, namespace_uid: &str) -> Self {
        Self {
            schema: SCHEMA,
            source: Whose {
                namespace: claim.namespace.clone(),
                namespace_uid: namespace_uid.to_owned(),
                name: claim.id.name.clone(),
                uid: claim.id.uid.clone(),
            },
            volume: Volume::of(claim),
            gone: None,
            settings: None,
            rebuilding: BTreeSet::new(),
            removals: BTreeMap::new(),
            announced: BTreeMap::new(),
            runs: Vec::new(),
            status: Status::default(),
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn id(&self) -> SourceId {
        let Whose { namespace, name, uid, .. } = &self.source;
        SourceId { namespace: namespace.clone(), name: name.clone(), uid: uid.clone() }
    }

    /// The record of a run that was taken from a snapshot: name and UID have to be the same.
    #[must_use]
    pub fn run(&self, run: &Run, snapshot: &Identity) -> Option<&RunRecord> {
        self.runs.iter().find(|r| r.run == *run && r.snapshot() == Some((&snapshot.name, &snapshot.uid)))
    }

    /// The record of a snapshot's run. Of one that it does not know yet, which was taken while the controller was away,
    /// nothing is recorded but the settings in force. It is written down with the first word of it: until then the
    /// settings in force are those that it was taken with, as none of them changes without a write.
    #[must_use]
    pub fn record(&self, run: &Run, snapshot: &Identity) -> RunRecord {
        let taken = Taken::Snapshot { name: snapshot.name.clone(), uid: snapshot.uid.clone() };
        // One that was gone may be there again, with a cluster that was restored.
        let known = self.run(run, snapshot).or_else(|| self.runs.iter().find(|r| r.run == *run && r.taken.is_none()));
        match known {
            Some(known) => RunRecord { taken: Some(taken), ..known.clone() },
            None => RunRecord::new(run.clone(), taken, self.settings.as_ref()),
        }
    }

    /// L20: up to which run the words are in doubt of those that have none: the newest one that is there and that the ledger
    /// does not know, though a newer one is there too. Nobody was watching when that was taken. Either the controller was
    /// away, or the ledger is an older one than was written, and the copies are made.
    #[must_use]
    pub fn doubtful<'a>(&self, there: impl Iterator<Item = (&'a Run, &'a Identity)>) -> Option<&'a Run> {
        let there: Vec<_> = there.collect();
        let newest = there.iter().map(|(run, _)| *run).max()?;
        let unknown = there.into_iter().filter(|(run, snapshot)| *run < newest && self.run(run, snapshot).is_none());
        unknown.map(|(run, _)| run).max()
    }

    /// L20: of runs up to this one that have no word yet, the destinations have to tell what became of their copies.
    pub fn doubt(&mut self, until: &Run) {
        for record in self.runs.iter_mut().filter(|r| r.run <= *until && r.taken.is_some() && r.awaited()) {
            record.rebuilt = true;
        }
    }

    /// Whether everything is known that deletions depend on.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.rebuilding.is_empty() && self.settings.is_some()
    }

    /// L20: whether there may be copies at a destination that it does not know. Of a run in doubt only a newer copy there
    /// tells: that it was superseded is our own word.
    #[must_use]
    pub fn in_doubt(&self, destination: &String) -> bool {
        let has_copy = |r: &&RunRecord| r.copied().any(|(name, _)| name == destination);
        let told = self.runs.iter().filter(|r| !r.rebuilt).filter(has_copy).map(|r| &r.run).max();
        let untold = |r: &RunRecord| r.rebuilt && !has_copy(&r) && told.is_none_or(|told| *told < r.run);
        !self.is_whole() || self.runs.iter().any(|r| r.destinations.contains(destination) && untold(r))
    }

    /// Writes down what was found out by a controller that has been watching since a time.
    ///
    /// L20: etcd may have gone back before that. Of a run that is older, a copy may have ended well without a trace: that
    /// another one had no data does not tell that there is none.
    pub fn enter(&mut self, finding: &Finding, watching_since: Timestamp) {
        let Finding { run, destination, entry } = finding;
        // What is being removed is no copy any more, whoever tells of it now.
        if self.is_given_up(destination) {
            return;
        }
        let Some(record) = self.runs.iter_mut().find(|r| r.run == *run) else { return };
        if let Entry::Result(result) | Entry::Failed(result, ..) = entry
            && !result.state.has_data()
            && run.time() < watching_since
        {
            record.unsure.insert(destination.clone());
        }
        match entry {
            // U1: the result of each try takes the place of the one before.
            Entry::Failed(result, job, now) => {
                let since = record.retries.get(destination).map_or(result.finished.min(*now), |retry| retry.since);
                let retry = Retry { since, last: *now, job: job.clone() };
                record.retries.insert(destination.clone(), retry);
                record.results.insert(destination.clone(), (**result).clone());
                record.lost.remove(destination);
            }
            // A result is final, unless it only says that there was no copy, or its copy was tried again.
            Entry::Result(result) => {
                if record.retries.contains_key(destination) && result.state != CopyState::Superseded {
                    record.retries.remove(destination);
                    record.results.remove(destination);
                }
                record.results.entry(destination.clone()).or_insert_with(|| {
                    // So many digits of an id name one snapshot of a repository.
                    let id = |id: &String| id.chars().take(ID).collect();
                    CopyResult { snapshot: result.snapshot.as_ref().map(id), ..(**result).clone() }
                });
                record.lost.remove(destination);
                // A list that did not fit its message tells nothing.
                let rebuilding = self.rebuilding.contains(destination);
                if result.state.has_data() && !(rebuilding && result.kept.is_empty()) {
                    self.answered(run, destination, result);
                }
            }
            Entry::Lost(job) => drop(record.lost.insert(destination.clone(), job.clone())),
        }
    }

    /// A destination has told, with its copy of a run, what it has: runs whose records were lost, or are older than what
    /// they tell of, get theirs back. That a run was not copied is our word, and that of the destination counts more. Of
    /// an older run in doubt that it does not have, no other word will come.
    fn answered(&mut self, with: &Run, destination: &String, told: &CopyResult) {
        self.rebuilding.remove(destination);
        for record in self.runs.iter_mut().filter(|r| r.destinations.contains(destination)) {
            let unsure = !told.kept.is_empty() && record.run <= *with && record.unsure.remove(destination);
            let is_told = |r: &CopyResult| r.state.has_data() || r.state == CopyState::Failed && !unsure;
            if record.results.get(destination).is_some_and(is_told) {
                continue;
            }
            let (state, reason, message) = if told.incomplete.contains(&record.run) {
                let message = "something is missing in it; what that is, its own record told, and that was lost";
                (CopyState::Incomplete, Some(Reason::Unreadable), message)
            } else if told.kept.contains(&record.run) {
                (CopyState::Complete, None, "")
            } else if record.rebuilt && record.run < *with && !record.results.contains_key(destination) {
                let message = "the destination has no copy of this run, and there is no record of one";
                (CopyState::Superseded, Some(Reason::Superseded), message)
            } else {
                continue;
            };
            let message = message.to_owned();
            let result = CopyResult { reason, message, ..CopyResult::new(state, told.finished) };
            record.retries.remove(destination);
            record.results.insert(destination.clone(), result);
        }
    }

    /// Begins to know a snapshot's run. `rebuilt`: it was there before the ledger.
    pub fn begin(&mut self, run: &Run, snapshot: &Identity, rebuilt: bool) {
        if self.run(run, snapshot).is_some() {
            return;
        }
        let taken = Taken::Snapshot { name: snapshot.name.clone(), uid: snapshot.uid.clone() };
        // One that was gone may be there again, with a cluster that was restored.
        if let Some(known) = self.runs.iter_mut().find(|r| r.run == *run && r.taken.is_none()) {
            known.taken = Some(taken);
            return;
        }
        let record = RunRecord { rebuilt, ..RunRecord::new(run.clone(), taken, self.settings.as_ref()) };
        if rebuilt {
            self.rebuilding.extend(record.destinations.iter().cloned());
        }
        self.runs.push(record);
        self.runs.sort_by(|a, b| a.run.cmp(&b.run).then_with(|| a.snapshot().cmp(&b.snapshot())));
    }

    /// U15: where the runs are copied to while a setting of a new source cannot be read, and so none is in force. Without
    /// it they would count as good without any copy. Of those that were there before the ledger, each destination tells.
    pub fn stand_in(&mut self, destinations: &[String]) {
        if self.settings.is_some() {
            return;
        }
        for record in self.runs.iter_mut().filter(|r| r.taken.is_some() && r.destinations.is_empty()) {
            record.destinations = destinations.to_vec();
            if record.rebuilt {
                self.rebuilding.extend(destinations.iter().cloned());
            }
        }
    }

    /// The snapshot of a run that is known was ready once.
    pub fn was_ready(&mut self, run: &Run, snapshot: &Identity) {
        let is_it = |r: &&mut RunRecord| r.run == *run && r.snapshot() == Some((&snapshot.name, &snapshot.uid));
        if let Some(known) = self.runs.iter_mut().find(is_it) {
            known.ready = true;
        }
    }

    /// What the settings in force are from now on. `None`: one of them cannot be read, and those before stay.
    pub fn settle(&mut self, settings: Option<Settings>) {
        let Some(settings) = settings else { return };
        // Whom nobody copies to any more, nobody waits for.
        self.rebuilding.retain(|d| settings.destinations.contains(d));
        self.settings = Some(settings);
    }

    /// The runs that a destination has, as its newest list tells: that of a copy, or of a prune. Restores and the records
    /// that stay go by it; a removal goes by [`Ledger::ever_copied`]. Empty: no list tells it.
    #[must_use]
    pub fn newest_list(&self, destination: &str) -> &[Run] {
        let results = self.runs.iter().filter_map(|r| r.results.get(destination)).filter(|r| r.state.has_data());
        let newest = results.max_by_key(|r| r.finished).map(|r| (r.finished, r.kept.as_slice()));
        let pruned = self.status.maintenance.get(destination).and_then(Maintenance::pruned_to);
        [newest, pruned].into_iter().flatten().max_by_key(|(at, _)| *at).map(|(_, list)| list).unwrap_or_default()
    }

    /// Forgets runs that have no restore point any more, but for the last ones; of the others it keeps what is needed.
    /// `there` says whether a run's snapshot is there.
    pub fn trim(&mut self, there: impl Fn(&RunRecord) -> bool) {
        // The newest copy at a destination tells what is expected to be there, also when it is not.
        let mut newest: BTreeMap<&String, &Run> = BTreeMap::new();
        for record in &self.runs {
            newest.extend(record.copied().map(|(destination, _)| (destination, &record.run)));
        }
        // A run in which nothing had changed is not among what is kept: there may be one every hour, for years.
        let kept: BTreeMap<&String, BTreeSet<&Run>> =
            newest.keys().map(|destination| (*destination, self.newest_list(destination).iter().collect())).collect();
        let is_kept = |r: &RunRecord| r.copied().any(|(d, _)| newest[d] == &r.run || kept[d].contains(&r.run));
        let there: Vec<bool> = self.runs.iter().map(there).collect();
        let points: Vec<bool> = self.runs.iter().zip(&there).map(|(r, there)| *there || is_kept(r)).collect();
        for (record, there) in self.runs.iter_mut().zip(there) {
            if !there {
                record.taken = None;
            }
            if !record.awaited() && record.retries.is_empty() {
                record.retention = None;
            }
        }
        let mut without = points.iter().filter(|point| !**point).count();
        let mut keep = points.into_iter();
        self.runs.retain(|_| {
            let point = keep.next().unwrap_or(true);
            without -= usize::from(!point);
            point || without < REMEMBERED
        });
        let mut newest: BTreeMap<&String, Timestamp> = BTreeMap::new();
        for (destination, result) in self.runs.iter().flat_map(|r| &r.results) {
            let at = newest.entry(destination).or_insert(result.finished);
            *at = (*at).max(result.finished);
        }
        let newest: BTreeMap<String, Timestamp> = newest.into_iter().map(|(d, at)| (d.clone(), at)).collect();
        for (destination, result) in self.runs.iter_mut().flat_map(|r| &mut r.results) {
            if newest.get(destination).is_some_and(|at| result.finished < *at) {
                result.kept.clear();
                result.incomplete.clear();
                result.pruned.clear();
                (result.written, result.seconds) = (0, 0);
                result.message = clip(&result.message, OLD_WORDS);
            }
        }
    }

    /// By destination: all runs of which any record tells a copy there, also an older record than the newest list. A
    /// removal expects all of them: one that was pruned since is missed by nobody, one that is left out stays for ever.
    #[must_use]
    pub fn ever_copied(&self) -> BTreeMap<String, BTreeSet<Run>> {
        let mut copied: BTreeMap<String, BTreeSet<Run>> = BTreeMap::new();
        for record in &self.runs {
            for (destination, result) in record.copied() {
                let runs = copied.entry(destination.clone()).or_default();
                runs.insert(record.run.clone());
                runs.extend(result.kept.iter().cloned());
            }
        }
        // Its prune may be unknown: the list is enough here.
        for (destination, done) in self.status.maintenance.iter().filter(|(_, done)| !done.kept.is_empty()) {
            copied.entry(destination.clone()).or_default().extend(done.kept.iter().cloned());
        }
        copied
    }

    /// Forgets all copies at a destination, so that nothing is restored from there, and none is made. Gives their runs.
    pub fn give_up(&mut self, destination: &str) -> Vec<Run> {
        let runs = self.ever_copied().remove(destination).unwrap_or_default();
        for record in &mut self.runs {
            record.give_up(destination);
        }
        if let Some(settings) = &mut self.settings {
            settings.destinations.retain(|name| name != destination);
        }
        self.rebuilding.remove(destination);
        self.status.copies.remove(destination);
        self.status.wanted.remove(destination);
        self.status.maintenance.remove(destination);
        runs.into_iter().collect()
    }

    /// Whether the copies at a destination are removed, or have begun to be.
    #[must_use]
    pub fn is_given_up(&self, destination: &str) -> bool {
        self.removals.get(destination).is_some_and(|removal| removal.begun.is_some())
    }

    /// Whether nothing is left that it could tell of.
    #[must_use]
    pub fn is_over(&self, there: bool) -> bool {
        let removed = self.removals.values().all(|removal| removal.over().is_some());
        !there && removed && self.runs.iter().all(|r| r.copied().next().is_none())
    }

    /// What a tenant is shown of it. U4: of a source that is gone that includes what it was, because he may not read the
    /// ledger, and makes the PVC again.
    #[must_use]
    pub fn shown(&self) -> Status {
        // Rotation alone needs to know it, and goes by the ledger.
        let own = |run: RunRecord| RunRecord { ready: false, retries: BTreeMap::new(), ..run };
        let runs = self.runs.iter().cloned().map(|run| own(run).packed()).collect();
        let destinations = self.settings.as_ref().map(|s| s.destinations.clone()).unwrap_or_default();
        let volume = self.gone.map(|_| Box::new(self.volume.clone()));
        Status { uid: self.source.uid.clone(), destinations, runs, volume, not_shown: None, ..self.status.clone() }
    }

    /// As what a tenant was shown tells: for the plugin, which may not read ledgers.
    #[must_use]
    pub fn of_shown(source: &SourceId, shown: &Status) -> Self {
        let SourceId { namespace, name, uid } = source;
        let own =
            Status { uid: String::new(), destinations: Vec::new(), runs: Vec::new(), volume: None, ..shown.clone() };
        let settings = Settings { destinations: shown.destinations.clone(), ..Settings::default() };
        Self {
            schema: SCHEMA,
            source: Whose {
                namespace: namespace.clone(),
                namespace_uid: String::new(),
                name: name.clone(),
                uid: uid.clone(),
            },
            volume: shown.volume.as_deref().cloned().unwrap_or_default(),
            gone: None,
            settings: Some(settings),
            rebuilding: BTreeSet::new(),
            removals: BTreeMap::new(),
            announced: BTreeMap::new(),
            runs: shown.runs.iter().cloned().map(RunRecord::unpacked).collect(),
            status: own,
        }
    }

    /// The text, and its checksum.
    #[must_use]
    pub fn to_data(&self) -> BTreeMap<String, String> {
        let runs = self.runs.iter().cloned().map(RunRecord::packed).collect();
        let text = serde_json::to_string(&Self { runs, ..self.clone() }).unwrap_or_default();
        BTreeMap::from([(CHECKSUM.to_owned(), names::hash(&text, 64)), (KEY.to_owned(), text)])
    }

    /// Reads a ConfigMap's data: what was written for a source, whole and by us.
    pub fn parse(uid: &str, data: &BTreeMap<String, String>) -> Result<Self, Problem> {
        let problem = |field: &str, what: &str| {
            let message = format!("ConfigMap {}: {field}: {what}", names::ledger(uid));
            Problem::new(Reason::LedgerUnreadable, message)
        };
        let at = |key: &str| format!("data[\"{key}\"]");
        let Some(text) = data.get(KEY) else { return Err(problem(&at(KEY), "is missing")) };
        if text.len() > LIMIT {
            return Err(problem(&at(KEY), &format!("has {} bytes, and at most {LIMIT} are read", text.len())));
        }
        if data.get(CHECKSUM).is_none_or(|sum| *sum != names::hash(text, 64)) {
            return Err(problem(&at(CHECKSUM), "is not that of the text: somebody edited it"));
        }
        let schema = serde_json::from_str::<Version>(text).map_err(|e| problem(&at(KEY), &e.to_string()))?.schema;
        if schema != SCHEMA {
            let what = format!("is {schema}, and this version reads {SCHEMA}: a newer version wrote it");
            return Err(problem("schema", &what));
        }
        let mut ledger: Self = serde_json::from_str(text).map_err(|e| problem(&at(KEY), &e.to_string()))?;
        ledger.runs = ledger.runs.into_iter().map(RunRecord::unpacked).collect();
        if ledger.source.uid != uid {
            return Err(problem("source.uid", &format!("is {}, which is another PVC's", ledger.source.uid)));
        }
        Ok(ledger)
    }
}

#[derive(Deserialize)]
struct Version {
    schema: u32,
}

impl Volume {
    /// The annotations that say how it was backed up, for a PVC that is made again. What somebody asked for once, or
    /// accepted of what was found, was for the one that is gone.
    pub fn settings(&self) -> impl Iterator<Item = (&String, &String)> {
        let settings = self.annotations.iter();
        settings.filter(|(key, _)| {
            names::SETTINGS.contains(&key.as_str()) || key.eq_ignore_ascii_case(VELERO_SNAPSHOT_CLASS)
        })
    }

    /// Of a source that is there.
    #[must_use]
    pub fn of(claim: &Claim) -> Self {
        let (most, longest) = SETTINGS;
        let records = [names::RUN_NOW, names::DRILL_NOW, names::RESTORE_FROM];
        let settings = claim.settings.iter().filter(|(key, _)| !records.contains(&key.as_str()));
        let fits = settings.filter(|(key, value)| key.len() <= longest && value.len() <= longest);
        let ours = |(key, value): &(&str, &str)| {
            names::LABELS.contains(key) || (*key == names::MANAGED_BY && *value == names::MANAGER)
        };
        let labels = claim.labels.iter().filter(|label| !ours(label) && label.0.len() + label.1.len() <= longest);
        Self {
            storage_class: claim.class.clone(),
            mode: claim.mode,
            bytes: claim.capacity,
            access_modes: claim.access,
            labels: labels.take(most).map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            annotations: fits.take(most).map(|(key, value)| (key.clone(), value.clone())).collect(),
        }
    }
}

/// A ledger as it was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Book {
    /// Its ConfigMap.
    pub id: Identity,
    /// The UID of its source, by its name.
    pub uid: String,
    /// What it says; or why it cannot be read.
    pub ledger: Result<Box<Ledger>, Problem>,
    /// What an administrator wrote on it.
    pub words: Words,
}

/// What an administrator wrote on a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// [`names::REMOVE_COPIES`].
    pub remove: Option<String>,
    /// [`names::END_REMOVAL`].
    pub end: Option<String>,
}

impl Words {
    /// Whether there is one to answer.
    #[must_use]
    pub fn any(&self) -> bool {
        self.remove.is_some() || self.end.is_some()
    }
}

impl Book {
    /// Reads a ConfigMap that has the name of a ledger; nothing if it has another. `instance` is who may have written it.
    #[must_use]
    pub fn read(map: &ConfigMap, instance: &Instance) -> Option<Self> {
        let id = Identity::of(&map.metadata);
        let uid = names::ledger_of(&id.name)?.to_owned();
        let ours = Ours::read(&map.metadata).filter(|o| o.instance == *instance && o.component == Component::Ledger);
        let ledger = match ours {
            None => {
                let message = format!("ConfigMap {}: metadata.labels: are not those of a ledger of ours", id.name);
                Err(Problem::new(Reason::LedgerUnreadable, message))
            }
            Some(_) => Ledger::parse(&uid, map.data.as_ref().unwrap_or(&BTreeMap::new())).map(Box::new),
        };
        let word = |key| map.metadata.annotations.as_ref()?.get(key).map(|text: &String| clip(text, WORD));
        let words = Words { remove: word(names::REMOVE_COPIES), end: word(names::END_REMOVAL) };
        Some(Self { id, uid, ledger, words })
    }
}
