//! What `backup-job` is called with: one place for who renders the arguments and who parses them.
//!
//! Every option is one argument, `--name=value`, so that a value may begin with a dash. What is returned
//! is what the program gets; in a pod's spec it stands as [`crate::program::escape`] writes it.

use model::config::{Bounds, Config, PromoterRetention, Trees};
use model::facts::Journal;
use model::maintain::{Part, Task};
use model::names::{Run, SourceId};
use model::plan::{Copy, Drill, Expected, Left, Prune, Remove};
use model::quantity;
use model::select::Protection;

use crate::install::Install;
use crate::program::{
    CA_DIR, CACHE_DIR, DESTINATION_DIR, KEEPER_DIR, SCRATCH_DIR, SECRET_DIR, SOURCE_DIR, TEMPLATES_DIR, VOLUME_DIR,
};
use crate::repository::Repository;

/// The word of the option `--expect-repository` where no copy has reported the repository's id.
pub const ANY_REPOSITORY: &str = "any";

/// The word of the options `--promoter-retention`.
#[must_use]
pub fn promoter_retention(retention: PromoterRetention) -> &'static str {
    match retention {
        PromoterRetention::Auto => "auto",
        PromoterRetention::Keep => "keep",
        PromoterRetention::Release => "release",
    }
}

/// `backup-job snapshot`: one run of one source.
#[must_use]
pub fn snapshot_args(
    install: &Install,
    config: &Config,
    source: &SourceId,
    protection: &Protection,
    rotate: bool,
) -> Vec<String> {
    let (bounds, promoter) = (&config.bounds, &protection.promoter.shape);
    let mut args = Args::new("snapshot");
    args.option("instance", &install.instance)
        .option("namespace", &source.namespace)
        .option("pvc", &source.name)
        .option("uid", &source.uid)
        .option("retention", &protection.retention)
        .option("time-zone", protection.zone.name());
    args.option("snapshot-class", &protection.snapshot_class.0)
        .option("storage-class", &promoter.storage_class)
        .option("promoter-retention", promoter_retention(protection.promoter.retention))
        .flag("read-only", promoter.read_only)
        .journal(promoter.journal);
    for (key, value) in &promoter.annotations {
        args.option("promoter-annotation", format!("{key}={value}"));
    }
    args.option("min-interval", bounds.min_interval)
        .limits(bounds)
        .option("snapshot-deadline", config.deadlines.snapshot_ready)
        .flag("no-rotate", !rotate);
    if install.templates_config_map.is_some() {
        args.option("templates", TEMPLATES_DIR);
    }
    args.0
}

/// `backup-job sweep`: rotates what vanished sources left.
#[must_use]
pub fn sweep_args(install: &Install, config: &Config) -> Vec<String> {
    let mut args = Args::new("sweep");
    args.option("instance", &install.instance)
        .limits(&config.bounds)
        .option("orphan-retention", config.bounds.orphan_retention)
        .option("time-zone", config.defaults.time_zone.name())
        .option("promoter-retention", promoter_retention(config.defaults.promoter_retention))
        .option("snapshot-deadline", config.deadlines.snapshot_ready);
    args.0
}

/// `backup-job copy`: one run to one destination, a disk.
#[must_use]
pub fn copy_args(config: &Config, trees: &Trees, copy: &Copy) -> Vec<String> {
    let bounds = &config.bounds;
    let mut args = Args::new("copy");
    args.option("run", &copy.run)
        .option("name", &copy.destination)
        .option("of", owner(&copy.source))
        .option("source", SOURCE_DIR)
        .option("destination", DESTINATION_DIR)
        .option("time-zone", copy.zone.name())
        .option("min-keep", bounds.min_keep)
        .option("max-unconfirmed", bounds.max_unconfirmed)
        .option("max-deletes", bounds.max_deletes_per_run)
        .option("checksum-every", trees.checksum_every);
    if let Some(retention) = &copy.retention {
        args.option("retention", retention);
    }
    args.flag("accept-empty", copy.accept_empty).expected(&copy.expected).journal(copy.journal);
    args.flag("after-finding", copy.after_finding.is_some());
    for loss in trees.accept.iter() {
        args.option("accept", loss);
    }
    args.0
}

/// `backup-job restic <verb>`: how a repository is reached. What the verb wants itself comes after it.
#[must_use]
pub fn restic_args(verb: &str, repository: &Repository<'_>) -> Vec<String> {
    let mut args = Args::new("restic");
    args.0.push(verb.to_owned());
    args.repository(repository);
    args.0
}

/// `backup-job restic copy`: one run to a repository.
#[must_use]
pub fn restic_copy_args(copy: &Copy, repository: &Repository<'_>) -> Vec<String> {
    let restic = &repository.restic;
    let mut args = Args(restic_args("copy", repository));
    args.option("run", &copy.run)
        .option("source", SOURCE_DIR)
        .journal(copy.journal)
        .flag("accept-empty", copy.accept_empty)
        .expected(&copy.expected)
        .flag("after-finding", copy.after_finding.is_some())
        // restic's guide: the index is repaired first, and only of a repository that is damaged.
        .flag("repair-index", copy.after_finding == Some(Task::Verify))
        .flag("skip-unchanged", restic.skip_unchanged)
        .option("compression", restic.compression.as_str())
        .maybe("pack-size", restic.pack_size);
    for pattern in &restic.exclude {
        args.option("exclude", pattern);
    }
    args.0
}

/// `backup-job restic prune`: forgets what the retention lets go, and removes its data. It is as late as it is due: a
/// task that had to wait forgets no more for that.
#[must_use]
pub fn restic_prune_args(config: &Config, repository: &Repository<'_>, due: &Run, prune: &Prune) -> Vec<String> {
    let bounds = &config.bounds;
    let mut args = Args(restic_args("prune", repository));
    args.option("now", due.time())
        .option("retention", &prune.retention)
        .option("time-zone", prune.zone.name())
        .option("min-keep", bounds.min_keep)
        .option("max-unconfirmed", bounds.max_unconfirmed)
        .option("max-deletes", bounds.max_deletes_per_run)
        .maybe("since", prune.since.as_ref());
    for run in &prune.holds {
        args.option("hold", run);
    }
    for id in &prune.hold_snapshots {
        args.option("hold-snapshot", id);
    }
    for run in &prune.incomplete {
        args.option("incomplete", run);
    }
    for id in &prune.complete_snapshots {
        args.option("complete-snapshot", id);
    }
    args.0
}

/// `backup-job restic verify`: reads and checks a part of a repository.
#[must_use]
pub fn restic_verify_args(repository: &Repository<'_>, part: Part) -> Vec<String> {
    let mut args = Args(restic_args("verify", repository));
    args.option("subset", part);
    args.0
}

/// `backup-job drill`: restores a copy, or a sample of it, and compares it with its snapshot. Without a repository the
/// copy is a tree in the source's own part of a disk.
#[must_use]
pub fn drill_args(repository: Option<&Repository<'_>>, source: &SourceId, due: &Run, drill: &Drill) -> Vec<String> {
    let mut args = Args::new("drill");
    match repository {
        Some(repository) => {
            args.option("from", "restic").repository(repository).maybe("snapshot", drill.snapshot.as_ref());
            for pattern in &repository.restic.exclude {
                args.option("exclude", pattern);
            }
        }
        None => drop(args.option("from", "tree").option("tree", format!("{DESTINATION_DIR}/{}", drill.run))),
    }
    args.option("run", &drill.run)
        .option("original", SOURCE_DIR)
        .option("scratch", SCRATCH_DIR)
        // On a node's own disk a pod sees all that is free, and is evicted at its limit.
        .maybe("room", quantity::parse(&drill.scratch.size).ok().as_ref())
        .option("sample", drill.sample)
        .option("seed", format!("{}/{due}", source.uid))
        .option("now", due.time())
        .flag("accept-empty", drill.accept_empty);
    args.0
}

/// `backup-job restic remove`: forgets all snapshots of a source that is gone.
#[must_use]
pub fn restic_remove_args(repository: &Repository<'_>, remove: &Remove) -> Vec<String> {
    let mut args = Args(restic_args("remove", repository));
    args.flag("expect-copies", !remove.runs.is_empty() && !remove.tried);
    args.0
}

/// `backup-job remove`: removes all trees of a source that is gone from its own part of a disk.
#[must_use]
pub fn remove_args(destination: &str, source: &SourceId, remove: &Remove) -> Vec<String> {
    let mut args = Args::new("remove");
    args.option("name", destination).option("destination", DESTINATION_DIR).option("of", owner(source));
    for run in &remove.runs {
        args.option("expect-tree", run);
    }
    args.0
}

/// Whose a tree is, as its manifest has it.
fn owner(source: &SourceId) -> String {
    format!("{}/{}/{}", source.namespace, source.name, source.uid)
}

/// `backup-job keep`: checks that a host's disk is mounted, and makes a tenant's folder on it.
#[must_use]
pub fn keep_args(namespace: &str) -> Vec<String> {
    let mut args = Args::new("keep");
    args.option("root", KEEPER_DIR).option("namespace", namespace);
    args.0
}

/// What a restore in a Job adds to its command: nobody is asked. A path may begin with a dash.
#[must_use]
pub fn unasked(command: Vec<String>, delete: bool, path: Option<&str>) -> Vec<String> {
    let mut args = Args(command);
    args.flag("yes", true).flag("delete", delete);
    if let Some(path) = path {
        args.0.extend(["--".to_owned(), path.to_owned()]);
    }
    args.0
}

/// `backup-job restic restore`: one run, or one snapshot of the repository. In a restore pod a person adds the rest.
#[must_use]
pub fn restic_restore_args(repository: &Repository<'_>, run: &Run, snapshot: Option<&str>) -> Vec<String> {
    let mut args = Args(restic_args("restore", repository));
    match snapshot {
        Some(id) => args.option("snapshot", id),
        None => args.option("run", run),
    };
    args.option("target", VOLUME_DIR);
    args.0
}

/// A command line as it grows.
struct Args(Vec<String>);

impl Args {
    fn new(verb: &str) -> Self {
        Self(vec![verb.to_owned()])
    }

    fn option(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        self.0.push(format!("--{name}={value}"));
        self
    }

    fn maybe(&mut self, name: &str, value: Option<impl std::fmt::Display>) -> &mut Self {
        if let Some(value) = value {
            self.option(name, value);
        }
        self
    }

    fn flag(&mut self, name: &str, on: bool) -> &mut Self {
        if on {
            self.0.push(format!("--{name}"));
        }
        self
    }

    /// What was there before, if anything was.
    fn expected(&mut self, expected: &Expected) -> &mut Self {
        self.maybe("filled", expected.filled.as_ref());
        match &expected.left {
            Left::Nothing => self,
            Left::Trees(runs) => runs.iter().fold(self, |args, run| args.option("expect-tree", run)),
            Left::Repository(id) => self.option("expect-repository", id.as_deref().unwrap_or(ANY_REPOSITORY)),
        }
    }

    /// How what is copied is mounted, if that is worth a word.
    fn journal(&mut self, journal: Journal) -> &mut Self {
        self.maybe("journal", journal.is_skipped().then_some(journal.as_str()))
    }

    /// How a repository is reached.
    fn repository(&mut self, repository: &Repository<'_>) -> &mut Self {
        let (restic, source) = (&repository.restic, repository.source);
        self.option("name", repository.destination)
            .option("repository", restic.address(source))
            .option("secret", SECRET_DIR)
            .option("secret-name", format!("{}/{}", repository.namespace, repository.secret));
        if restic.ca.is_some() {
            self.option("ca", format!("{CA_DIR}/ca.crt"));
        }
        if restic.cache.is_some() {
            self.option("cache", CACHE_DIR);
        }
        for (name, value) in &restic.environment {
            self.option("env", format!("{name}={value}"));
        }
        for (name, value) in &restic.backend_options {
            self.option("backend-option", format!("{name}={value}"));
        }
        self.maybe("limit-upload", restic.limit_upload).maybe("limit-download", restic.limit_download);
        self.option("namespace", &source.namespace).option("pvc", &source.name).option("uid", &source.uid)
    }

    /// What rotation may do at most.
    fn limits(&mut self, bounds: &Bounds) -> &mut Self {
        self.option("min-keep", bounds.min_keep)
            .option("max-unconfirmed", bounds.max_unconfirmed)
            .option("max-deletes", bounds.max_deletes_per_run)
            .option("max-holds", bounds.max_holds)
    }
}
