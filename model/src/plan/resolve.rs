//! From a request to volumes: whether it may be done, from which restore point, into which PVC.

use k8s_openapi::jiff::Timestamp;

use super::copy;
use super::restore::{Asker, Lender, Origin, Promote};
use super::source::{from_our_snapshot, verdict};
use crate::config::{AccessMode, Destination, Store};
use crate::facts::{Claim, ClaimPhase, Job, JobState, Ours, VolumeMode};
use crate::maintain::Task;
use crate::names::{self, Component, SourceId};
use crate::reason::{Problem, Reason};
use crate::restore::{self, From, Place, Request, RestorePoint, When};
use crate::schedule::Zone;
use crate::select::{PromoterShape, Protection, Verdict};
use crate::world::World;

/// What is asked for, and by whom.
pub(super) struct Ask<'a> {
    pub(super) world: &'a World,
    pub(super) asker: &'a Asker,
    pub(super) namespace: &'a str,
    pub(super) request: &'a Request,
    pub(super) now: Timestamp,
}

/// The volumes of a restore.
pub(super) struct Found {
    pub(super) target: SourceId,
    pub(super) mode: VolumeMode,
    pub(super) point: RestorePoint,
    pub(super) origin: Origin,
    pub(super) spc_no_relabeling: bool,
}

/// Why there is no restore yet.
pub(super) enum Obstacle {
    /// There will be none: the request must change.
    Refused(Problem),
    /// Something is awaited.
    Waiting(Problem),
    /// The promoter has to be made again.
    Promote(Box<Promote>),
}

fn refused<T>(reason: Reason, message: impl Into<String>) -> Result<T, Obstacle> {
    Err(Obstacle::Refused(Problem::new(reason, message)))
}

fn waiting<T>(reason: Reason, message: impl Into<String>) -> Result<T, Obstacle> {
    Err(Obstacle::Waiting(Problem::new(reason, message)))
}

impl Ask<'_> {
    pub(super) fn resolve(&self) -> Result<Found, Obstacle> {
        let source_namespace = self.request.namespace.as_deref().unwrap_or(self.namespace);
        self.namespaces(source_namespace)?;
        let target = self.target()?;
        let protection = self.protection(source_namespace);
        let point = self.point(source_namespace, protection.as_ref())?;
        self.modes(target, restore::mode(self.world, source_namespace, &point.uid))?;
        let (claim, folder) = match &point.place {
            Place::Tree { destination } if source_namespace != self.namespace => {
                return self.lent(source_namespace, target, point.clone(), destination);
            }
            Place::Repository { destination, .. } => {
                self.repository(source_namespace, &point, destination)?;
                // Another tenant has no say in how this one's Secret is used.
                let own = protection.filter(|_| source_namespace == self.namespace);
                let secret = own.as_ref().and_then(|p| p.secrets.get(destination).cloned());
                let options = own.map(|p| p.options).unwrap_or_default();
                return Ok(Found {
                    target: target.source(),
                    mode: target.mode,
                    point,
                    origin: Origin::Repository { options: Box::new(options), secret },
                    spc_no_relabeling: false,
                });
            }
            Place::Snapshot { name, promoter } => {
                (self.promoter(&point, name, promoter.as_deref(), target, protection.as_ref())?, None)
            }
            Place::Tree { destination } => {
                let (claim, folder) = self.tree(self.namespace, &point, destination)?;
                (claim, Some(folder))
            }
        };
        if claim.id.uid == target.id.uid {
            return refused(Reason::TargetNotReady, format!("PVC {} would be written from itself", target.id.name));
        }
        if folder.is_none() {
            self.modes(target, Some(claim.mode))?;
        }
        if let Err(message) = copy::common_nodes(self.world, target, claim) {
            return refused(Reason::NodeConflict, message);
        }
        Ok(Found {
            target: target.source(),
            mode: target.mode,
            origin: Origin::Claim { name: claim.id.name.clone(), folder },
            spc_no_relabeling: protection.is_some_and(|p| p.promoter.spc_no_relabeling)
                && matches!(point.place, Place::Snapshot { .. }),
            point,
        })
    }

    /// Whether restores are possible here, and the source's namespace may be read from.
    fn namespaces(&self, source: &str) -> Result<(), Obstacle> {
        let namespace = self.world.namespaces.get("", self.namespace);
        if namespace.is_none_or(|n| n.terminating) {
            return refused(Reason::NamespaceTerminating, "the namespace is being deleted");
        }
        if namespace.and_then(|n| n.enforces.as_deref()) == Some("restricted") {
            let message = "the namespace enforces Pod Security restricted, which refuses a pod that keeps owners";
            return refused(Reason::PodSecurity, message);
        }
        if source == self.namespace {
            return Ok(());
        }
        let granted = self.world.config.restores.grants(source, &self.request.pvc, self.namespace);
        let message = match (self.asker, &self.request.from) {
            (Asker::Deployment(_), _) => "a restore pod has its own namespace's alone; ask by restore-from on a PVC",
            (Asker::Claim(_), _) if !granted => "no grant allows that",
            (Asker::Claim(_), From::Snapshot) => "snapshots cannot be mounted from another namespace, disks can",
            (Asker::Claim(_), _) => return Ok(()),
        };
        let what = format!("restore points of {source}/{} for namespace {}", self.request.pvc, self.namespace);
        refused(Reason::NotGranted, format!("{what}: {message}"))
    }

    /// The PVC that is written.
    fn target(&self) -> Result<&Claim, Obstacle> {
        let name = match self.asker {
            Asker::Claim(id) => &id.name,
            Asker::Deployment(_) => self.request.target.as_ref().unwrap_or(&self.request.pvc),
        };
        let no = |why: &str| refused(Reason::TargetNotReady, format!("PVC {name} cannot be written: {why}"));
        if matches!(self.asker, Asker::Claim(_)) && self.request.target.as_ref().is_some_and(|t| t != name) {
            return no("restore-from on a PVC writes that PVC, and target names another");
        }
        let Some(claim) = self.world.claims.get(self.namespace, name) else {
            return no(&format!(
                "namespace {} has no PVC of that name; create one, or name another as target",
                self.namespace
            ));
        };
        let ours = claim.ours.as_ref().filter(|o| o.instance == self.world.instance);
        let own =
            ours.is_some_and(|o| matches!(o.component, Component::Promoter | Component::Disk | Component::Central));
        let promoter = from_our_snapshot(self.world, claim) && claim.from_snapshot.as_ref() == Some(&claim.id.name);
        if own || promoter {
            return no("it is a restore point or a BackupDisk itself");
        }
        if claim.terminating {
            return no("it is being deleted");
        }
        match claim.phase {
            ClaimPhase::Lost => no("its volume is gone"),
            ClaimPhase::Pending if !self.binds_on_use(claim) => {
                waiting(Reason::TargetNotReady, format!("PVC {name} is not bound yet"))
            }
            _ => Ok(claim),
        }
    }

    /// Whether the restore point fits the PVC that is written, where that is known; else the program in the pod says it,
    /// before it writes.
    fn modes(&self, target: &Claim, point: Option<VolumeMode>) -> Result<(), Obstacle> {
        let paths = self.request.path.is_some();
        match restore::misfit(&self.request.pvc, point, &target.id.name, Some(target.mode), paths) {
            Some(problem) => Err(Obstacle::Refused(problem)),
            None => Ok(()),
        }
    }

    fn binds_on_use(&self, claim: &Claim) -> bool {
        let class = claim.class.as_ref().and_then(|c| self.world.classes.storage.get(c));
        class.is_some_and(|c| c.waits_for_consumer)
    }

    fn protection(&self, namespace: &str) -> Option<Protection> {
        let live = self.world.claims.get(namespace, &self.request.pvc)?;
        match verdict(self.world, live) {
            Verdict::Protected(protection, _) => Some(*protection),
            Verdict::Unprotected(..) => None,
        }
    }

    fn point(&self, namespace: &str, protection: Option<&Protection>) -> Result<RestorePoint, Obstacle> {
        let (world, request) = (self.world, self.request);
        let live = world.claims.get(namespace, &request.pvc).map(|c| c.id.uid.as_str());
        let zone: &Zone = protection.map_or(&world.config.defaults.time_zone, |p| &p.zone);
        let mut points = restore::points(world, namespace, &request.pvc);
        // A snapshot is mounted in its own namespace alone.
        points.retain(|p| namespace == self.namespace || !matches!(p.place, Place::Snapshot { .. }));
        let point = match restore::choose(&points, request, live, zone) {
            Ok(point) => point.clone(),
            Err(problem) => self.untold(live).ok_or(Obstacle::Refused(problem))?,
        };
        let earlier = Some(point.uid.as_str()) != live && !matches!(point.place, Place::Snapshot { .. });
        let granted = world.config.restores.grants(namespace, &request.pvc, self.namespace);
        // In his own namespace a tenant can mount the disk himself, and has the Secret. What we do in his place goes by the grant.
        if earlier && matches!(self.asker, Asker::Claim(_)) && !granted {
            let message = format!("the copies of an earlier PVC {} (UID {}) need a grant", request.pvc, point.uid);
            return refused(Reason::NotGranted, message);
        }
        Ok(point)
    }

    /// A copy that no record tells of any more, if the request says exactly which one it is.
    fn untold(&self, live: Option<&str>) -> Option<RestorePoint> {
        let When::Run(run) = &self.request.when else { return None };
        let fits = |destination: &&Destination| match &self.request.from {
            From::Disk(name) => destination.restic().is_none() && name.as_ref().is_none_or(|n| *n == destination.name),
            From::Restic(name) => {
                destination.restic().is_some() && name.as_ref().is_none_or(|n| *n == destination.name)
            }
            From::Destination(name) => *name == destination.name,
            From::Any | From::Snapshot => false,
        };
        let mut meant = self.world.config.destinations.iter().filter(fits);
        let (Some(meant), None) = (meant.next(), meant.next()) else { return None };
        let destination = meant.name.clone();
        let place = match meant.store {
            Store::Restic(_) => Place::Repository { destination, snapshot: None },
            Store::Claim(_) | Store::HostPath(_) => Place::Tree { destination },
        };
        let uid = self.request.uid.as_deref().or(live)?.to_owned();
        Some(RestorePoint { uid, run: run.clone(), place })
    }

    /// The PVC of a snapshot.
    fn promoter(
        &self,
        point: &RestorePoint,
        snapshot: &str,
        promoter: Option<&str>,
        target: &Claim,
        protection: Option<&Protection>,
    ) -> Result<&Claim, Obstacle> {
        let Some(claim) = promoter.and_then(|name| self.world.claims.get(self.namespace, name)) else {
            return self.promote(point, snapshot, target, protection);
        };
        match claim.phase {
            ClaimPhase::Lost => refused(Reason::PromoterLost, format!("the promoter {snapshot} lost its volume")),
            ClaimPhase::Pending if !self.binds_on_use(claim) => {
                let since = self.now.duration_since(claim.created).as_secs();
                waiting(
                    Reason::WaitingForPromoter,
                    match since {
                        ..60 => format!("PVC {snapshot} is not bound yet"),
                        _ => format!("PVC {snapshot} does not bind: look at its events"),
                    },
                )
            }
            _ => Ok(claim),
        }
    }

    fn promote(
        &self,
        point: &RestorePoint,
        snapshot: &str,
        target: &Claim,
        protection: Option<&Protection>,
    ) -> Result<&Claim, Obstacle> {
        if self.world.claims.get(self.namespace, snapshot).is_some() {
            let message =
                format!("PVC {snapshot} is there and is not made from the snapshot of that name, or is going");
            return waiting(Reason::NameTaken, message);
        }
        let Some(fact) = self.world.snapshots.get(self.namespace, snapshot) else {
            return refused(Reason::NoRestorePoint, format!("VolumeSnapshot {snapshot} is gone"));
        };
        let shape = protection.map(|p| p.promoter.clone()).or_else(|| self.shape_like(target));
        let Some(shape) = shape else {
            let message = format!("nothing says of which StorageClass a PVC of {snapshot} has to be: make it by hand");
            return refused(Reason::WrongStorageClass, message);
        };
        let live = self.world.claims.get(self.namespace, &self.request.pvc);
        let source =
            SourceId { namespace: self.namespace.to_owned(), name: self.request.pvc.clone(), uid: point.uid.clone() };
        Err(Obstacle::Promote(Box::new(Promote {
            drill: None,
            asker: Some(self.asker.uid().to_owned()),
            source,
            run: point.run.clone(),
            snapshot: snapshot.to_owned(),
            bytes: fact.restore_size.max(live.map_or(0, |c| c.capacity)),
            storage_class: shape.storage_class,
            read_only: shape.read_only,
            mode: fact.mode,
            annotations: shape.annotations,
        })))
    }

    /// Where the source is gone: its promoters were like those of a PVC of the target's class.
    fn shape_like(&self, target: &Claim) -> Option<PromoterShape> {
        match verdict(self.world, target) {
            Verdict::Protected(protection, _) => Some(protection.promoter),
            Verdict::Unprotected(..) => Some(PromoterShape {
                storage_class: target.class.clone()?,
                waits_for_consumer: false,
                read_only: false,
                mode: target.mode,
                spc_no_relabeling: false,
                annotations: std::collections::BTreeMap::new(),
                retention: self.world.config.defaults.promoter_retention,
            }),
        }
    }

    /// Whether a snapshot in a restic repository can be read: by a pod in this namespace, with this namespace's
    /// Secret, while nobody has the repository to himself.
    fn repository(&self, namespace: &str, point: &RestorePoint, destination: &str) -> Result<(), Obstacle> {
        let Some(configured) = self.world.config.destination(destination) else {
            return refused(Reason::UnknownDestination, format!("destination {destination} is not configured"));
        };
        if configured.restic().is_none() {
            let message = format!("destination {destination} is a disk, it has no restic repository");
            return refused(Reason::NoRestorePoint, message);
        }
        if configured.is_central() {
            let message = format!(
                "what lies at {destination} is read with the administrator's Secret, which no pod of namespace {} has",
                self.namespace
            );
            return refused(Reason::NotGranted, message);
        }
        // Copies and other restores share the repository; prune and verify lock everybody else out.
        let alone = |job: &&Job| {
            let ours = job.ours.as_ref().filter(|o| o.component == Component::Maintain && o.source_uid == point.uid);
            let alone = |o: &Ours| {
                o.task != Some(Task::Drill) && o.destination.as_deref() == Some(&names::label_value(destination))
            };
            job.state == JobState::Active && ours.is_some_and(alone)
        };
        match self.world.jobs.within(namespace).find(alone) {
            Some(job) => waiting(Reason::RepositoryLocked, format!("{} has the repository to itself", job.id.name)),
            None => Ok(()),
        }
    }

    /// The disk with a tree, and the tree's folder.
    fn tree(&self, namespace: &str, point: &RestorePoint, destination: &str) -> Result<(&Claim, String), Obstacle> {
        let Some(destination) = self.world.config.destination(destination) else {
            return refused(Reason::UnknownDestination, format!("destination {destination} is not configured"));
        };
        let Some(name) = names::disk_claim(destination) else {
            let message = format!("destination {} is no disk, it has no trees", destination.name);
            return refused(Reason::NoRestorePoint, message);
        };
        let disk = self.world.claims.get(namespace, &name);
        let disk = disk.filter(|c| c.ours.as_ref().is_some_and(|o| o.component == Component::Disk));
        let Some(disk) = disk.filter(|c| !c.terminating && c.phase != ClaimPhase::Lost) else {
            let message = format!("namespace {namespace} has no BackupDisk {name}, or it is being deleted");
            return refused(Reason::DiskNotReady, message);
        };
        if let Some(job) = self.copying(destination, disk, &point.uid) {
            return waiting(Reason::DiskBusy, format!("the copy {job} writes to the disk"));
        }
        let host_disk = matches!(destination.store, Store::HostPath(_));
        let folder = restore::tree_path(host_disk, namespace, &self.request.pvc, &point.uid, &point.run);
        Ok((disk, folder))
    }

    /// The disk of another namespace, through a volume that is made for this restore alone.
    fn lent(&self, namespace: &str, target: &Claim, point: RestorePoint, destination: &str) -> Result<Found, Obstacle> {
        let (disk, folder) = self.tree(namespace, &point, destination)?;
        let Some(configured) = self.world.config.destination(destination) else {
            return refused(Reason::UnknownDestination, format!("destination {destination} is not configured"));
        };
        // Of a host's disk only the trees of the one PVC are lent; a volume is lent whole.
        let folder = match configured.store {
            Store::HostPath(_) => point.run.to_string(),
            Store::Claim(_) if !self.world.config.restores.grants(namespace, "*", self.namespace) => {
                let message = format!(
                    "the disk {destination} of namespace {namespace} is one volume with the trees of all of its PVCs: \
                     the grant has to be from {namespace}/*"
                );
                return refused(Reason::NotGranted, message);
            }
            Store::Claim(_) => folder,
            Store::Restic(_) => {
                return refused(Reason::NoRestorePoint, format!("destination {destination} has no disk to lend"));
            }
        };
        let Some(volume) = disk.volume.clone() else {
            return refused(Reason::DiskNotReady, format!("the disk of namespace {namespace} has no volume"));
        };
        let lender = Lender { namespace: namespace.to_owned(), destination: destination.to_owned(), volume };
        let origin = Origin::Lent { lender, folder };
        Ok(Found { target: target.source(), mode: target.mode, point, origin, spc_no_relabeling: false })
    }

    /// A copy or drill that has to end first: it may be on another node, and a copy prunes.
    fn copying(&self, destination: &Destination, disk: &Claim, uid: &str) -> Option<String> {
        let shared = matches!(&destination.store, Store::Claim(c) if c.access_mode == AccessMode::ReadWriteMany);
        self.world
            .jobs
            .within(&disk.namespace)
            .filter(|j| j.state == JobState::Active && j.mounts.contains(&disk.id.name))
            .filter(|j| {
                let there = |c| matches!(c, Component::Copy | Component::Maintain);
                j.ours.as_ref().is_some_and(|o| there(o.component) && (!shared || o.source_uid == uid))
            })
            .map(|j| j.id.name.clone())
            .next()
    }
}
