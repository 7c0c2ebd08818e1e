//! What `backup-job restic copy` adds to restic: time from exec to exit, and memory, beside `restic backup` with the
//! same flags over the same files. Printed as measured in this run, beside the goals; nothing here fails because of
//! a number.
//!
//! The two are run in pairs, in an order that is shuffled. Each has repositories of its own, made before and not
//! measured, so that both find the same in them; both are copies of one. All lies in one folder, which is removed at the end.

mod args;
mod files;
mod pair;
mod report;
mod room;
mod side;
mod store;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use args::Args;
use files::Files;
use pair::Pairs;
use report::Report;
use store::Store;

fn main() -> ExitCode {
    let args = Args::parse();
    let done = if args.mounted { measure(&args) } else { room::enter(&args) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-restic: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<()> {
    let dir = args.dir.as_deref().context("--mounted without --dir")?;
    let mut report = Report::default();
    let mut run = 0;
    if args.files > 0 {
        small(args, dir, &mut report, &mut run)?;
    }
    if args.large_mib > 0 {
        large(args, dir, &mut report, &mut run)?;
    }
    print!("{report}");
    Ok(())
}

/// Small files: all new, then unchanged, then some changed.
fn small(args: &Args, dir: &Path, report: &mut Report, run: &mut u32) -> Result<()> {
    eprintln!("==> {} small files", args.files);
    let files = Files::small(&dir.join("source"), args.files)?;
    for store in Store::all(dir)? {
        let mut pairs = Pairs { store: &store, dir, run };
        eprintln!("==> {}: all of them are new, {} times", store.name, args.rounds);
        report.add(&format!("{} files of 1-16 KiB", args.files), &store, &pairs.of_new(args.rounds, true)?);
        eprintln!("==> {}: nothing has changed, {} times", store.name, args.rounds);
        report.add("  unchanged", &store, &pairs.of(args.rounds, |_| Ok(()))?);
        eprintln!("==> {}: 1 % of them have changed, {} times", store.name, args.rounds);
        report.add("  1 % changed", &store, &pairs.of(args.rounds, |round| files.change(round))?);
        store.clear()?;
    }
    files.remove()
}

/// Large files. A repository of them goes as soon as it was measured: they are large.
fn large(args: &Args, dir: &Path, report: &mut Report, run: &mut u32) -> Result<()> {
    eprintln!("==> {} MiB in large files", args.large_mib);
    let files = Files::large(&dir.join("source"), args.large_mib)?;
    for store in Store::all(dir)? {
        eprintln!("==> {}: all of it is new, {} times", store.name, args.large_rounds);
        let pairs = Pairs { store: &store, dir, run }.of_new(args.large_rounds, false)?;
        report.add(&format!("{} MiB in large files", args.large_mib), &store, &pairs);
        store.clear()?;
    }
    files.remove()
}
