//! What a program used for something: time, processor, memory, requests, bytes.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use backup_controller_tests::Scene;
use backup_controller_tests::figures::{self, by_kind, resident};
use serde::Serialize;

use crate::proxy::Wire;

/// Without a byte to the API server and without work for this long, a program has done what there was.
const QUIET: Duration = Duration::from_secs(4);

/// One row of the table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) what: String,
    /// Seconds.
    pub(crate) wall: f64,
    /// Seconds of processor time.
    pub(crate) cpu: f64,
    /// MiB at its end, and at most.
    pub(crate) memory: f64,
    pub(crate) peak: f64,
    /// Bytes from the API server.
    pub(crate) received: u64,
    /// By verb and resource; a watch counts when it begins.
    pub(crate) requests: BTreeMap<String, usize>,
}

impl Row {
    pub(crate) fn count(&self) -> usize {
        self.requests.values().sum()
    }

    /// Requests that change something.
    pub(crate) fn writes(&self) -> usize {
        let reads = |kind: &&String| ["get ", "list ", "watch "].iter().any(|verb| kind.starts_with(verb));
        self.requests.iter().filter(|(kind, _)| !reads(kind)).map(|(_, number)| number).sum()
    }
}

/// A look at a program, to measure from.
pub(crate) struct Meter<'a> {
    scene: &'a Scene,
    pid: u32,
    user: String,
    wire: Arc<Wire>,
    begun: Instant,
    cpu: f64,
    received: u64,
    asked: usize,
}

impl<'a> Meter<'a> {
    /// Measures from now on.
    pub(crate) fn start(scene: &'a Scene, pid: u32, user: &str, wire: &Arc<Wire>) -> Result<Self> {
        // Its memory at most counts from here.
        fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        Ok(Self {
            scene,
            pid,
            user: user.to_owned(),
            wire: wire.clone(),
            begun: Instant::now(),
            cpu: cpu(pid)?,
            received: wire.received.load(Ordering::Relaxed),
            asked: scene.requests(user)?.len(),
        })
    }

    /// The same for a program that has just started.
    pub(crate) fn from_start(scene: &'a Scene, pid: u32, user: &str, wire: &Arc<Wire>, asked: usize) -> Self {
        let (user, wire) = (user.to_owned(), wire.clone());
        let received = wire.received.load(Ordering::Relaxed);
        Self { scene, pid, user, wire, begun: Instant::now(), cpu: 0.0, received, asked }
    }

    /// Waits until the program is quiet. The wait is not counted.
    pub(crate) async fn settle(self, what: &str, limit: Duration) -> Result<Row> {
        let end = Instant::now() + limit;
        let look = || anyhow::Ok((self.wire.sent.load(Ordering::Relaxed), ticks(self.pid)? / 10));
        let (mut seen, mut since) = (look()?, Instant::now());
        while since.elapsed() < QUIET {
            ensure!(Instant::now() < end, "{what}: the program does not come to rest");
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = look()?;
            if now != seen {
                (seen, since) = (now, Instant::now());
            }
        }
        self.row(what, since.duration_since(self.begun))
    }

    /// What it was until now.
    pub(crate) fn end(self, what: &str) -> Result<Row> {
        let wall = self.begun.elapsed();
        self.row(what, wall)
    }

    fn row(&self, what: &str, wall: Duration) -> Result<Row> {
        let requests = by_kind(self.scene.requests(&self.user)?.iter().skip(self.asked));
        let memory = |key| resident(self.pid, key).map(figures::mebibytes).context("the program has ended");
        Ok(Row {
            what: what.to_owned(),
            wall: wall.as_secs_f64(),
            cpu: cpu(self.pid)? - self.cpu,
            memory: memory("VmRSS")?,
            peak: memory("VmHWM")?,
            received: self.wire.received.load(Ordering::Relaxed) - self.received,
            requests,
        })
    }
}

/// The processor time of a process until now, in seconds.
pub(crate) fn cpu(pid: u32) -> Result<f64> {
    let per_second = u32::try_from(rustix::param::clock_ticks_per_second())?;
    Ok(f64::from(u32::try_from(ticks(pid)?)?) / f64::from(per_second))
}

fn ticks(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the program has ended")?;
    let after = stat.rsplit_once(") ").context("no stat")?.1;
    Ok(after.split(' ').skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
}

/// Bytes as MiB.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    figures::mebibytes(u32::try_from(bytes / 1024).unwrap_or(u32::MAX))
}
