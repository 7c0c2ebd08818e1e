//! The process: watches, clock and signals around the [`Engine`], which has none of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};
use model::Timestamp;
use model::world::World;
use tokio::signal::unix::{SignalKind, signal};

use crate::admin::{self, Shown};
use crate::apply::Applier;
use crate::args::Args;
use crate::engine::Engine;
use crate::holders::Holders;
use crate::metrics::Metrics;
use crate::revision;
use crate::settings::SettingsFiles;
use crate::watch;

/// Changes taken in before planning: a full list is one batch, not ten thousand.
const BATCH: usize = 1000;
/// How often the files of the settings are looked at.
const SETTINGS_PERIOD: Duration = Duration::from_secs(5);

/// Runs until it is told to stop.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let mut source = SettingsFiles::new(&args);
    let settings = source.read()?;
    let client = api::connect(args.kubeconfig.as_deref()).await?;
    let listener = admin::bind(args.listen).await?;
    let mut changes = watch::all(&client, &args.instance, &args.namespace);
    let shown =
        Shown { metrics: Arc::new(Mutex::new(Metrics::new())), pending: Arc::new(Mutex::new(vec!["anything"])) };
    tokio::spawn(admin::serve(listener, shown.clone()));
    let world = World::new(args.instance.clone(), &args.namespace, settings.config.clone());
    let mut engine = Engine::new(world, settings, Applier::new(client.clone(), api::now), shown);
    let mut holders = Holders::new(client.clone());
    tracing::info!(instance = %args.instance, namespace = args.namespace, listen = %args.listen, "started");

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut look = tokio::time::interval(SETTINGS_PERIOD);
    let mut ahead = 0;
    // One question at a time.
    let mut revision = FuturesUnordered::new();
    loop {
        if api::ahead() != ahead {
            ahead = api::ahead();
            tell_clock(ahead);
        }
        let next_wake = engine.next_wake();
        tokio::select! {
            biased;
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = watch::interrupted(), if revision.is_empty() => {
                revision.extend(
                    engine.world.newest().map(|held| revision::before(client.clone(), args.namespace.clone(), held)),
                );
            }
            // L12: what is held is of a time that was taken back, and so is what this process remembers.
            Some(Some(now)) = revision.next(), if !revision.is_empty() => anyhow::bail!(
                "the API server went back to revision {now}: its etcd was restored. The controller starts again and \
                 plans from what is there"
            ),
            ended = engine.step() => engine.ended(ended, api::now()),
            Some(change) = changes.next() => {
                engine.observe(change);
                for _ in 0..BATCH {
                    let Some(Some(change)) = changes.next().now_or_never() else { break };
                    engine.observe(change);
                }
            }
            () = sleep_until(next_wake) => engine.wake(api::now()),
            _ = look.tick() => {
                if let Some(read) = source.read_if_changed() {
                    engine.reload(read);
                }
            }
        }
        engine.turn(api::now());
        holders.follow(&engine.holders, &mut engine.world, &mut changes);
    }
    // Steps under way are safe to break off: each is repeated, or found done, at the next start.
    tracing::info!(under_way = engine.under_way(), "stopped");
    Ok(())
}

/// L9: all decisions go by the API server's time, which is that of the objects' ages.
fn tell_clock(ahead: i64) {
    if ahead == 0 {
        return tracing::info!("the clock of this node agrees with the API server's");
    }
    let way = if ahead > 0 { "behind" } else { "ahead of" };
    tracing::warn!(
        "the clock of this node is {} s {way} the API server's: all decisions use the API server's time",
        ahead.unsigned_abs()
    );
}

async fn sleep_until(at: Option<Timestamp>) {
    let Some(at) = at else { return std::future::pending().await };
    let wait = at.duration_since(api::now());
    tokio::time::sleep(Duration::try_from(wait).unwrap_or_default()).await;
}
