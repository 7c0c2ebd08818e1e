//! The plan of a cluster that exists only in memory.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, Secret};
use model::config::Config;
use model::names::Instance;
use model::reason::Reason;
use model::snapshot::VolumeSnapshot;
use model::world::Change;
use serde_json::json;

use super::config::{self, From, Plan};
use super::output::{self, Whole};
use super::rows::{self, Protected, Row};
use super::secrets;
use super::summary::Summary;
use super::{HELP, needs_verdicts, not_read};
use crate::asked::Asked;
use crate::flags::Output;
use crate::observe::{Gap, Observed};
use crate::status::Word;
use crate::table::Look;
use crate::tests::fixture::{ALL, CONFIG, HOME, Objects, TENANT, labels, now};
use crate::tests::tables::golden;

const LOOK: Look = Look { namespaces: true, wide: false, headers: true, width: None };

/// A cluster before an installation.
fn cluster() -> Objects {
    let mut all = Objects::new();
    all.pvc("shop", "data");
    let own = all.pvc("shop", "orders");
    own["metadata"]["annotations"] = json!({
        "backup-controller.io/schedule": "H 3 * * *", "backup-controller.io/retention": "daily=14"
    });
    all.pvc("shop", "after")["metadata"]["annotations"] = json!({"backup-controller.io/schedule": "@after 12h"});
    all.pvc("shop", "typo")["metadata"]["annotations"] = json!({"backup-controller.io/retention": "2 fortnights"});
    all.pvc("shop", "nfs");
    all.without_csi();
    all.pvc("shop", "off")["metadata"]["annotations"] = json!({"backup-controller.io/enabled": "false"});
    let unbound = all.pvc("shop", "unbound");
    unbound["status"]["phase"] = json!("Pending");
    unbound["spec"]["volumeName"] = json!(null);
    all.namespace("gold");
    all.pvc("gold", "ledger");
    all.namespace("kube-system");
    all.pvc("kube-system", "etcd");
    all
}

const GROUPS: &str = "
defaults: {destinations: [disk]}
groups: [{name: gold, namespaces: [gold], schedule: '0 1 * * *', destinations: [disk, s3], secrets: {s3: gold-s3}}]
destinations:
  - {name: disk, type: disk, claim: {size: 1Gi, storageClass: retain}}
  - {name: s3, type: restic, secret: backup-s3, retention: daily=7 weekly=5}
";

struct Planned {
    observed: Observed,
    plan: Plan,
    rows: Vec<Row>,
}

fn planned(objects: &Objects, text: &str) -> Planned {
    let plan = config::parse(if text.is_empty() { "# nothing\n" } else { text }, "config.yaml").unwrap();
    let mut observed = objects.observed(ALL);
    observed.world.apply(Change::Config(Arc::new(plan.config.clone())));
    let rows = rows::rows(&observed, &[], now());
    Planned { observed, plan, rows }
}

impl Planned {
    fn summary(&self) -> Summary {
        let lacks = rows::lacks(&self.observed.world, &self.rows, now());
        Summary::new(&self.observed.world, &self.plan, &self.rows, lacks)
    }

    fn text(&self, output: Output, look: Look) -> String {
        let summary = self.summary();
        let configuration = &self.plan.from;
        let whole = Whole { at: now(), configuration, volumes: &self.rows, summary: &summary, not_read: &[] };
        output::text(&whole, output, look, false).unwrap()
    }

    fn row(&self, name: &str) -> &Row {
        self.rows.iter().find(|row| row.name == name).unwrap()
    }
}

#[test]
fn the_page() {
    let all = planned(&cluster(), GROUPS);
    golden("plan.txt", &all.text(Output::Table, LOOK));
    golden("plan-wide.txt", &all.text(Output::Wide, Look { wide: true, ..LOOK }));
    let narrow = all.text(Output::Table, Look { width: Some(100), ..LOOK });
    let table = narrow.split("\n\n").next().unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 100), "{table}");
    assert!(table.contains("NEXT RUN") && !table.contains("SNAPSHOT CLASS"), "{table}");
}

#[test]
fn each_pvc_has_its_rule_and_its_reason() {
    let all = planned(&cluster(), GROUPS);
    let told = |name: &str| {
        let row = all.row(name);
        (row.protected, row.rules.join(", "), row.findings.first().map_or("", |f| f.reason.as_str()))
    };
    assert_eq!(told("data"), (Protected::Yes, "default".to_owned(), ""));
    assert_eq!(told("orders"), (Protected::Yes, "PVC annotation".to_owned(), ""));
    assert_eq!(told("ledger"), (Protected::Yes, "group gold".to_owned(), ""));
    assert_eq!(told("typo"), (Protected::Yes, "default".to_owned(), "InvalidSetting"));
    assert_eq!(told("nfs"), (Protected::No, "default".to_owned(), "NotCsi"));
    assert_eq!(told("off"), (Protected::Excluded, "PVC annotation".to_owned(), "Disabled"));
    assert_eq!(told("etcd"), (Protected::Excluded, "selection".to_owned(), "NamespaceExcluded"));
    assert!(all.rows.iter().all(|row| row.name != "backup-disk"), "what backups need themselves is no source");
    let alarms: Vec<&str> = all.rows.iter().filter(|r| r.alarms()).map(|r| r.name.as_str()).collect();
    assert_eq!(alarms, ["nfs"], "an unbound PVC has no data yet");
    let how = |name: &str| all.row(name).how.clone().unwrap();
    assert_eq!(
        (how("orders").schedule.written.as_str(), how("orders").retention.value.as_str()),
        ("H 3 * * *", "daily=14")
    );
    let after = how("after").next_run.unwrap();
    assert!(after > now() && after < model::duration::Span::hours(12).after(now()), "{after}");
}

/// Tenants can choose names and write labels.
#[test]
fn a_pvc_is_hidden_only_if_an_object_confirms_that_it_belongs_to_the_backups() {
    let mut objects = cluster();
    objects.point("shop", "data", "20181205T0317Z", &json!({}));
    objects.pvc("gold", "backup-disk");
    objects.pvc("gold", "claims-to-be-one")["metadata"]["labels"] = labels("promoter", &[]);
    objects.pvc("gold", "lends")["metadata"]["labels"] = labels("grant", &[]);
    let lent = objects.pvc("shop", "lent");
    lent["metadata"]["labels"] = labels("target", &[]);
    objects.volumes.last_mut().unwrap()["metadata"]["labels"] = labels("target", &[]);
    objects.pvc("gold", "backup-disk-host")["metadata"]["labels"] = labels("disk", &[("destination", "host")]);
    let host = "{name: host, type: disk, hostPath: {path: /srv, nodeSelector: {disk: backup}, size: 1Ti}}";
    let all = planned(&objects, &format!("{GROUPS}  - {host}\n"));
    let own: Vec<(&str, Protected, bool)> = all
        .rows
        .iter()
        .filter(|row| row.findings.iter().any(|f| f.reason == Word::Reason(Reason::OwnVolume)))
        .map(|row| (row.name.as_str(), row.protected, row.alarms()))
        .collect();
    let excluded = |name| (name, Protected::Excluded, false);
    let others = ["backup-disk-host", "claims-to-be-one", "lends"].map(excluded);
    assert_eq!(own, [&[("backup-disk", Protected::No, true)], others.as_slice()].concat());
    let summary = all.summary();
    assert_eq!((summary.excluded["OwnVolume"], summary.unprotected["OwnVolume"]), (3, 1));
    assert!(!all.rows.iter().any(|row| ["data-20181205", "lent"].contains(&row.name.as_str())));
}

#[test]
fn a_cluster_without_snapshots_protects_nothing_and_says_why() {
    let mut objects = cluster();
    objects.snapshot_classes.clear();
    let summary = planned(&objects, "").summary();
    assert_eq!(summary.protected, 0);
    assert_eq!(summary.unprotected.get("NoSnapshotClass"), Some(&5), "{summary:?}");
    assert!(!summary.is_well() && summary.next_runs.is_none() && summary.room.is_empty(), "{summary:?}");
}

/// By the controller's own words, before anything was made.
#[test]
fn what_destinations_lack_is_told_for_each_namespace() {
    let mut objects = cluster();
    objects.storage_classes.retain(|class| class["metadata"]["name"] != "retain");
    objects.namespaces[1]["metadata"]["labels"] = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    let summary = planned(&objects, GROUPS).summary();
    let lacks: Vec<(&str, &str, &str)> =
        summary.lacks.iter().map(|l| (l.destination.as_str(), l.namespace.as_str(), l.reason)).collect();
    // The disk of shop is there already.
    assert_eq!(lacks, [("disk", "gold", "PodSecurity"), ("s3", "gold", "PodSecurity")]);
    objects.namespaces[1]["metadata"]["labels"] = json!({});
    let summary = planned(&objects, GROUPS).summary();
    let [lack] = summary.lacks.as_slice() else { panic!("{:?}", summary.lacks) };
    assert_eq!((lack.namespace.as_str(), lack.reason), ("gold", "DiskNotReady"));
    assert!(lack.message.contains("there is no StorageClass retain") && !summary.is_well(), "{}", lack.message);
}

#[test]
fn the_secrets_are_those_that_the_copies_would_mount() {
    let mut all = planned(&cluster(), GROUPS);
    let needed = secrets::needed(&all.observed.world, &all.rows);
    let told: Vec<(&str, Vec<&str>)> =
        needed.iter().map(|(s, n)| (s.as_str(), n.keys().map(String::as_str).collect())).collect();
    assert_eq!(told, [("gold-s3", vec!["gold"])], "the group's own one, where the group is");
    let central = GROUPS.replace("secret: backup-s3,", "secret: backup-s3, runIn: controller,");
    let central = central.replace(", secrets: {s3: gold-s3}", "");
    all = planned(&cluster(), &central);
    let needed = secrets::needed(&all.observed.world, &all.rows);
    assert_eq!(needed["backup-s3"].keys().collect::<Vec<_>>(), [HOME]);
}

#[test]
fn room_is_bounded_by_the_sizes_of_pvcs() {
    let all = planned(&cluster(), GROUPS);
    let room = all.summary().room;
    let lines: Vec<(&str, &str, usize, u64)> =
        room.iter().map(|r| (r.kind.as_str(), r.place.as_str(), r.volumes, r.bytes >> 30)).collect();
    assert_eq!(
        lines,
        [("snapshots", "fast", 5, 5), ("promoters", "fast", 5, 5), ("copies", "disk", 5, 5), ("copies", "s3", 1, 1)]
    );
    assert!(room[2].note.contains("BackupDisks: 2 of 1Gi; smaller than the PVCs of shop"), "{}", room[2].note);
    let shallow = planned(&cluster(), "classes: {fast: {readOnly: true}}").summary();
    assert_eq!(shallow.room[1].bytes, 0, "views of snapshots");
}

#[test]
fn json_and_yaml_say_the_same() {
    let all = planned(&cluster(), GROUPS);
    let json: serde_json::Value = serde_json::from_str(&all.text(Output::Json, LOOK)).unwrap();
    let yaml: serde_json::Value = serde_yaml::from_str(&all.text(Output::Yaml, LOOK)).unwrap();
    assert_eq!(json, yaml);
    assert_eq!(json["configuration"], json!({"from": "file", "file": "config.yaml"}));
    assert_eq!((&json["summary"]["protected"], &json["summary"]["alarms"]), (&json!(5), &json!(1)));
    let data = json["volumes"].as_array().unwrap().iter().find(|v| v["name"] == "data").unwrap();
    assert_eq!((&data["protected"], &data["how"]["schedule"]["from"]), (&json!("yes"), &json!("default")));
    let names = all.text(Output::Name, LOOK);
    assert!(names.starts_with("persistentvolumeclaim/ledger\n"), "{names}");
}

const OVERLAY: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: other, namespace: keep}
data: {x: y}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: backup-controller, namespace: keep}
data:
  config.yaml: 'selection: {mode: opt-in}'
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: backup-controller, namespace: keep}
spec:
  template:
    spec:
      containers:
        - name: controller
          image: registry.example/backup-controller:1
          terminationMessagePolicy: WORD
          env: [{name: BACKUP_INSTANCE, value: second}, {name: BACKUP_MOVER_IMAGE, value: THE_COPIER}]
";

#[test]
fn the_configuration_is_found_among_manifests() {
    let whole = OVERLAY.replace("WORD", "File").replace("THE_COPIER", "registry.example/backup-mover:1");
    let plan = config::parse(&whole, "standard input").unwrap();
    assert_eq!(plan.config, Config::parse("selection: {mode: opt-in}").unwrap());
    assert_eq!(
        (plan.namespace.as_deref(), plan.instance.as_ref().map(Instance::as_str)),
        (Some("keep"), Some("second"))
    );
    let images = plan.images.clone().unwrap();
    assert_eq!(images.controller, "registry.example/backup-controller:1");
    assert_eq!((images.mover.as_str(), images.incomplete.len()), ("registry.example/backup-mover:1", 0));
    let mut all = planned(&cluster(), &whole);
    all.plan = plan;
    let text = all.text(Output::Table, LOOK);
    let line = "Images: registry.example/backup-controller:1, registry.example/backup-mover:1\n";
    assert!(
        text.contains(line)
            && text
                .contains("0 protected, 10 excluded (Disabled: 1, NamespaceExcluded: 1, NotOptedIn: 7, OwnVolume: 1)"),
        "{text}"
    );

    // As a list, which kubectl get writes.
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"config.yaml": CONFIG}}
    ]});
    assert_eq!(config::parse(&list.to_string(), "x").unwrap().config, Config::parse(CONFIG).unwrap());
}

/// What the API server would refuse later is told now.
#[test]
fn manifests_that_are_not_complete_are_told() {
    let half =
        OVERLAY.replace("WORD", "'this is not an installation yet'").replace("THE_COPIER", "' no image of the mover '");
    let all = planned(&cluster(), &half);
    let text = all.text(Output::Table, LOOK);
    for sentence in ["this is not an installation yet", "no image of the mover"] {
        assert!(text.contains(&format!("The manifests are not complete: {sentence}\n")), "{text}");
    }
    assert!(!all.summary().is_well() && !text.contains("Images:"), "{text}");
}

#[test]
fn what_is_no_configuration_is_refused() {
    let refused = |text: &str| format!("{:#}", config::parse(text, "x").unwrap_err());
    assert!(refused(" \n").contains("it is empty"));
    assert!(refused("default: {}").contains("default"), "{}", refused("default: {}"));
    assert!(refused("a: [").contains("line"), "{}", refused("a: ["));
    let pod = "{apiVersion: v1, kind: Pod, metadata: {name: x}}";
    assert!(refused(pod).contains("none of its 1 objects is a ConfigMap with the key config.yaml"));
    let wrong = "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}, data: {config.yaml: 'limits: 3'}}";
    assert!(refused(wrong).contains("config.yaml of its ConfigMap"), "{}", refused(wrong));
    assert_eq!(config::parse("# nothing set\n", "x").unwrap().config, Config::default());
}

#[test]
fn which_configuration_it_is_is_told() {
    let mut all = planned(&cluster(), "");
    let mut with = |from: From| {
        all.plan.from = from;
        all.text(Output::Table, LOOK)
    };
    let namespace = || "backup".to_owned();
    let text = with(From::Defaults { namespace: namespace() });
    assert!(text.contains("Configuration: the defaults, because namespace backup has no ConfigMap"), "{text}");
    let text = with(From::ConfigMap { namespace: namespace() });
    assert!(text.contains("Configuration: the installed one, the ConfigMap backup-controller in namespace"), "{text}");
    let gap = gap("list", Asked::of::<Secret>().within(None));
    assert_eq!(output::notes(&[gap.clone(), gap]).len(), 1);
}

fn gap(verb: &'static str, resource: Asked) -> Gap {
    Gap { verb, resource, answer: String::new(), refused: true }
}

#[test]
fn each_permission_that_is_missing_is_reported_with_its_effect() {
    let gaps = not_read(&[
        gap("get", Asked::of::<ConfigMap>().named("backup-controller").within(Some("backup"))),
        gap("list", Asked::of::<VolumeSnapshot>().within(None)),
        gap("list", Asked::of::<Secret>().named("gold-s3").within(Some("gold"))),
    ]);
    let notes = output::notes(&gaps);
    assert_eq!(
        notes,
        [
            "you lack permission to list volumesnapshots.snapshot.storage.k8s.io in all namespaces, so NEXT RUN of @after \
             schedules is an estimate, and promoters are listed as excluded",
            "you lack permission to list secrets/gold-s3 in namespace gold, so plan cannot report whether Secret gold-s3 is \
             missing. To check it, run: kubectl get secret gold-s3 -n gold"
        ]
    );
    assert!(HELP.contains("list volumesnapshots, cronjobs, jobs and secrets") && !HELP.contains("list or get secrets"));
    assert!(HELP.contains("plan checks neither NetworkPolicies nor hosts' disks"), "its limits");
}

/// The controller refuses them too.
#[test]
fn a_central_copy_whose_promoters_would_stay_is_reported() {
    let mut objects = cluster();
    objects.pvc("shop", "kept")["spec"]["storageClassName"] = json!("retain");
    let text = "
defaults: {destinations: [s3]}
destinations: [{name: s3, type: restic, secret: backup-s3, runIn: controller}]
";
    let summary = planned(&objects, text).summary();
    let [lack] = summary.lacks.as_slice() else { panic!("{:?}", summary.lacks) };
    assert_eq!((lack.destination.as_str(), lack.namespace.as_str(), lack.reason), ("s3", "shop", "VolumeRetained"));
    assert!(lack.message.contains("StorageClass retain") && !summary.is_well(), "{}", lack.message);
}

#[test]
fn a_secret_that_the_guard_allows_no_pod_to_mount_is_reported() {
    let overlay = OVERLAY.replace("env: [", "env: [{name: BACKUP_SECRETS, value: 'backup-s3,backup-s3-*'}, ");
    let allowed = config::parse(&overlay, "x").unwrap().secrets.unwrap();
    assert_eq!(allowed, ["backup-s3", "backup-s3-*"]);
    let all = planned(&cluster(), GROUPS);
    let needed = secrets::needed(&all.observed.world, &all.rows);
    let lacks = secrets::unguarded(&all.plan.config, &allowed, &needed);
    let [lack] = lacks.as_slice() else { panic!("{lacks:?}") };
    assert_eq!((lack.destination.as_str(), lack.namespace.as_str(), lack.reason), ("s3", "gold", "Forbidden"));
    assert!(lack.message.contains("gold-s3") && lack.help.contains("BACKUP_SECRETS"), "{lack:?}");
    assert!(secrets::unguarded(&all.plan.config, &["gold-*".to_owned()], &needed).is_empty());
    assert!(all.plan.secrets.is_none(), "the installed Deployment is asked");
}

#[test]
fn a_cronjob_that_stays_unchanged_is_shown_instead_of_settings_that_are_not_in_force() {
    let mut objects = Objects::new();
    objects.source("shop", "typo", &json!({}))["metadata"]["annotations"]["backup-controller.io/retention"] =
        json!("2 fortnights");
    let mut all = planned(&objects, GROUPS);
    let how = all.row("typo").how.clone().unwrap();
    assert_eq!((how.schedule.value.as_str(), how.time_zone.value.as_str()), ("17 3 * * *", "Etc/UTC"));
    assert_eq!(how.next_run, Some("2018-12-06T03:17:00Z".parse().unwrap()));
    let text = all.text(Output::Table, LOOK);
    assert_eq!(text.matches("<unchanged>").count(), 3, "{text}");

    objects.cronjobs[0]["spec"]["suspend"] = json!(true);
    all = planned(&objects, GROUPS);
    assert!(all.text(Output::Table, LOOK).contains("<suspended>"));
}

#[test]
fn a_right_that_is_missing_is_named_with_what_can_be_done_without_it() {
    // What decides may not be read: a plan would be a guess.
    let mut observed = cluster().observed(TENANT);
    observed.knows.config = true;
    let cronjobs = Asked::of::<CronJob>().within(Some(HOME));
    observed.gaps = vec![gap("list", Asked::of::<PersistentVolume>()), gap("list", cronjobs)];
    let refused = needs_verdicts(&observed).unwrap_err().to_string();
    assert!(refused.starts_with("you lack permission to list persistentvolumes, and these decide"), "{refused}");
    assert!(needs_verdicts(&cluster().observed(ALL)).is_ok());
}
