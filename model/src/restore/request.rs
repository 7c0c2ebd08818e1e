//! The line of `key=value` that asks for a restore.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::point::Place;
use crate::names::Run;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The namespace of the PVC that was backed up, if it is another one than the target's.
    pub namespace: Option<String>,
    /// The name of the PVC that was backed up.
    pub pvc: String,
    /// Its UID, where several had that name.
    pub uid: Option<String>,
    /// Which run.
    pub when: When,
    /// From where.
    pub from: From,
    /// The PVC that is written; `None`: the one that was backed up.
    pub target: Option<String>,
    /// Whether what the restore point does not have is deleted from the target.
    pub delete: bool,
    /// One file or folder; `None`: all.
    pub path: Option<String>,
}

/// Which run is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// The newest.
    Latest,
    /// That of a day, `20181202`, or of a minute, `20181202-1830`, in the zone of the schedule: what follows
    /// the PVC's name in a restore point's.
    Local(String),
    /// That one.
    Run(Run),
    /// That of a restic snapshot: the beginning of its id.
    Snapshot(String),
}

/// The least digits of a restic snapshot's id: what restic itself shows.
const SHORT_ID: usize = 8;

/// From what kind of restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A snapshot if there is one, else a disk, else a repository.
    Any,
    /// A snapshot.
    Snapshot,
    /// A BackupDisk: any, or that destination's.
    Disk(Option<String>),
    /// A restic repository: the only one, or that destination's.
    Restic(Option<String>),
    /// That destination, whatever it is.
    Destination(String),
}

impl From {
    /// Whether a restore point is of that kind.
    #[must_use]
    pub fn fits(&self, place: &Place) -> bool {
        let named = |name: &Option<String>, destination: &String| name.as_ref().is_none_or(|name| name == destination);
        match place {
            Place::Snapshot { .. } => match self {
                Self::Any | Self::Snapshot => true,
                Self::Disk(_) | Self::Restic(_) | Self::Destination(_) => false,
            },
            Place::Tree { destination } => match self {
                Self::Any => true,
                Self::Disk(name) => named(name, destination),
                Self::Destination(name) => name == destination,
                Self::Snapshot | Self::Restic(_) => false,
            },
            Place::Repository { destination, .. } => match self {
                Self::Any => true,
                Self::Restic(name) => named(name, destination),
                Self::Destination(name) => name == destination,
                Self::Snapshot | Self::Disk(_) => false,
            },
        }
    }

    /// As the end of a sentence, "there is none …": empty if any will do.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Any => String::new(),
            Self::Snapshot => " that is a snapshot".to_owned(),
            Self::Disk(None) => " on a disk".to_owned(),
            Self::Disk(Some(name)) => format!(" on disk {name}"),
            Self::Restic(None) => " in a restic repository".to_owned(),
            Self::Restic(Some(name)) => format!(" in the repository at {name}"),
            Self::Destination(name) => format!(" at {name}"),
        }
    }
}

/// A text that is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; example: 'pvc=data date=20181202 from=snapshot|disk|restic path=etc/app.conf'")]
pub struct RequestError(String);

impl FromStr for Request {
    type Err = RequestError;

    /// `path` comes last and may have blanks; an empty value counts as left out, as OpenShift Templates write it.
    fn from_str(text: &str) -> Result<Self, RequestError> {
        let fault = |what: String| RequestError(what);
        let (head, path) = match text.split_once("path=") {
            Some((head, path)) if head.is_empty() || head.ends_with(' ') => (head, Some(path.trim_end())),
            _ => (text, None),
        };
        let mut request = Self {
            namespace: None,
            pvc: String::new(),
            uid: None,
            when: When::Latest,
            from: From::Any,
            target: None,
            delete: false,
            path: path.filter(|p| !p.is_empty()).map(relative).transpose()?,
        };
        let (mut seen, mut dated) = (BTreeSet::new(), false);
        for word in head.split_whitespace() {
            let (key, value) = word.split_once('=').ok_or_else(|| fault(format!("'{word}' has no '='")))?;
            if !seen.insert(key) {
                return Err(fault(format!("{key} occurs twice")));
            }
            if value.is_empty() {
                continue;
            }
            match key {
                "pvc" => {
                    let (namespace, name) = value.split_once('/').map_or((None, value), |(ns, n)| (Some(ns), n));
                    request.namespace = namespace.map(|n| object_name("pvc", n)).transpose()?;
                    request.pvc = object_name("pvc", name)?;
                }
                "uid" => request.uid = Some(object_name("uid", value)?),
                "date" | "snapshot" if dated => {
                    return Err(fault("date and snapshot both select the restore point; remove one".to_owned()));
                }
                "date" => (request.when, dated) = (value.parse()?, true),
                "snapshot" => (request.when, dated) = (When::Snapshot(short_id(value)?), true),
                "from" => request.from = value.parse()?,
                "target" => request.target = Some(object_name("target", value)?),
                "delete" => {
                    request.delete =
                        value.parse().map_err(|_| fault(format!("delete={value} must be true or false")))?;
                }
                // Any word: who asks for the same once more writes another one.
                "id" => {}
                _ => {
                    return Err(fault(format!(
                        "unknown key {key}; use pvc, uid, date, snapshot, from, target, delete, id, path"
                    )));
                }
            }
        }
        if request.pvc.is_empty() {
            return Err(fault("pvc is missing; name the PVC that was backed up".to_owned()));
        }
        if !dated {
            return Err(fault("date is missing; write YYYYMMDD, YYYYMMDD-HHMM, a run or latest".to_owned()));
        }
        Ok(request)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "pvc={namespace}/{}", self.pvc)?,
            None => write!(f, "pvc={}", self.pvc)?,
        }
        if let Some(uid) = &self.uid {
            write!(f, " uid={uid}")?;
        }
        match &self.when {
            When::Snapshot(id) => write!(f, " snapshot={id}")?,
            when => write!(f, " date={when}")?,
        }
        match &self.from {
            From::Any => {}
            from => write!(f, " from={from}")?,
        }
        if let Some(target) = &self.target {
            write!(f, " target={target}")?;
        }
        if self.delete {
            f.write_str(" delete=true")?;
        }
        self.path.as_ref().map_or(Ok(()), |path| write!(f, " path={path}"))
    }
}

/// Names and UIDs of Kubernetes: what the API server would take for one.
fn object_name(key: &str, text: &str) -> Result<String, RequestError> {
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if text.len() <= 253 && text.chars().all(inside) && !text.starts_with(['-', '.']) && !text.ends_with(['-', '.']) {
        return Ok(text.to_owned());
    }
    Err(RequestError(format!("{key}={text} is not a valid Kubernetes name (a-z, 0-9, '-' and '.')")))
}

/// The beginning of a restic snapshot's id.
fn short_id(text: &str) -> Result<String, RequestError> {
    let hex = text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
    if hex && (SHORT_ID..=64).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(RequestError(format!(
        "snapshot={text} is not the ID of a restic snapshot; write {SHORT_ID} to 64 of 0-9 and a-f"
    )))
}

impl When {
    /// A restic snapshot by the beginning of its id.
    ///
    /// # Errors
    /// A text that cannot be one.
    pub fn snapshot(text: &str) -> Result<Self, RequestError> {
        short_id(text).map(Self::Snapshot)
    }
}

/// A path below the volume's root.
fn relative(text: &str) -> Result<String, RequestError> {
    let path = text.trim_start_matches('/');
    let climbs = path.split('/').any(|part| part == "..");
    if path.is_empty() || climbs || path.chars().any(char::is_control) {
        return Err(RequestError(format!("path={text} is not a path below the volume's root")));
    }
    Ok(path.to_owned())
}

impl FromStr for When {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Ok(run) = text.parse() {
            return Ok(Self::Run(run));
        }
        // A date is one if its midnight is, a minute if it is one in UTC.
        let (day, time) = text.split_once('-').map_or((text, None), |(day, time)| (day, Some(time)));
        let valid =
            time.is_none_or(|t| t.len() == 4) && format!("{day}T{}Z", time.unwrap_or("0000")).parse::<Run>().is_ok();
        if valid {
            return Ok(Self::Local(text.to_owned()));
        }
        Err(RequestError(format!(
            "date={text} is not a date; write YYYYMMDD, YYYYMMDD-HHMM, a run such as 20181202T0000Z, or latest"
        )))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Local(text) => f.write_str(text),
            Self::Run(run) => run.fmt(f),
            Self::Snapshot(id) => write!(f, "restic snapshot {id}"),
        }
    }
}

impl FromStr for From {
    type Err = RequestError;

    fn from_str(text: &str) -> Result<Self, RequestError> {
        match text.split_once('/').map_or((text, None), |(kind, name)| (kind, Some(name))) {
            ("snapshot", None) => Ok(Self::Snapshot),
            ("disk", None) => Ok(Self::Disk(None)),
            ("disk", Some(name)) => Ok(Self::Disk(Some(object_name("from", name)?))),
            ("restic", None) => Ok(Self::Restic(None)),
            ("restic", Some(name)) => Ok(Self::Restic(Some(object_name("from", name)?))),
            (name, None) if !name.is_empty() => Ok(Self::Destination(object_name("from", name)?)),
            _ => Err(RequestError(format!(
                "from={text} is unknown; write snapshot, disk, restic or the name of a destination"
            ))),
        }
    }
}

impl fmt::Display for From {
    /// Empty: any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Snapshot => f.write_str("snapshot"),
            Self::Disk(None) => f.write_str("disk"),
            Self::Disk(Some(name)) => write!(f, "disk/{name}"),
            Self::Restic(None) => f.write_str("restic"),
            Self::Restic(Some(name)) => write!(f, "restic/{name}"),
            Self::Destination(name) => f.write_str(name),
        }
    }
}
