//! The plan as text, in the format that was asked for. Pure.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::Secret;
use model::snapshot::VolumeSnapshot;
use model::{Timestamp, quantity};
use serde::Serialize;

use super::config::From;
use super::room::{Kind, Room};
use super::rows::{How, Lack, Row};
use super::summary::Summary;
use crate::age;
use crate::asked::{Asked, Within};
use crate::flags::Output;
use crate::observe::Gap;
use crate::table::{self, Columns, Look, none, printable};

/// On a narrow terminal these are left out, the first of them first.
const DISPENSABLE: [&str; 4] = ["SNAPSHOT CLASS", "SIZE", "KEEPS", "DESTINATIONS"];

/// What `json` and `yaml` show.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Whole<'a> {
    /// When this was true.
    pub(super) at: Timestamp,
    /// What was planned with.
    pub(super) configuration: &'a From,
    pub(super) volumes: &'a [Row],
    pub(super) summary: &'a Summary,
    /// What could not be read.
    pub(super) not_read: &'a [Gap],
}

/// The text for standard output; with the remedy for each problem if PVCs were `named`.
pub(super) fn text(whole: &Whole<'_>, output: Output, look: Look, named: bool) -> anyhow::Result<String> {
    Ok(match output {
        Output::Json => serde_json::to_string_pretty(whole)? + "\n",
        Output::Yaml => serde_yaml::to_string(whole)?,
        Output::Name => whole.volumes.iter().flat_map(|v| ["persistentvolumeclaim/", &v.name, "\n"]).collect(),
        Output::Table | Output::Wide => {
            let mut text = String::new();
            if !whole.volumes.is_empty() {
                text = table::table(columns(look), &DISPENSABLE, whole.volumes, look, whole.at);
            }
            if named {
                details(whole.volumes, &mut text);
            }
            summary(whole, look, &mut text);
            text
        }
    })
}

/// The lines for standard error: each missing permission, and its effect on the plan.
pub(super) fn notes(gaps: &[Gap]) -> Vec<String> {
    let note = |gap: &Gap| format!("you lack permission to {} {}, {}", gap.verb, gap.resource, effect(&gap.resource));
    let mut notes: Vec<String> = gaps.iter().map(note).collect();
    notes.dedup();
    notes
}

fn effect(asked: &Asked) -> String {
    if let Some(secret) = asked.name.as_ref().filter(|_| asked.is::<Secret>()) {
        let namespace = match &asked.within {
            Within::Namespace(namespace) => namespace,
            Within::Namespaces | Within::Cluster => "NAMESPACE",
        };
        return format!(
            "so plan cannot report whether Secret {secret} is missing. To check it, run: \
             kubectl get secret {secret} -n {namespace}"
        );
    }
    let effects = [
        (
            asked.is::<VolumeSnapshot>(),
            "so NEXT RUN of @after schedules is an estimate, and promoters are listed as excluded",
        ),
        (asked.is::<Job>(), "so NEXT RUN of @after schedules ignores copies that are under way"),
        (asked.is::<CronJob>(), "so plan cannot show settings of existing CronJobs that stay unchanged"),
        (asked.is::<Deployment>(), "so plan cannot report Secrets that BACKUP_SECRETS does not name"),
    ];
    let known = effects.into_iter().find(|(is, _)| *is);
    known.map_or("so the plan may be incomplete", |(_, effect)| effect).to_owned()
}

fn columns(look: Look) -> Columns<Row> {
    let mut columns: Columns<Row> = Vec::new();
    if look.namespaces {
        columns.push(("NAMESPACE", |r, _| r.namespace.clone()));
    }
    columns.push(("PVC", |r, _| r.name.clone()));
    columns.push(("SIZE", |r, _| quantity::human(r.size)));
    columns.push(("PROTECTED", |r, _| r.protected.as_str().to_owned()));
    columns.push(("RULE", |r, _| if r.rules.is_empty() { none() } else { r.rules.join(", ") }));
    columns.push(("SCHEDULE", |r, _| r.how.as_ref().map_or_else(none, |h| h.schedule.written.clone())));
    columns.push(("NEXT RUN", next_run));
    columns.push(("SNAPSHOT CLASS", |r, _| changing(r, |h| h.snapshot_class.clone())));
    columns.push(("DESTINATIONS", |r, _| changing(r, destinations)));
    columns.push(("KEEPS", |r, _| changing(r, keeps)));
    if look.wide {
        columns.push(("RUNS AT", |r, _| r.how.as_ref().map_or_else(none, |h| h.schedule.value.clone())));
        columns.push(("TIME ZONE", |r, _| r.how.as_ref().map_or_else(none, |h| h.time_zone.value.clone())));
        columns.push(("STORAGE CLASS", |r, _| r.storage_class.clone().unwrap_or_else(none)));
        columns.push(("PROMOTER CLASS", |r, _| changing(r, |h| h.promoter_class.clone())));
    }
    columns.push(("REASON", |r, _| reason(r)));
    columns
}

fn next_run(row: &Row, now: Timestamp) -> String {
    let Some(how) = &row.how else { return none() };
    match how.next_run {
        Some(at) => age::between(now, at),
        None if how.after => "<running>".to_owned(),
        None if how.unchanged_cron_job.is_some() => "<suspended>".to_owned(),
        None => none(),
    }
}

/// A setting that an unchanged CronJob contains is not shown: its value is unknown here.
fn changing(row: &Row, text: impl Fn(&How) -> String) -> String {
    match &row.how {
        None => none(),
        Some(how) if how.unchanged_cron_job.is_some() => "<unchanged>".to_owned(),
        Some(how) => text(how),
    }
}

fn destinations(how: &How) -> String {
    if how.destinations.is_empty() { none() } else { how.destinations.join(",") }
}

fn keeps(how: &How) -> String {
    let own = how.destination_retentions.iter().map(|(name, retention)| format!("{name}: {retention}"));
    [how.retention.value.clone()].into_iter().chain(own).collect::<Vec<_>>().join("; ")
}

fn reason(row: &Row) -> String {
    let Some((first, rest)) = row.findings.split_first() else { return none() };
    let more = if rest.is_empty() { String::new() } else { format!(" (+{} more)", rest.len()) };
    format!("{}: {}{more}", first.reason, first.message)
}

fn details(rows: &[Row], out: &mut String) {
    for row in rows {
        for finding in &row.findings {
            let _ = writeln!(out, "\n{}: {}\n  {}", row.name, finding.reason, printable(&finding.message));
            let _ = writeln!(out, "  What to do: {}", finding.help);
        }
    }
}

fn summary(whole: &Whole<'_>, look: Look, out: &mut String) {
    let Summary { protected, excluded, unprotected, limits, room, .. } = whole.summary;
    if !out.is_empty() {
        out.push('\n');
    }
    let _ = writeln!(out, "Configuration: {}", configuration(whole.configuration));
    let _ = writeln!(
        out,
        "PVCs: {protected} protected, {}, {}",
        counts("excluded", excluded),
        counts("not protected", unprotected)
    );
    runs(whole, out);
    if room.iter().any(|r| r.kind == Kind::Copies) {
        let _ = writeln!(
            out,
            "Copies at the same time: {} in the cluster, {} in a namespace, {} on a node, {} to a destination",
            limits.cluster, limits.namespace, limits.node, limits.destination
        );
    }
    images(whole.summary, out);
    if !room.is_empty() {
        out.push_str("\nRoom, at most:\n");
        let columns: Columns<Room> = vec![
            ("FOR", |r, _| r.kind.as_str().to_owned()),
            ("WHERE", |r, _| r.place.clone()),
            ("PVCS", |r, _| r.volumes.to_string()),
            ("SIZE", |r, _| quantity::human(r.bytes)),
            ("NOTE", |r, _| r.note.clone()),
        ];
        out.push_str(&table::table(columns, &[], room, Look { width: None, ..look }, whole.at));
    }
    lacks(whole.summary, out);
}

fn configuration(from: &From) -> String {
    match from {
        From::File { file } => format!("that of {file}"),
        From::ConfigMap { namespace } => {
            format!("the installed one, the ConfigMap backup-controller in namespace {namespace}")
        }
        From::Defaults { namespace } => format!(
            "the defaults, because namespace {namespace} has no ConfigMap backup-controller (plan with yours: -f FILE; \
             find another installation: --backup-namespace)"
        ),
    }
}

fn counts(what: &str, reasons: &BTreeMap<&'static str, usize>) -> String {
    let sum: usize = reasons.values().sum();
    let each: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason}: {count}")).collect();
    if sum == 0 { format!("0 {what}") } else { format!("{sum} {what} ({})", each.join(", ")) }
}

fn runs(whole: &Whole<'_>, out: &mut String) {
    let Some((first, last)) = whole.summary.next_runs else { return };
    let at = |time| format!("{time} (in {})", age::between(whole.at, time));
    let _ = if first == last {
        writeln!(out, "Next run: {}", at(first))
    } else {
        writeln!(out, "Next runs: from {} to {}", at(first), at(last))
    };
}

fn images(summary: &Summary, out: &mut String) {
    let Some(images) = &summary.images else { return };
    if images.incomplete.is_empty() {
        let _ = writeln!(out, "Images: {}, {}", images.controller, images.mover);
    }
    for sentence in &images.incomplete {
        let _ = writeln!(out, "The manifests are not complete: {}", printable(sentence));
    }
}

/// What destinations lack. The same problem in many namespaces is told once.
fn lacks(summary: &Summary, out: &mut String) {
    let mut told: BTreeMap<(&str, &str, &str, &str), Vec<&str>> = BTreeMap::new();
    for Lack { destination, namespace, reason, message, help } in &summary.lacks {
        told.entry((destination, reason, message, help)).or_default().push(namespace);
    }
    if !told.is_empty() {
        out.push_str("\nCopies that would fail or wait:\n");
    }
    for ((destination, reason, message, help), namespaces) in told {
        let place = match namespaces.len() {
            1 => format!("namespace {}", namespaces[0]),
            2..=5 => format!("namespaces {}", namespaces.join(", ")),
            more => format!("{more} namespaces, such as {}", namespaces[0]),
        };
        let _ = writeln!(out, "  to {destination}, from {place}: {reason}: {}", printable(message));
        let _ = writeln!(out, "    What to do: {help}");
    }
}
