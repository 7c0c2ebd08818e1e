//! From a request to volumes: whether it may be done, from which restore point, into which PVC.

use k8s_openapi::jiff::Timestamp;

use super::obstacle::{Obstacle, refused, waiting};
use crate::alias;
use crate::config::{Destination, Disk, Format, Transfer};
use crate::facts::{Claim, ClaimPhase, Job, JobState, Journal, Ours, VolumeMode};
use crate::ledger::{Ledger, Whose};
use crate::maintain::Task;
use crate::names::{self, Component, SourceId};
use crate::plan::access::{self, AsRoot, as_root};
use crate::plan::action::{Asker, GrantedDisk, Origin, Promote};
use crate::plan::placement::{binds_on_use, common_nodes};
use crate::plan::subject::{from_our_snapshot, recorded, verdict};
use crate::promoter::PromoterShape;
use crate::reason::{Problem, Reason};
use crate::restore::{self, From, Place, Request, RestorePoint, When};
use crate::schedule::Zone;
use crate::select::{Protection, Verdict};
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

impl Ask<'_> {
    pub(super) fn resolve(&self) -> Result<Found, Obstacle> {
        let source_namespace = self.request.namespace.as_deref().unwrap_or(self.namespace);
        self.namespaces(source_namespace)?;
        let target = self.target()?;
        let protection = self.protection(source_namespace);
        let point = self.point(source_namespace, protection.as_ref())?;
        if self.request.delete {
            point.may_delete().map_err(Obstacle::Refused)?;
        }
        self.modes(target, restore::mode(self.world, source_namespace, &point.uid))?;
        // With an alias volume the pod is in the controller's namespace, which is checked where the volume is.
        if !self.needs_alias(source_namespace, &point) {
            self.pods_in(self.namespace)?;
        }
        let (claim, folder) = match &point.place {
            Place::Tree { destination } if source_namespace != self.namespace => {
                return self.granted(source_namespace, target, point.clone(), destination);
            }
            Place::Repository { destination, .. } => {
                let origin = self.repository(source_namespace, &point, destination, target, protection)?;
                let (target, mode) = (target.source(), target.mode);
                return Ok(Found { target, mode, point, origin, spc_no_relabeling: false });
            }
            Place::Snapshot { name, promoter } => {
                (self.promoter(&point, name, promoter.as_deref(), target, protection.as_ref())?, None)
            }
            Place::Tree { destination } => {
                let (claim, folder) = self.tree(self.namespace, &point, destination)?;
                (claim, Some(folder))
            }
        };
        // A promoter can be named as target: it would be written over while it is read.
        if claim.id.uid == target.id.uid {
            return refused(
                Reason::TargetNotReady,
                format!("PVC {} is both the restore point and the target", target.id.name),
            );
        }
        // A snapshot whose source no ledger tells of: the promoter shows the mode. A disk's mode is not its trees'.
        if folder.is_none() {
            self.modes(target, Some(claim.mode))?;
        }
        self.together(target, claim)?;
        Ok(Found {
            target: target.source(),
            mode: target.mode,
            origin: Origin::Claim { name: claim.id.name.clone(), folder },
            spc_no_relabeling: protection.is_some_and(|p| p.promoter.spc_no_relabeling)
                && matches!(point.place, Place::Snapshot { .. }),
            point,
        })
    }

    /// Whether a node can have both.
    fn together(&self, target: &Claim, claim: &Claim) -> Result<(), Obstacle> {
        common_nodes(self.world, target, claim).map(drop).map_err(Obstacle::Refused)
    }

    /// Whether restores are possible here, and the source's namespace may be read from.
    fn namespaces(&self, source: &str) -> Result<(), Obstacle> {
        let namespace = self.world.namespaces.get("", self.namespace);
        if namespace.is_none_or(|n| n.terminating) {
            return refused(Reason::NamespaceTerminating, "the namespace is being deleted");
        }
        if source == self.namespace {
            return Ok(());
        }
        let granted = self.grants(source, &self.request.pvc);
        let message = match (self.asker, &self.request.from) {
            (Asker::Deployment(_), _) => {
                "a restore pod reads only restore points of its own namespace; annotate the target PVC with restore-from"
            }
            (Asker::Claim(_), _) if !granted => "no grant allows it",
            (Asker::Claim(_), From::Snapshot) => "a snapshot cannot be mounted from another namespace; choose a disk",
            (Asker::Claim(_), _) => return Ok(()),
        };
        let what = format!("namespace {} cannot read restore points of {source}/{}", self.namespace, self.request.pvc);
        refused(Reason::NotGranted, format!("{what}: {message}"))
    }

    /// Whether a pod that keeps owners may run in a namespace.
    fn pods_in(&self, namespace: &str) -> Result<(), Obstacle> {
        let Some(namespace) = self.world.namespaces.get("", namespace) else { return Ok(()) };
        as_root(namespace, AsRoot::Restore).map_err(Obstacle::Refused)
    }

    /// The PVC that is written.
    fn target(&self) -> Result<&Claim, Obstacle> {
        let name = match self.asker {
            Asker::Claim(id) => &id.name,
            Asker::Deployment(_) => self.request.target.as_ref().unwrap_or(&self.request.pvc),
        };
        let no = |why: &str| refused(Reason::TargetNotReady, format!("PVC {name} cannot be written: {why}"));
        if matches!(self.asker, Asker::Claim(_)) && self.request.target.as_ref().is_some_and(|t| t != name) {
            return no("restore-from on a PVC restores into that PVC; remove target, which names another");
        }
        let Some(claim) = self.world.claims.get(self.namespace, name) else {
            return no(&format!(
                "namespace {} has no PVC of that name; create it, or name another with target",
                self.namespace
            ));
        };
        let ours = claim.ours.as_ref().filter(|o| o.instance == self.world.instance);
        let own = ours.is_some_and(|o| {
            matches!(
                o.component,
                Component::Promoter | Component::Disk | Component::Central | Component::Grant | Component::Target
            )
        });
        let promoter = from_our_snapshot(self.world, claim) && claim.from_snapshot.as_ref() == Some(&claim.id.name);
        if own || promoter {
            return no("it is a restore point or a BackupDisk");
        }
        if claim.terminating {
            return no("it is being deleted");
        }
        match claim.phase {
            ClaimPhase::Lost => no("its volume is gone"),
            ClaimPhase::Pending if !binds_on_use(self.world, claim) => {
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
            Ok(point) => point,
            Err(problem) => self.untold(namespace, live, problem).map_err(Obstacle::Refused)?,
        };
        let earlier = Some(point.uid.as_str()) != live && !matches!(point.place, Place::Snapshot { .. });
        let granted = self.grants(namespace, &request.pvc);
        // In his own namespace a tenant can mount the disk himself, and has the Secret. What we do in his place goes by the grant.
        if earlier && matches!(self.asker, Asker::Claim(_)) && !granted {
            let message = format!(
                "copies of the earlier PVC {} (UID {}) can be restored only with a grant",
                request.pvc, point.uid
            );
            return refused(Reason::NotGranted, message);
        }
        Ok(point)
    }

    /// A copy that no record tells of any more, if the request says exactly which one it is.
    ///
    /// S1, S5: only in the request's own namespace, and with a UID that no ledger knows of another PVC. Elsewhere the
    /// request's words alone would say whose data it is. What a repository has under a UID that nobody knows, is
    /// compared with the namespace and the PVC by the restore itself.
    fn untold(&self, namespace: &str, live: Option<&str>, problem: Problem) -> Result<RestorePoint, Problem> {
        match (self.unrecorded(namespace, live), &self.request.when) {
            // Nothing is known of it. In a repository its tag says whether it is incomplete.
            (Some((uid, place)), When::Run(run)) => {
                Ok(RestorePoint { uid, run: run.clone(), place, incomplete: false, finding: None, passed_over: None })
            }
            (Some((uid, place)), When::Latest | When::Local(_) | When::Snapshot(_)) if self.request.uid.is_some() => {
                let next = match place {
                    Place::Repository { .. } => {
                        ". If there is no such run, the restore names the newest that are there"
                    }
                    Place::Snapshot { .. } | Place::Tree { .. } => ": that is the name of its folder on the disk",
                };
                let message = format!(
                    "{}. Copies of UID {uid} may be there that no record tells of: give the whole run, for example \
                     20181202T0317Z{next}",
                    problem.message
                );
                Err(Problem::new(problem.reason, message))
            }
            _ => Err(problem),
        }
    }

    /// Of which UID copies may be at the one destination that is meant, and no record tells of them.
    fn unrecorded(&self, namespace: &str, live: Option<&str>) -> Option<(String, Place)> {
        if namespace != self.namespace {
            return None;
        }
        let mut meant = self.world.config.destinations.iter().filter(|d| d.is_meant_by(&self.request.from));
        let (Some(meant), None) = (meant.next(), meant.next()) else { return None };
        let destination = meant.name.clone();
        let place = match meant.format() {
            Format::Repository(_) => Place::Repository { destination, snapshot: None },
            Format::Trees(_) => Place::Tree { destination },
        };
        let uid = self.request.uid.as_deref().or(live)?.to_owned();
        let its = |whose: &Whose| whose.namespace == namespace && whose.name == self.request.pvc;
        let ledger = self.world.ledger(&uid);
        let given_up = |ledger: &Ledger| ledger.is_given_up(&meant.name);
        if ledger.is_some_and(|ledger| !its(&ledger.source) || given_up(ledger)) {
            return None;
        }
        Some((uid, place))
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
            ClaimPhase::Pending if !binds_on_use(self.world, claim) => {
                let since = self.now.duration_since(claim.created).as_secs();
                waiting(
                    Reason::WaitingForPromoter,
                    match since {
                        ..60 => format!("PVC {snapshot} is not bound yet"),
                        _ => format!("PVC {snapshot} is still not bound: kubectl describe pvc {snapshot}"),
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
                format!("PVC {snapshot} exists but was not made from the snapshot of that name, or is being deleted");
            return waiting(Reason::NameTaken, message);
        }
        let Some(fact) = self.world.snapshots.get(self.namespace, snapshot) else {
            return refused(Reason::NoRestorePoint, format!("VolumeSnapshot {snapshot} is gone"));
        };
        let shape = protection.map(|p| p.promoter.shape.clone()).or_else(|| self.shape_like(target));
        let Some(shape) = shape else {
            let message =
                format!("the StorageClass for a PVC of snapshot {snapshot} is unknown; create that PVC yourself");
            return refused(Reason::WrongStorageClass, message);
        };
        let live = self.world.claims.get(self.namespace, &self.request.pvc);
        let source = self.source(self.namespace, point);
        let bytes = fact.restore_size.max(live.map_or(0, |c| c.capacity));
        Err(Obstacle::Promote(Box::new(Promote {
            drill: None,
            asker: Some(self.asker.uid().to_owned()),
            source,
            run: point.run.clone(),
            snapshot: snapshot.to_owned(),
            spec: PromoterShape { mode: fact.mode, ..shape }.sized(bytes),
        })))
    }

    /// Where the source is gone: its promoters were like those of a PVC of the target's class.
    fn shape_like(&self, target: &Claim) -> Option<PromoterShape> {
        match verdict(self.world, target) {
            Verdict::Protected(protection, _) => Some(protection.promoter.shape),
            Verdict::Unprotected(..) => Some(PromoterShape {
                storage_class: target.class.clone()?,
                read_only: false,
                mode: target.mode,
                journal: Journal::Replayed,
                annotations: std::collections::BTreeMap::new(),
            }),
        }
    }

    /// Whether the restore runs in the controller's namespace, with the target lent to it.
    fn needs_alias(&self, source: &str, point: &RestorePoint) -> bool {
        let configured = point.destination().and_then(|name| self.world.config.destination(name));
        let at_home = configured.is_some_and(|destination| match &point.place {
            Place::Repository { .. } => destination.is_central(),
            Place::Tree { .. } => source != self.namespace && destination.host_path().is_some(),
            Place::Snapshot { .. } => false,
        });
        at_home && self.namespace != self.world.namespace
    }

    /// Whose disk the repository lies on, if that is another namespace's.
    fn behind(
        &self,
        namespace: &str,
        point: &RestorePoint,
        configured: &Destination,
        target: &Claim,
    ) -> Result<Option<GrantedDisk>, Obstacle> {
        let Some(disk) = configured.disk() else { return Ok(None) };
        let disk = self.disk(namespace, configured, disk, &point.uid)?;
        if namespace == self.namespace {
            return self.together(target, disk).map(|()| None);
        }
        self.granted_disk(namespace, &configured.name, disk).map(Some)
    }

    /// How a snapshot in a restic repository is read, while nobody has the repository to himself: by a pod in this
    /// namespace with this namespace's Secret, or by one in the controller's.
    fn repository(
        &self,
        namespace: &str,
        point: &RestorePoint,
        destination: &str,
        target: &Claim,
        protection: Option<Protection>,
    ) -> Result<Origin, Obstacle> {
        let Some(configured) = self.world.config.destination(destination) else {
            return refused(Reason::UnknownDestination, format!("destination {destination} is not configured"));
        };
        match configured.format() {
            Format::Repository(_) => {}
            Format::Trees(_) => {
                let message = format!("destination {destination} is a disk, not a restic repository");
                return refused(Reason::NoRestorePoint, message);
            }
        }
        let volume =
            if self.needs_alias(namespace, point) { Some(self.volume_for_alias(target, destination)?) } else { None };
        let source = self.source(namespace, point);
        let secret = access::restore_secret(self.world, protection.as_ref(), &source, self.namespace, configured);
        let secret = secret.map_err(Obstacle::Refused)?;
        self.alone(if configured.is_central() { &self.world.namespace } else { namespace }, point, destination)?;
        let own = protection.filter(|_| namespace == self.namespace);
        let options = Box::new(own.map(|p| p.options).unwrap_or_default());
        Ok(match volume {
            None => {
                let granted = self.behind(namespace, point, configured, target)?;
                Origin::Repository { options, secret, granted }
            }
            Some(volume) => Origin::Central { options, secret, volume },
        })
    }

    /// The volume of a target that can be lent to the controller's namespace.
    fn volume_for_alias(&self, target: &Claim, destination: &str) -> Result<String, Obstacle> {
        let name = &target.id.name;
        if matches!(self.asker, Asker::Deployment(_)) {
            let message = format!(
                "copies at {destination} are read with the administrator's Secret, by a pod in the controller's \
                 namespace; annotate PVC {name} with restore-from instead"
            );
            return refused(Reason::AskByAnnotation, message);
        }
        self.pods_in(&self.world.namespace)?;
        let Some(volume) = target.volume.as_ref().filter(|_| target.phase == ClaimPhase::Bound) else {
            let message = format!(
                "PVC {name} gets its volume when a pod first mounts it, and the restore needs that volume; start a pod \
                 that mounts it, and stop it again"
            );
            return waiting(Reason::TargetNotReady, message);
        };
        let fact = self.world.volumes.get("", volume);
        let Some(fact) = fact.filter(|v| v.claim_uid.as_ref() == Some(&target.id.uid)) else {
            return waiting(Reason::TargetNotReady, format!("PersistentVolume {volume} is not bound to PVC {name}"));
        };
        if fact.driver.is_none() {
            let message =
                format!("PVC {name} cannot have an alias volume: its PersistentVolume {volume} {}", alias::NOT_CSI);
            return refused(Reason::TargetNotReady, message);
        }
        Ok(volume.clone())
    }

    /// Copies and other restores share the repository; prune and verify, in the namespace, lock everybody else out.
    fn alone(&self, namespace: &str, point: &RestorePoint, destination: &str) -> Result<(), Obstacle> {
        let alone = |job: &&Job| {
            let ours = job.ours.as_ref().filter(|o| o.component == Component::Maintain && o.source_uid == point.uid);
            let alone = |o: &Ours| {
                o.task != Some(Task::Drill) && o.destination.as_deref() == Some(&names::label_value(destination))
            };
            job.state == JobState::Active && ours.is_some_and(alone)
        };
        if let Some(job) = self.world.jobs.within(namespace).find(alone) {
            return waiting(Reason::RepositoryLocked, format!("Job {} has locked the repository", job.id.name));
        }
        Ok(())
    }

    /// Whose restore point it is.
    fn source(&self, namespace: &str, point: &RestorePoint) -> SourceId {
        SourceId { namespace: namespace.to_owned(), name: self.request.pvc.clone(), uid: point.uid.clone() }
    }

    /// The disk with a tree, and the tree's folder.
    fn tree(&self, namespace: &str, point: &RestorePoint, destination: &str) -> Result<(&Claim, String), Obstacle> {
        let Some(destination) = self.world.config.destination(destination) else {
            return refused(Reason::UnknownDestination, format!("destination {destination} is not configured"));
        };
        let trees = match destination.format() {
            Format::Trees(trees) => trees,
            Format::Repository(_) => {
                let message = format!("destination {} is a restic repository, not a disk", destination.name);
                return refused(Reason::NoRestorePoint, message);
            }
        };
        let disk = self.disk(namespace, destination, &trees.disk, &point.uid)?;
        let folder = restore::tree_path(trees.disk.is_host(), &self.source(namespace, point), &point.run);
        Ok((disk, folder))
    }

    /// The PVC of a destination's disk, once nobody writes to it.
    fn disk(&self, namespace: &str, destination: &Destination, disk: &Disk, uid: &str) -> Result<&Claim, Obstacle> {
        let name = destination.disk_claim().unwrap_or_default();
        let claim = self.world.claims.get(namespace, &name);
        let claim = claim.filter(|c| c.ours.as_ref().is_some_and(|o| o.component == Component::Disk));
        let Some(claim) = claim.filter(|c| !c.terminating && c.phase != ClaimPhase::Lost) else {
            let message = format!("namespace {namespace} has no BackupDisk {name}, or it is being deleted");
            return refused(Reason::DiskNotReady, message);
        };
        match self.copying(disk, claim, uid) {
            Some(job) => waiting(Reason::DiskBusy, format!("Job {job} is using the disk")),
            None => Ok(claim),
        }
    }

    /// The disk of another namespace, through a volume that is made for this restore alone.
    fn granted(
        &self,
        namespace: &str,
        target: &Claim,
        point: RestorePoint,
        destination: &str,
    ) -> Result<Found, Obstacle> {
        let (disk, folder) = self.tree(namespace, &point, destination)?;
        let origin = if self.needs_alias(namespace, &point) {
            let volume = self.volume_for_alias(target, destination)?;
            self.together(target, disk)?;
            let granted = Self::bound(self.world, destination, disk)?;
            Origin::Home { granted, folder, volume }
        } else {
            Origin::Granted { granted: self.granted_disk(namespace, destination, disk)?, folder }
        };
        Ok(Found { target: target.source(), mode: target.mode, point, origin, spc_no_relabeling: false })
    }

    /// Whether the target's namespace gets the restore points of a PVC of another one.
    fn grants(&self, from: &str, pvc: &str) -> bool {
        self.world.config.restores.grants(&Transfer { from, pvc, to: self.namespace })
    }

    /// What is lent of another namespace's disk: the whole volume.
    ///
    /// S1: also of a host's disk, whose volume is the namespace's folder. A volume of one PVC's part would have a path
    /// that the namespace can write: with a link in it, the volume is any folder of the node.
    fn granted_disk(&self, namespace: &str, destination: &str, disk: &Claim) -> Result<GrantedDisk, Obstacle> {
        if !self.grants(namespace, "*") {
            let message = format!(
                "the disk {destination} of namespace {namespace} contains the copies of all its PVCs; the grant must be \
                 from {namespace}/*"
            );
            return refused(Reason::NotGranted, message);
        }
        Self::bound(self.world, destination, disk)
    }

    /// A disk with the volume that the API server bound it to.
    fn bound(world: &World, destination: &str, disk: &Claim) -> Result<GrantedDisk, Obstacle> {
        let namespace = &disk.namespace;
        let Some(volume) = disk.volume.clone() else {
            return refused(Reason::DiskNotReady, format!("the disk of namespace {namespace} has no volume"));
        };
        // S1: a tenant may set the volume of a claim that has none yet. Only a binding is the API server's word.
        let bound = world.volumes.get("", &volume).and_then(|v| v.claim_uid.as_deref());
        if disk.phase != ClaimPhase::Bound || bound != Some(disk.id.uid.as_str()) {
            let message = format!("PersistentVolume {volume} is not bound to PVC {namespace}/{}", disk.id.name);
            return waiting(Reason::DiskNotReady, message);
        }
        Ok(GrantedDisk { namespace: namespace.clone(), destination: destination.to_owned(), volume })
    }

    /// A copy or drill that has to end first: it may be on another node, and a copy prunes.
    fn copying(&self, its: &Disk, disk: &Claim, uid: &str) -> Option<String> {
        let shared = match its {
            Disk::Claim(claim) => claim.access_mode.is_shared(),
            Disk::HostPath(_) => false,
        };
        self.world
            .jobs
            .within(&disk.namespace)
            .filter(|j| j.mounts.contains(&disk.id.name))
            // What a copy pruned is known only once its result is recorded: until then its trees are not to be named.
            .filter(|j| {
                let tells = |o: &Ours| o.component == Component::Copy && o.source_uid == uid;
                let told = |o: &Ours| !tells(o) || recorded(self.world, o, j);
                j.state == JobState::Active || !j.ours.as_ref().is_none_or(told)
            })
            .filter(|j| {
                let there = |c| matches!(c, Component::Copy | Component::Maintain);
                j.ours.as_ref().is_some_and(|o| there(o.component) && (!shared || o.source_uid == uid))
            })
            .map(|j| j.id.name.clone())
            .next()
    }
}
