//! How a repository on an SFTP server is reached: by OpenSSH's client, with the key and the host keys of the Secret and
//! nothing else. Nobody is asked anything, no configuration of the image or of a person counts, and a host that is not
//! in `known_hosts` is not talked to.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use model::reason::{Problem, Reason};
use model::text::clip;

use super::address::Address;
use super::classify::Cause;
use super::secret::{HOSTS, KEY, Secret};
use crate::outcome::Failure;

/// What an address begins with that is reached this way.
pub(super) const SCHEME: &str = "sftp:";
/// The options that every call has. It gives up where restic would, after a quarter of an hour without an answer.
const OPTIONS: &str = "-F none -o BatchMode=yes -o IdentitiesOnly=yes -o IdentityAgent=none \
                       -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=/dev/null -o LogLevel=ERROR \
                       -o ConnectTimeout=30 -o ServerAliveInterval=60 -o ServerAliveCountMax=15";
/// More of what it says is not read.
const SAID: u64 = 16 * 1024;
/// The longest piece of it that is repeated.
const PIECE: usize = 400;

/// The files that ssh is given, as long as they are needed: keys of a Secret are others' to read, as they are mounted.
#[derive(Debug)]
pub(crate) struct Ssh {
    folder: PathBuf,
}

impl Ssh {
    /// What an address needs; `None` if it is no SFTP server's.
    pub(crate) fn open(address: &Address, secret: &Secret) -> Result<Option<Self>, Failure> {
        let Some(rest) = address.as_str().strip_prefix(SCHEME) else { return Ok(None) };
        if is_option(rest) {
            let text = format!("the address {} contains no valid host and user", address.shown());
            return Err(Failure::last(Problem::new(Reason::InvalidAddress, text)));
        }
        let (key, hosts) = (secret.file(KEY)?, secret.file(HOSTS)?);
        let write = || -> io::Result<Self> {
            let ssh = Self { folder: folder()? };
            ssh.write(KEY, key)?;
            ssh.write(HOSTS, hosts)?;
            Ok(ssh)
        };
        let failed = |error| {
            let text = format!("cannot write the files for ssh: {error}");
            Failure::again(Problem::new(Reason::CopyFailed, text))
        };
        write().map(Some).map_err(failed)
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(self.folder.join(name))?;
        // A key that was pasted has other ends of lines, or none at its end: ssh reads neither.
        file.write_all(text.replace("\r\n", "\n").trim_end().as_bytes())?;
        file.write_all(b"\n")
    }

    /// restic's option that says how ssh is called.
    pub(crate) fn option(&self) -> String {
        let at = |name: &str| self.folder.join(name).display().to_string();
        format!("sftp.args={OPTIONS} -E '{}' -o 'UserKnownHostsFile={}' -i '{}'", at("log"), at(HOSTS), at(KEY))
    }

    /// How much it has said so far.
    pub(crate) fn mark(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |meta| meta.len())
    }

    /// What it has said since then of known causes, or else last. restic does not wait for its words, and mostly ends
    /// before they come.
    pub(crate) fn said(&self, mark: u64) -> Option<String> {
        let mut text = Vec::new();
        let mut file = File::open(self.log()).ok()?;
        file.seek(SeekFrom::Start(mark)).ok()?;
        file.take(SAID).read_to_end(&mut text).ok()?;
        let text = String::from_utf8_lossy(&text);
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let telling: Vec<&str> =
            lines.clone().filter(|line| Cause::of(line).is_some() || line.starts_with("Load key")).collect();
        let said = if telling.is_empty() { lines.next_back()?.to_owned() } else { telling.join("; ") };
        // Where the key was, nobody finds it.
        Some(clip(&said.replace(&format!("{}/", self.folder.display()), ""), PIECE))
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether ssh would take what stands before the path for an option: a host, wherever restic cuts it out, or a user.
fn is_option(rest: &str) -> bool {
    let (rest, ends): (_, &[char]) = rest.strip_prefix("//").map_or((rest, &[':']), |url| (url, &['/', '?', '#']));
    let whom = rest.split(ends).next().unwrap_or_default();
    // There may be more than one `@`, and a host in brackets loses them.
    whom.split(['@', '[']).any(|part| part.starts_with('-'))
}

/// A new folder that is nobody else's to read.
fn folder() -> io::Result<PathBuf> {
    let base: &Path = &std::env::temp_dir();
    let mut number = 0_u32;
    loop {
        let folder = base.join(format!("ssh-{}-{number}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 100 => number += 1,
            made => return made.map(|()| folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_no_host_wherever_it_stands() {
        for option in [
            "-oProxyCommand=x:/srv",
            "u@-oProxyCommand=x:/srv",
            "a@b@-oProxyCommand=x:/srv",
            "a/b@-oProxyCommand=x:/srv",
            "-lx@host:/srv",
            "//-oProxyCommand=x/srv",
            "//a@b@-oProxyCommand=x/srv",
            "//a:word@-oProxyCommand=x/srv",
            "//[-oProxyCommand=x]/srv",
        ] {
            assert!(is_option(option), "{option}");
        }
        for host in ["host:/srv", "a-b@h-o.st:/srv/@-x", "//a@b@host:22//srv/@-x/-y", "//[::1]:22/-x", "//host/u@-x"] {
            assert!(!is_option(host), "{host}");
        }
    }
}
