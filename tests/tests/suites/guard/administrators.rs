//! Administrators are known by their rights: those who could remove the guard may do what it reserves.

use anyhow::Result;
use model::names;
use serde_json::json;

use crate::guard::stage::{Actor, Stage, Verb};

/// S7: not every administrator is in `system:masters`, and our own remedies ask for this.
#[tokio::test]
async fn who_could_remove_the_guard_may_set_and_remove_labels_and_records() -> Result<()> {
    let stage = Stage::new("by-rights").await?;
    for (index, actor) in [Actor::Administrator, Actor::ClusterAdmin, Actor::Velero].into_iter().enumerate() {
        let named = |fixture: &str| {
            let mut object = stage.fixture(fixture)?;
            object["metadata"]["name"] = json!(format!("{fixture}-{index}"));
            anyhow::Ok(object)
        };
        let metadata = |what: serde_json::Value| Verb::Merge(json!({"metadata": what}));
        let (promoter, snapshot, job) = (named("promoter")?, named("snapshot")?, named("copy")?);
        for object in [&promoter, &snapshot, &job] {
            stage.passes("restored from elsewhere", actor, Verb::Create, object).await?;
        }
        let removed = json!({"labels": {names::INSTANCE: null, names::MANAGED_BY: null, names::RUN: null}});
        stage.passes("our labels are removed", actor, metadata(removed), &promoter).await?;
        let set = json!({"labels": {names::INSTANCE: "backup", names::MANAGED_BY: names::MANAGER}});
        stage.passes("and set again", actor, metadata(set), &promoter).await?;
        let record = json!({"annotations": {names::VOLUME_MODE_TAKEN: "Filesystem", names::STATUS: "{}"}});
        stage.passes("a record is corrected", actor, metadata(record), &snapshot).await?;
        let journal = json!({"annotations": {names::JOURNAL: "replayed"}});
        stage.passes("a promoter's mount too", actor, metadata(journal), &promoter).await?;
        let status = Verb::Status(json!({"metadata": {"labels": {names::DESTINATION: "x"}}}));
        stage.passes("by way of a status", actor, status, &job).await?;
        for object in [&promoter, &snapshot, &job] {
            stage.passes("it goes", actor, Verb::Delete, object).await?;
        }
    }
    Ok(())
}
