//! What every `backup-job restic` is called with.

use std::path::PathBuf;
use std::time::Duration;

/// Where the repository is, what opens it, and whose it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The destination's name, for the record
    #[arg(long, value_name = "DESTINATION")]
    pub(crate) name: String,
    /// The repository's address; a name in capital letters, such as `{RESTIC_REPOSITORY}`, is a key of the Secret
    #[arg(long, value_name = "PATTERN")]
    pub(crate) repository: String,
    /// Where the Secret is mounted: one file a key
    #[arg(long, value_name = "DIR", default_value = "/secret")]
    pub(crate) secret: PathBuf,
    /// What the Secret is called: namespace/name
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret_name: String,
    /// The authority that signs the endpoint's certificate, if the file is there
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Where restic's cache may lie; without it there is none
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// More of restic's environment
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// The most that is sent, in KiB a second
    #[arg(long, value_name = "KIB")]
    pub(crate) limit_upload: Option<u32>,
    /// The most that is fetched, in KiB a second
    #[arg(long, value_name = "KIB")]
    pub(crate) limit_download: Option<u32>,
    /// The source's namespace
    #[arg(long)]
    pub(crate) namespace: String,
    /// The source's name
    #[arg(long)]
    pub(crate) pvc: String,
    /// The source's UID
    #[arg(long)]
    pub(crate) uid: String,
    /// How often progress is logged
    #[arg(long, hide = true, default_value = "30", value_parser = seconds)]
    pub(crate) progress_seconds: Duration,
    /// How long an endpoint may fail to answer
    #[arg(long, hide = true, default_value = "60", value_parser = seconds)]
    pub(crate) patience_seconds: Duration,
    /// How long a lock is waited for: restic takes one for stale after 30 minutes
    #[arg(long, hide = true, default_value = "2100", value_parser = seconds)]
    pub(crate) lock_seconds: Duration,
}

impl Common {
    /// The tags that say whose a snapshot is. Its host is the namespace.
    pub(crate) fn tags(&self) -> [String; 2] {
        [format!("source={}/{}", self.namespace, self.pvc), format!("uid={}", self.uid)]
    }
}

/// Whether a text is the name of an environment variable.
pub(super) fn is_variable(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if is_variable(name) && !value.contains('\0') => Ok((name.to_owned(), value.to_owned())),
        _ => Err("NAME=value".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "a number of seconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_a_name() {
        assert_eq!(variable("A_1=x=y"), Ok(("A_1".to_owned(), "x=y".to_owned())));
        for bad in ["", "A", "=x", "1A=x", "A-B=x", "A B=x"] {
            assert!(variable(bad).is_err(), "{bad}");
        }
    }
}
