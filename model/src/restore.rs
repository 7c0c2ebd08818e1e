//! What a restore is asked for, and which restore point that is.
//!
//! A request is one line of `key=value`, the same on a restore pod's Deployment and on a PVC that is to be
//! written: `pvc=data date=20181202 from=disk`. The restore points are what the snapshots say: those that are
//! ready, and the trees that their copies' results name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::names::{self, Run};
use crate::reason::{Problem, Reason};
use crate::record::CopyState;
use crate::schedule::Zone;
use crate::world::World;

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
}

/// From what kind of restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A snapshot if there is one, else a disk.
    Any,
    /// A snapshot.
    Snapshot,
    /// A BackupDisk: any, or that destination's.
    Disk(Option<String>),
}

/// A text that is no request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; a request is such as 'pvc=data date=20181202 from=snapshot|disk path=etc/app.conf'")]
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
                return Err(fault(format!("{key} stands twice")));
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
                "date" => (request.when, dated) = (value.parse()?, true),
                "from" => request.from = value.parse()?,
                "target" => request.target = Some(object_name("target", value)?),
                "delete" => {
                    request.delete =
                        value.parse().map_err(|_| fault(format!("delete={value} is not true or false")))?;
                }
                _ => {
                    return Err(fault(format!(
                        "there is no key {key}: there are pvc, uid, date, from, target, delete, path"
                    )));
                }
            }
        }
        if request.pvc.is_empty() {
            return Err(fault("pvc is missing: the PVC that was backed up".to_owned()));
        }
        if !dated {
            return Err(fault("date is missing: YYYYMMDD, YYYYMMDD-HHMM, a run or latest".to_owned()));
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
        write!(f, " date={}", self.when)?;
        match &self.from {
            From::Any => {}
            From::Snapshot => f.write_str(" from=snapshot")?,
            From::Disk(None) => f.write_str(" from=disk")?,
            From::Disk(Some(name)) => write!(f, " from=disk/{name}")?,
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
    Err(RequestError(format!("{key}={text} is not a name in Kubernetes (a-z, 0-9, '-' and '.')")))
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
            "date={text} is none: YYYYMMDD, YYYYMMDD-HHMM, a run such as 20181202T0000Z, or latest"
        )))
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Local(text) => f.write_str(text),
            Self::Run(run) => run.fmt(f),
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
            _ => Err(RequestError(format!("from={text} is not snapshot, disk or disk/NAME"))),
        }
    }
}

/// What a source can be restored from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePoint {
    /// The UID of its source.
    pub uid: String,
    /// Its run.
    pub run: Run,
    /// Where it is.
    pub place: Place,
}

/// Where a restore point is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A VolumeSnapshot in the source's namespace, that is ready.
    Snapshot {
        /// Its name.
        name: String,
        /// The PVC that was made from it, if it is there.
        promoter: Option<String>,
    },
    /// A dated tree of a destination.
    Tree {
        /// The destination.
        destination: String,
    },
}

impl fmt::Display for RestorePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Snapshot { name, .. } => write!(f, "{} (snapshot {name})", self.run),
            Place::Tree { destination } => write!(f, "{} (disk {destination})", self.run),
        }
    }
}

/// The restore points of the PVCs that have or had a name, newest first; a snapshot before the trees of its run.
#[must_use]
pub fn points(world: &World, namespace: &str, pvc: &str) -> Vec<RestorePoint> {
    let ours = world.snapshots.within(namespace).filter(|s| s.claim.as_deref() == Some(pvc) && !s.terminating);
    let ours = ours.filter_map(|s| Some((s, s.ours.as_ref().filter(|o| o.instance == world.instance)?)));
    let mut points = Vec::new();
    let mut newest: std::collections::BTreeMap<(&str, &str), _> = std::collections::BTreeMap::new();
    for (snapshot, ours) in ours {
        let Some(run) = &ours.run else { continue };
        let uid = &ours.source_uid;
        if snapshot.ready {
            let promoter = world
                .claims
                .get(namespace, &snapshot.id.name)
                .filter(|c| c.from_snapshot.as_ref() == Some(&snapshot.id.name) && !c.terminating)
                .map(|c| c.id.name.clone());
            let place = Place::Snapshot { name: snapshot.id.name.clone(), promoter };
            points.push(RestorePoint { uid: uid.clone(), run: run.clone(), place });
        }
        for (destination, result) in &snapshot.copies {
            if !matches!(result.state, CopyState::Complete | CopyState::Incomplete) {
                continue;
            }
            let latest = newest.entry((uid.as_str(), destination.as_str())).or_insert(result);
            if latest.finished < result.finished {
                *latest = result;
            }
            // Results of a program that did not name what it kept.
            if result.kept.is_empty() {
                points.push(tree(uid, run, destination));
            }
        }
    }
    for ((uid, destination), result) in newest {
        points.retain(|p| {
            result.kept.is_empty()
                || p.uid != uid
                || !matches!(&p.place, Place::Tree { destination: d } if d == destination)
        });
        points.extend(result.kept.iter().map(|run| tree(uid, run, destination)));
    }
    points.sort_by(|a, b| {
        b.run.cmp(&a.run).then_with(|| is_tree(a).cmp(&is_tree(b))).then_with(|| a.to_string().cmp(&b.to_string()))
    });
    points.dedup();
    points
}

fn tree(uid: &str, run: &Run, destination: &str) -> RestorePoint {
    RestorePoint { uid: uid.to_owned(), run: run.clone(), place: Place::Tree { destination: destination.to_owned() } }
}

fn is_tree(point: &RestorePoint) -> bool {
    matches!(point.place, Place::Tree { .. })
}

/// The restore point that a request means, out of [`points`]. `live` is the UID of the PVC that has the name now:
/// its restore points come before those of an earlier one.
pub fn choose<'a>(
    points: &'a [RestorePoint],
    request: &Request,
    live: Option<&str>,
    zone: &Zone,
) -> Result<&'a RestorePoint, Problem> {
    let from = |p: &&RestorePoint| match (&request.from, &p.place) {
        (From::Any, _) | (From::Snapshot, Place::Snapshot { .. }) | (From::Disk(None), Place::Tree { .. }) => true,
        (From::Disk(Some(name)), Place::Tree { destination }) => name == destination,
        _ => false,
    };
    let wanted = |p: &&RestorePoint| request.uid.as_ref().is_none_or(|uid| *uid == p.uid);
    let there: Vec<&RestorePoint> = points.iter().filter(from).filter(wanted).collect();
    let dated: Vec<&RestorePoint> = there.iter().copied().filter(|p| is_at(p, request, zone)).collect();
    let of_live: Vec<&RestorePoint> = dated.iter().copied().filter(|p| Some(p.uid.as_str()) == live).collect();
    let found = if of_live.is_empty() { dated } else { of_live };
    let runs: BTreeSet<(&Run, &str)> = found.iter().map(|p| (&p.run, p.uid.as_str())).collect();
    match (runs.len(), &request.when) {
        (1, _) | (2.., When::Latest) => found.first().copied().ok_or_else(|| none(request, &there)),
        (0, _) => Err(none(request, &there)),
        _ => {
            // The day's first run has the day alone in its name.
            let named = found.iter().copied().find(|p| is_named(p, request));
            named.ok_or_else(|| {
                let message =
                    format!("several restore points of {} are of {}: {}", request.pvc, request.when, list(&found));
                Problem::new(Reason::AmbiguousRestorePoint, message)
            })
        }
    }
}

fn is_named(point: &RestorePoint, request: &Request) -> bool {
    matches!(&point.place, Place::Snapshot { name, .. } if *name == format!("{}-{}", request.pvc, request.when))
}

fn is_at(point: &RestorePoint, request: &Request, zone: &Zone) -> bool {
    match &request.when {
        When::Latest => true,
        When::Run(run) => point.run == *run,
        When::Local(text) => {
            let local = zone.civil(point.run.time());
            let day = format!("{:04}{:02}{:02}", local.year, local.month, local.day);
            let minute = format!("{day}-{:02}{:02}", local.hour, local.minute);
            *text == day || *text == minute || is_named(point, request)
        }
    }
}

fn none(request: &Request, there: &[&RestorePoint]) -> Problem {
    let from = match &request.from {
        From::Any => String::new(),
        From::Snapshot => " that is a snapshot".to_owned(),
        From::Disk(None) => " on a disk".to_owned(),
        From::Disk(Some(name)) => format!(" on disk {name}"),
    };
    let there = if there.is_empty() { "there is none".to_owned() } else { format!("there are {}", list(there)) };
    let message = format!("PVC {} has no restore point of {}{from}: {there}", request.pvc, request.when);
    Problem::new(Reason::NoRestorePoint, message)
}

/// Some restore points for a sentence, the newest.
fn list(points: &[&RestorePoint]) -> String {
    const SHOWN: usize = 8;
    let mut words: Vec<String> = points.iter().take(SHOWN).map(ToString::to_string).collect();
    if points.len() > SHOWN {
        words.push(format!("and {} older ones", points.len() - SHOWN));
    }
    words.join(", ")
}

/// The path of a tree below a disk's root. On a host's disk the root is the namespace's folder already.
#[must_use]
pub fn tree_path(host_disk: bool, namespace: &str, pvc: &str, uid: &str, run: &Run) -> String {
    let shelf = names::shelf(host_disk, namespace, pvc, uid);
    format!("{shelf}/{run}")
}

#[cfg(test)]
mod tests;
