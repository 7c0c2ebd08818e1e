//! restic repositories on a disk: prepared, shared and waited for as the disks of trees are.

use std::sync::Arc;

use crate::fixtures::{claim, namespace, put_claim, put_snapshot, snapshot_class, storage_class, volume};
use model::Timestamp;
use model::admit::{Admission, Slot, admit};
use model::config::Config;
use model::facts::Job;
use model::names::{self, SourceId};
use model::plan::{Action, DiskStep, Plan};
use model::reason::Reason;
use model::world::{Change, Seen, World};

const UID: &str = "7a8e2c0e-0000-4000-8000-000000000001";
const RUN: &str = "20261120T0000Z";

fn at(minute: u64) -> Timestamp {
    model::duration::Span::minutes(minute).after("2026-11-20T00:00:00Z".parse().unwrap())
}

fn labels(component: &str, more: &str) -> String {
    format!(
        "labels: {{app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: {component}{more}}}"
    )
}

/// A protected PVC with a run that waits for its copy.
fn world(disk: &str) -> World {
    let config = format!(
        "destinations: [{{name: crypt, type: restic, secret: s, {disk}}}]\ndefaults: {{destinations: [crypt]}}"
    );
    let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse(&config).unwrap()));
    let of_run = |component| {
        labels(component, &format!(", backup-controller.io/run: {RUN}, backup-controller.io/source-uid: {UID}"))
    };
    for change in [
        Change::SnapshotApi(true),
        Change::SnapshotClass(Seen::Begin),
        Change::SnapshotClass(Seen::Put(snapshot_class("metadata: {name: snaps}\ndriver: d\ndeletionPolicy: Delete"))),
        Change::SnapshotClass(Seen::End),
        Change::StorageClass(Seen::Put(storage_class(
            "metadata: {name: block}\nprovisioner: d\nreclaimPolicy: Retain",
        ))),
        Change::Namespace(Seen::Put(namespace("metadata: {name: shop}"))),
        Change::Volume(Seen::Put(volume("metadata: {name: pv}\nspec: {csi: {driver: d, volumeHandle: '1'}}"))),
        Change::Claim(Seen::Put(claim(&format!(
            "metadata: {{name: data, namespace: shop, uid: {UID}}}\nspec: {{volumeName: pv, storageClassName: block}}\n\
             status: {{phase: Bound}}"
        )))),
        Change::Claim(Seen::Put(claim(&format!(
            "metadata: {{name: data-1, namespace: shop, uid: p1, creationTimestamp: '{}', {}}}\nspec: {{dataSource: \
             {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: data-1}}}}\nstatus: {{phase: Bound}}",
            at(0),
            of_run("promoter")
        )))),
    ] {
        world.apply(change);
    }
    put_snapshot(
        &mut world,
        &format!(
            "metadata: {{name: data-1, namespace: shop, uid: s1, creationTimestamp: '{}', {}, annotations: \
             {{backup-controller.io/destinations-taken: crypt}}}}\n\
             spec: {{source: {{persistentVolumeClaimName: data}}}}\nstatus: {{readyToUse: true}}",
            at(0),
            of_run("snapshot")
        ),
    );
    world
}

fn plan_of(world: &World) -> Plan {
    crate::fixtures::plan(world, UID, at(1))
}

fn step(plan: &Plan) -> Option<DiskStep> {
    plan.actions.iter().find_map(|action| match action {
        Action::MakeDisk { step, destination, namespace } if destination == "crypt" && namespace == "shop" => {
            Some(*step)
        }
        _ => None,
    })
}

/// The disk's PVC, bound to a volume that this node alone can have.
fn disk(world: &mut World, name: &str, node: &str) {
    for node in ["a", "b"] {
        let node = crate::fixtures::read(&format!("{{name: {node}, labels: {{host: {node}}}}}"));
        world.apply(Change::Node(Seen::Put(model::facts::Node::from(&node))));
    }
    world.apply(Change::Volume(Seen::Put(volume(&format!(
        "metadata: {{name: disk-pv}}\nspec: {{nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: \
         [{{key: host, operator: In, values: [{node}]}}]}}]}}}}}}"
    )))));
    put_claim(
        world,
        &format!(
            "metadata: {{name: {name}, namespace: shop, uid: disk, {}}}\nspec: {{volumeName: disk-pv}}\nstatus: {{phase: \
         Bound}}",
            labels("disk", ", backup-controller.io/destination: crypt")
        ),
    );
}

#[test]
fn the_disk_of_repositories_is_made_as_that_of_trees() {
    for (kind, wanted) in [
        ("claim: {size: 1Gi, storageClass: block}", DiskStep::Claim),
        ("hostPath: {path: /srv, size: 1Ti, nodeSelector: {host: a}}", DiskStep::Keeper),
    ] {
        let plan = plan_of(&world(kind));
        assert_eq!((step(&plan), plan.ready.len()), (Some(wanted), 0), "{kind}");
    }
}

/// Two writers on one disk would be on two nodes, or in each other's way: other sources' copies wait as well.
#[test]
fn a_copy_is_on_the_disks_node_and_alone_on_the_disk() {
    let mut world = world("claim: {size: 1Gi, storageClass: block}");
    disk(&mut world, "backup-disk", "b");
    let plan = plan_of(&world);
    let [(waiting, Action::StartCopy(copy))] = plan.ready.as_slice() else { panic!("{:?}", plan.ready) };
    assert_eq!((waiting.slot.node.as_deref(), waiting.slot.breaker.as_deref()), (Some("b"), None));
    assert!(copy.isolate, "it needs no network");
    let other = Slot { namespace: "shop".into(), node: None, ..waiting.slot.clone() };
    let down = world.down(at(1));
    let limits = &world.config.limits;
    let answers = admit(std::slice::from_ref(waiting), &[other], limits, &down, at(1));
    assert!(matches!(&answers[0], Admission::Wait(problem) if problem.reason == Reason::DiskBusy), "{answers:?}");
    let free = admit(std::slice::from_ref(waiting), &[], limits, &down, at(1));
    assert_eq!(free, [Admission::Start]);
}

/// The disk is nobody's source, and a policy of an earlier version cuts nothing off that needs no network.
#[test]
fn what_lies_on_a_disk_needs_no_network() {
    let mut world = world("claim: {size: 1Gi, storageClass: block}");
    disk(&mut world, "backup-disk", "b");
    let meta = crate::fixtures::read("{name: night-pods, namespace: shop, labels: {a: b}}");
    world.apply(Change::Policy(Seen::Put(model::facts::Policy::from(&meta))));
    let plan = plan_of(&world);
    assert!(matches!(plan.ready.as_slice(), [(_, Action::StartCopy(copy))] if !copy.isolate), "{:?}", plan.ready);
}

/// Who writes annotations on his own PVC, in a namespace of another installation or of none, stops nobody's copies: a
/// record counts where there is a grant, and where our plan sets it right or a Job of ours stands behind it.
#[test]
fn a_record_that_a_tenant_made_up_lets_nobody_wait() {
    const TEXT: &str = "pvc=shop/data date=latest from=crypt";
    let reader = |grants: &str, instance: &str, mark: &str, job: bool| {
        let mut world = world("claim: {size: 1Gi, storageClass: block}");
        let mut config = world.config.as_ref().clone();
        let granting = format!("restores: {{grants: [{grants}]}}");
        config.restores = Config::parse(&granting).unwrap().restores;
        world.apply(Change::Config(Arc::new(config)));
        disk(&mut world, "backup-disk", "b");
        world.apply(Change::Namespace(Seen::Put(namespace("metadata: {name: b}"))));
        let record = format!(r#"{{"request":"{mark}","state":"Ready","point":"crypt/{RUN}","target":"x"}}"#);
        put_claim(
            &mut world,
            &format!(
                "metadata: {{name: x, namespace: b, uid: x, annotations: {{{}: '{TEXT}', {}: '{record}', {}: \
             '{{\"instance\":\"{instance}\"}}'}}}}",
                names::RESTORE_FROM,
                names::RESTORE_STATUS,
                names::STATUS
            ),
        );
        if job {
            let target = SourceId { namespace: "b".into(), name: "x".into(), uid: "x".into() };
            let name = names::restore_job(&target, TEXT);
            let job =
                crate::fixtures::read(&format!("metadata: {{name: {name}, namespace: b, {}}}", labels("restore", "")));
            world.apply(Change::Job(Seen::Put(Job::from(&job))));
        }
        let plan = plan_of(&world);
        plan.ready.is_empty().then_some(plan)
    };
    let mark = names::run_now_mark(TEXT);
    let granted = "{from: shop/*, to: b}";
    for (grants, instance, mark, job, waits) in [
        ("", "other", mark.as_str(), false, false),
        ("", "night", &mark, false, false),
        ("", "other", &mark, true, false),
        (granted, "other", &mark, false, false),
        (granted, "night", "x", false, false),
        (granted, "night", &mark, false, true),
        (granted, "other", &mark, true, true),
    ] {
        let case = format!("{grants} {instance} {mark} {job}");
        assert_eq!(reader(grants, instance, mark, job).is_some(), waits, "{case}");
    }
}
