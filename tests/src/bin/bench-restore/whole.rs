//! A whole volume, by restore.sh and by rsync alone: between the same two mounts, in the same pod, one after the other.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use backup_controller_tests::figures::{Table, median};
use backup_controller_tests::nodes::{App, restore_template};

/// How often both.
pub(crate) const PAIRS: usize = 3;

/// Prints seconds: restore.sh, rsync alone, and what `sync` takes after it, which restore.sh does too.
const PAIR: &str = r"
    empty() { find /source -mindepth 1 -delete; sync -f /source; }
    timed() { local from=$EPOCHREALTIME; $@ >/dev/null; echo -n $(((${EPOCHREALTIME/.} - ${from/.}) / 1000)) ''; }
    ours() { empty; timed restore.sh --yes; }
    bare() { empty; timed rsync -aHAXS --numeric-ids /destination/ /source/; timed sync -f /source; }
";

/// Restores into an empty volume in turns, and tells the medians.
pub(crate) fn measure(table: &mut Table, app: &App) -> Result<()> {
    app.claim("target", None)?;
    let template = restore_template(&["NAME=data", "DATE=latest", "TARGET=target"])?;
    app.apply(&template)?;
    app.restore_status("deployment/restore-data", &["Ready"])?;
    app.kubectl(&["rollout", "status", "deployment/restore-data", "--timeout=90s"])?;
    let run = |steps: &str| {
        let script = format!("set -e; {PAIR}\n{steps}");
        let said = app.kubectl(&["exec", "deployment/restore-data", "--", "bash", "-c", &script])?;
        let times: Vec<f64> =
            said.split_whitespace().filter_map(|t| t.parse::<f64>().ok()).map(|t| t / 1000.0).collect();
        <[f64; 3]>::try_from(times).map_err(|_| anyhow::anyhow!("not three times: {said}"))
    };
    // Who comes first warms the caches for both.
    run("ours; bare").context("the first pair")?;
    let (mut ours, mut bare, mut ratios, mut synced) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut each = String::new();
    for pair in 0..PAIRS {
        let (restore, rsync, sync) = if pair % 2 == 0 {
            let [restore, rsync, sync] = run("ours; bare")?;
            (restore, rsync, sync)
        } else {
            let [rsync, sync, restore] = run("bare; ours")?;
            (restore, rsync, sync)
        };
        ours.push(restore);
        bare.push(rsync);
        ratios.push(restore / rsync);
        synced.push(restore / (rsync + sync));
        write!(each, "{restore:.1}/{rsync:.1}+{sync:.1} ")?;
    }
    table.judge(
        "the whole volume, restore.sh to rsync alone: median of the pairs",
        100.0 * median(&mut ratios),
        110.0,
        "%",
        true,
    );
    table.tell("  restore.sh, which syncs: median", format!("{:.1} s", median(&mut ours)));
    table.tell("  rsync -aHAXS --numeric-ids, which does not: median", format!("{:.1} s", median(&mut bare)));
    table.tell("  restore.sh to rsync and sync: median of the pairs", format!("{:.0} %", 100.0 * median(&mut synced)));
    table.tell("  the pairs: restore.sh/rsync+sync", each.trim_end().to_owned());
    Ok(())
}
