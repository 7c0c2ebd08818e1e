//! Admission: limits are never passed, nobody starves, and what can start does.

use std::collections::BTreeMap;

use model::Timestamp;
use model::admit::{self, Admission, Rank, Slot, Waiting};
use model::breaker::{Breakers, Open};
use model::config::Limits;
use model::duration::Span;
use model::names::{Run, SourceId};
use model::reason::Reason;
use proptest::prelude::*;

fn slot(namespace: &str, destination: &str, disk: &str, node: Option<&str>) -> Slot {
    Slot {
        namespace: namespace.into(),
        destination: destination.into(),
        disk: disk.into(),
        node: node.map(str::to_owned),
        breaker: None,
        begun: None,
    }
}

/// While every destination works.
fn admit(waiting: &[Waiting], running: &[Slot], limits: &Limits) -> Vec<Admission> {
    admit::admit(waiting, running, limits, &Breakers::new(), Timestamp::UNIX_EPOCH)
}

fn waiting(number: u64, slot: Slot) -> Waiting {
    let since = Span::minutes(number).after(Timestamp::UNIX_EPOCH);
    let source = SourceId { namespace: slot.namespace.clone(), name: format!("pvc-{number}"), uid: number.to_string() };
    Waiting { rank: Rank::Copy, source, run: Run::at(since), since, slot }
}

fn limits(cluster: u32, namespace: u32, node: u32, destination: u32) -> Limits {
    Limits { cluster, namespace, node, destination }
}

fn started(waiting: &[Waiting], running: &[Slot], limits: &Limits) -> Vec<bool> {
    admit(waiting, running, limits).iter().map(|a| *a == Admission::Start).collect()
}

/// F86: a limit of one admits one, however many ask at once.
#[test]
fn a_limit_of_one_admits_one() {
    let all: Vec<Waiting> = (0..5).map(|n| waiting(n, slot(&format!("ns{n}"), "d", &n.to_string(), None))).collect();
    assert_eq!(started(&all, &[], &limits(1, 9, 9, 9)), [true, false, false, false, false]);
    assert_eq!(started(&all, &[slot("x", "d", "x", None)], &limits(1, 9, 9, 9)), [false; 5]);
}

/// A tenant with a thousand volumes does not keep the others waiting.
#[test]
fn namespaces_take_turns_and_within_one_the_oldest_goes_first() {
    let of = |n, ns: &str| waiting(n, slot(ns, "d", &format!("{ns}{n}"), None));
    let all = [of(3, "big"), of(0, "big"), of(1, "big"), of(2, "big"), of(9, "small")];
    assert_eq!(started(&all, &[], &limits(2, 9, 9, 9)), [false, true, false, false, true]);
    assert_eq!(started(&all, &[slot("big", "d", "x", None)], &limits(2, 9, 9, 9)), [false, false, false, false, true]);
}

#[test]
fn a_disk_takes_one_copy_at_a_time_and_says_how_many_wait() {
    let all: Vec<Waiting> = (0..3).map(|n| waiting(n, slot("ns", "d", "disk", None))).collect();
    let answers = admit(&all, &[], &limits(9, 9, 9, 9));
    assert_eq!(answers[0], Admission::Start);
    let Admission::Wait(last) = &answers[2] else { unreachable!("{answers:?}") };
    assert_eq!((last.reason, last.message.contains("waiting before this copy: 1")), (Reason::DiskBusy, true), "{last}");
}

/// Three sources of which none can be copied: one try at a time, and everybody else as ever.
#[test]
fn where_a_destination_is_down_one_copy_at_a_time_tries_and_the_others_wait() {
    let now = Span::hours(1).after(Timestamp::UNIX_EPOCH);
    let to = |n: u64, destination: &str| {
        let breaker = (destination == "s3").then(|| "s3".to_owned());
        waiting(n, Slot { breaker, ..slot(&format!("ns{n}"), destination, &n.to_string(), None) })
    };
    let all = [to(0, "s3"), to(1, "s3"), to(2, "s3"), to(3, "disk")];
    let open = |next| Open { reason: Reason::DestinationUnreachable, since: Timestamp::UNIX_EPOCH, next };
    let down = |next| Breakers::from([("s3".to_owned(), open(next))]);
    // A2: one that began before the outage, and is healthy, is no try of it; one that began since is.
    let since = Span::minutes(10).after(Timestamp::UNIX_EPOCH);
    let later = Breakers::from([("s3".to_owned(), Open { since, ..open(Timestamp::UNIX_EPOCH) })]);
    let long = |begun| Slot { breaker: Some("s3".into()), begun: Some(begun), ..slot("ns9", "s3", "9", None) };
    let starts = |slot| {
        let answers = admit::admit(&all[..1], &[slot], &limits(9, 9, 9, 9), &later, since);
        answers == [Admission::Start]
    };
    assert_eq!((starts(long(Timestamp::UNIX_EPOCH)), starts(long(since))), (true, false));
    let admitted = |running: &[Slot], down: &Breakers| -> Vec<bool> {
        let answers = admit::admit(&all, running, &limits(9, 9, 9, 9), down, now);
        answers.iter().map(|a| *a == Admission::Start).collect()
    };
    assert_eq!(admitted(&[], &Breakers::new()), [true; 4]);
    assert_eq!(admitted(&[], &down(Span::minutes(1).after(now))), [false, false, false, true], "before the pause ends");
    assert_eq!(admitted(&[], &down(now)), [true, false, false, true]);
    assert_eq!(admitted(std::slice::from_ref(&all[1].slot), &down(now)), [false, false, false, true], "one tries");
    let answers = admit::admit(&all, &[], &limits(9, 9, 9, 9), &down(now), now);
    let Admission::Wait(problem) = &answers[2] else { unreachable!("{answers:?}") };
    assert_eq!(problem.reason, Reason::DestinationDown);
    let said =
        "s3 has been failing since 1970-01-01T00:00:00Z (DestinationUnreachable); one copy at a time is probing it";
    assert_eq!(problem.message, said);
}

prop_compose! {
    fn any_slot()(ns in 0_u8..4, destination in 0_u8..3, disk in 0_u8..6, node in prop::option::of(0_u8..3)) -> Slot {
        slot(&ns.to_string(), &destination.to_string(), &disk.to_string(), node.map(|n| n.to_string()).as_deref())
    }
}

prop_compose! {
    fn any_waiting()(slots in prop::collection::vec((any_slot(), 0_u64..50), 0..25)) -> Vec<Waiting> {
        slots.into_iter().map(|(slot, since)| waiting(since, slot)).collect()
    }
}

prop_compose! {
    fn any_limits()(cluster in 1_u32..8, namespace in 1_u32..4, node in 1_u32..4, destination in 1_u32..5) -> Limits {
        limits(cluster, namespace, node, destination)
    }
}

/// How much of each limit is used, as `kind/name`.
fn used<'a>(slots: impl Iterator<Item = &'a Slot>) -> BTreeMap<String, u32> {
    let mut used = BTreeMap::new();
    for slot in slots {
        let node = slot.node.as_ref().map(|n| format!("node/{n}"));
        let keys = [
            "cluster/".into(),
            format!("namespace/{}", slot.namespace),
            format!("destination/{}", slot.destination),
            format!("disk/{}", slot.disk),
        ];
        keys.into_iter().chain(node).for_each(|key| *used.entry(key).or_default() += 1);
    }
    used
}

fn limit_of(key: &str, limits: &Limits) -> u32 {
    match key.split('/').next() {
        Some("cluster") => limits.cluster,
        Some("namespace") => limits.namespace,
        Some("destination") => limits.destination,
        Some("node") => limits.node,
        _ => 1,
    }
}

proptest! {
    #![proptest_config(crate::fixtures::cases(1000))]

    #[test]
    fn limits_are_never_passed(all in any_waiting(), running in prop::collection::vec(any_slot(), 0..6), limits in any_limits()) {
        let starts = started(&all, &running, &limits);
        let before = used(running.iter());
        let new = all.iter().zip(&starts).filter(|(_, starts)| **starts).map(|(w, _)| &w.slot);
        for (key, count) in used(running.iter().chain(new)) {
            // Where limits were lowered, what runs already may be more; nothing is added to it.
            let allowed = limit_of(&key, &limits).max(before.get(&key).copied().unwrap_or(0));
            prop_assert!(count <= allowed, "{key}: {count}");
        }
    }

    #[test]
    fn what_can_start_does_and_what_waits_has_a_reason(all in any_waiting(), running in prop::collection::vec(any_slot(), 0..6), limits in any_limits()) {
        let answers = admit(&all, &running, &limits);
        prop_assert_eq!(answers.len(), all.len());
        let new = all.iter().zip(&answers).filter(|(_, a)| **a == Admission::Start).map(|(w, _)| &w.slot);
        let used = used(running.iter().chain(new));
        for (waiting, answer) in all.iter().zip(&answers) {
            let Admission::Wait(problem) = answer else { continue };
            let keys = self::used(std::iter::once(&waiting.slot));
            let full = keys.keys().any(|key| used.get(key).copied().unwrap_or(0) >= limit_of(key, &limits));
            prop_assert!(full, "{waiting:?} waits for nothing: {problem}");
            prop_assert!(matches!(problem.reason, Reason::DiskBusy | Reason::WaitingForSlot));
        }
    }

    #[test]
    fn namespaces_are_served_alike(all in any_waiting(), limits in any_limits()) {
        let starts = started(&all, &[], &limits);
        let counts = used(all.iter().zip(&starts).filter(|(_, s)| **s).map(|(w, _)| &w.slot));
        let of = |ns: &str| counts.get(&format!("namespace/{ns}")).copied().unwrap_or(0);
        for (waiting, _) in all.iter().zip(&starts).filter(|(_, s)| !**s) {
            // Only the cluster's limit is in its way.
            let own = used(std::iter::once(&waiting.slot));
            let blocked = own.keys().any(|k| k != "cluster/" && counts.get(k).copied().unwrap_or(0) >= limit_of(k, &limits));
            if blocked { continue }
            for other in 0..4 {
                let (mine, theirs) = (of(&waiting.slot.namespace), of(&other.to_string()));
                prop_assert!(theirs <= mine + 1, "{other} has {theirs}, {} has {mine}", waiting.slot.namespace);
            }
        }
    }

    #[test]
    fn of_two_that_ask_for_the_same_the_older_goes_first(all in any_waiting(), running in prop::collection::vec(any_slot(), 0..4), limits in any_limits()) {
        let starts = started(&all, &running, &limits);
        for (a, a_starts) in all.iter().zip(&starts) {
            for (b, b_starts) in all.iter().zip(&starts) {
                let passed = a.slot == b.slot && a.since < b.since && !a_starts && *b_starts;
                prop_assert!(!passed, "{a:?} waits, {b:?} starts");
            }
        }
    }

    /// As copies end, all get their turn.
    #[test]
    fn nobody_waits_for_ever(mut all in any_waiting(), limits in any_limits()) {
        for _ in 0..=all.len() {
            let starts = started(&all, &[], &limits);
            prop_assert!(all.is_empty() || starts.contains(&true));
            let mut starts = starts.into_iter();
            all.retain(|_| !starts.next().unwrap());
        }
        prop_assert!(all.is_empty());
    }
}
