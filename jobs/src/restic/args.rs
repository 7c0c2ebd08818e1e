//! What every `backup-job restic` is called with.

use std::path::PathBuf;
use std::time::Duration;

/// Where the repository is, what opens it, and whose it is.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Name of the destination; it is recorded with the result
    #[arg(long, value_name = "DESTINATION")]
    pub(crate) name: String,
    /// Address of the repository; `{KEY}` stands for a key of the Secret, such as `{RESTIC_REPOSITORY}`
    #[arg(long, value_name = "PATTERN")]
    pub(crate) repository: String,
    /// Directory where the Secret is mounted, with one file per key
    #[arg(long, value_name = "DIR", default_value = "/secret")]
    pub(crate) secret: PathBuf,
    /// Name of the Secret for messages: namespace/name
    #[arg(long, value_name = "SECRET")]
    pub(crate) secret_name: String,
    /// File with the authority that signs the endpoint's certificate; ignored if it does not exist
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Directory for restic's cache; without it, restic uses no cache
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Another environment variable for restic; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// Extended option of restic (see `restic options`), such as s3.bucket-lookup=path; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = backend_option)]
    pub(crate) backend_option: Vec<String>,
    /// Upload limit, in KiB per second
    #[arg(long, value_name = "KIB")]
    pub(crate) limit_upload: Option<u32>,
    /// Download limit, in KiB per second
    #[arg(long, value_name = "KIB")]
    pub(crate) limit_download: Option<u32>,
    /// Namespace of the source
    #[arg(long)]
    pub(crate) namespace: String,
    /// Name of the source, a PVC
    #[arg(long)]
    pub(crate) pvc: String,
    /// UID of the source
    #[arg(long)]
    pub(crate) uid: String,
    /// Accept a path of the pod as the repository's address in the Secret
    #[arg(long, hide = true, action = clap::ArgAction::Set, default_value_t = false)]
    pub(crate) allow_local: bool,
    /// Seconds between log lines about progress
    #[arg(long, hide = true, default_value = "30", value_parser = seconds)]
    pub(crate) progress_seconds: Duration,
    /// Seconds without an answer from the endpoint after which restic is stopped
    #[arg(long, hide = true, default_value = "60", value_parser = seconds)]
    pub(crate) patience_seconds: Duration,
    /// Seconds to wait for a lock; restic considers a lock stale after 30 minutes
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
        _ => Err("must be NAME=value".to_owned()),
    }
}

/// The same list as in the configuration: other options start programs.
fn backend_option(text: &str) -> Result<String, String> {
    let (name, value) = text.split_once('=').ok_or_else(|| "must be NAME=value".to_owned())?;
    model::restic_options::fault(name, value)
        .map_or_else(|| Ok(text.to_owned()), |fault| Err(format!("{name} {fault}")))
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse().map(Duration::from_secs).map_err(|_| "must be a whole number of seconds".to_owned())
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
