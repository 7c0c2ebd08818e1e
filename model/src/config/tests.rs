use proptest::prelude::*;
use serde_yaml::Value;

use super::*;
use crate::duration::Span;
use crate::losses::Losses;

fn parse(text: &str) -> Config {
    Config::parse(text).unwrap_or_else(|e| panic!("{text}\n{e}"))
}

fn faults(text: &str) -> String {
    Config::parse(text).expect_err(text).to_string()
}

/// A destination with what each test changes.
fn disk(more: &str) -> String {
    format!("destinations:\n- name: disk\n  type: disk\n{more}")
}

const CLAIM: &str = "  claim: {size: 10Gi}\n";

#[test]
fn an_empty_file_is_the_default_configuration() {
    for text in ["", "\n", "# nothing\n", "---\n", "{}", "selection:\nlimits:\n", "\u{feff}limits: {}\r\n"] {
        assert_eq!(parse(text), Config::default(), "{text:?}");
    }
    assert!(super::check::check(&Config::default()).is_empty());
}

#[test]
fn the_example_states_the_defaults_and_shows_every_key() {
    let example = parse(EXAMPLE);
    let default = Config {
        groups: example.groups.clone(),
        classes: example.classes.clone(),
        destinations: example.destinations.clone(),
        restores: Restores { grants: example.restores.grants.clone(), ..Restores::default() },
        ..Config::default()
    };
    let granted = |to| example.restores.grants(&Transfer { from: "shop", pvc: "data", to });
    assert!(granted("shop-test") && !granted("other"));
    let back = Transfer { from: "shop-test", pvc: "data", to: "shop" };
    assert!(!example.restores.grants(&back), "a grant goes one way");
    assert_eq!(example, default);
    let claim = Claim {
        storage_class: Some("shared-retain".into()),
        size: "100Gi".into(),
        ..serde_yaml::from_str("size: 1").unwrap()
    };
    assert_eq!(
        example.destinations[0].store,
        Store::Disk(Trees { disk: Disk::Claim(claim), checksum_every: 30, accept: Losses::default() }),
        "what the example states as defaults of a claim"
    );
    let rule = ClassRule {
        snapshot_class: Some("slow-ceph-snapshots".into()),
        storage_class: Some("slow-ceph-shallow".into()),
        read_only: true,
        annotations: [("example.com/purpose".into(), "backup".into())].into(),
        ..ClassRule::default()
    };
    assert_eq!(example.classes["slow-ceph"], rule);

    // What is written out again has every key that there is.
    let written = serde_yaml::to_value(&example).unwrap();
    let shown: Value = serde_yaml::from_str(EXAMPLE).unwrap();
    every_key(&written, &shown, "");
    assert_eq!(parse(&serde_yaml::to_string(&example).unwrap()), example);
}

fn every_key(written: &Value, shown: &Value, path: &str) {
    match (written, shown) {
        (Value::Mapping(written), Value::Mapping(shown)) => {
            for (key, value) in written {
                let path = format!("{path}.{}", key.as_str().unwrap());
                every_key(value, shown.get(key).unwrap_or_else(|| panic!("{path} is not in the example")), &path);
            }
        }
        (Value::Sequence(written), Value::Sequence(shown)) => {
            // Each key once is enough for a list.
            let all = shown.iter().filter_map(Value::as_mapping).flatten();
            let all = Value::Mapping(all.map(|(key, value)| (key.clone(), value.clone())).collect());
            for written in written {
                every_key(written, &all, path);
            }
        }
        _ => {}
    }
}

#[test]
fn a_key_that_is_left_out_has_its_default_on_its_own() {
    let config = parse("selection: {namespaces: {include: [shop]}}");
    assert!(config.selection.namespaces.matches("shop"));
    assert_eq!(config.selection.namespaces.exclude, ["kube-*", "openshift-*"]);
    let config = parse("selection: {namespaces: {exclude: []}}");
    assert!(config.selection.namespaces.matches("kube-system"));
    let config = parse("resources: {copy: {limits: {memory: 1Gi, cpu: 2}}}");
    assert_eq!(config.resources.copy.limits["cpu"], "2");
    assert_eq!(config.resources.copy.requests, Resources::default().copy.requests);
    assert_eq!(config.resources.snapshot_job, Resources::default().snapshot_job);
    let config = parse("limits: {node: 1}\ndeadlines: {copy: 1d}");
    assert_eq!((config.limits.node, config.limits.cluster), (1, 10));
    assert_eq!((config.deadlines.copy, config.deadlines.snapshot_job), (Span::days(1), Span::minutes(30)));
}

#[test]
fn everything_can_be_set() {
    let config = parse(
        r#"
selection: {mode: opt-in, storageClasses: {include: ["ceph-*"]}, drivers: {exclude: ["*.nfs.*"]}}
defaults:
  schedule: H 3 * * MON-FRI
  timeZone: Europe/Amsterdam
  retention: last=3 daily=7 monthly=6
  destinations: [vault, own]
  promoterRetention: release
bounds: {minInterval: 30m, destinations: [own, "va?lt"], maxHolds: 0}
destinations:
- name: own
  type: disk
  claim: {size: 1.5Ti, accessMode: ReadWriteMany, name: copies, allowDelete: true}
  retention: yearly=1
  checksumEvery: 1
  accept: [far-times, acls, acls]
  orphans: remove
- {name: vault, type: disk, hostPath: {path: /srv/a, nodeSelector: {disk: big}, size: 100}}
- {name: vault2, type: disk, hostPath: {path: /srv/ab, nodeSelector: {disk: big}, size: 100}}
- {name: vault3, type: disk, hostPath: {path: /srv/a, nodeSelector: {disk: small}, size: 100}}
metrics: {perVolume: true}
"#,
    );
    assert_eq!(config.selection.mode, Mode::OptIn);
    assert_eq!(config.defaults.time_zone.name(), "Europe/Amsterdam");
    assert_eq!(config.defaults.promoter_retention, PromoterRetention::Release);
    assert!(config.bounds.allows_destination("own") && config.bounds.allows_destination("vault"));
    assert!(!config.bounds.allows_destination("vault2"));
    assert!(matches!(&config.destination("own").unwrap().store, Store::Disk(trees) if trees.checksum_every == 1));
    // A12.
    let Format::Trees(trees) = config.destination("own").unwrap().format() else { panic!("a disk") };
    assert_eq!(trees.accept.to_string(), "far-times, acls");
    assert_eq!(parse(&serde_yaml::to_string(&config).unwrap()), config);
    assert_eq!(config.destination("other"), None);
    let orphans = ["own", "vault"].map(|name| config.destination(name).unwrap().orphans);
    assert_eq!(orphans, [Orphans::Remove, Orphans::Keep], "nothing is removed by default");
    let Reach::Disk(Disk::HostPath(host)) = config.destination("vault").unwrap().reach() else {
        panic!("a folder of a node");
    };
    assert_eq!((host.path.as_str(), host.size.as_str()), ("/srv/a", "100"));
    assert!(config.metrics.per_volume);
}

// F72: a bad new configuration is refused with the line.
#[test]
fn a_fault_of_form_is_told_with_line_column_key_and_what_is_allowed() {
    for (text, message) in [
        (
            "limits:\n  cluster: 1\n  clutser: 2\n",
            "line 3 column 3: limits: unknown field `clutser`, expected one of `cluster`, `namespace`",
        ),
        ("a: 1", "line 1 column 1: unknown field `a`, expected one of `selection`, `defaults`"),
        ("limits:\n  node: 1\n  node: 2\n", "line 2 column 3: limits: duplicate entry with key \"node\""),
        // Typed maps would let the last one win.
        ("classes:\n  a: {}\n  a: {}\n", "line 2 column 3: classes: duplicate entry with key \"a\""),
        ("limits:\n  cluster: -1\n", "line 2 column 12: limits.cluster: invalid type: integer `-1`, expected u32"),
        ("limits: 5", "line 1 column 9: limits: invalid type: integer `5`, expected a map of keys"),
        ("- 1", "line 1 column 1: invalid type: sequence, expected a map of keys"),
        (
            "selection:\n  mode: some\n",
            "line 2 column 9: selection.mode: unknown variant `some`, expected `all` or `opt-in`",
        ),
        (
            "metrics: {perVolume: yes}",
            "line 1 column 22: metrics.perVolume: invalid type: string \"yes\", expected a boolean",
        ),
        ("deadlines:\n  copy: 10\n", "line 2 column 9: deadlines.copy: \"10\" is not a duration: 10 has no unit"),
        (
            "defaults:\n  retention: 0d\n",
            "line 2 column 14: defaults.retention: \"0d\" is not a retention: it keeps nothing",
        ),
        ("defaults:\n  timeZone: amsterdam\n", "line 2 column 13: defaults.timeZone: \"amsterdam\" is not a time zone"),
        ("defaults:\n  schedule: * * * * *\n", "(quote a value that begins with * or &)"),
        ("a: b\n---\nc: d\n", "more than one document"),
        ("\tx: 1", "line 1 column 1: found character that cannot start any token"),
        ("<<: {limits: {node: 1}}", "unknown field `<<`"),
        ("destinations:\n- type: disk\n", "line 2 column 3: destinations[0]: missing field `name`"),
        ("destinations:\n- name: disk\n", "line 2 column 3: destinations[0]: missing field `type`"),
        (
            "destinations:\n- name: disk\n  type: tape\n",
            "line 3 column 9: destinations[0].type: unknown variant `tape`, expected `disk` or `restic`",
        ),
        ("destinations:\n- name: disk\n  type: disk\n", "disk has neither `claim` nor `hostPath`"),
        (
            "destinations:\n- name: disk\n  type: disk\n  claim: {}\n",
            "line 4 column 10: destinations[0].claim: missing field `size`",
        ),
        (
            "destinations:\n- name: disk\n  type: disk\n  hostPath: {size: 1}\n",
            "destinations[0].hostPath: missing field `path`",
        ),
        (
            "resources:\n  snapshotJob:\n    limit: {}\n",
            "line 3 column 5: resources.snapshotJob: unknown field `limit`, expected `requests` or `limits`",
        ),
    ] {
        let faults = faults(text);
        assert!(faults.contains(message), "{text}\n{faults}");
        assert!(!faults.contains('\n'), "{faults}");
    }
    let both = disk("  claim: {size: 1}\n  hostPath: {path: /a, nodeSelector: {a: b}, size: 1}\n");
    assert!(faults(&both).contains("disk has both `claim` and `hostPath`"));
}

#[test]
fn every_map_refuses_a_key_that_it_does_not_know() {
    let text = serde_yaml::to_string(&parse(EXAMPLE)).unwrap();
    let mut maps = Vec::new();
    map_paths(&serde_yaml::from_str(&text).unwrap(), &mut Vec::new(), &mut maps);
    assert!(maps.len() > 20, "{}", maps.len());
    for path in maps {
        // Maps whose keys are the user's own.
        let own = [
            "classes",
            "annotations",
            "namespaceLabels",
            "pvcLabels",
            "secrets",
            "nodeSelector",
            "requests",
            "limits",
            "environment",
            "backendOptions",
            "labels",
            "affinity",
        ];
        if path.last().is_some_and(|last| own.contains(&last.as_str())) && path != ["limits"] {
            continue;
        }
        let mut value: Value = serde_yaml::from_str(&text).unwrap();
        let mut at = &mut value;
        for step in &path {
            at = match step.parse::<usize>() {
                Ok(number) => &mut at[number],
                Err(_) => &mut at[step.as_str()],
            };
        }
        at["bogus"] = Value::Null;
        let faults = faults(&serde_yaml::to_string(&value).unwrap());
        assert!(faults.contains("unknown field `bogus`") && faults.starts_with("line "), "{path:?}: {faults}");
    }
}

fn map_paths(value: &Value, path: &mut Vec<String>, maps: &mut Vec<Vec<String>>) {
    let mut into = |step: String, value: &Value| {
        path.push(step);
        map_paths(value, path, maps);
        path.pop();
    };
    match value {
        Value::Mapping(map) => {
            for (key, value) in map {
                into(key.as_str().unwrap().to_owned(), value);
            }
            maps.push(path.clone());
        }
        Value::Sequence(list) => {
            for (number, value) in list.iter().enumerate() {
                into(number.to_string(), value);
            }
        }
        _ => {}
    }
}

#[test]
fn a_kind_of_pod_has_what_all_have_and_its_own() {
    let config = parse(
        "pods:\n  all: {nodeSelector: {zone: a, disk: ssd}, tolerations: [{key: infra, operator: Exists}], priorityClassName: low}\n  \
         copy: {nodeSelector: {zone: b}, tolerations: [{key: backup, operator: Exists, tolerationSeconds: 60}], priorityClassName: mid}",
    );
    let copy = config.pods.of(PodKind::Copy);
    assert_eq!(copy.node_selector, [("zone", "b"), ("disk", "ssd")].map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    let keys: Vec<&str> = copy.tolerations.iter().filter_map(|t| t.key.as_deref()).collect();
    assert_eq!((keys, copy.priority_class_name.as_deref()), (vec!["infra", "backup"], Some("mid")));
    let others = config.pods.of(PodKind::Restore);
    assert_eq!((others.tolerations.len(), others.priority_class_name.as_deref()), (1, Some("low")));
}

/// A6: the API server would refuse each pod, or nobody would notice.
#[test]
fn pods_that_cannot_be_or_are_not_the_administrators_are_told_with_their_place() {
    told(&[
        (
            "pods:\n  all:\n    tolerations: [{key: a, operater: Exists}]\n",
            "operater is not a field that the Kubernetes API knows",
        ),
        (
            "pods:\n  copy:\n    affinity: {nodeAfinity: {}, podAffinity: {requiredDuringX: [{a: b}]}}\n",
            "podAffinity.requiredDuringX is not a field",
        ),
        ("pods: {copies: {}}\n", "unknown field `copies`"),
        ("pods: {all: {nodeSelector: {'a b': c}}}\n", "pods.all.nodeSelector"),
        ("pods: {all: {labels: {backup-controller.io/run: x}}}\n", "is set by the controller"),
        ("pods: {restore: {annotations: {batch.kubernetes.io/job-name: x}}}\n", "is set by the controller"),
        ("pods: {all: {labels: {app.kubernetes.io/managed-by: Helm}}}\n", "is set by the controller"),
        ("pods: {copy: {priorityClassName: A}}\n", "pods.copy.priorityClassName: \"A\" is not a valid class name"),
        ("pods: {all: {imagePullSecrets: [{name: A}]}}\n", "pods.all.imagePullSecrets[0].name"),
    ]);
}

/// Each text has one fault, which is told so.
fn told(rows: &[(&str, &str)]) {
    for (text, message) in rows {
        let faults = faults(text);
        assert!(faults.contains(message), "{text}\n{faults}\n{message}");
        assert_eq!(faults.lines().count(), 1, "{text}\n{faults}");
    }
}

#[test]
fn selections_and_defaults_that_make_no_sense_are_told_with_their_place() {
    told(&[
        (
            "selection:\n  drivers:\n    include: []\n",
            "line 3 column 14: selection.drivers.include: must not be empty: nothing would be backed up",
        ),
        (
            "selection:\n  namespaces:\n    exclude: [\"a*\", \"\"]\n",
            "line 3 column 21: selection.namespaces.exclude[1]: \"\" can match no name",
        ),
        (
            "defaults: {schedule: 0 3 * *}",
            "line 1 column 22: defaults.schedule: \"0 3 * *\" is not a schedule: it needs five fields",
        ),
        ("defaults: {schedule: 5}", "defaults.schedule: \"5\" is not a schedule"),
        (
            "defaults: {schedule: '*/30 * * * *'}",
            "defaults.schedule: runs would be 30m apart, less than bounds.minInterval (1h)",
        ),
        ("bounds: {minInterval: 2d}", "defaults.schedule: runs would be 1d apart, less than bounds.minInterval (2d)"),
        (
            "defaults: {retention: 401d}",
            "line 1 column 23: defaults.retention: 401d reaches back 401d, more than bounds.maxRetention (400d)",
        ),
        ("defaults: {retention: monthly=13}", "monthly=13 reaches back 403d"),
        ("defaults: {retention: last=99999}", "last=99999 reaches back 99999d"),
        ("bounds: {maxRetention: 1d}", "defaults.retention: 2d reaches back 2d, more than bounds.maxRetention (1d)"),
        (
            "defaults:\n  destinations: [disk]\n",
            "line 2 column 18: defaults.destinations[0]: there is no destination \"disk\"; `destinations` is empty",
        ),
        (
            &format!("defaults: {{destinations: [disk, other]}}\n{}", disk(CLAIM)),
            "line 1 column 33: defaults.destinations[1]: there is no destination \"other\"; `destinations` contains disk",
        ),
        (
            &format!("defaults: {{destinations: [disk, disk]}}\n{}", disk(CLAIM)),
            "defaults.destinations[1]: disk is listed twice",
        ),
    ]);
}

#[test]
fn groups_that_make_no_sense_are_told_with_their_place() {
    let group = |keys: &str| format!("groups: [{{name: gold, namespaces: [shop], {keys}}}]\n{}", disk(CLAIM));
    told(&[
        ("groups:\n- {name: gold}\n", "line 2 column 3: groups[0]: the group selects nothing; set namespaces"),
        ("groups: [{namespaces: [a]}]", "missing field `name`"),
        ("groups: [{name: gold, namespaces: [a], kept: 2d}]", "unknown field `kept`"),
        ("groups: [{name: gold, namespaces: [a], namespaces: [b]}]", "duplicate"),
        ("groups: [{name: Gold, namespaces: [a]}]", "groups[0].name: \"Gold\" is not a valid group name"),
        (
            "groups:\n- {name: gold, namespaces: [a]}\n- {name: gold, namespaces: [b]}\n",
            "line 3 column 10: groups[1].name: two groups have the name gold",
        ),
        ("groups: [{name: gold, namespaces: ['']}]", "groups[0].namespaces[0]: \"\" can match no name"),
        (
            "groups: [{name: gold, namespaceLabels: {a b: c}}]",
            "groups[0].namespaceLabels.a b: \"a b\": \"c\" is not a valid label",
        ),
        (
            "groups: [{name: gold, pvcLabels: {tier: -}}]",
            "groups[0].pvcLabels.tier: \"tier\": \"-\" is not a valid label",
        ),
        (&group("schedule: 0 3 * *"), "groups[0].schedule: \"0 3 * *\" is not a schedule: it needs five fields"),
        (
            &group("schedule: '@after 30m'"),
            "groups[0].schedule: runs would be 30m apart, less than bounds.minInterval (1h)",
        ),
        (&group("schedule: '@after'"), "groups[0].schedule: \"@after\" is not a schedule"),
        (&group("timeZone: Mars"), "Mars"),
        (
            &group("retention: 401d"),
            "groups[0].retention: 401d reaches back 401d, more than bounds.maxRetention (400d)",
        ),
        // Its own schedule says how far its rules reach.
        (&group("schedule: 0 3 * * 0, retention: last=60"), "groups[0].retention: last=60 reaches back 420d"),
        (&group("destinations: [disk, other]"), "groups[0].destinations[1]: there is no destination \"other\""),
        (&group("destinations: [disk, disk]"), "groups[0].destinations[1]: disk is listed twice"),
        (&group("secrets: {other: s}"), "groups[0].secrets.other: there is no destination \"other\""),
        (&group("secrets: {disk: gold}"), "groups[0].secrets.disk: destination disk is a disk and needs no Secret"),
        (
            "groups: [{name: gold, namespaces: [a], secrets: {s3: A_b}}]\ndestinations: [{name: s3, type: restic, secret: s}]",
            "groups[0].secrets.s3: \"A_b\" is not a valid Secret name",
        ),
        // Labels of a PVC are its tenant's to choose, and with them he would choose the administrator's Secret.
        (
            "groups: [{name: gold, pvcLabels: {a: b}, secrets: {s3: gold}}]\n\
             destinations: [{name: s3, type: restic, secret: s, runIn: controller}]",
            "groups[0].secrets.s3: anyone who can label a PVC could choose this Secret",
        ),
    ]);
}

#[test]
fn bounds_and_classes_that_make_no_sense_are_told_with_their_place() {
    told(&[
        ("bounds: {minInterval: 59s}", "bounds.minInterval: 59s is too short; must be at least 1m"),
        ("bounds: {orphanRetention: 0s}", "bounds.orphanRetention: must be at least 1s"),
        // The floor is not to be switched off.
        ("bounds: {minKeep: 0}", "line 1 column 19: bounds.minKeep: must be at least 1"),
        ("bounds: {maxUnconfirmed: 0}", "bounds.maxUnconfirmed: must be at least 1"),
        ("bounds: {maxDeletesPerRun: 0}", "bounds.maxDeletesPerRun: must be at least 1"),
        ("bounds: {destinations: [vault]}", "bounds.destinations[0]: there is no destination \"vault\""),
        ("bounds: {destinations: [\" \"]}", "bounds.destinations[0]: \" \" can match no name"),
        ("classes: {Slow: {}}", "classes.Slow: \"Slow\" is not a valid class name"),
        ("classes: {a: {snapshotClass: a/b}}", "classes.a.snapshotClass: \"a/b\" is not a valid class name"),
        ("classes: {a: {storageClass: \"\"}}", "classes.a.storageClass: \"\" is not a valid class name"),
        (
            "classes:\n  a.b:\n    spcNoRelabeling: true\n",
            "line 3 column 22: classes.a.b.spcNoRelabeling: applies only to read-only promoters; set readOnly: true too",
        ),
        (
            "classes: {a: {annotations: {backup-controller.io/hold: x}}}",
            "annotations that begin with backup-controller.io/ are reserved",
        ),
        ("classes: {a: {annotations: {\"a b\": x}}}", "\"a b\" is not a valid annotation name"),
    ]);
}

#[test]
fn destinations_that_make_no_sense_are_told_with_their_place() {
    let long = format!("destinations:\n- name: {}\n  type: disk\n{CLAIM}", "a".repeat(41));
    told(&[
        (
            "destinations:\n- {name: Disk, type: disk, claim: {size: 1}}",
            "line 2 column 10: destinations[0].name: \"Disk\" is not a valid destination name; use at most 40",
        ),
        ("destinations:\n- {name: none, type: disk, claim: {size: 1}}", "\"none\" is not a valid destination name"),
        ("destinations:\n- {name: -a, type: disk, claim: {size: 1}}", "\"-a\" is not a valid destination name"),
        (&long, "is not a valid destination name"),
        (
            &(disk(CLAIM) + "- {name: disk, type: disk, claim: {size: 1, name: b}}"),
            "line 5 column 10: destinations[1].name: two destinations have the name disk",
        ),
        (
            &(disk(CLAIM) + "- {name: b, type: disk, claim: {size: 1}}"),
            "line 5 column 3: destinations[1]: destination disk has the same PVC backup-disk",
        ),
        (&disk("  claim: {size: ten}\n"), "line 4 column 17: destinations[0].claim.size: \"ten\" is not a quantity"),
        (&disk("  claim: {size: 0}\n"), "destinations[0].claim.size: must be more than 0"),
        (&disk("  claim: {size: 1, name: A}\n"), "destinations[0].claim.name: \"A\" is not a valid PVC name"),
        (
            &disk("  claim: {size: 1, storageClass: A}\n"),
            "destinations[0].claim.storageClass: \"A\" is not a valid class name",
        ),
        (
            &disk("  claim: {size: 1}\n  retention: 500d\n"),
            "line 5 column 14: destinations[0].retention: 500d reaches back 500d",
        ),
        (&disk("  claim: {size: 1}\n  checksumEvery: 0\n"), "destinations[0].checksumEvery: must be at least 1"),
        // A12.
        (&disk("  claim: {size: 1}\n  accept: [owner]\n"), "\"owner\" is not one of owners, modes, times, far-times"),
        (&disk("  claim: {size: 1}\n  accept: [holes]\n"), "holes only cost room, and never count"),
    ]);
}

#[test]
fn host_paths_that_make_no_sense_are_told_with_their_place() {
    let host = |more: &str| format!("destinations:\n- name: disk\n  type: disk\n  hostPath:\n{more}");
    told(&[
        (
            &host("    path: srv\n    size: 1\n    nodeSelector: {a: b}\n"),
            "line 5 column 11: destinations[0].hostPath.path: \"srv\" is not a valid folder path",
        ),
        (
            &host("    path: /srv/../etc\n    size: 1\n    nodeSelector: {a: b}\n"),
            "\"/srv/../etc\" is not a valid folder path",
        ),
        (&host("    path: /\n    size: 1\n    nodeSelector: {a: b}\n"), "\"/\" is not a valid folder path"),
        (&host("    path: /srv/\n    size: 1\n    nodeSelector: {a: b}\n"), "\"/srv/\" is not a valid folder path"),
        (&host("    path: /srv/a,b\n    size: 1\n    nodeSelector: {a: b}\n"), "is not a valid folder path"),
        (&host("    path: /srv/a'b\n    size: 1\n    nodeSelector: {a: b}\n"), "is not a valid folder path"),
        (&host("    path: \"/srv\\nx\"\n    size: 1\n    nodeSelector: {a: b}\n"), "is not a valid folder path"),
        (
            &host("    path: /srv\n    size: x\n    nodeSelector: {a: b}\n"),
            "destinations[0].hostPath.size: \"x\" is not a quantity",
        ),
        (
            &host("    path: /srv\n    size: 1\n    nodeSelector: {}\n"),
            "line 7 column 19: destinations[0].hostPath.nodeSelector: must not be empty; write the labels of the node",
        ),
        (
            &host("    path: /srv\n    size: 1\n    nodeSelector: {a: \"b c\"}\n"),
            "destinations[0].hostPath.nodeSelector.a: \"a\": \"b c\" is not a valid node label",
        ),
        (
            &(host("    path: /srv\n    size: 1\n    nodeSelector: {a: b}\n")
                + "- {name: b, type: disk, hostPath: {path: /srv/b, size: 1, nodeSelector: {a: b}}}\n"),
            "line 8 column 42: destinations[1].hostPath.path: overlaps with the folder of destination disk, and a node may \
             have the labels of both",
        ),
        // L14: other labels, and perhaps the same node.
        (
            &(host("    path: /srv\n    size: 1\n    nodeSelector: {a: b}\n")
                + "- {name: b, type: disk, hostPath: {path: /srv, size: 1, nodeSelector: {c: d}}}\n"),
            "destinations[1].hostPath.path: overlaps with the folder of destination disk",
        ),
        (
            &(host("    path: /srv\n    size: 1\n    nodeSelector: {a: b}\n")
                + "- {name: b, type: disk, hostPath: {path: /srv, size: 1, nodeSelector: {a: b, c: d}}}\n"),
            "destinations[1].hostPath.path: overlaps with the folder of destination disk",
        ),
    ]);
}

#[test]
fn limits_and_resources_that_make_no_sense_are_told_with_their_place() {
    told(&[
        ("limits: {cluster: 0}", "limits.cluster: must be at least 1"),
        ("limits: {namespace: 0}", "limits.namespace: must be at least 1"),
        ("limits: {node: 0}", "limits.node: must be at least 1"),
        ("limits: {destination: 0}", "limits.destination: must be at least 1"),
        ("restores: {maxAge: 0s}", "restores.maxAge: must be at least 1s"),
        ("deadlines: {snapshotReady: 0s}", "deadlines.snapshotReady: must be at least 1s"),
        ("deadlines: {promoterBound: 0s}", "deadlines.promoterBound: must be at least 1s"),
        ("deadlines: {copyStart: 0s}", "deadlines.copyStart: must be at least 1s"),
        ("deadlines: {copy: 0s}", "deadlines.copy: must be at least 1s"),
        (
            "deadlines: {snapshotReady: 1h}",
            "deadlines.snapshotJob: 30m is too short; must be longer than deadlines.snapshotReady (1h)",
        ),
        ("retries: {copy: 101}", "retries.copy: 101 is too high; use 0 to 100"),
        ("retries: {snapshot: 101}", "retries.snapshot: 101 is too high"),
        (
            "resources: {snapshotJob: {limits: {memory: lots}}}",
            "line 1 column 44: resources.snapshotJob.limits.memory: \"lots\" is not a quantity",
        ),
        ("resources: {copy: {requests: {\"a b\": 1}}}", "\"a b\" is not a valid resource name"),
        (
            "resources: {copy: {requests: {memory: 1Gi}}}",
            "resources.copy.requests.memory: 1Gi is more than the limit (512Mi)",
        ),
        (
            "resources: {snapshotJob: {requests: {cpu: 100m}, limits: {cpu: 10m}}}",
            "resources.snapshotJob.requests.cpu: 100m is more than the limit (10m)",
        ),
    ]);
}

#[test]
fn all_settings_that_make_no_sense_are_told_at_once_in_the_order_of_the_file() {
    let text = "limits:\n  node: 0\nbounds:\n  minKeep: 0\n  minInterval: 2days\nretries:\n  copy: 1000\n";
    let error = Config::parse(text).unwrap_err();
    let places: Vec<Option<usize>> = error.problems.iter().map(|p| p.place.map(|(line, _)| line)).collect();
    // The schedule that is too fast for the new minimum is a default: it stands nowhere.
    assert_eq!(places, [None, Some(2), Some(4), Some(7)], "{error}");
    assert_eq!(error.to_string().lines().count(), 4);
    let faults = faults("bounds: {maxRetention: 0s}");
    assert!(faults.contains("bounds.maxRetention: must be at least 1s"), "{faults}");
}

#[test]
fn a_bomb_of_aliases_or_brackets_is_a_fault_and_no_stop() {
    let line = |n: u32| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "));
    let bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned() + &(1..12).map(line).collect::<String>();
    for text in [bomb, "[".repeat(10_000), "{a: ".repeat(5_000)] {
        assert!(faults(&text).len() < 1000);
    }
}

#[test]
fn patterns_match_whole_names() {
    for (pattern, text, matches) in [
        ("*", "", true),
        ("*", "anything", true),
        ("", "", true),
        ("", "a", false),
        ("kube-*", "kube-system", true),
        ("kube-*", "kube-", true),
        ("kube-*", "my-kube-system", false),
        ("kube-*", "kube", false),
        ("*-prod", "shop-prod", true),
        ("*-prod", "shop-prod-2", false),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("a?c", "aéc", true),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b*", "xxbxxaxx", false),
        ("**", "x", true),
        ("a.b", "axb", false),
        ("[ab]", "a", false),
    ] {
        assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
    }
    let globs = Globs { include: vec!["shop-*".into(), "lab".into()], exclude: vec!["*-test".into()] };
    assert!(globs.matches("shop-a") && globs.matches("lab"));
    assert!(!globs.matches("shop-test") && !globs.matches("other"));
    // A pattern that is slow for who tries everything.
    assert!(!glob(&"a*".repeat(60), &"a".repeat(5000).replace("aaaaa", "aaaab").repeat(2).replace('a', "b")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_pattern_matches_what_its_definition_says(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
        fn defined(pattern: &str, text: &str) -> bool {
            let mut rest = text.chars();
            match pattern.chars().next() {
                None => text.is_empty(),
                Some('*') => (0..=text.len()).any(|n| defined(&pattern[1..], &text[n..])),
                Some(c) => rest.next().is_some_and(|t| c == '?' || c == t) && defined(&pattern[1..], rest.as_str()),
            }
        }
        prop_assert_eq!(glob(&pattern, &text), defined(&pattern, &text));
    }

    /// A half-edited file is refused or read, and never a panic.
    #[test]
    fn a_damaged_example_breaks_nothing(from in 0usize..3000, length in 0usize..200, with in "\\PC{0,5}|[:\\[{*&?!|>-]{0,3}") {
        let chars: Vec<char> = EXAMPLE.chars().collect();
        let from = from.min(chars.len());
        let to = (from + length).min(chars.len());
        let text: String = chars[..from].iter().copied().chain(with.chars()).chain(chars[to..].iter().copied()).collect();
        if let Err(error) = Config::parse(&text) {
            prop_assert!(!error.problems.is_empty() && !error.to_string().is_empty());
        }
    }
}

/// A restic destination with what each test changes.
fn restic(more: &str) -> String {
    format!("destinations:\n- name: s3\n  type: restic\n{more}")
}

#[test]
fn a_restic_destination_needs_a_secret_and_has_a_repository_for_each_source() {
    let config = parse(&restic("  secret: backup-s3\n  drill: {sample: all}\n"));
    let destination = config.destination("s3").unwrap();
    let source = crate::names::SourceId { namespace: "shop".into(), name: "data".into(), uid: "u-1".into() };
    let Store::Restic(restic) = &destination.store else { panic!("{destination:?}") };
    assert_eq!(restic.address(&source), "{RESTIC_REPOSITORY}/shop/data/u-1");
    assert!(!destination.is_central() && restic.skip_unchanged);
    assert_eq!(destination.drill.as_ref().unwrap().sample, Sample::All(All::All));
    let written = serde_yaml::to_string(&config).unwrap();
    assert_eq!(parse(&written), config, "{written}");
}

#[test]
fn a_restic_destination_that_makes_no_sense_is_told() {
    told(&[
        (&restic(""), "destinations: s3 has no `secret`"),
        (&restic("  secret: a\n  checksumEvery: 1\n"), "s3 has type restic, but `checksumEvery` is a key of type disk"),
        (&restic("  secret: a\n  accept: [acls]\n"), "s3 has type restic, but `accept` is a key of type disk"),
        (&disk("  claim: {size: 1}\n  secret: a\n"), "disk has type disk, but `secret` is a key of type restic"),
        (&restic("  secret: A\n"), "line 4 column 11: destinations[0].secret: \"A\" is not a valid object name"),
        (
            &restic("  secret: a\n  repository: s3:x/{pvc}\n"),
            "must contain {uid}: otherwise two PVCs could share a repository",
        ),
        (&restic("  secret: a\n  repository: \"s3:x/{uid}/{node}\"\n"), "{node} is unknown"),
        (&restic("  secret: a\n  repository: \"s3:{uid}/{\"\n"), "a `{` has no `}`"),
        (&restic("  secret: a\n  packSize: 2\n"), "2 is not allowed; use 4 to 128 (MiB)"),
        (&restic("  secret: a\n  limitUpload: 0\n"), "must be at least 1"),
        (&restic("  secret: a\n  exclude: [\"\"]\n"), "is not a valid pattern"),
        (
            &restic("  secret: a\n  environment: {RESTIC_PASSWORD_COMMAND: x}\n"),
            "RESTIC_PASSWORD_COMMAND cannot be set here",
        ),
        (&restic("  secret: a\n  environment: {a b: x}\n"), "\"a b\" is not an allowed environment variable"),
        (
            &restic("  secret: a\n  environment: {OPENSSL_CONF: x}\n"),
            "\"OPENSSL_CONF\" is not an allowed environment variable",
        ),
        (&restic("  secret: a\n  cache: ten\n"), "\"ten\" is not a quantity"),
        (&restic("  secret: a\n  prune: {schedule: sometimes}\n"), "destinations[0].prune.schedule"),
        (
            &restic("  secret: a\n  prune: {schedule: '@after 24h'}\n"),
            "prune.schedule: \"@after 24h\" counts from the end of a run, and only runs do; write five fields, or `never`",
        ),
        (
            &restic("  secret: a\n  drill: {sample: 0}\n"),
            "drill.sample: 0 is not allowed; use 1 to 100000 files, or `all`",
        ),
        (
            &restic("  secret: a\n  drill: {sample: 100001}\n"),
            "drill.sample: 100001 is not allowed; use 1 to 100000 files, or `all`",
        ),
        (
            &restic("  secret: a\n  runIn: source-ns\n"),
            "unknown variant `source-ns`, expected `tenant` or `controller`",
        ),
    ]);
}

#[test]
fn a_secret_that_the_guard_does_not_allow_is_reported() {
    let text = "
        destinations: [{name: a, type: restic, secret: backup-s3}, {name: b, type: restic, secret: other}]
        groups: [{name: gold, namespaces: [shop], secrets: {a: gold-s3}}]
    ";
    let config = parse(text);
    let of = |allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(|a| (*a).to_owned()).collect();
        config.unguarded(&allowed).map(|(destination, _)| destination.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(&["backup-s3", "backup-s3-*"]), ["b", "a"]);
    assert_eq!(of(&["backup-*", "oth*", "gold-s3"]), Vec::<String>::new());
    assert_eq!(of(&["x"]), ["a", "b", "a"]);
    assert_eq!(of(&[]), Vec::<String>::new(), "the guard's list is unknown");
}

/// The guard lets volumes be made of the disks that the Deployment names, and of no other folder of a node.
#[test]
fn disks_that_the_guard_does_not_know_are_named() {
    let config = parse(
        "destinations:
- {name: a, type: disk, hostPath: {path: /srv/a, size: 1, nodeSelector: {x: y}}}
- {name: b, type: restic, secret: s, hostPath: {path: /srv/b, size: 1, nodeSelector: {x: y}}}
- {name: c, type: disk, claim: {size: 1}}
",
    );
    let unknown = |allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(|folder| (*folder).to_owned()).collect();
        config.unguarded_disks(&allowed).map(|(name, folder)| format!("{name} {folder}")).collect::<Vec<_>>()
    };
    assert_eq!(unknown(&[""]), ["a /srv/a", "b /srv/b"]);
    assert_eq!(unknown(&["/srv/a", "/srv"]), ["b /srv/b"]);
    assert_eq!(unknown(&["/srv/b", "/srv/a"]), [""; 0]);
}
