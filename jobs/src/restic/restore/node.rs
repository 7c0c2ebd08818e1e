//! What a snapshot knows of a folder that restic itself does not set: the root of what is restored, and the folders
//! above a PATH.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::fchown;

use model::Timestamp;
use rustix::fs::{Mode, Timespec, Timestamps, UTIME_OMIT, XattrFlags, fchmod, fsetxattr, futimens};
use rustix::io::Errno;
use rustix::process::geteuid;
use serde::Deserialize;

/// Attributes that restores leave out: what only the system itself may write, and labels that belong to where a file
/// lies (`docs/safety.md`). Patterns of restic's.
pub(crate) const LEFT_OUT: [&str; 7] = [
    "trusted.*",
    "security.selinux",
    "security.apparmor",
    "security.ima",
    "security.evm",
    "system.nfs4_acl*",
    "system.cifs_acl*",
];

/// A list of entries, as `restic cat tree` tells it.
#[derive(Debug, Deserialize)]
pub(crate) struct Tree {
    /// The entries of one folder.
    pub(crate) nodes: Vec<Node>,
}

/// What is known of an entry.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Node {
    /// Its name, in quotation marks' manner: bytes that are no text as `\xff`.
    name: String,
    #[serde(rename = "type")]
    kind: String,
    mode: Option<u32>,
    mtime: Option<Timestamp>,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
    #[serde(default)]
    extended_attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, Deserialize)]
struct Attribute {
    name: String,
    /// Base64; nothing for an empty value.
    value: Option<String>,
}

// The bits in which Go's modes differ from those of the kernel.
const SETUID: u32 = 1 << 23;
const SETGID: u32 = 1 << 22;
const STICKY: u32 = 1 << 20;

/// The kernel's twelve bits of a mode that restic writes as Go has it.
pub(crate) fn mode(go: u32) -> u32 {
    let bit = |from: u32, to: u32| if go & from == 0 { 0 } else { to };
    (go & 0o777) | bit(SETUID, 0o4000) | bit(SETGID, 0o2000) | bit(STICKY, 0o1000)
}

/// A time in seconds and nanoseconds, as `stat` has it: the latter count forward also before 1970.
pub(crate) fn split(time: Timestamp) -> (i64, i64) {
    let time = time.as_duration();
    let (seconds, nanoseconds) = (time.as_secs(), i64::from(time.subsec_nanos()));
    if nanoseconds < 0 { (seconds - 1, nanoseconds + 1_000_000_000) } else { (seconds, nanoseconds) }
}

impl Tree {
    /// The folder of this name.
    pub(crate) fn folder(&self, name: &[u8]) -> Option<&Node> {
        self.nodes.iter().find(|node| node.kind == "dir" && unquoted(&node.name) == name)
    }
}

impl Node {
    /// Gives a folder owner, mode, attributes and time of this one; owners by root alone.
    pub(crate) fn apply(&self, folder: &OwnedFd) -> io::Result<()> {
        if geteuid().is_root() {
            fchown(folder, Some(self.uid), Some(self.gid))?;
        }
        if let Some(go) = self.mode {
            fchmod(folder, Mode::from_raw_mode(mode(go)))?;
        }
        for attribute in &self.extended_attributes {
            attribute.apply(folder)?;
        }
        let Some(mtime) = self.mtime else { return Ok(()) };
        let (seconds, nanoseconds) = split(mtime);
        let times = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
        };
        Ok(futimens(folder, &times)?)
    }
}

impl Attribute {
    /// Sets those that restic sets for us on other entries, too.
    fn apply(&self, folder: &OwnedFd) -> io::Result<()> {
        if LEFT_OUT.iter().any(|pattern| self.name.starts_with(pattern.trim_end_matches('*'))) {
            return Ok(());
        }
        let Some(value) = decode(self.value.as_deref().unwrap_or("")) else { return Ok(()) };
        match fsetxattr(folder, self.name.as_str(), &value, XattrFlags::empty()) {
            // A file system that has none: restic, too, passes over that.
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Base64 as restic writes it: with padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut buffer, mut bits) = (0_u32, 0);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = buffer << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(buffer >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// A name that Go has quoted: `\n`, `\"`, `\xff`, `\u00e9`.
fn unquoted(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, after)) = rest.split_once('\\') {
        out.extend(before.bytes());
        let mut chars = after.chars();
        let code = chars.next().unwrap_or('\\');
        rest = chars.as_str();
        let mut number = |digits: usize| {
            let number = rest.get(..digits).and_then(|text| u32::from_str_radix(text, 16).ok())?;
            rest = &rest[digits..];
            Some(number)
        };
        match code {
            'x' => out.extend(number(2).and_then(|byte| u8::try_from(byte).ok())),
            'u' | 'U' => {
                let c = number(if code == 'u' { 4 } else { 8 }).and_then(char::from_u32);
                out.extend(c.map(String::from).unwrap_or_default().bytes());
            }
            'a' => out.push(7),
            'b' => out.push(8),
            't' => out.push(b'\t'),
            'n' => out.push(b'\n'),
            'v' => out.push(11),
            'f' => out.push(12),
            'r' => out.push(b'\r'),
            other => out.extend(String::from(other).bytes()),
        }
    }
    out.extend(rest.bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gos_modes_are_the_kernels() {
        assert_eq!(mode(2_152_727_033), 0o3771);
        assert_eq!(mode(420), 0o644);
        assert_eq!(mode(SETUID | 0o755), 0o4755);
    }

    #[test]
    fn quoted_names_and_values_are_read() {
        assert_eq!(unquoted(r#"a\n\"\\\xff\u00e9 \u{"#), b"a\n\"\\\xff\xc3\xa9 {");
        assert_eq!(decode("dg=="), Some(b"v".to_vec()));
        assert_eq!(decode("AP8K"), Some(b"\0\xff\n".to_vec()));
        assert_eq!((decode(""), decode("?")), (Some(Vec::new()), None));
    }
}
