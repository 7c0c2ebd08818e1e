//! What a configuration that is wrong for a moment does to copies that wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::config::Config;
use model::plan::Plan;
use model::reason::Reason;
use model::world::Change;

use crate::fixtures::{in_ledger, results};
use crate::maintaining::cluster::{Cluster, NO_DRILL, S3, source, time};

/// The reasons of the results that a plan writes down.
fn reasons(plan: &Plan) -> Vec<Reason> {
    results(plan).iter().filter_map(|(_, result)| result.reason).collect()
}

/// L12: a configuration was saved without a destination for five seconds, and all copies that waited for it had failed for
/// good.
#[test]
fn a_destination_that_is_missing_for_a_moment_ends_no_copy() {
    let mut cluster = Cluster::new(&format!("{S3}{NO_DRILL}"));
    cluster.run("2026-11-20T11:59:00Z", "Failed");
    in_ledger(&mut cluster.world, &source(), |ledger| {
        let record = ledger.runs.last_mut().unwrap();
        (record.destinations, record.results) = (vec!["s3".into()], BTreeMap::new());
    });
    assert_eq!(cluster.plan().ready.len(), 1, "it can start");
    let right = cluster.world.config.clone();
    cluster.world.apply(Change::Config(Arc::new(Config::default())));
    cluster.world.memory.configured = Some(cluster.now);
    let plan = cluster.plan();
    assert!(reasons(&plan).is_empty() && plan.ready.is_empty());
    assert_eq!(plan.wake, Some(time("2026-11-20T12:10:00Z")), "deadlines.copyStart");

    cluster.world.apply(Change::Config(right));
    cluster.world.memory.configured = Some(time("2026-11-20T12:00:05Z"));
    assert_eq!(cluster.plan().ready.len(), 1, "and it can start again");

    // Law 5: it does not wait for ever.
    cluster.world.apply(Change::Config(Arc::new(Config::default())));
    cluster.world.memory.configured = Some(cluster.now);
    cluster.now = time("2026-11-20T12:10:00Z");
    assert_eq!(reasons(&cluster.plan()), [Reason::UnknownDestination]);
}
