//! Making a run's snapshot and promoter, each exactly once.
//!
//! Both are created with strict validation. A name that is taken is looked at: what has it is this run's
//! (a try before this one made it), another run's (the next name is tried), or a stranger's, which is
//! never adopted.

use api::Created;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use model::facts::{Claim, Ours, Snapshot};
use model::names::{Component, Run, SourceId, restore_points};
use model::quantity;
use model::reason::{Problem, Reason};
use model::snapshot::VolumeSnapshot;
use templates::{Promoter, RunSnapshot, Templates};

use super::args::Args;
use super::observe::{Existing, run_of};
use super::server::Server;
use super::stop::Stop;

/// A run that makes its objects.
pub(super) struct Maker<'a> {
    pub(super) server: &'a Server,
    pub(super) args: &'a Args,
    pub(super) source: &'a SourceId,
    pub(super) run: &'a Run,
    pub(super) templates: &'a Templates,
    pub(super) existing: &'a Existing,
}

/// Whose an object is that has the name that ours needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// This run's.
    This,
    /// Another run's, or this run's that is being deleted.
    Another,
    /// Nobody's that we know.
    Stranger,
}

impl Maker<'_> {
    /// The snapshot that a try before this one made, if there is one.
    pub(super) async fn adopt(&self) -> Result<Option<VolumeSnapshot>, Stop> {
        let name = self.existing.snapshots.iter().find(|s| self.snapshot_is(s) == Whose::This).map(|s| &s.id.name);
        let Some(name) = name else { return Ok(None) };
        let found = self.server.get::<VolumeSnapshot>(Some(&self.source.namespace), name).await?;
        let found = found.filter(|s| self.snapshot_is(&Snapshot::from(s)) == Whose::This);
        if found.is_some() {
            tracing::info!("the VolumeSnapshot {name} of this run already exists");
        }
        Ok(found)
    }

    pub(super) async fn snapshot(&self, source: &Claim) -> Result<VolumeSnapshot, Stop> {
        for name in restore_points(&self.source.name, self.run, &self.args.limits.time_zone) {
            if self.has(&name) {
                continue;
            }
            let object = self
                .templates
                .volume_snapshot(&RunSnapshot {
                    instance: &self.args.instance,
                    source: self.source,
                    run: self.run,
                    name: &name,
                    class: &self.args.snapshot_class,
                    mode: source.mode,
                })
                .map_err(|error| Stop::Final(error.into()))?;
            let found = match self.server.create::<VolumeSnapshot>(&object).await? {
                Created::New(made) => {
                    tracing::info!("created the VolumeSnapshot {name} of run {}", self.run);
                    return Ok(made);
                }
                Created::There(found) => found,
            };
            match self.snapshot_is(&Snapshot::from(&found)) {
                Whose::This => {
                    tracing::info!("the VolumeSnapshot {name} of this run already exists");
                    return Ok(found);
                }
                Whose::Another => {
                    tracing::info!("the VolumeSnapshot {name} belongs to another run: trying the next name");
                }
                Whose::Stranger => return Err(taken("VolumeSnapshot", &name, &self.source.namespace)),
            }
        }
        let message = format!(
            "cannot name the VolumeSnapshot of run {} of PVC {}: other runs have taken every possible name",
            self.run, self.source
        );
        Err(Stop::Final(Problem::new(Reason::NameTaken, message)))
    }

    /// Whether another run's object is known to have that name; a stranger's is not known.
    fn has(&self, name: &str) -> bool {
        let snapshots = self.existing.snapshots.iter().map(|s| (&s.id.name, s.ours.as_ref()));
        let promoters = self.existing.promoters.iter().map(|p| (&p.id.name, p.ours.as_ref()));
        snapshots.chain(promoters).any(|(taken, ours)| taken == name && run_of(ours) != Some(self.run))
    }

    /// Makes the PVC from the snapshot, or finds it made. It is not waited for: its class may bind it only
    /// when a pod needs it (F20), and the controller watches it.
    pub(super) async fn promoter(&self, snapshot: &Snapshot, source: &Claim) -> Result<Claim, Stop> {
        let name = &snapshot.id.name;
        let known = self.existing.promoters.iter().find(|p| p.id.name == *name);
        if let Some(known) = known.filter(|p| self.promoter_is(p, name) == Whose::This) {
            tracing::info!("the promoter {name} already exists");
            return Ok(known.clone());
        }
        let spec = self.args.shape(source.mode).sized(size(snapshot, source));
        let object = self
            .templates
            .promoter(&Promoter {
                instance: &self.args.instance,
                source: self.source,
                run: self.run,
                snapshot: name,
                spec: &spec,
            })
            .map_err(|error| Stop::Final(error.into()))?;
        let found = match self.server.create::<PersistentVolumeClaim>(&object).await? {
            Created::New(made) => {
                tracing::info!("created the promoter {name} with {}", quantity::human(spec.bytes));
                return Ok(Claim::from(&made));
            }
            Created::There(found) => Claim::from(&found),
        };
        match self.promoter_is(&found, name) {
            Whose::This => Ok(found),
            // It cannot have another name than its snapshot has.
            Whose::Another | Whose::Stranger => Err(taken("PVC", name, &self.source.namespace)),
        }
    }

    fn is_ours(&self, ours: Option<&Ours>, component: Component) -> Whose {
        match ours {
            Some(o) if o.instance != self.args.instance || o.component != component => Whose::Stranger,
            Some(o) if o.source_uid == self.source.uid && o.run.as_ref() == Some(self.run) => Whose::This,
            Some(_) => Whose::Another,
            None => Whose::Stranger,
        }
    }

    fn snapshot_is(&self, snapshot: &Snapshot) -> Whose {
        match self.is_ours(snapshot.ours.as_ref(), Component::Snapshot) {
            // Labels can be forged; what it was made from cannot.
            Whose::This if snapshot.claim.as_ref() != Some(&self.source.name) => Whose::Stranger,
            Whose::This if snapshot.terminating => Whose::Another,
            whose => whose,
        }
    }

    fn promoter_is(&self, promoter: &Claim, snapshot: &str) -> Whose {
        match self.is_ours(promoter.ours.as_ref(), Component::Promoter) {
            Whose::This if promoter.from_snapshot.as_deref() != Some(snapshot) => Whose::Stranger,
            Whose::This if promoter.terminating => Whose::Another,
            whose => whose,
        }
    }
}

/// What the snapshot needs, which a driver may not say (F06), and no less than the source has, which may
/// have grown since (F07).
fn size(snapshot: &Snapshot, source: &Claim) -> u64 {
    snapshot.restore_size.max(source.capacity)
}

fn taken(kind: &str, name: &str, namespace: &str) -> Stop {
    let message = format!("cannot create the {kind} {name} in namespace {namespace}: another {kind} has this name");
    Stop::Final(Problem::new(Reason::NameTaken, message))
}
