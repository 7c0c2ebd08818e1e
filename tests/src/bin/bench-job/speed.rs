//! From exec to the snapshot.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use backup_controller_tests::Scene;
use backup_controller_tests::figures::{Table, median};
use model::Timestamp;
use model::names::Run;

use crate::run::Source;

/// How often.
pub(crate) const RUNS: u64 = 15;

/// Runs the program; the times are those of the API server's record, by the same clock.
pub(crate) async fn measure(table: &mut Table, scene: &Scene, source: &Source) -> Result<()> {
    let (mut asked, mut made, mut answered) = (Vec::new(), Vec::new(), Vec::new());
    let first = Timestamp::now() + Duration::from_hours(1);
    for number in 0..RUNS {
        // A suspended Job has no pod; an hour apart, no run is too early; nothing but the snapshot counts.
        let run = Run::at(first + Duration::from_secs(number * 3600));
        let job = source.start_job(scene, &run, true).await?;
        let before = scene.requests(&source.job.user)?.len();
        let begun: Timestamp = SystemTime::now().try_into()?;
        let mut running = source.exec(scene, &job, &["--no-rotate".to_owned()])?;
        let code = running.child.wait()?.code();
        anyhow::ensure!(code == Some(0), "the job ended with {code:?}:\n{}", running.log()?);
        let requests = scene.requests(&source.job.user)?.split_off(before);
        let create = requests
            .iter()
            .find(|r| r.verb == "create" && r.resource == "volumesnapshots" && r.code == 201)
            .context("no snapshot was made")?;
        let one = requests.first().context("nothing was asked")?;
        asked.push(milliseconds(begun, &one.received)?);
        made.push(milliseconds(begun, &create.reached)?);
        answered.push(milliseconds(create.received.parse()?, &create.reached)?);
    }
    let middle = median(&mut made);
    table.judge("backup-job snapshot, exec to VolumeSnapshot: median", middle, 60.0, "ms", false);
    let (least, most) = (made.first().copied().unwrap_or(0.0), made.last().copied().unwrap_or(0.0));
    table.tell(&format!("  least and most of {RUNS}"), format!("{least:.1} to {most:.1} ms"));
    table.tell("  until the API server has the first request: median", format!("{:.1} ms", median(&mut asked)));
    table.tell("  the API server's time for the create alone: median", format!("{:.1} ms", median(&mut answered)));
    Ok(())
}

fn milliseconds(from: Timestamp, to: &str) -> Result<f64> {
    let to: Timestamp = to.parse().with_context(|| format!("the audit log has the time {to:?}"))?;
    Ok(to.duration_since(from).as_secs_f64() * 1000.0)
}
