//! Restores that read another namespace's disk: what is mounted, where, and what is refused.

use std::sync::Arc;

use crate::fixtures::{in_ledger, namespace, put_claim, storage_class, volume};
use model::Timestamp;
use model::config::Config;
use model::names::{self, SourceId};
use model::plan::{self, Action, Origin, Restore, RestoreAction};
use model::reason::{Problem, Reason};
use model::record::{CopyResult, CopyState, RestoreState};
use model::record::{RunRecord, Taken};
use model::world::{Change, Seen, World};

const RUN: &str = "20261120T0000Z";
/// The UID of the PVC `data` in the namespace `first`.
const UID: &str = "u0";

fn now() -> Timestamp {
    "2026-11-20T00:10:00Z".parse().unwrap()
}

fn labels(component: &str) -> String {
    format!(
        "labels: {{app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: {component}}}"
    )
}

/// A cluster in which `second` asks for what `first` has on a disk.
struct Cluster {
    grants: &'static str,
    request: String,
    /// Whether the source's disk is bound to its volume.
    bound: bool,
    /// The volume of the target.
    target: &'static str,
    host: bool,
}

impl Cluster {
    fn new(request: &str) -> Self {
        Self {
            grants: "{from: first/*, to: second}",
            request: request.into(),
            bound: true,
            target: "csi: {driver: csi, volumeHandle: h1}",
            host: true,
        }
    }

    fn world(&self, record: Option<&str>) -> World {
        let disk = if self.host {
            "hostPath: {path: /srv/vault, size: 1Ti, nodeSelector: {disk: x}}"
        } else {
            "claim: {size: 1Gi}"
        };
        let config = format!(
            "destinations:\n- {{name: vault, type: disk, {disk}}}\n\
             - {{name: s3, type: restic, secret: backup-s3, runIn: controller}}\n\
             restores: {{grants: [{}]}}",
            self.grants
        );
        let mut world = World::new("night", "keepers", Arc::new(Config::parse(&config).unwrap()));
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
                let problem = Problem::new(Reason::CopyFailed, "");
                let mut copied = CopyResult::without_data(CopyState::Complete, &problem, now());
                (copied.reason, copied.kept) = (None, vec![RUN.parse().unwrap()]);
                run.results.insert(destination.into(), copied);
            }
            ledger.runs.push(run);
        });
        let name = if self.host { "backup-disk-vault" } else { "backup-disk" };
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
        world
    }

    /// The restore that is started, or why there is none.
    fn answer(&self) -> Result<Restore, (RestoreState, Problem)> {
        let mut record = None;
        for _ in 0..2 {
            let actions = plan::restores(&self.world(record.as_deref()), now()).actions;
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

/// S1: the volume is the namespace's folder. What a tenant can write stands in the pod's subPath, where the kubelet
/// follows no link.
#[test]
fn of_a_hosts_disk_only_the_namespaces_folder_is_a_volume() {
    let restore = Cluster::new("pvc=first/data date=latest from=disk").answer().unwrap();
    let Origin::Lent { lender, folder } = restore.origin else { panic!("{:?}", restore.origin) };
    assert_eq!((lender.namespace.as_str(), folder), ("first", format!("data/{UID}/{RUN}")));
    let narrow =
        Cluster { grants: "{from: first/data, to: second}", ..Cluster::new("pvc=first/data date=latest from=disk") };
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

/// S1: whoever owns a claim without a volume may write the name of any volume into it. Only what the API server bound
/// is the claim's.
#[test]
fn a_volume_that_a_claim_only_names_is_not_lent() {
    for host in [true, false] {
        let cluster = Cluster { bound: false, host, ..Cluster::new("pvc=first/data date=latest from=disk") };
        let (state, problem) = cluster.answer().unwrap_err();
        assert_eq!((state, problem.reason), (RestoreState::Waiting, Reason::DiskNotReady), "{problem}");
        assert!(
            problem.message.contains("PersistentVolume pv-disk is not bound to PVC first/backup-disk"),
            "{problem}"
        );
    }
}
