//! Restores that read another namespace's disk: what is mounted, where, and what is refused.

use std::sync::Arc;

use crate::fixtures::{RUN, in_ledger, namespace, now, put_claim, read, storage_class, volume};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use model::Timestamp;
use model::config::Config;
use model::duration::Span;
use model::facts;
use model::names::{self, GrantClaim, SourceId};
use model::plan::{self, Action, AliasPart, Origin, Restore, RestoreAction};
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState, RestoreRecord, RestoreState};
use model::record::{Removal, RunRecord, Taken};
use model::world::{Change, Seen, World};

/// The UID of the PVC `data` in the namespace `first`.
const UID: &str = "u0";

fn labels(component: &str) -> String {
    format!(
        "labels: {{app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: {component}}}"
    )
}

const FROM_DISK: &str = "pvc=first/data date=latest from=disk";

/// A destination on a disk, and the PVC of it in a namespace.
type Disk = (&'static str, &'static str);
const HOST: Disk =
    ("type: disk, hostPath: {path: /srv/vault, size: 1Ti, nodeSelector: {disk: x}}", "backup-disk-vault");
const CLAIM: Disk = ("type: disk, claim: {size: 1Gi}", "backup-disk");
const CRYPT: Disk =
    ("type: restic, secret: s, hostPath: {path: /srv/crypt, size: 1Ti, nodeSelector: {disk: x}}", "backup-disk-vault");

/// A cluster in which `second` asks for what `first` has on a disk.
struct Cluster<'a> {
    grants: &'static str,
    request: String,
    /// Whether the source's disk is bound to its volume.
    bound: bool,
    /// The volume of the target.
    target: &'static str,
    disk: Disk,
    /// How late it is.
    minutes: u64,
    /// What is beside that.
    with: &'a dyn Fn(&mut World),
}

impl Cluster<'_> {
    fn new(request: &str) -> Self {
        Self {
            grants: "{from: first/*, to: second}",
            request: request.into(),
            bound: true,
            target: "csi: {driver: csi, volumeHandle: h1}",
            disk: HOST,
            minutes: 0,
            with: &|_| {},
        }
    }

    fn world(&self, record: Option<&str>) -> World {
        let (disk, name) = self.disk;
        let config = format!(
            "destinations:\n- {{name: vault, {disk}}}\n\
             - {{name: s3, type: restic, secret: backup-s3, runIn: controller}}\n\
             restores: {{grants: [{}]}}",
            self.grants
        );
        let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse(&config).unwrap()));
        world.apply(Change::SnapshotApi(true));
        for name in ["first", "second", "keepers"] {
            world.apply(Change::Namespace(Seen::Put(namespace(&format!("metadata: {{name: {name}}}")))));
            world.apply(Change::Holder(name.into(), Seen::Begin));
            world.apply(Change::Holder(name.into(), Seen::End));
        }
        world.apply(Change::StorageClass(Seen::Put(storage_class("metadata: {name: fast}\nprovisioner: csi"))));
        let source = SourceId { namespace: "first".into(), name: "data".into(), uid: UID.into() };
        in_ledger(&mut world, &source, |ledger| {
            let taken = Taken::Snapshot { name: "data-20261120".into(), uid: "s".into() };
            let mut run = RunRecord::new(RUN.parse().unwrap(), taken, None);
            for destination in ["vault", "s3"] {
                let copied =
                    CopyResult { kept: vec![RUN.parse().unwrap()], ..CopyResult::new(CopyState::Complete, now()) };
                run.results.insert(destination.into(), copied);
            }
            ledger.runs.push(run);
        });
        let uid = if self.bound { "d1" } else { "other" };
        world.apply(Change::Volume(Seen::Put(volume(&format!(
            "metadata: {{name: pv-disk, uid: v0, {}}}\nspec: {{claimRef: {{namespace: first, name: {name}, uid: {uid}}}, \
             csi: {{driver: csi, volumeHandle: h0}}}}",
            labels("disk")
        )))));
        put_claim(
            &mut world,
            &format!(
                "metadata: {{name: {name}, namespace: first, uid: d1, {}}}\n\
                 spec: {{storageClassName: fast, volumeName: pv-disk}}\nstatus: {{phase: Bound}}",
                labels("disk")
            ),
        );
        world.apply(Change::Volume(Seen::Put(volume(&format!(
            "metadata: {{name: pv1, uid: v1}}\nspec: {{claimRef: {{namespace: second, name: target, uid: t1}}, {}}}",
            self.target
        )))));
        let told =
            record.map_or_else(String::new, |r| format!(", {}: '{}'", names::RESTORE_STATUS, r.replace('\'', "''")));
        put_claim(
            &mut world,
            &format!(
                "metadata: {{name: target, namespace: second, uid: t1, resourceVersion: '1', annotations: {{{}: '{}'{told}}}}}\n\
                 spec: {{storageClassName: fast, volumeName: pv1}}\nstatus: {{phase: Bound}}",
                names::RESTORE_FROM,
                self.request
            ),
        );
        (self.with)(&mut world);
        world
    }

    fn now(&self) -> Timestamp {
        Span::minutes(self.minutes).after(now())
    }

    /// The restore that is started, or why there is none.
    fn answer(&self) -> Result<Restore, (RestoreState, Problem)> {
        let mut record = None;
        for _ in 0..2 {
            let actions = plan::restores(&self.world(record.as_deref()), self.now()).actions;
            for action in actions {
                match action {
                    Action::Restore(RestoreAction::Start(restore)) => return Ok(*restore),
                    Action::Restore(RestoreAction::Record { record: told, .. }) => {
                        if let Some(problem) = told.problem {
                            return Err((told.state, problem));
                        }
                        record = Some(serde_json::to_string(&told).unwrap());
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        panic!("no answer to {}", self.request)
    }

    #[track_caller]
    fn refused(&self, reason: Reason, words: &str) {
        let (state, problem) = self.answer().unwrap_err();
        assert!((state, problem.reason) == (RestoreState::Refused, reason), "{state:?} {problem}");
        assert!(problem.message.contains(words), "{problem}");
    }
}

/// S1: a tenant's pod would see through a volume of the namespace's folder what all of the namespace's PVCs have there. So
/// ours reads it, and names as subPath what a tenant can write: the kubelet follows no link in that.
#[test]
fn a_hosts_disk_of_another_namespace_is_read_in_the_controllers_namespace() {
    for grants in ["{from: first/*, to: second}", "{from: first/data, to: second}"] {
        let cluster = Cluster { grants, ..Cluster::new(FROM_DISK) };
        let restore = cluster.answer().unwrap();
        assert_eq!(restore.granted_disk(), format!("{}-disk", restore.job()));
        let Origin::Home { granted, folder, volume } = restore.origin else { panic!("{:?}", restore.origin) };
        assert_eq!((granted.namespace.as_str(), folder, volume), ("first", format!("data/{UID}/{RUN}"), "pv1".into()));
    }
    let local = Cluster { target: "local: {path: /x}", ..Cluster::new(FROM_DISK) };
    local.refused(Reason::TargetNotReady, "has no CSI driver");
    Cluster { grants: "", ..Cluster::new(FROM_DISK) }.refused(Reason::NotGranted, "no grant allows it");
}

/// Law 5: nothing can be said beforehand of what lies on the disk; the kubelet says it in the end.
#[test]
fn a_folder_that_is_not_there_ends_the_restore_and_is_told() {
    let target = SourceId { namespace: "second".into(), name: "target".into(), uid: "t1".into() };
    let name = names::restore_job(&target, FROM_DISK);
    let mut cluster = Cluster::new(FROM_DISK);
    cluster.minutes = 11;
    let record = serde_json::to_string(&cluster.answer().unwrap().record()).unwrap();
    let mut world = cluster.world(Some(&record));
    let job: Job = read(&format!(
        "metadata: {{name: {name}, namespace: keepers, uid: j1, creationTimestamp: '{}', {}}}",
        now(),
        labels("restore")
    ));
    world.apply(Change::Job(Seen::Put(facts::Job::from(&job))));
    let pod: Pod = read(&format!(
        "metadata: {{name: {name}-x, namespace: keepers, uid: p1, creationTimestamp: '{}', labels: {{\
         batch.kubernetes.io/job-name: {name}, app.kubernetes.io/managed-by: backup-controller, \
         backup-controller.io/instance: night, backup-controller.io/component: restore}}, \
         ownerReferences: [{{apiVersion: batch/v1, kind: Job, name: {name}, uid: j1, controller: true}}]}}\n\
         status: {{containerStatuses: [{{name: backup, image: i, imageID: '', ready: false, restartCount: 0, state: \
         {{waiting: {{reason: CreateContainerConfigError, message: 'failed to create subPath directory for volumeMount \
         \"destination\" of container \"backup\"'}}}}}}]}}",
        now()
    ));
    world.apply(Change::Pod(Seen::Put(facts::Pod::from(&pod))));
    let actions = plan::restores(&world, cluster.now()).actions;
    let told = actions.into_iter().find_map(|action| match action {
        Action::Restore(RestoreAction::Record { record, .. }) => Some(*record),
        _ => None,
    });
    let told = told.unwrap();
    let problem = told.problem.unwrap();
    assert_eq!((told.state, problem.reason), (RestoreState::Failed, Reason::NoRestorePoint), "{problem}");
    assert!(problem.message.starts_with("the disk has no folder of this restore point"), "{problem}");
}

/// The disk's volume goes with the restore, and not before.
#[test]
fn the_volume_over_a_hosts_disk_goes_when_nobody_needs_it() {
    let target = SourceId { namespace: "second".into(), name: "target".into(), uid: "t1".into() };
    let claim = names::granted_disk(&names::restore_job(&target, FROM_DISK));
    let name = names::grant_volume(&"night".into(), GrantClaim { namespace: "keepers", name: &claim });
    let taken_back = |request: &str| {
        let mut world = Cluster::new(request).world(None);
        let text = format!(
            "metadata: {{name: {name}, uid: v9, {}}}\nspec: {{claimRef: {{namespace: keepers, name: {claim}}}, \
             local: {{path: /srv/vault/first}}}}",
            labels("grant")
        );
        world.apply(Change::Volume(Seen::Put(volume(&text))));
        let back =
            |a: &Action| matches!(a, Action::Restore(RestoreAction::TakeBack(AliasPart::Volume(id))) if id.uid == "v9");
        plan::restores(&world, now()).actions.iter().any(back)
    };
    assert!(!taken_back(FROM_DISK));
    assert!(taken_back("pvc=first/data date=latest from=disk id=2"));
}

/// The password of a repository is in the tenant's namespace, so its pod runs there, and may see the namespace's folder.
#[test]
fn a_repository_on_a_hosts_disk_is_lent_to_whom_the_whole_namespace_is_granted() {
    let request = format!("pvc=first/data date={RUN} from=vault");
    let cluster = Cluster { disk: CRYPT, ..Cluster::new(&request) };
    let restore = cluster.answer().unwrap();
    assert_eq!((restore.origin.target_volume(), restore.granted_disk()), (None, restore.job()));
    assert_eq!(restore.origin.granted().map(|l| l.volume.as_str()), Some("pv-disk"));
    let narrow = Cluster { grants: "{from: first/data, to: second}", ..cluster };
    narrow.refused(Reason::NotGranted, "the grant must be from first/*");
}

/// S1, S5: `mkdir evil; ln -s / evil/slash` on the disk, and then a request for PVC `evil` with the UID `slash`.
#[test]
fn a_restore_point_that_no_record_knows_is_not_restored_in_another_namespace() {
    for request in [
        "pvc=first/evil uid=slash date=20240101T0000Z from=disk/vault",
        "pvc=first/data uid=slash date=20240101T0000Z from=disk/vault",
        "pvc=first/data uid=u0 date=20240101T0000Z from=disk/vault",
        "pvc=first/data uid=victim date=20240101T0000Z from=s3",
        "pvc=first/data uid=u0 date=20240101T0000Z from=s3",
    ] {
        Cluster::new(request).refused(Reason::NoRestorePoint, "");
    }
    assert!(Cluster::new(&format!("pvc=first/data uid={UID} date={RUN} from=disk/vault")).answer().is_ok());
}

/// After a lost cluster a day says nothing, because no record has the runs: a whole run leads to those that are there.
#[test]
fn who_restores_copies_that_no_record_knows_is_told_to_name_the_run() {
    let lost = |date: &str, from: &str| format!("pvc=target uid=former date={date} from={from}");
    for date in ["latest", "20240101", "20240101-0000"] {
        Cluster::new(&lost(date, "s3")).refused(Reason::NoRestorePoint, "the restore names the newest that are there");
        Cluster::new(&lost(date, "disk/vault")).refused(Reason::NoRestorePoint, "the name of its folder on the disk");
    }
    // Of another PVC's UID nothing is said.
    let other = Cluster::new(&format!("pvc=target uid={UID} date=latest from=s3")).answer().unwrap_err().1;
    assert!(!other.message.contains("no record tells of"), "{other}");
}

/// S5: the grant permits the namespace what it has anyway, and no UID of somebody else's.
#[test]
fn a_grant_to_itself_opens_no_uid_of_another_pvc() {
    for grants in ["{from: second/*, to: second}", "{from: 'second/target', to: '*'}"] {
        for request in [
            // Of a PVC that a ledger knows elsewhere, by the PVC's own name and by the asking one's.
            format!("pvc=data uid={UID} date={RUN} from=s3"),
            format!("pvc=target uid={UID} date={RUN} from=s3"),
            format!("pvc=second/target uid={UID} date={RUN} from=s3"),
        ] {
            let cluster = Cluster { grants, ..Cluster::new(&request) };
            cluster.refused(Reason::NoRestorePoint, "");
        }
        for uid in ["..", "../first/data/u0", "u0/../x", "%2e%2e"] {
            let (state, problem) =
                Cluster { grants, ..Cluster::new(&format!("pvc=target uid={uid} date={RUN} from=disk/vault")) }
                    .answer()
                    .unwrap_err();
            assert_eq!(state, RestoreState::Refused, "{uid}: {problem}");
        }
    }
}

/// L24: a request by run and UID needs no record. While the copies there are removed it would read half of one.
#[test]
fn nothing_is_restored_from_a_destination_whose_copies_are_being_removed() {
    let request = format!("pvc=target uid=former date={RUN} from=s3");
    let removal = |world: &mut World, begun| {
        let former = SourceId { namespace: "second".into(), name: "target".into(), uid: "former".into() };
        in_ledger(world, &former, |ledger| {
            ledger.removals.insert("s3".into(), Removal { begun, ..Removal::new("alice".into(), now()) });
        });
    };
    let grants = "{from: second/*, to: second}";
    let waits = Cluster { grants, with: &|world| removal(world, None), ..Cluster::new(&request) };
    assert!(waits.answer().is_ok(), "{:?}", waits.answer());
    let begun = Cluster { grants, with: &|world| removal(world, Some(now())), ..Cluster::new(&request) };
    begun.refused(Reason::NoRestorePoint, "");
}

/// The namespace was deleted and somebody else has made it again. The ledger, the folder on the disk and the repository of
/// the former one are there, and the names are the same.
#[test]
fn a_namespace_that_is_made_again_gets_nothing_of_the_former_one_without_a_person() {
    let former = SourceId { namespace: "second".into(), name: "target".into(), uid: "former".into() };
    for (request, reason) in [
        (format!("pvc=target uid=former date={RUN} from=s3"), Reason::NotGranted),
        (format!("pvc=target uid=former date={RUN} from=disk/vault"), Reason::NotGranted),
        ("pvc=target uid=former date=latest".to_owned(), Reason::NotGranted),
        // Without a UID it is the name alone that fits.
        ("pvc=target date=latest".to_owned(), Reason::NotGranted),
        (format!("pvc=target date={RUN} from=s3"), Reason::NotGranted),
    ] {
        let cluster = Cluster { grants: "", ..Cluster::new(&request) };
        let mut world = cluster.world(None);
        in_ledger(&mut world, &former, |ledger| {
            let taken = Taken::Snapshot { name: "target-20261120".into(), uid: "s2".into() };
            let mut run = RunRecord::new(RUN.parse().unwrap(), taken, None);
            for destination in ["vault", "s3"] {
                let mut copied =
                    CopyResult::without_data(CopyState::Complete, &Problem::new(Reason::CopyFailed, ""), now());
                (copied.reason, copied.kept) = (None, vec![RUN.parse().unwrap()]);
                run.results.insert(destination.into(), copied);
            }
            ledger.runs.push(run);
        });
        let told = plan::restores(&world, now()).actions.into_iter().find_map(|action| match action {
            Action::Restore(RestoreAction::Record { record, .. }) => Some(record),
            Action::Restore(RestoreAction::Start(restore)) => panic!("{request}: {restore:?}"),
            _ => None,
        });
        let told = told.unwrap();
        assert_eq!(told.problem.as_ref().map(|p| p.reason), Some(reason), "{request}: {told:?}");
    }
}

/// S1: whoever owns a claim without a volume may write the name of any volume into it. Only what the API server bound
/// is the claim's.
#[test]
fn a_volume_that_a_claim_only_names_is_not_lent() {
    for disk in [HOST, CLAIM] {
        let cluster = Cluster { bound: false, disk, ..Cluster::new(FROM_DISK) };
        let (state, problem) = cluster.answer().unwrap_err();
        assert_eq!((state, problem.reason), (RestoreState::Waiting, Reason::DiskNotReady), "{problem}");
        assert!(
            problem.message.contains("PersistentVolume pv-disk is not bound to PVC first/backup-disk"),
            "{problem}"
        );
    }
}

/// S8: each restore is a pod of ours, and an annotation is quickly written.
#[test]
fn restores_of_a_namespace_run_a_few_at_a_time() {
    let mut world = Cluster::new(FROM_DISK).world(None);
    let ask = |world: &mut World, number: usize, record: Option<&str>| {
        let told = record.map_or_else(String::new, |r| format!(", {}: '{r}'", names::RESTORE_STATUS));
        world.apply(Change::Volume(Seen::Put(volume(&format!(
            "metadata: {{name: pv-{number}, uid: v-{number}}}\nspec: {{claimRef: {{namespace: second, name: many-{number}, \
             uid: m{number}}}, csi: {{driver: csi, volumeHandle: m{number}}}}}"
        )))));
        put_claim(
            world,
            &format!(
                "metadata: {{name: many-{number}, namespace: second, uid: m{number}, resourceVersion: '{}', annotations: \
                 {{{}: '{FROM_DISK}'{told}}}}}\nspec: {{storageClassName: fast, volumeName: pv-{number}}}\n\
                 status: {{phase: Bound}}",
                if record.is_some() { 2 } else { 1 },
                names::RESTORE_FROM
            ),
        );
    };
    for number in 0..40 {
        ask(&mut world, number, None);
    }
    let (mut decided, mut waiting) = (Vec::new(), 0);
    for action in plan::restores(&world, now()).actions {
        let Action::Restore(RestoreAction::Record { record, asker, .. }) = action else { continue };
        match record.state {
            RestoreState::Ready => decided.push((asker.id().name.clone(), record)),
            state => {
                let problem = record.problem.unwrap();
                assert_eq!(
                    (state, problem.reason, record.point),
                    (RestoreState::Waiting, Reason::WaitingForSlot, None)
                );
                assert!(problem.message.contains("restores.maxPerNamespace: 5"), "{problem}");
                waiting += 1;
            }
        }
    }
    // The 40 and the PVC that asks already.
    assert_eq!((decided.len(), waiting), (5, 36));
    // Those that were decided start, also where a tenant wrote so many records himself that each would wait for others.
    for number in 0..40 {
        let record = RestoreRecord { target: Some(format!("many-{number}")), ..*decided[0].1.clone() };
        ask(&mut world, number, Some(&serde_json::to_string(&record).unwrap()));
    }
    let started = |world: &World| {
        let actions = plan::restores(world, now()).actions;
        actions.into_iter().filter(|a| matches!(a, Action::Restore(RestoreAction::Start(_)))).count()
    };
    assert_eq!(started(&world), 5);
    for number in 0..5 {
        let target = SourceId { namespace: "second".into(), name: format!("many-{number}"), uid: format!("m{number}") };
        let name = names::restore_job(&target, FROM_DISK);
        let job: Job = read(&format!(
            "metadata: {{name: {name}, namespace: keepers, uid: j-{number}, creationTimestamp: '{}', {}}}",
            now(),
            labels("restore")
        ));
        world.apply(Change::Job(Seen::Put(facts::Job::from(&job))));
    }
    assert_eq!(started(&world), 0);
}
