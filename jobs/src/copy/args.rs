//! What `backup-job copy` is called with.

use std::path::PathBuf;
use std::time::Duration;

use model::facts::Journal;
use model::losses::Loss;
use model::names::Run;

/// What `backup-job copy` is called with.
///
/// Retention and time zone are read late: text that cannot be read deletes nothing and is told, but it
/// does not stop the copy (law 4).
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run to copy, such as 20181202T0000Z
    #[arg(long)]
    pub(crate) run: Run,
    /// Name of the destination; it is recorded with the copy
    #[arg(long, value_name = "DESTINATION")]
    pub(crate) name: String,
    /// Whose copy it is, <namespace>/<pvc>/<uid>; it is recorded with the copy
    #[arg(long, value_name = "SOURCE")]
    pub(crate) of: Option<String>,
    /// Path of the promoter (the PVC made from the snapshot)
    #[arg(long, value_name = "DIR", default_value = "/source")]
    pub(crate) source: PathBuf,
    /// Directory of this source on the destination
    #[arg(long, value_name = "DIR", default_value = "/destination")]
    pub(crate) destination: PathBuf,
    /// Identifies this attempt: the pod's UID
    #[arg(long, env = "POD_UID", default_value = "local", value_parser = attempt)]
    pub(crate) attempt: String,
    /// Time zone in which the retention counts days, weeks and months
    #[arg(long, default_value = "Etc/UTC")]
    pub(crate) time_zone: String,
    /// How long to keep copies; without it, none is pruned
    #[arg(long)]
    pub(crate) retention: Option<String>,
    /// Good copies to keep, whatever their age
    #[arg(long, default_value_t = 1)]
    pub(crate) min_keep: usize,
    /// Incomplete copies to keep that are newer than the newest good copy
    #[arg(long, default_value_t = 3)]
    pub(crate) max_unconfirmed: usize,
    /// Copies that one run may prune
    #[arg(long, default_value_t = 3)]
    pub(crate) max_deletes: usize,
    /// Every Nth run compares contents by checksum instead of size and time; 0: never
    #[arg(long, value_name = "N", default_value_t = 30)]
    pub(crate) checksum_every: u32,
    /// Whether the mount replayed or skipped the promoter's journal; it is recorded with the copy
    #[arg(long, default_value = "replayed", value_name = "WORD")]
    pub(crate) journal: Journal,
    /// Accept an empty volume, although an earlier copy has entries
    #[arg(long)]
    pub(crate) accept_empty: bool,
    /// Earlier run that has a copy with entries, here or elsewhere: the volume was not empty then
    #[arg(long, value_name = "RUN")]
    pub(crate) filled: Option<Run>,
    /// Run that has a copy here. If no such copy and no newer one is here, nothing is copied; may be repeated
    #[arg(long, value_name = "RUN")]
    pub(crate) expect_tree: Vec<Run>,
    /// Compare all contents by checksum: a drill found that an earlier copy here is not what it should be
    #[arg(long)]
    pub(crate) after_finding: bool,
    /// Loss that the disk is accepted with, such as owners; may be repeated
    #[arg(long, value_name = "LOSS")]
    pub(crate) accept: Vec<Loss>,
    /// Accept any directory as the source, not only a mount point
    #[arg(long, hide = true)]
    pub(crate) allow_unmounted: bool,
    /// Seconds between log lines about progress
    #[arg(long, hide = true, default_value = "30", value_parser = seconds)]
    pub(crate) progress_seconds: Duration,
}

/// It becomes part of a file's name.
fn attempt(text: &str) -> Result<String, String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    if text.is_empty() || text.len() > 63 || !text.bytes().all(fits) {
        return Err("must be 1 to 63 letters, digits and '-'".to_owned());
    }
    Ok(text.to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "must be a whole number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use model::config::{Config, Format};
    use model::maintain::Task;
    use model::names::SourceId;
    use model::plan::{Copy, Expected, Left};
    use templates::args::copy_args;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn parse(args: &[&str]) -> Result<Args, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"copy").chain(args)).map(|cli| cli.args)
    }

    #[test]
    fn what_the_template_renders_is_understood() {
        let config = Config::parse(
            "destinations: [{name: disk, type: disk, claim: {size: 1Gi, name: d}, accept: [acls, owners]}]",
        )
        .unwrap();
        let source = SourceId { namespace: "shop".into(), name: "data".into(), uid: "u".into() };
        let run = "20181202T0000Z".parse().unwrap();
        let days: Vec<Run> = ["20181201T0000Z", "20181130T0000Z"].iter().map(|run| run.parse().unwrap()).collect();
        let expected = Expected { filled: Some(days[0].clone()), left: Left::Trees(days.clone()) };
        let destination = config.destination("disk").unwrap();
        let copy = Copy {
            isolate: false,
            source,
            run,
            destination: destination.name.clone(),
            promoter: "data-20181202".to_owned(),
            mode: model::facts::VolumeMode::Filesystem,
            retention: Some("last=3 daily=7".parse().unwrap()),
            zone: "Europe/Amsterdam".parse().unwrap(),
            journal: Journal::Skipped,
            accept_empty: true,
            expected,
            after_finding: Some(Task::Drill),
            spc_no_relabeling: false,
            options: model::copy_options::Options::default(),
            secret: None,
        };
        let Format::Trees(trees) = destination.format() else { panic!("a disk") };
        let rendered = copy_args(&config, trees, &copy);
        let words: Vec<&str> = rendered[1..].iter().map(String::as_str).collect();
        let args = parse(&words).unwrap();
        assert_eq!((&args.run, args.name.as_str(), args.time_zone.as_str()), (&copy.run, "disk", "Europe/Amsterdam"));
        assert_eq!((args.source.to_str(), args.destination.to_str()), (Some("/source"), Some("/destination")));
        assert_eq!(args.of.as_deref(), Some("shop/data/u"));
        assert_eq!(args.min_keep, config.bounds.min_keep as usize);
        assert_eq!(args.max_unconfirmed, config.bounds.max_unconfirmed as usize);
        assert_eq!(args.max_deletes, config.bounds.max_deletes_per_run as usize);
        assert_eq!(args.checksum_every, trees.checksum_every);
        assert!(args.after_finding);
        assert_eq!(args.accept, [Loss::Owners, Loss::Acls]);
        assert_eq!((args.filled.as_ref(), &args.expect_tree), (Some(&days[0]), &days));
        assert!(args.journal.is_skipped());
        assert!(args.accept_empty && !args.allow_unmounted);
        assert_eq!(args.retention, copy.retention.map(|r| r.to_string()));
    }

    #[test]
    fn a_run_or_an_attempt_that_could_leave_the_folder_is_refused() {
        for bad in ["--run=../../etc", "--run=20181202T0000Z/x", "--run="] {
            assert!(parse(&[bad, "--name=d"]).is_err(), "{bad}");
        }
        for bad in ["--attempt=a/b", "--attempt=..", "--attempt=", "--attempt=a b"] {
            assert!(parse(&["--run=20181202T0000Z", "--name=d", bad]).is_err(), "{bad}");
        }
    }
}
