//! The answer as text, in the format that was asked for. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Namespace;
use model::Timestamp;
use model::breaker::Breakers;
use serde::Serialize;

use super::columns;
use super::view::{State, Volume};
use crate::age;
use crate::asked::Within;
use crate::flags::Output;
use crate::observe::{Gap, Knows};
use crate::table::Look;
use model::roles::Role;

/// What `json` and `yaml` show.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    /// When this was true.
    at: Timestamp,
    /// How many of each state.
    states: BTreeMap<State, usize>,
    /// How many make the exit code 3.
    alarms: usize,
    volumes: &'a [Volume],
    /// Why no controller does what is shown (U2).
    controller: &'a [String],
    /// What could not be read.
    not_read: &'a [Gap],
}

/// The text for standard output.
pub(crate) fn text(
    volumes: &[Volume],
    (controller, gaps): (&[String], &[Gap]),
    output: Output,
    look: Look,
    named: bool,
    now: Timestamp,
) -> anyhow::Result<String> {
    let whole = || {
        let mut states = BTreeMap::new();
        for volume in volumes {
            *states.entry(volume.state).or_default() += 1;
        }
        Whole { at: now, states, alarms: alarms(volumes), volumes, controller, not_read: gaps }
    };
    Ok(match output {
        Output::Json => serde_json::to_string_pretty(&whole())? + "\n",
        Output::Yaml => serde_yaml::to_string(&whole())?,
        Output::Name => {
            let there = volumes.iter().filter(|v| v.state != State::Vanished);
            there.flat_map(|v| ["persistentvolumeclaim/", &v.name, "\n"]).collect()
        }
        Output::Table | Output::Wide if volumes.is_empty() => String::new(),
        Output::Table | Output::Wide => {
            let mut text = columns::table(volumes, look, now);
            if named {
                text.push_str(&columns::details(volumes, now));
            }
            text
        }
    })
}

/// How many PVCs a person has to look at.
pub(crate) fn alarms(volumes: &[Volume]) -> usize {
    volumes.iter().filter(|v| v.alarm).count()
}

/// The lines for standard error: what could not be read and what follows from it, and what is wrong.
pub(crate) fn notes(volumes: &[Volume], gaps: &[Gap], knows: Knows, home: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let (refused, others): (Vec<&Gap>, Vec<&Gap>) = gaps.iter().partition(|gap| gap.refused);
    if !refused.is_empty() {
        notes.push(format!("you lack permission to {}", lacks(&refused, home)));
    }
    notes.extend(others.iter().map(|Gap { verb, resource, answer, .. }| format!("cannot {verb} {resource}: {answer}")));
    let mut follows = |missing: bool, what: &str| {
        if missing {
            notes.push(what.to_owned());
        }
    };
    follows(!knows.verdicts(), "therefore STATE and REASON come from the controller's record on each PVC");
    follows(
        !knows.snapshots,
        "therefore SNAPSHOT comes from the controller's record, and restore points are not shown",
    );
    follows(!knows.copies, "therefore copies under way are not shown");
    follows(
        !knows.cronjobs && knows.verdicts(),
        "therefore NEXT RUN is computed from the settings, not from the CronJobs",
    );
    follows(!knows.cronjobs && !knows.verdicts(), "therefore next runs and missed runs are unknown");
    let alarms = alarms(volumes);
    if alarms > 0 {
        let mut states: BTreeMap<State, usize> = BTreeMap::new();
        for volume in volumes.iter().filter(|v| v.alarm) {
            *states.entry(volume.state).or_default() += 1;
        }
        let states: Vec<String> = states.iter().map(|(state, n)| format!("{n} {state:?}")).collect();
        let need = if alarms == 1 { "needs" } else { "need" };
        notes.push(format!("{alarms} of {} PVCs {need} attention: {}", volumes.len(), states.join(", ")));
    }
    notes
}

/// The rights that are missing, by the role that grants them (U11).
fn lacks(refused: &[&Gap], home: &str) -> String {
    let mut roles: Vec<(String, Vec<String>)> = Vec::new();
    for gap in refused {
        let (role, right) = (granted_by(gap, home), format!("{} {}", gap.verb, gap.resource));
        match roles.iter_mut().find(|(known, _)| *known == role) {
            Some((_, rights)) => rights.push(right),
            None => roles.push((role, vec![right])),
        }
    }
    let words = |(role, rights): (String, Vec<String>)| {
        let it = if rights.len() == 1 { "it" } else { "them" };
        format!("{} ({role} grants {it})", rights.join(", "))
    };
    roles.into_iter().map(words).collect::<Vec<_>>().join("; ")
}

/// The smallest role that grants it.
fn granted_by(gap: &Gap, home: &str) -> String {
    let (verb, kind) = (gap.verb, gap.resource.kind());
    let role = |namespace: Option<&str>| {
        let Some(role) = Role::of_namespaces(verb, kind) else { return "a role of your own".to_owned() };
        match namespace {
            Some(namespace) => format!("the role {} in namespace {namespace}", role.name()),
            None => format!("the ClusterRole {} in all namespaces", role.name()),
        }
    };
    match &gap.resource.within {
        Within::Namespace(namespace) if namespace == home && Role::StatusAtHome.grants(verb, kind) => {
            format!("the Role {} in namespace {home}", Role::StatusAtHome.name())
        }
        Within::Namespace(namespace) => role(Some(namespace)),
        Within::Namespaces => role(None),
        // A namespace belongs to itself.
        Within::Cluster if gap.resource.is::<Namespace>() && gap.resource.name.is_some() => {
            role(gap.resource.name.as_deref())
        }
        Within::Cluster => format!("the ClusterRole {}", Role::Status.name()),
    }
}

/// The lines for standard error about destinations that are down: what the snapshots that were read say.
pub(crate) fn down(down: &Breakers, now: Timestamp) -> Vec<String> {
    let line = |(key, open): (&String, &model::breaker::Open)| {
        let age = age::between(open.since, now);
        let next = if open.next > now {
            format!("next probe in {}", age::between(now, open.next))
        } else {
            "probing now".to_owned()
        };
        format!("copies to {key} have been failing for {age}: {}; one copy at a time probes it ({next})", open.reason)
    };
    down.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::breaker::Open;
    use model::reason::Reason;

    #[test]
    fn a_destination_that_is_down_is_told_with_its_next_try() {
        let at = |minute: u64| model::duration::Span::minutes(minute).after(Timestamp::UNIX_EPOCH);
        let open = Open { reason: Reason::CredentialsRefused, since: at(10), next: at(40) };
        let breakers = Breakers::from([("s3/shop".to_owned(), open)]);
        let told = |age: &str, next: &str| {
            format!(
                "copies to s3/shop have been failing for {age}: CredentialsRefused; one copy at a time probes it \
                 ({next})"
            )
        };
        let before = told("15m", "next probe in 15m");
        assert_eq!(down(&breakers, at(25)), [before]);
        let after = told("50m", "probing now");
        assert_eq!(down(&breakers, at(60)), [after]);
        assert!(down(&Breakers::new(), at(0)).is_empty());
    }
}
