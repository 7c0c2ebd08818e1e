//! A comparison of two trees on volumes, made by a pod that mounts both.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{App, manifest, wait::wait_for};

/// A tree on a volume.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The PVC.
    pub claim: String,
    /// The folder in it; empty for the whole volume.
    pub path: String,
}

impl Tree {
    /// A whole volume.
    #[must_use]
    pub fn volume(claim: &str) -> Self {
        Self { claim: claim.to_owned(), path: String::new() }
    }
}

/// What a comparison found.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What differs, if anything does: lines of `diff` and `rsync`.
    pub differences: String,
    /// Entries that were compared.
    pub entries: u64,
    /// Bytes that were compared.
    pub bytes: u64,
}

impl Comparison {
    /// Whether nothing differs.
    #[must_use]
    pub fn equal(&self) -> bool {
        self.differences.is_empty()
    }
}

impl App {
    /// A volume of the test's own, made from a run's snapshot by nobody but the storage: the truth that
    /// restore points are compared with.
    pub fn truth(&self, restore_point: &str) -> Result<Tree> {
        let name = format!("truth-{restore_point}");
        let class = if self.place.is_dev() { "shared" } else { self.place.class.as_str() };
        self.apply(&self.truth_manifest(&name, restore_point, class, "1Gi")?)?;
        if !self.place.binds_late {
            // A pod that asks for a volume which is not there yet may stay in the scheduler's queue for minutes.
            self.bound(&name)?;
        }
        Ok(Tree::volume(&name))
    }

    /// A PVC that the storage fills from a snapshot.
    pub(super) fn truth_manifest(&self, name: &str, snapshot: &str, class: &str, size: &str) -> Result<String> {
        let words = [
            ("NAMESPACE", self.namespace.as_str()),
            ("NAME", name),
            ("SNAPSHOT", snapshot),
            ("CLASS", class),
            ("MODE", self.place.read_mode()),
            ("SIZE", size),
        ];
        manifest("truth.yaml", &words)
    }

    /// Compares two trees in a pod.
    pub fn compare(&self, name: &str, left: &Tree, right: &Tree) -> Result<Comparison> {
        let words = [
            ("NAMESPACE", self.namespace.as_str()),
            ("NAME", name),
            ("LEFT_CLAIM", &left.claim),
            ("LEFT_PATH", &left.path),
            ("RIGHT_CLAIM", &right.claim),
            ("RIGHT_PATH", &right.path),
        ];
        self.run_comparison(name, &self.place.fit(&manifest("compare.yaml", &words)?))
    }

    /// Runs the pod of a comparison to its end.
    pub(super) fn run_comparison(&self, name: &str, pod: &str) -> Result<Comparison> {
        self.apply(pod)?;
        let pod = format!("pod/{name}");
        let seen = || self.kubectl(&["describe", &pod]).unwrap_or_default();
        wait_for("the comparison", Duration::from_mins(2), seen, || {
            let phase = self.kubectl(&["get", &pod, "-o", "jsonpath={.status.phase}"])?;
            Ok(matches!(phase.as_str(), "Succeeded" | "Failed").then_some(()))
        })?;
        let log = self.kubectl(&["logs", &pod])?;
        self.kubectl(&["delete", &pod, "--wait=true", "--timeout=60s"])?;
        parse(&log)
    }
}

fn parse(log: &str) -> Result<Comparison> {
    let (last, differences): (Vec<&str>, Vec<&str>) = log.lines().partition(|l| l.starts_with("compared "));
    let words: Vec<&str> = last.last().map(|l| l.split(' ').collect()).unwrap_or_default();
    let [_, entries, _, bytes, _] = words.as_slice() else { bail!("the comparison did not end: {log}") };
    Ok(Comparison {
        differences: differences.join("\n"),
        entries: entries.parse().context("entries")?,
        bytes: bytes.parse().context("bytes")?,
    })
}
