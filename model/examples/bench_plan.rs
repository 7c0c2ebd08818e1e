//! Plans of many sources that are settled: each has four runs, all copied. `make bench-plan` counts the instructions of
//! a plan. The arguments are the number of sources and how often each is planned.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../tests/suites/fixtures.rs"]
mod fixtures;

use std::sync::Arc;

use fixtures::{MARK, claim, plan, put_claim, put_snapshot, read, storage, storage_class, write_ledger};
use model::Timestamp;
use model::config::Config;
use model::facts::CronJob;
use model::names::{self, Run};
use model::plan::Action;
use model::world::{Change, Seen, World};

const CONFIG: &str = "
    defaults: {schedule: 'H 3 * * *', destinations: [disk]}
    destinations: [{name: disk, type: disk, claim: {storageClass: keep, size: 1Gi}}]
";

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().unwrap());
    let (sources, rounds) = (args.next().unwrap_or(1_000), args.next().unwrap_or(1));
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let world = settled(sources, now);
    let steps: usize = (0..rounds).map(|_| plan_all(&world, sources, now)).sum();
    assert_eq!(steps, 0, "what is settled has no steps");
    println!("{sources} sources, {rounds} rounds");
}

/// What is counted.
#[inline(never)]
fn plan_all(world: &World, sources: usize, now: Timestamp) -> usize {
    (0..sources).map(|number| plan(world, &uid(number), now).actions.len()).sum()
}

fn uid(number: usize) -> String {
    format!("u{number}")
}

/// The sources, after as many plans as they need until nothing is left to do.
fn settled(sources: usize, now: Timestamp) -> World {
    let mut world = World::new("night".into(), "home", Arc::new(Config::parse(CONFIG).unwrap()));
    storage(&mut world);
    let keep = "metadata: {name: keep}\nprovisioner: csi\nreclaimPolicy: Retain";
    world.apply(Change::StorageClass(Seen::Put(storage_class(keep))));
    world.apply(Change::CronJob(Seen::Begin));
    world.apply(Change::CronJob(Seen::End));
    for number in 0..sources {
        put_claim(&mut world, &source(number, 1, ""));
        for day in 16..20 {
            put_snapshot(&mut world, &run(number, day));
        }
    }
    for version in 2..6 {
        for number in 0..sources {
            settle(&mut world, number, version, now);
        }
    }
    world
}

fn settle(world: &mut World, number: usize, version: usize, now: Timestamp) {
    let plan = plan(world, &uid(number), now);
    write_ledger(world, &plan);
    for action in &plan.actions {
        if let Action::ShowStatus { status, .. } = action {
            let shown = format!(", annotations: {{backup-controller.io/status: '{}'}}", status.to_text());
            world.apply(Change::Claim(Seen::Put(claim(&source(number, version, &shown)))));
        }
        if let Action::ApplyCronJob { source, protection } = action {
            let (schedule, suspend) = protection.cron();
            let cronjob: k8s_openapi::api::batch::v1::CronJob = read(&format!(
                "metadata: {{name: {}, namespace: home, uid: c{number}, resourceVersion: '{version}', \
                 labels: {{{}}}, annotations: {{backup-controller.io/applied: '{MARK}'}}}}\n\
                 spec: {{schedule: '{schedule}', timeZone: {}, suspend: {suspend}, \
                 jobTemplate: {{spec: {{template: {{spec: {{containers: []}}}}}}}}}}",
                names::cronjob(source),
                labels(number),
                protection.zone.name(),
            ));
            world.apply(Change::CronJob(Seen::Put(CronJob::from(&cronjob))));
        }
    }
}

fn labels(number: usize) -> String {
    format!(
        "app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: night, \
         backup-controller.io/component: snapshot, backup-controller.io/source-uid: {}",
        uid(number)
    )
}

fn source(number: usize, version: usize, more: &str) -> String {
    format!(
        "metadata: {{name: data{number}, namespace: shop, uid: {}, resourceVersion: '{version}', \
         creationTimestamp: '2026-11-01T00:00:00Z'{more}}}\n\
         spec: {{storageClassName: fast, volumeName: pv}}\nstatus: {{phase: Bound, capacity: {{storage: 1Gi}}}}",
        uid(number)
    )
}

fn run(number: usize, day: usize) -> String {
    let at: Timestamp = format!("2026-11-{day}T03:00:00Z").parse().unwrap();
    let run = Run::at(at);
    let result =
        format!("{{\"state\":\"Complete\",\"finished\":\"2026-11-{day}T04:00:00Z\",\"files\":10,\"bytes\":1000}}");
    format!(
        "metadata: {{name: data{number}-{run}, namespace: shop, uid: s{number}-{run}, resourceVersion: '1', \
         creationTimestamp: '{at}', labels: {{{}, backup-controller.io/run: {run}}}, \
         annotations: {{backup-controller.io/copy.disk: '{result}', backup-controller.io/destinations-taken: disk}}}}\n\
         spec: {{source: {{persistentVolumeClaimName: data{number}}}}}\nstatus: {{readyToUse: true}}",
        labels(number)
    )
}
