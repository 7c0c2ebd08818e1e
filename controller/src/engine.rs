//! The loop: observe, plan, apply, record.
//!
//! Changes come in from watches and from answers to our own requests; each names the sources that it
//! concerns; those are planned anew, and the steps of their plans are taken, a bounded number at a time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::{Arc, PoisonError};

use futures::stream::{FuturesUnordered, StreamExt};
use futures::{FutureExt, future::LocalBoxFuture};
use model::Timestamp;
use model::admit::{self, Admission, Rank, Waiting};
use model::breaker::Breakers;
use model::names::{self, SourceId};
use model::plan::{self, Action, Plan, RestoreAction, Restores, Standing};
use model::reason::{Problem, Reason};
use model::select::Protection;
use model::world::{Change, Seen, World};

use crate::admin::Shown;
use crate::apply::{Refusal, Take};
use crate::metrics::Metrics;
use crate::rendered::Rendered;
use crate::settings::Settings;
use crate::steps::Steps;

/// Steps under way at once: enough to hide latency, few enough for a small API server.
const CONCURRENCY: usize = 16;
/// A refusal that may pass by itself is told when it has happened so often.
const TELL_AFTER: u32 = 3;

/// What is looked at again at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Wake {
    /// A source, by its UID.
    Source(String),
    /// The sweeper's CronJob.
    Sweep,
    /// The copies that wait for a destination that is down.
    Admission,
    /// All restores.
    Restores,
}

/// Something has to be done at the end of this turn.
struct Due(bool);

/// A step that has ended, by its key, and how.
pub(crate) type Ended = (String, Action, Result<Option<Change>, Refusal>);

/// The loop without its clock and its watches: it is told what changed and what time it is.
pub(crate) struct Engine<T> {
    pub(crate) world: World,
    settings: Arc<Settings>,
    rendered: Rendered,
    applier: T,
    shown: Shown,
    steps: Steps,
    dirty: HashSet<String>,
    ready: BTreeMap<String, Vec<(Waiting, Action)>>,
    admission_due: bool,
    /// Whether ledgers changed, which have the copies' results.
    results: Due,
    /// The destinations that were down when admission was last decided.
    down: Breakers,
    wakes: BTreeMap<Timestamp, HashSet<Wake>>,
    queue: VecDeque<(String, Action)>,
    running: FuturesUnordered<LocalBoxFuture<'static, Ended>>,
    /// By source: the step that was refused, which alone can take the refusal back.
    refused: HashMap<String, String>,
    /// By step that is no source's own: the sources that want it.
    shared: HashMap<String, HashSet<String>>,
    sweep_due: bool,
    /// Whether restores have to be planned.
    restores: Due,
    /// The namespaces whose pods have to be watched.
    pub(crate) holders: BTreeSet<String>,
    was_synced: bool,
}

impl<T: Take> Engine<T> {
    pub(crate) fn new(world: World, settings: Settings, applier: T, shown: Shown) -> Self {
        let engine = Self {
            world,
            settings: Arc::new(settings),
            rendered: Rendered::default(),
            applier,
            shown,
            steps: Steps::default(),
            dirty: HashSet::new(),
            ready: BTreeMap::new(),
            admission_due: false,
            results: Due(false),
            down: Breakers::new(),
            wakes: BTreeMap::new(),
            queue: VecDeque::new(),
            running: FuturesUnordered::new(),
            refused: HashMap::new(),
            shared: HashMap::new(),
            sweep_due: true,
            restores: Due(true),
            holders: BTreeSet::new(),
            was_synced: false,
        };
        engine.metrics(|m| m.config(true));
        engine
    }

    /// The next step that ends; waits for ever while none is under way.
    pub(crate) async fn step(&mut self) -> Ended {
        match self.running.next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// How many steps are under way.
    pub(crate) fn under_way(&self) -> usize {
        self.running.len()
    }

    fn metrics(&self, tell: impl FnOnce(&mut Metrics)) {
        tell(&mut self.shown.metrics.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn observe(&mut self, change: Change) {
        if let Change::CronJob(Seen::Gone((_, name), _)) = &change {
            self.sweep_due |= *name == templates::sweep_name(&self.world.instance);
        }
        // Admission compares all sources with each other, so it is not for every change: only for those that may free a slot
        // or change a limit.
        self.admission_due |=
            matches!(change, Change::Job(_) | Change::Content(_) | Change::Pod(_) | Change::Config(_));
        self.results.0 |= matches!(change, Change::Ledger(_));
        let dirty = self.world.apply(change);
        self.dirty.extend(dirty);
        // The change that takes the last restore away ends the watches of pods, which the restores before it needed.
        self.restores.0 |= plan::any_restore(&self.world) || !self.holders.is_empty();
    }

    /// When something has to be looked at again.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.wakes.keys().next().copied()
    }

    /// Looks at what is due again.
    pub(crate) fn wake(&mut self, now: Timestamp) {
        while let Some(entry) = self.wakes.first_entry().filter(|e| *e.key() <= now) {
            for wake in entry.remove() {
                match wake {
                    Wake::Sweep => self.sweep_due = true,
                    Wake::Restores => self.restores.0 = true,
                    Wake::Admission => self.admission_due = true,
                    Wake::Source(uid) => {
                        // A copy that was refused is tried again by admission.
                        self.admission_due |= self.ready.contains_key(&uid);
                        self.dirty.insert(uid);
                    }
                }
            }
        }
    }

    fn wake_at(&mut self, at: Option<Timestamp>, wake: Wake) {
        if let Some(at) = at {
            self.wakes.entry(at).or_default().insert(wake);
        }
    }

    /// Takes settings that were read anew.
    pub(crate) fn reload(&mut self, read: anyhow::Result<Settings>) {
        match read {
            Ok(settings) => {
                tracing::info!("new settings are in force");
                self.observe(Change::Config(settings.config.clone()));
                let per_volume = settings.config.metrics.per_volume;
                self.settings = Arc::new(settings);
                self.rendered = Rendered::default();
                self.sweep_due = true;
                self.metrics(|m| {
                    m.config(true);
                    m.per_volume(per_volume);
                });
            }
            Err(error) => {
                tracing::error!("the new settings are not valid, so the previous ones stay in force: {error:#}");
                self.metrics(|m| m.config(false));
            }
        }
    }

    /// Plans what is due, and starts what may start.
    pub(crate) fn turn(&mut self, now: Timestamp) {
        self.show_sync();
        // Until each kind is listed, an object that is absent may only not be seen yet: a plan would make it again, or delete
        // what depends on it.
        if !self.was_synced {
            return;
        }
        self.world.memory.watching.get_or_insert(now);
        self.world.memory.configured.get_or_insert(now);
        if std::mem::take(&mut self.results.0) {
            self.admission_due |= self.world.down(now) != self.down;
        }
        // What admission says may change what is told about a source, and nothing beyond that.
        while !self.dirty.is_empty() || self.admission_due {
            for uid in std::mem::take(&mut self.dirty) {
                self.plan(&uid, now);
            }
            if std::mem::take(&mut self.admission_due) {
                self.admit(now);
            }
        }
        self.sweep(now);
        self.restore(now);
        self.start();
    }

    /// Plans all restores: they are few, and anything may concern them.
    fn restore(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.restores.0) {
            return;
        }
        let Restores { actions, wake, namespaces, .. } = plan::restores(&self.world, now);
        self.world.await_pods(&namespaces, now);
        self.holders = namespaces;
        self.wake_at(wake, Wake::Restores);
        for action in actions {
            let key = action.key();
            match self.steps.may_start(&key, now) {
                Ok(()) => self.enqueue(key, action),
                Err(again) => self.wake_at(again, Wake::Restores),
            }
        }
    }

    fn show_sync(&mut self) {
        if self.was_synced {
            return;
        }
        let pending = self.world.unsynced();
        self.was_synced = pending.is_empty();
        if self.was_synced {
            self.dirty = self.world.subjects().map(str::to_owned).collect();
            self.admission_due = true;
            let per_volume = self.world.config.metrics.per_volume;
            self.metrics(|m| {
                m.synced(true);
                m.per_volume(per_volume);
            });
            tracing::info!(sources = self.dirty.len(), "all objects of the cluster are listed");
        }
        *self.shown.pending.lock().unwrap_or_else(PoisonError::into_inner) = pending;
    }

    fn plan(&mut self, uid: &str, now: Timestamp) {
        // What follows from a ledger is done when that is written, told and counted: its end makes the source due again.
        if self.steps.is_running(&plan::ledger_key(uid)) {
            return;
        }
        let (settings, rendered) = (&self.settings, &mut self.rendered);
        let mut is_rendered =
            |source: &SourceId, protection: &Protection, mark: &str| rendered.is(settings, source, protection, mark);
        let Plan { actions, ready, wake, standing, .. } = plan::plan(&self.world, uid, now, &mut is_rendered);
        if self.world.claim_of(uid).is_none() {
            self.rendered.forget(uid);
        }
        let source = self.world.source_of(uid);
        let there = self.world.belongings(uid).is_some_and(|b| b.claim.is_some() || !b.snapshots.is_empty());
        let shown =
            there.then_some(&standing).filter(|s| !matches!(s, Standing::Unprotected(r) if *r == Reason::OwnVolume));
        self.metrics(|m| m.standing(uid, source.as_ref(), shown));
        self.wake_at(wake, Wake::Source(uid.to_owned()));
        self.forgive(uid, &actions, &ready);
        for action in actions {
            let key = action.key();
            let may_start = self.steps.may_start(&key, now);
            // A step such as making a disk is wanted by several sources, and done once: its end makes all of them due.
            if action.uid().is_none() && !matches!(may_start, Err(Some(_))) {
                self.shared.entry(key.clone()).or_default().insert(uid.to_owned());
            }
            match may_start {
                Ok(()) => self.enqueue(key, action),
                Err(again) => self.wake_at(again, Wake::Source(uid.to_owned())),
            }
        }
        // Admission takes back only waits of copies that it is asked about.
        if !ready.iter().any(|(waiting, _)| waiting.rank == Rank::Copy) {
            self.world.memory.waits.remove(uid);
        }
        self.admission_due |= if ready.is_empty() {
            self.ready.remove(uid).is_some()
        } else {
            self.ready.insert(uid.to_owned(), ready.clone()).as_ref() != Some(&ready)
        };
    }

    /// A refusal is forgotten when the step is done, or nobody wants it any more.
    fn forgive(&mut self, uid: &str, actions: &[Action], ready: &[(Waiting, Action)]) {
        let Some(key) = self.refused.get(uid) else { return };
        let wanted = actions.iter().chain(ready.iter().map(|(_, start)| start)).any(|a| a.key() == *key);
        if !wanted {
            self.refused.remove(uid);
            self.world.memory.faults.remove(uid);
            self.dirty.insert(uid.to_owned());
        }
    }

    fn enqueue(&mut self, key: String, action: Action) {
        self.steps.start(key.clone());
        self.queue.push_back((key, action));
    }

    /// Lets waiting copies and tasks start as far as the limits allow. Those whose Job is being created count as running.
    fn admit(&mut self, now: Timestamp) {
        let mut running: Vec<_> = plan::running(&self.world, now).collect();
        let mut waiting = Vec::new();
        for (uid, ready) in &self.ready {
            for (wait, start) in ready {
                let key = start.key();
                match self.steps.may_start(&key, now) {
                    Ok(()) => waiting.push((uid.clone(), key, wait.clone(), start.clone())),
                    Err(_) if self.steps.is_running(&key) => running.push(wait.slot.clone()),
                    Err(again) => {
                        if let Some(again) = again {
                            self.wakes.entry(again).or_default().insert(Wake::Source(uid.clone()));
                        }
                    }
                }
            }
        }
        let waits: Vec<Waiting> = waiting.iter().map(|(_, _, w, _)| w.clone()).collect();
        let down = self.world.down(now);
        let answers = admit::admit(&waits, &running, &self.world.config.limits, &down, now);
        let (mut reasons, mut tasks) = (Vec::new(), Vec::new());
        // A source may have a copy that starts and one that waits: the wait is told.
        let mut told: BTreeMap<String, Option<Problem>> = BTreeMap::new();
        for ((uid, key, wait, start), answer) in waiting.into_iter().zip(answers) {
            // That a task comes later is not worth a word on its source: it is counted.
            let told = match wait.rank {
                Rank::Copy => Some(told.entry(uid.clone()).or_default()),
                Rank::Retry | Rank::Task => None,
            };
            match (answer, told) {
                (Admission::Start, _) => {
                    if start.uid().is_none() {
                        self.shared.entry(key.clone()).or_default().insert(uid.clone());
                    }
                    self.enqueue(key, start);
                }
                (Admission::Wait(problem), Some(told)) => {
                    reasons.push(problem.reason);
                    *told = told.take().or(Some(problem));
                }
                (Admission::Wait(problem), None) if wait.rank == Rank::Retry => reasons.push(problem.reason),
                (Admission::Wait(problem), None) => tasks.push(problem.reason),
            }
        }
        // A Job that somebody keeps from going gives its place free when its time is over, and nothing tells that.
        if !(reasons.is_empty() && tasks.is_empty()) {
            self.wake_at(plan::frees(&self.world, &running, now), Wake::Admission);
        }
        for (uid, wait) in told {
            match wait {
                Some(problem) => self.waits_for(uid, problem),
                None => drop(self.world.memory.waits.remove(&uid)),
            }
        }
        self.metrics(|m| m.waiting(&reasons, &tasks));
        self.tell_down(down, now);
    }

    /// Says once that a destination is down, and once that it works again.
    fn tell_down(&mut self, down: Breakers, now: Timestamp) {
        for (key, open) in down.iter().filter(|(key, _)| !self.down.contains_key(*key)) {
            let (reason, since) = (open.reason.as_str(), open.since);
            tracing::warn!(destination = key, reason, %since, "the destination is down: one copy at a time probes it");
        }
        for key in self.down.keys().filter(|key| !down.contains_key(*key)) {
            tracing::info!(destination = key, "the destination works again");
        }
        if let Some(next) = down.values().map(|open| open.next).filter(|next| *next > now).min() {
            self.wake_at(Some(next), Wake::Admission);
        }
        self.metrics(|m| m.down(&down));
        self.down = down;
    }

    fn waits_for(&mut self, uid: String, problem: Problem) {
        let changed = self.world.memory.waits.get(&uid).is_none_or(|old| old.reason != problem.reason);
        if changed {
            self.dirty.insert(uid.clone());
            self.world.memory.waits.insert(uid, problem);
        }
    }

    /// The sweeper's CronJob is written at the start and when settings change, if it differs.
    fn sweep(&mut self, now: Timestamp) {
        if !std::mem::take(&mut self.sweep_due) {
            return;
        }
        let there = self.world.cronjobs.get("", &templates::sweep_name(&self.world.instance));
        let action = Action::ApplySweep { applied: there.and_then(|c| c.applied.clone()) };
        let key = action.key();
        match self.steps.may_start(&key, now) {
            Ok(()) => self.enqueue(key, action),
            Err(again) => self.wake_at(again, Wake::Sweep),
        }
    }

    fn start(&mut self) {
        while self.running.len() < CONCURRENCY {
            let Some((key, action)) = self.queue.pop_front() else { return };
            let (applier, settings) = (self.applier.clone(), self.settings.clone());
            self.running.push(
                async move {
                    let result = applier.take(&action, &settings).await;
                    (key, action, result)
                }
                .boxed_local(),
            );
        }
    }

    /// Takes the end of a step in.
    pub(crate) fn ended(&mut self, (key, action, result): Ended, now: Timestamp) {
        // Whom it concerns: its source, or all that wanted it.
        let mut uids = self.shared.remove(&key).unwrap_or_default();
        uids.extend(action.uid().map(str::to_owned));
        self.admission_due |= matches!(action, Action::StartCopy(_) | Action::MakeCentral(_) | Action::StartTask(_));
        let restore = if let Action::Restore(step) = &action { Some(step) } else { None };
        self.restores.0 |= restore.is_some();
        let asker = restore.and_then(RestoreAction::asker);
        if let (Ok(_), Some(asker)) = (&result, asker) {
            self.world.memory.restore_faults.remove(asker);
        }
        if let (Ok(_), Action::ShowStatus { source, .. }) = (&result, &action) {
            self.world.memory.not_shown.remove(&source.uid);
        }
        match result {
            Ok(change) => {
                // What wrote the object that it is planned from shows at once; the rest needs a watch.
                match action.content() {
                    Some(content) => self.steps.wrote(&key, content, now),
                    None => self.steps.done(&key, change.is_none(), now),
                }
                self.metrics(|m| m.step(action.name(), None));
                if let Action::WriteLedger(write) = &action {
                    self.metrics(|m| {
                        write.results.iter().for_each(|(destination, result)| m.copy(destination, result));
                        write.tasks.iter().for_each(|task| m.task(task));
                    });
                }
                if let Some(change) = change {
                    self.observe(change);
                }
            }
            Err(refusal) => {
                if self.refuse(&key, &action, &uids, &refusal, now)
                    && let Some(asker) = asker
                {
                    self.world.memory.restore_faults.insert(asker.to_owned(), refusal.problem());
                }
            }
        }
        self.dirty.extend(uids);
        // Each source of the namespace waits for its disk.
        if let Action::MakeDisk { namespace, .. } = &action {
            self.dirty.extend(self.world.sources_in(namespace));
        }
    }

    /// Says whether it is worth telling.
    fn refuse(
        &mut self,
        key: &str,
        action: &Action,
        uids: &HashSet<String>,
        refusal: &Refusal,
        now: Timestamp,
    ) -> bool {
        let problem = refusal.problem();
        let tries = self.steps.refused(key, now);
        self.metrics(|m| m.step(action.name(), Some(problem.reason)));
        if refusal.is_overtaken() {
            tracing::debug!(
                step = key,
                reason = problem.reason.as_str(),
                "the object has changed meanwhile: {}",
                problem.message
            );
        } else {
            tracing::warn!(step = key, tries, reason = problem.reason.as_str(), "{}", problem.message);
        }
        // It is of no source that would be planned again.
        if matches!(action, Action::ApplySweep { .. }) {
            self.wake_at(Some(now), Wake::Sweep);
        }
        let worth_telling = !refusal.is_overtaken() && (!refusal.is_transient() || tries >= TELL_AFTER);
        // A13: it is told where it can be written: in the ledger and in an Event.
        if let (true, Action::ShowStatus { source, .. }) = (worth_telling, action) {
            let message = format!("the annotation {} of the PVC cannot be written: {}", names::STATUS, problem.message);
            let told = Problem::new(Reason::StatusNotShown, message);
            self.world.memory.not_shown.entry(source.uid.clone()).or_insert(told);
            return true;
        }
        for uid in uids.iter().filter(|_| worth_telling) {
            if self.world.belongings(uid).is_some() {
                self.refused.insert(uid.clone(), key.to_owned());
                self.world.memory.faults.insert(uid.clone(), problem.clone());
            }
        }
        worth_telling
    }
}

#[cfg(test)]
mod tests;
