//! The two sides, one after the other.

use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use backup_controller_tests::binaries;
use backup_controller_tests::figures::resident;
use model::record::{CopyResult, CopyState};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::room::SEEN;
use crate::side::Side;
use crate::store::{self, Store};

/// How often a process's memory is looked at. The kernel keeps the maximum: only what comes after the last look is
/// missed.
const LOOK: Duration = Duration::from_millis(5);

/// What one process took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    /// From exec to exit.
    pub(crate) seconds: f64,
    /// The most memory of this process alone, in KiB.
    pub(crate) memory: u32,
}

/// Both, over the same files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pair {
    pub(crate) ours: Cost,
    pub(crate) bare: Cost,
}

pub(crate) struct Pairs<'a> {
    pub(crate) store: &'a Store,
    pub(crate) dir: &'a Path,
    /// Numbers the runs.
    pub(crate) run: &'a mut u32,
}

impl Pairs<'_> {
    /// Each time into a new repository. The last ones stay if they are to be kept.
    pub(crate) fn of_new(&mut self, rounds: u32, keep: bool) -> Result<Vec<Pair>> {
        self.measure(
            rounds,
            |_| Ok(()),
            Store::fresh,
            |store, side| {
                if keep { Ok(()) } else { store.remove(side) }
            },
        )
    }

    /// Each time into the repository that is there, after a change of the files.
    pub(crate) fn of(&mut self, rounds: u32, change: impl Fn(u32) -> Result<()>) -> Result<Vec<Pair>> {
        self.measure(rounds, change, |_, _| Ok(()), |_, _| Ok(()))
    }

    fn measure(
        &mut self,
        rounds: u32,
        change: impl Fn(u32) -> Result<()>,
        before: impl Fn(&Store, Side) -> Result<()>,
        after: impl Fn(&Store, Side) -> Result<()>,
    ) -> Result<Vec<Pair>> {
        let mut pairs = Vec::new();
        for (round, order) in (0..).zip(orders(rounds)) {
            change(round)?;
            *self.run += 1;
            let mut pair = Pair::default();
            for side in order {
                before(self.store, side)?;
                let cost = self.copy(side)?;
                *(if side == Side::Ours { &mut pair.ours } else { &mut pair.bare }) = cost;
                after(self.store, side)?;
            }
            pairs.push(pair);
        }
        Ok(pairs)
    }

    fn copy(&self, side: Side) -> Result<Cost> {
        let run = format!("2018{:02}{:02}T0000Z", 1 + *self.run / 28 % 12, 1 + *self.run % 28);
        let log = self.dir.join("log");
        let result = self.dir.join("result");
        let mut command = match side {
            Side::Ours => self.ours(&run, &result)?,
            Side::Bare => self.bare(&run)?,
        };
        command.stdin(Stdio::null()).stdout(File::create(&log)?).stderr(File::options().append(true).open(&log)?);
        // What was written before is not to be written now.
        rustix::fs::sync();
        let begun = Instant::now();
        let child = command.spawn().context("cannot start a copy")?;
        let (cost, code) = attend(child, begun)?;
        let said = || fs::read_to_string(&log).unwrap_or_default();
        anyhow::ensure!(code == Some(0), "{side:?} ended with {code:?}:\n{}", said());
        if side == Side::Ours {
            let result: CopyResult = serde_json::from_str(&fs::read_to_string(&result)?)?;
            anyhow::ensure!(result.state == CopyState::Complete, "no whole copy: {result:?}\n{}", said());
        }
        Ok(cost)
    }

    fn ours(&self, run: &str, result: &Path) -> Result<Command> {
        let secret = self.dir.join("secret");
        fs::create_dir_all(&secret)?;
        for (key, value) in self.store.secret(Side::Ours) {
            fs::write(secret.join(key), value)?;
        }
        let mut command = Command::new(binaries::path("backup-job")?);
        command.args([
            "restic",
            "copy",
            "--name=s3",
            "--repository={RESTIC_REPOSITORY}",
            "--allow-local=true",
            "--skip-unchanged",
        ]);
        command.args(["--secret-name=shop/backup-s3", "--namespace=shop", "--pvc=data", "--uid=uid-1"]);
        command.arg(format!("--secret={}", secret.display())).arg(format!("--run={run}"));
        command.arg(format!("--source={SEEN}")).arg(format!("--termination-log={}", result.display()));
        command.env_clear().env("PATH", store::path());
        Ok(command)
    }

    /// What `backup-job` executes, word by word, with the same environment.
    fn bare(&self, run: &str) -> Result<Command> {
        let mut command = Command::new(store::program("restic")?);
        command.args(["--json", "--no-cache", "backup", "--no-scan", "--skip-if-unchanged", "--host", "shop"]);
        command.args(["--tag", "source=shop/data", "--tag", "uid=uid-1", "--tag", &format!("run={run}"), "--", SEEN]);
        command.env_clear().env("PATH", store::path()).envs(self.store.secret(Side::Bare));
        command.env("RESTIC_PROGRESS_FPS", "0.2").env("LC_ALL", "C").current_dir("/");
        Ok(command)
    }
}

/// Waits for a process's end; what it took, and its code.
fn attend(mut child: Child, begun: Instant) -> Result<(Cost, Option<i32>)> {
    let id = child.id();
    let over = AtomicBool::new(false);
    let cost = thread::scope(|scope| {
        let most = scope.spawn(|| {
            let mut most = 0;
            while !over.load(Ordering::Relaxed) {
                most = most.max(resident(id, "VmHWM").unwrap_or(0));
                thread::sleep(LOOK);
            }
            most
        });
        // It stays a zombie, so that nobody else gets its number while we look.
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("not a process id");
        let ended = pid.and_then(|pid| Ok(waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?));
        let seconds = begun.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        let memory = most.join().unwrap_or(0);
        ended.map(|_| Cost { seconds, memory })
    });
    let status = child.wait()?;
    Ok((cost?, status.code()))
}

/// Who comes first in each round: each of them in half of the rounds, in an order that nothing here can keep in
/// step with.
fn orders(rounds: u32) -> Vec<[Side; 2]> {
    let order = |round: u32| if round.is_multiple_of(2) { [Side::Ours, Side::Bare] } else { [Side::Bare, Side::Ours] };
    let random = RandomState::new();
    let mut rounds: Vec<u32> = (0..rounds).collect();
    rounds.sort_by_cached_key(|round| random.hash_one(round));
    rounds.into_iter().map(order).collect()
}
