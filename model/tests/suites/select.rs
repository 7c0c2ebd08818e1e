//! Which PVCs are sources, with which settings, and for each of the others why not: one row a case.

use std::collections::BTreeMap;

use crate::fixtures::{claim, namespace, snapshot_class, storage_class, volume};
use model::config::{Config, PromoterRetention};
use model::duration::Span;
use model::facts::{Claim, Journal, Labels, Namespace, Volume, VolumeMode};
use model::reason::Reason;
use model::select::{ClassChoice, Classes, Input, Place, Protection, Verdict, Written, explain, group_of, judge};

/// A PVC in its surroundings. What a case is about is changed in it.
#[derive(Clone)]
struct Case {
    claim: Claim,
    namespace: Namespace,
    volume: Option<Volume>,
    from_our_snapshot: bool,
    classes: Classes,
    config: Config,
}

const DRIVER: &str = "csi.example";
const KEY: &str = "backup-controller.io/";

fn case() -> Case {
    Case {
        claim: claim(
            "metadata: {name: data, namespace: shop, uid: u}\n\
             spec: {storageClassName: fast, volumeName: pv, resources: {requests: {storage: 1Gi}}}\n\
             status: {phase: Bound, capacity: {storage: 1Gi}}",
        ),
        namespace: namespace("metadata: {name: shop}"),
        volume: Some(volume("metadata: {name: pv}\nspec: {csi: {driver: csi.example, volumeHandle: h}}")),
        from_our_snapshot: false,
        classes: classes(
            &["metadata: {name: fast}\nprovisioner: csi.example", "metadata: {name: other}\nprovisioner: csi.other"],
            &["metadata: {name: snap}\ndriver: csi.example", "metadata: {name: foreign}\ndriver: csi.other"],
        ),
        config: config(""),
    }
}

fn classes(storage: &[&str], snapshot: &[&str]) -> Classes {
    Classes {
        storage: storage.iter().map(|y| storage_class(y)).map(|c| (c.name.clone(), c)).collect(),
        snapshot: snapshot.iter().map(|y| snapshot_class(y)).map(|c| (c.name.clone(), c)).collect(),
        snapshot_api: true,
    }
}

#[track_caller]
fn config(more: &str) -> Config {
    let disks = "destinations:\n- {name: disk, type: disk, claim: {storageClass: keep, size: 1Gi}}\n\
                 - {name: vault, type: disk, claim: {storageClass: keep, size: 1Gi, name: vault-disk}}\n\
                 - {name: s3, type: restic, secret: backup-s3}\n";
    let text = if more.contains("destinations:\n- ") { more.to_owned() } else { format!("{disks}{more}") };
    Config::parse(&text).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn on_claim(self, key: &str, value: &str) -> Self {
        self.with(|c| drop(c.claim.settings.insert(full(key), value.to_owned())))
    }

    fn on_namespace(self, key: &str, value: &str) -> Self {
        self.with(|c| drop(c.namespace.settings.insert(full(key), value.to_owned())))
    }

    fn configured(self, more: &str) -> Self {
        self.with(|c| c.config = config(more))
    }

    fn input(&self) -> Input<'_> {
        Input {
            claim: &self.claim,
            namespace: &self.namespace,
            volume: self.volume.as_ref(),
            from_our_snapshot: self.from_our_snapshot,
            classes: &self.classes,
            config: &self.config,
        }
    }

    fn judge(&self) -> Verdict {
        judge(&self.input())
    }

    /// The protection, and the warnings in words.
    #[track_caller]
    fn protection(&self) -> (Protection, Vec<String>) {
        match self.judge() {
            Verdict::Protected(protection, warnings) => {
                (*protection, warnings.iter().map(ToString::to_string).collect())
            }
            Verdict::Unprotected(problem, _) => panic!("unprotected: {problem}"),
        }
    }

    #[track_caller]
    fn protected(&self) -> Protection {
        let (protection, warnings) = self.protection();
        assert!(warnings.is_empty() && !protection.unreadable, "{warnings:?}");
        protection
    }

    #[track_caller]
    fn reason(&self) -> Reason {
        match self.judge() {
            Verdict::Protected(protection, _) => panic!("protected: {protection:?}"),
            Verdict::Unprotected(problem, _) => {
                assert!(!problem.message.is_empty());
                problem.reason
            }
        }
    }
}

fn full(key: &str) -> String {
    if key.contains('/') { key.to_owned() } else { format!("{KEY}{key}") }
}

fn ours(component: &str) -> String {
    format!(
        "labels: {{app.kubernetes.io/managed-by: backup-controller, {KEY}instance: x, {KEY}component: {component}}}"
    )
}

/// Law 10: every reason for which a PVC is left alone is reached by something.
#[test]
fn each_pvc_that_is_left_alone_has_its_reason() {
    let labelled = |component: &str| {
        let yaml =
            format!("metadata: {{name: data, namespace: shop, uid: u, {}}}\nstatus: {{phase: Bound}}", ours(component));
        case().with(|c| c.claim = claim(&yaml))
    };
    let rows: Vec<(Reason, Case)> = vec![
        (Reason::Disabled, case().on_claim("enabled", "false")),
        (Reason::Disabled, case().on_namespace("enabled", "false")),
        (Reason::Disabled, case().on_namespace("enabled", "true").on_claim("enabled", "false")),
        (Reason::NotOptedIn, case().configured("selection: {mode: opt-in}")),
        (Reason::NamespaceExcluded, case().configured("selection: {namespaces: {exclude: [sh*]}}")),
        (Reason::NamespaceExcluded, case().with(|c| c.claim.namespace = "kube-system".into())),
        // The administrator's choice is not the tenant's to lift.
        (
            Reason::NamespaceExcluded,
            case().configured("selection: {namespaces: {exclude: [shop]}}").on_claim("enabled", "true"),
        ),
        (Reason::ClassExcluded, case().configured("selection: {storageClasses: {include: [slow]}}")),
        (
            Reason::ClassExcluded,
            case().configured("selection: {storageClasses: {include: [fast]}}").with(|c| c.claim.class = None),
        ),
        (
            Reason::ClassExcluded,
            case()
                .configured("selection: {storageClasses: {include: [fast]}}")
                .with(|c| c.claim.class = Some(String::new())),
        ),
        (Reason::DriverExcluded, case().configured("selection: {drivers: {exclude: [csi.ex*]}}")),
        (Reason::OwnVolume, labelled("promoter")),
        (Reason::OwnVolume, labelled("disk")),
        (Reason::OwnVolume, case().with(|c| c.claim.id.name = "vault-disk".into())),
        (Reason::NotBound, case().with(|c| c.claim.phase = model::facts::ClaimPhase::Pending)),
        (Reason::VolumeLost, case().with(|c| c.claim.phase = model::facts::ClaimPhase::Lost)),
        (Reason::Terminating, case().with(|c| c.claim.terminating = true)),
        (Reason::NamespaceTerminating, case().with(|c| c.namespace.terminating = true)),
        (
            Reason::NotCsi,
            case().with(|c| c.volume = Some(volume("metadata: {name: pv}\nspec: {nfs: {server: s, path: /p}}"))),
        ),
        (Reason::NotCsi, case().with(|c| (c.volume, c.claim.class) = (None, Some("unknown".into())))),
        (Reason::NoSnapshotApi, case().with(|c| c.classes.snapshot_api = false)),
        (Reason::NoSnapshotClass, case().with(|c| c.classes.snapshot.clear())),
        (
            Reason::AmbiguousSnapshotClass,
            case().with(|c| {
                c.classes = classes(
                    &["metadata: {name: fast}\nprovisioner: csi.example"],
                    &["metadata: {name: a}\ndriver: csi.example", "metadata: {name: b}\ndriver: csi.example"],
                );
            }),
        ),
        (Reason::WrongSnapshotClass, case().on_claim("snapshot-class", "foreign")),
        (Reason::WrongSnapshotClass, case().on_claim("snapshot-class", "none-such")),
        (Reason::WrongSnapshotClass, case().on_claim("snapshot-class", "")),
        (Reason::WrongSnapshotClass, case().configured("classes: {fast: {snapshotClass: foreign}}")),
        (Reason::WrongStorageClass, case().configured("classes: {fast: {storageClass: other}}")),
        (Reason::WrongStorageClass, case().configured("classes: {fast: {storageClass: none-such}}")),
        (Reason::WrongStorageClass, case().with(|c| drop(c.classes.storage.remove("fast")))),
    ];
    for (number, (reason, case)) in rows.iter().enumerate() {
        assert_eq!(case.reason(), *reason, "row {number}");
    }
}

/// F28: a promoter that was stripped of its labels must not be backed up, and so make another promoter.
#[test]
fn a_promoter_is_known_by_what_it_was_made_from_too() {
    let named = |name: &str, snapshot: &str, key: &str| {
        claim(&format!(
            "metadata: {{name: {name}, namespace: shop, uid: u}}\n\
             spec: {{storageClassName: fast, {key}: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: {snapshot}}}}}\n\
             status: {{phase: Bound}}"
        ))
    };
    for key in ["dataSource", "dataSourceRef"] {
        let promoter =
            case().with(|c| (c.claim, c.from_our_snapshot) = (named("data-20261120", "data-20261120", key), true));
        assert_eq!(promoter.reason(), Reason::OwnVolume);
        // What a user restored from one of our snapshots is his own volume, and is backed up.
        case().with(|c| (c.claim, c.from_our_snapshot) = (named("restored", "data-20261120", key), true)).protected();
        // So is one made from a snapshot of his own that has its name.
        case().with(|c| c.claim = named("mine", "mine", key)).protected();
    }
    // A snapshot of another namespace is not the one that has its name here.
    let foreign = "metadata: {name: a, namespace: shop}\nspec: {dataSourceRef: {apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: a, namespace: other}}";
    assert_eq!(claim(foreign).from_snapshot, None);
    assert_eq!(claim(&foreign.replace("namespace: other", "namespace: shop")).from_snapshot.as_deref(), Some("a"));
}

/// F73: told, and counted as not set; never taken for `false` in silence.
#[test]
fn enabled_is_true_or_false_and_anything_else_is_told() {
    for text in ["yes", "True", "1", "", "on", "{}", "\u{0}"] {
        let (_, warnings) = case().on_claim("enabled", text).protection();
        assert!(
            warnings.len() == 1 && warnings[0].contains("InvalidSetting") && warnings[0].contains("enabled"),
            "{warnings:?}"
        );
        let opted = case().on_claim("enabled", text).configured("selection: {mode: opt-in}");
        assert_eq!(opted.reason(), Reason::NotOptedIn);
        // The Namespace's word holds where the PVC's cannot be read.
        assert_eq!(case().on_claim("enabled", text).on_namespace("enabled", "false").reason(), Reason::Disabled);
    }
    case().on_claim("enabled", " true ").configured("selection: {mode: opt-in}").protected();
    case().on_namespace("enabled", "true").configured("selection: {mode: opt-in}").protected();
    case().on_namespace("enabled", "false").on_claim("enabled", "true").protected();
}

/// F76, law 4. Each bad text is told with its place, and leaves the rest of the protection as it is.
#[test]
fn a_setting_that_cannot_be_read_is_told_and_rotates_nothing() {
    let defaults = case().protected();
    for (key, text) in [
        ("schedule", "every day"),
        ("schedule", "0 0 3 * * *"),
        ("schedule", "0 3 31 2 *"),
        ("schedule", "TZ=Europe/Amsterdam 0 3 * * *"),
        ("schedule", "*/5 * * * *"),
        ("schedule", ""),
        ("time-zone", "Amsterdam"),
        ("time-zone", "+02:00"),
        ("time-zone", ""),
        ("retention", "soon"),
        ("retention", ""),
        ("retention", "0d"),
        ("retention", "last=0"),
        ("retention", "401days"),
        ("retention", "yearly=2"),
        ("destinations", "tape"),
        ("destinations", "disk, tape"),
        ("destinations", ","),
        ("destinations", ""),
        ("accept-empty", "yes"),
    ] {
        for on_claim in [true, false] {
            if key == "accept-empty" && !on_claim {
                continue;
            }
            let case = if on_claim { case().on_claim(key, text) } else { case().on_namespace(key, text) };
            let (protection, warnings) = case.protection();
            assert_eq!(warnings.len(), 1, "{key}: {text}: {warnings:?}");
            let place = if on_claim { "on the PVC" } else { "on the Namespace" };
            assert!(warnings[0].contains(place) && warnings[0].contains(key), "{warnings:?}");
            assert_eq!(warnings[0].starts_with("UnknownDestination"), key == "destinations", "{warnings:?}");
            assert!(protection.unreadable, "{key}: {text}");
            assert_eq!(Protection { unreadable: false, ..protection }, defaults, "{key}: {text}");
        }
    }
}

/// Law 4. The old spelling of an annotation is a setting that cannot be read.
#[test]
fn the_old_spelling_of_destinations_is_told_with_the_new_one_and_rotates_nothing() {
    let configured = case().configured("defaults: {destinations: [disk]}");
    let defaults = configured.protected();
    let old = "InvalidSetting: backup-controller.io/destination is now backup-controller.io/destinations; rename the \
               annotation on the";
    for (case, place) in [
        (configured.clone().on_claim("destination", "vault"), "PVC"),
        (configured.clone().on_namespace("destination", "none"), "Namespace"),
    ] {
        let (protection, warnings) = case.protection();
        assert_eq!(warnings, [format!("{old} {place}")]);
        assert!(protection.unreadable);
        assert_eq!(Protection { unreadable: false, ..protection }, defaults);
    }
    // Beside the new spelling it is not ignored either. Where the PVC decides, the Namespace's is not read.
    let both = configured.on_claim("destinations", "vault");
    let (protection, warnings) = both.clone().on_claim("destination", "disk").protection();
    assert_eq!((protection.destinations.join(" ").as_str(), warnings), ("vault", vec![format!("{old} PVC")]));
    assert_eq!(both.on_namespace("destination", "disk").protected().destinations, ["vault"]);
}

#[test]
fn the_pvc_goes_before_the_namespace_and_that_before_the_configuration() {
    let configured = case()
        .configured("defaults: {schedule: 0 1 * * *, timeZone: Europe/Berlin, retention: 1d, destinations: [disk]}");
    let namespaced = configured
        .clone()
        .on_namespace("schedule", "0 2 * * *")
        .on_namespace("time-zone", "Europe/Paris")
        .on_namespace("retention", "2d")
        .on_namespace("destinations", "vault");
    let own = namespaced
        .clone()
        .on_claim("schedule", "0 3 * * *")
        .on_claim("time-zone", "Europe/Amsterdam")
        .on_claim("retention", "daily=3")
        .on_claim("destinations", "vault, disk");
    let words = |c: &Case| {
        let p = c.protected();
        (p.due.text(), p.zone.to_string(), p.retention.to_string(), p.destinations.join(" "))
    };
    let row = |a: &str, b: &str, c: &str, d: &str| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned());
    assert_eq!(words(&configured), row("0 1 * * *", "Europe/Berlin", "1d", "disk"));
    assert_eq!(words(&namespaced), row("0 2 * * *", "Europe/Paris", "2d", "vault"));
    assert_eq!(words(&own), row("0 3 * * *", "Europe/Amsterdam", "daily=3", "disk vault"));
    assert_eq!(own.on_claim("destinations", "none").protected().destinations, [""; 0]);

    // What the PVC says cannot be read: the Namespace's holds, and it is told.
    let (protection, warnings) = namespaced.on_claim("retention", "soon").protection();
    assert_eq!((protection.retention.to_string().as_str(), warnings.len(), protection.unreadable), ("2d", 1, true));
}

#[test]
fn bounds_limit_what_tenants_choose_and_not_what_the_administrator_does() {
    let bounded = case().configured(
        "bounds: {destinations: [vault], maxRetention: 10d, minInterval: 6h}\n\
         defaults: {destinations: [disk], retention: 5d, schedule: 0 3 * * *}",
    );
    assert_eq!(bounded.protected().destinations, ["disk"]);
    let refused = |key: &str, text: &str| bounded.clone().on_claim(key, text).protection().1;
    assert!(refused("destinations", "disk")[0].contains("allowed are vault, none"));
    assert!(refused("retention", "11d")[0].contains("bounds.maxRetention"));
    assert!(refused("schedule", "0 */5 * * *")[0].contains("bounds.minInterval"));
    assert_eq!(bounded.clone().on_claim("destinations", "vault").protected().destinations, ["vault"]);
    assert_eq!(bounded.clone().on_claim("retention", "10d").protected().retention.to_string(), "10d");
    assert_eq!(bounded.on_claim("schedule", "0 */6 * * *").protected().due.text(), "0 */6 * * *");
}

const CENTRAL: &str = "destinations:
- {name: far, type: restic, secret: backup-far, repository: '{RESTIC_REPOSITORY}/{namespace}/{pvc}/{uid}', runIn: controller}
- {name: own, type: restic, secret: backup-own, repository: '{RESTIC_REPOSITORY}/{namespace}/{pvc}/{uid}', runIn: controller, retention: last=1}
- {name: near, type: restic, secret: backup-near}
";

/// L4: a tenant sets `retention: last=1` and a new run each hour, and the prunes empty his central repository.
#[test]
fn an_annotation_does_not_shorten_what_a_central_destination_keeps() {
    let central = |defaults: &str| {
        let destinations = "destinations: [far, near]";
        case().configured(&format!("{CENTRAL}defaults: {{{destinations}, retention: daily=7}}\n{defaults}"))
    };
    let words = |c: Case| {
        let (p, warnings) = c.protection();
        assert!(!p.unreadable, "a bound that applies is no setting that cannot be read");
        (p.retention.to_string(), p.central_retention.to_string(), warnings.concat())
    };
    let (near, far, told) = words(central("").on_claim("retention", "last=1"));
    assert_eq!((near.as_str(), far.as_str()), ("last=1", "last=1 daily=7"));
    assert!(told.contains("far keeps 'last=1 daily=7'") && !told.contains("near"), "{told}");
    let (_, far, told) = words(central("").on_namespace("retention", "2h"));
    assert_eq!(far, "daily=7 within=2h");
    assert!(told.contains("on the Namespace"), "{told}");
    let (_, far, told) = words(central("bounds: {minRetention: 3d}").on_claim("retention", "last=1"));
    assert_eq!(far, "last=1 within=3d", "{told}");
    // What keeps as much is left as it is, and so is what the administrator says.
    for case in [central("").on_claim("retention", "daily=8"), central("bounds: {minRetention: 90d}")] {
        let (near, far, told) = words(case);
        assert_eq!((near, told.as_str()), (far, ""));
    }
    let (_, _, told) = words(central("").on_claim("retention", "last=1").on_claim("destinations", "own, near"));
    assert_eq!(told, "", "nothing of it is cut there");
}

/// L4: a label selects a group that the administrator wrote for others, and after a day the prunes keep a day.
#[test]
fn a_label_does_not_shorten_what_a_central_destination_keeps_below_the_administrators_bound() {
    let case = |bounds: &str, label: &str| {
        let groups = "groups:\n- {name: scratch, pvcLabels: {kind: scratch}, retention: 1d}\n- {name: lab, namespaces: [shop], \
                      retention: 2d}";
        let configured =
            format!("{CENTRAL}defaults: {{destinations: [far, near], retention: daily=7}}\n{bounds}\n{groups}");
        let (p, warnings) =
            case().configured(&configured).with(|c| c.claim.labels = labels(&[("kind", label)])).protection();
        (p.retention.to_string(), p.central_retention.to_string(), warnings.concat())
    };
    let bound = "bounds: {minRetention: 3d}";
    let (near, far, told) = case(bound, "scratch");
    assert_eq!((near.as_str(), far.as_str()), ("1d", "3d"));
    assert!(
        told.contains("select the group scratch with the retention '1d': the central destination far keeps"),
        "{told}"
    );
    // A group of namespaces is the administrator's word, and so is a group of labels where he set no bound.
    for (bounds, label, kept) in [(bound, "none", "2d"), ("", "scratch", "1d")] {
        assert_eq!(case(bounds, label), (kept.to_owned(), kept.to_owned(), String::new()), "{label}");
    }
}

/// S8: copies to a central destination share their slots and their line with all namespaces.
#[test]
fn an_option_that_only_the_administrator_sets_at_a_central_destination_is_told() {
    let told = |destinations: &str, options: &str| {
        let configured = format!("{CENTRAL}defaults: {{destinations: [{destinations}]}}\n");
        let (p, warnings) = case().configured(&configured).on_claim("copy-options", options).protection();
        assert!(!p.unreadable, "nothing is misread");
        warnings.concat()
    };
    let words = told("far, near", "limit-upload=1 exclude=*.tmp ca=own");
    assert!(words.contains("limit-upload, ca has no effect at the central destination far"), "{words}");
    let words = told("far, near", "compression=max pack-size=128");
    assert!(words.contains("compression, pack-size has no effect"), "{words}");
    assert_eq!(told("far, near", "exclude=*.tmp"), "");
    assert_eq!(told("near", "limit-upload=1"), "");
}

const GROUPS: &str = "defaults: {schedule: 0 1 * * *, timeZone: Europe/Berlin, retention: 1d, destinations: [disk]}
groups:
- {name: other, namespaces: [other-*]}
- {name: gold, namespaces: [sho?], namespaceLabels: {tier: gold}, schedule: '@after 12h', retention: 9d,
   destinations: [vault], timeZone: Asia/Tokyo, promoterRetention: keep, secrets: {s3: gold-s3}}
- {name: marked, pvcLabels: {backup: weekly, team: a}, schedule: 0 1 * * 0}
- {name: rest, namespaces: ['*'], retention: 3d}
";

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from(&pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>())
}

#[test]
fn the_first_group_that_fits_goes_before_the_defaults_and_after_annotations() {
    let group = |c: &Case| group_of(&c.config, &c.claim, &c.namespace).map(|g| g.name.clone());
    let base = case().configured(GROUPS);
    assert_eq!(group(&base).as_deref(), Some("rest"));
    let rest = base.protected();
    assert_eq!(
        (rest.due.text().as_str(), rest.retention.to_string().as_str()),
        ("0 1 * * *", "3d"),
        "the rest is default"
    );

    let gold = base.clone().with(|c| c.namespace.labels = labels(&[("team", "x"), ("tier", "gold")]));
    assert_eq!(group(&gold).as_deref(), Some("gold"));
    let p = gold.protected();
    assert_eq!((p.due.text().as_str(), p.due.after()), ("@after 12h", Some(Span::hours(12))));
    assert_eq!(
        (p.retention.to_string().as_str(), p.zone.name(), p.destinations.join(" ").as_str()),
        ("9d", "Asia/Tokyo", "vault")
    );
    assert_eq!(p.promoter.retention, PromoterRetention::Keep);
    // Of a destination that it is not copied to any more too: an earlier run may be on its way there.
    assert_eq!(p.secrets, BTreeMap::from([("s3".to_owned(), "gold-s3".to_owned())]));

    let own =
        gold.clone().on_namespace("schedule", "0 2 * * *").on_namespace("retention", "2d").on_claim("retention", "4d");
    let p = own.protected();
    assert_eq!((p.due.text().as_str(), p.due.after(), p.retention.to_string().as_str()), ("0 2 * * *", None, "4d"));

    // All of its labels, and the pattern too.
    let elsewhere = gold.with(|c| c.claim.namespace = "attic".to_owned());
    assert_eq!(group(&elsewhere).as_deref(), Some("rest"));
    let half = base.clone().with(|c| c.claim.labels = labels(&[("backup", "weekly")]));
    assert_eq!(group(&half).as_deref(), Some("rest"));
    let marked = base.with(|c| c.claim.labels = labels(&[("backup", "weekly"), ("team", "a"), ("x", "y")]));
    assert_eq!(group(&marked).as_deref(), Some("marked"));
    assert_eq!(marked.protected().due.text(), "0 1 * * 0");
}

/// A10: the remedy for a static volume can be followed.
#[test]
fn a_pvc_without_a_class_has_a_rule_of_its_own() {
    for class in [Some(String::new()), None] {
        let bare = |config: &str| {
            let second = "metadata: {name: other}\nprovisioner: ceph.csi";
            case().configured(config).with(|c| {
                c.claim.class.clone_from(&class);
                let other = crate::fixtures::storage_class(second);
                let driver = c.classes.storage["fast"].driver.clone();
                c.classes.storage.insert("other".into(), model::facts::StorageClass { driver, ..other });
            })
        };
        let Verdict::Unprotected(problem, _) = bare("").judge() else { panic!("two classes fit") };
        assert_eq!(problem.reason, Reason::WrongStorageClass);
        assert!(problem.message.contains("set classes.\"\".storageClass"), "{problem}");
        let protection = bare("classes: {\"\": {storageClass: other}}").protected();
        assert_eq!(protection.promoter.shape.storage_class, "other");
    }
}

/// A8: an ephemeral volume, and what importers and runners of builds make for themselves.
#[test]
fn a_pvc_that_a_pod_owns_is_left_alone_unless_its_own_annotation_says_otherwise() {
    let owned = |owner: &str| {
        let yaml = format!(
            "metadata: {{name: data, namespace: shop, uid: u, ownerReferences: [{{{owner}, name: x, uid: y}}]}}\n\
             spec: {{storageClassName: fast, volumeName: pv}}\nstatus: {{phase: Bound}}"
        );
        case().with(|c| c.claim = claim(&yaml))
    };
    let ephemeral = owned("apiVersion: v1, kind: Pod, controller: true");
    assert_eq!(ephemeral.reason(), Reason::OwnedByPod);
    assert_eq!(ephemeral.clone().on_namespace("enabled", "true").reason(), Reason::OwnedByPod);
    assert_eq!(ephemeral.clone().on_claim("enabled", "false").reason(), Reason::Disabled);
    assert_eq!(ephemeral.clone().on_claim("enabled", "yes").reason(), Reason::OwnedByPod);
    ephemeral.on_claim("enabled", "true").protected();
    owned("apiVersion: apps/v1, kind: StatefulSet").protected();
}

/// New backups can start disabled, and be enabled one by one.
#[test]
fn a_group_enables_and_disables_where_no_annotation_does() {
    let off = case().configured("groups: [{name: new, namespaces: [shop], enabled: false}]");
    let Verdict::Unprotected(problem, _) = off.judge() else { panic!("the group is off") };
    assert_eq!(problem.reason, Reason::Disabled);
    assert!(problem.message.contains("group new"), "{problem}");
    off.clone().on_claim("enabled", "true").protected();
    off.clone().on_namespace("enabled", "true").protected();
    assert_eq!(off.clone().on_namespace("enabled", "true").on_claim("enabled", "false").reason(), Reason::Disabled);
    // What is neither true nor false counts as not set.
    let Verdict::Unprotected(problem, warnings) = off.on_claim("enabled", "yes").judge() else { panic!("it is off") };
    assert_eq!((problem.reason, warnings.len()), (Reason::Disabled, 1));

    let on = case().configured("selection: {mode: opt-in}\ngroups: [{name: gold, namespaces: [shop], enabled: true}]");
    on.protected();
    assert_eq!(on.clone().on_claim("enabled", "false").reason(), Reason::Disabled);
    assert_eq!(on.with(|c| c.claim.namespace = "attic".to_owned()).reason(), Reason::NotOptedIn);
    let excluded =
        "selection: {namespaces: {exclude: [shop]}}\ngroups: [{name: gold, namespaces: [shop], enabled: true}]";
    assert_eq!(case().configured(excluded).reason(), Reason::NamespaceExcluded);
}

#[test]
fn a_schedule_after_the_last_run_keeps_to_the_minimum_interval() {
    let p = case().on_claim("schedule", "@after 24h").protected();
    assert_eq!(
        (p.due.text().as_str(), p.due.after(), p.cron()),
        ("@after 1d", Some(Span::days(1)), ("0 0 30 2 *", true))
    );
    let by_clock = case().on_claim("schedule", "0 3 * * *").protected();
    assert_eq!((by_clock.due.after(), by_clock.cron()), (None, ("0 3 * * *", false)));
    let (p, warnings) = case().on_claim("schedule", "@after 59m").protection();
    assert!(warnings[0].contains("bounds.minInterval") && p.unreadable && p.due.after().is_none(), "{warnings:?}");
}

/// That a volume is meant to be empty is true of one volume, not of a whole Namespace.
#[test]
fn accept_empty_is_the_pvcs_own() {
    assert!(case().on_claim("accept-empty", "true").protected().accept_empty);
    assert!(!case().on_claim("accept-empty", "false").protected().accept_empty);
    let (p, warnings) = case().on_namespace("accept-empty", "true").protection();
    assert!(!p.accept_empty && warnings[0].contains("accept-empty on the Namespace has no effect"), "{warnings:?}");
}

/// U9: a slip of the keyboard does nothing, and is not passed over.
#[test]
fn an_annotation_that_does_nothing_is_told_with_the_one_that_may_be_meant() {
    for (key, meant) in [
        ("retntion", "retention"),
        ("shedule", "schedule"),
        ("run_now", "run-now"),
        ("destination-s", "destinations"),
        ("timezone", "time-zone"),
    ] {
        let (p, warnings) = case().on_claim(key, "5d").protection();
        let said = format!(
            "InvalidSetting: {} on the PVC has no effect: there is no such annotation of it; did you mean {}?",
            full(key),
            full(meant)
        );
        assert_eq!((p.unreadable, warnings), (false, vec![said]));
    }
    let (_, warnings) = case().on_claim("zzz", "1").protection();
    assert!(warnings[0].ends_with("there is no such annotation of it"), "{warnings:?}");
    // A hold is for a restore point. A tenant writes any number, of any length.
    let hostile = (0..50).fold(case(), |case, n| case.on_claim(&format!("{n}{}", "x".repeat(200)), "1"));
    let (_, warnings) = hostile.on_namespace("hold", "true").protection();
    assert!(warnings.len() == 4 && warnings.iter().all(|w| w.len() < 250), "{warnings:?}");
    assert!(warnings[3].contains("hold on the Namespace has no effect"), "{warnings:?}");
}

/// How late a run may start: half the interval, one hour at most.
#[test]
fn the_starting_deadline_follows_from_the_schedule() {
    for (schedule, seconds) in [("0 3 * * *", 3600), ("0 * * * *", 1800)] {
        assert_eq!(case().on_claim("schedule", schedule).protected().starting_deadline.as_secs(), seconds);
    }
}

/// Velero's order, after our own settings; F05.
#[test]
fn the_snapshot_class_is_chosen_by_the_first_rule_that_names_one() {
    let velero = "velero.io/csi-volumesnapshot-class";
    let default = "snapshot.storage.kubernetes.io/is-default-class";
    let of = |yaml: &[&str]| {
        case().with(|c| c.classes = classes(&["metadata: {name: fast}\nprovisioner: csi.example"], yaml))
    };
    let plain = "metadata: {name: a}\ndriver: csi.example";
    let labelled = format!("metadata: {{name: b, labels: {{{velero}: \"\"}}}}\ndriver: csi.example");
    let annotated = format!("metadata: {{name: c, annotations: {{{velero}: \"true\"}}}}\ndriver: csi.example");
    let standard = format!("metadata: {{name: d, annotations: {{{default}: \"true\"}}}}\ndriver: csi.example");
    let foreign = format!(
        "metadata: {{name: e, labels: {{{velero}: \"true\"}}, annotations: {{{default}: \"true\"}}}}\ndriver: csi.other"
    );
    let choice = |c: &Case| c.protected().snapshot_class;

    assert_eq!(choice(&of(&[plain, &foreign])), ("a".into(), ClassChoice::Only));
    assert_eq!(choice(&of(&[plain, &standard, &foreign])), ("d".into(), ClassChoice::Default));
    assert_eq!(choice(&of(&[plain, &standard, &labelled])), ("b".into(), ClassChoice::Velero));
    assert_eq!(choice(&of(&[plain, &standard, &annotated])), ("c".into(), ClassChoice::Velero));
    assert_eq!(of(&[&labelled, &annotated]).reason(), Reason::AmbiguousSnapshotClass);

    let all = of(&[plain, &labelled, &standard, &foreign]);
    let ruled = all.clone().configured("classes: {fast: {snapshotClass: d}}");
    assert_eq!(choice(&ruled), ("d".into(), ClassChoice::Configured));
    for key in [velero, "Velero.io/CSI-VolumeSnapshot-Class"] {
        assert_eq!(choice(&ruled.clone().on_claim(key, " a ")), ("a".into(), ClassChoice::Annotation), "{key}");
    }
    let both = ruled.clone().on_claim(velero, "a").on_claim("snapshot-class", "b");
    assert_eq!(choice(&both), ("b".into(), ClassChoice::Annotation));

    // A wrong one of Velero's is told and passed over, as Velero does; it is no setting of ours.
    for wrong in ["e", "none-such", ""] {
        let (protection, warnings) = all.clone().on_claim(velero, wrong).protection();
        assert_eq!(protection.snapshot_class, ("b".into(), ClassChoice::Velero));
        assert!(warnings.len() == 1 && !protection.unreadable, "{warnings:?}");
    }
}

#[test]
fn a_raw_block_volume_is_protected_as_any_other_and_its_promoters_are_what_it_is() {
    let of = |mode| case().with(|c| c.claim.mode = mode).protected();
    let (device, files) = (of(VolumeMode::Block), of(VolumeMode::Filesystem));
    assert_eq!((device.promoter.shape.mode, files.promoter.shape.mode), (VolumeMode::Block, VolumeMode::Filesystem));
    let promoter = files.promoter.clone();
    assert_eq!(Protection { promoter, ..device }, files, "nothing else depends on it");
}

/// F22, F96, and volumes that were made by hand.
#[test]
fn the_promoters_class_is_the_rules_the_sources_or_the_drivers() {
    let storage = |yaml: &[&str]| classes(yaml, &["metadata: {name: snap}\ndriver: csi.example"]);
    let fast = "metadata: {name: fast}\nprovisioner: csi.example\nvolumeBindingMode: WaitForFirstConsumer";
    let clone = "metadata: {name: clone}\nprovisioner: csi.example";
    let standard = "metadata: {name: std, annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}}\nprovisioner: csi.example";
    let foreign = "metadata: {name: e, annotations: {storageclass.kubernetes.io/is-default-class: \"true\"}}\nprovisioner: csi.other";
    let case = |yaml: &[&str], class: Option<&str>| {
        case().with(|c| (c.classes, c.claim.class) = (storage(yaml), class.map(str::to_owned)))
    };
    let shape = |c: &Case| {
        let p = c.protected().promoter;
        (p.shape.storage_class, p.waits_for_consumer)
    };
    assert_eq!(shape(&case(&[fast, clone], Some("fast"))), ("fast".into(), true));
    assert_eq!(shape(&case(&[clone, standard, foreign], None)), ("std".into(), false));
    assert_eq!(shape(&case(&[clone, foreign], Some(""))), ("clone".into(), false));
    assert_eq!(case(&[clone, fast, foreign], None).reason(), Reason::WrongStorageClass);

    let rule = "classes: {fast: {storageClass: clone, readOnly: true, spcNoRelabeling: true, annotations: {example.org/a: b}}}";
    let promoter = case(&[fast, clone], Some("fast")).configured(rule).protected().promoter;
    assert_eq!(
        (promoter.shape.storage_class.as_str(), promoter.shape.read_only, promoter.spc_no_relabeling),
        ("clone", true, true)
    );
    assert_eq!(promoter.shape.annotations, BTreeMap::from([("example.org/a".to_owned(), "b".to_owned())]));
    assert_eq!(case(&[clone], Some("fast")).volume.unwrap().driver.as_deref(), Some(DRIVER));
}

/// Without its journal a filesystem that is only read lacks the last writes; one that is written is damaged.
#[test]
fn a_class_without_a_journal_marks_a_read_only_promoter_and_is_warned_of_where_it_is_written() {
    let snap = "metadata: {name: snap}\ndriver: csi.example";
    let fast = "metadata: {name: fast}\nprovisioner: csi.example";
    let noload = "metadata: {name: noload}\nprovisioner: csi.example\nmountOptions: [discard, 'nouuid,norecovery']";
    let case = case().with(|c| c.classes = classes(&[fast, noload], &[snap]));
    let read_only = case.clone().configured("classes: {fast: {storageClass: noload, readOnly: true}}");
    assert_eq!(read_only.protected().promoter.shape.journal, Journal::Skipped);
    assert_eq!(
        case.clone().configured("classes: {fast: {readOnly: true}}").protected().promoter.shape.journal,
        Journal::Replayed
    );

    let warned = |case: &Case, part: &str| {
        let (protection, warnings) = case.protection();
        assert!(warnings.len() == 1 && !protection.unreadable, "{warnings:?}");
        assert!(warnings[0].starts_with("UnsafeMountOptions: ") && warnings[0].contains(part), "{warnings:?}");
    };
    warned(&case.clone().configured("classes: {fast: {storageClass: noload}}"), "classes.fast.readOnly");
    let own = case.clone().with(|c| c.claim.class = Some("noload".into()));
    warned(&own, "StorageClass noload of this PVC");
    warned(&own.clone().configured("classes: {noload: {storageClass: fast}}"), "StorageClass noload of this PVC");
    warned(&own.configured("classes: {noload: {readOnly: true}}"), "StorageClass noload of this PVC");
    // A raw block device is not mounted.
    let block = read_only.with(|c| c.claim.mode = VolumeMode::Block);
    if let Verdict::Protected(protection, warnings) = block.judge() {
        assert!(protection.promoter.shape.journal == Journal::Replayed && warnings.is_empty(), "{warnings:?}");
    }
}

/// Law 9 begins here: what a tenant writes is shown cut, and never taken for more than text.
#[test]
fn a_long_or_hostile_setting_is_shown_cut() {
    let long = "x".repeat(100_000);
    for text in [long.as_str(), "a\n---\nkind: Secret", "{{json x}}", "$(id)"] {
        for key in ["enabled", "schedule", "time-zone", "retention", "destinations", "snapshot-class"] {
            let problems = match case().on_claim(key, text).judge() {
                Verdict::Protected(_, warnings) => warnings,
                Verdict::Unprotected(problem, _) => vec![problem],
            };
            let length: usize = problems.iter().map(|p| p.message.len()).sum();
            assert!(!problems.is_empty() && length < 1000, "{key}: {length}");
        }
    }
}

/// Each setting names the place where it is written, and each verdict the place that selects or leaves out.
#[test]
fn what_decides_is_named_with_the_text_as_it_is_written() {
    let origins = |case: &Case| explain(&case.input()).1;
    let mut case = case();
    case.config = config(
        "groups:\n- {name: gold, namespaces: [shop], schedule: '0 1 * * *', destinations: [disk, s3]}\n\
         - {name: off, namespaces: [idle], enabled: false}\n",
    );
    case.claim.settings.insert(format!("{KEY}retention"), "last=3".to_owned());
    case.namespace.settings.insert(format!("{KEY}time-zone"), "Europe/Amsterdam".to_owned());
    let all = origins(&case);
    let settings = all.settings.clone().unwrap();
    let told = |written: &Written| format!("{}: {}", written.place, written.text);
    assert_eq!(told(&settings.schedule), "group gold: 0 1 * * *");
    assert_eq!(told(&settings.time_zone), "namespace annotation: Europe/Amsterdam");
    assert_eq!(told(&settings.retention), "PVC annotation: last=3");
    assert_eq!(told(&settings.destinations), "group gold: disk,s3");
    let places: Vec<String> = all.places().into_iter().map(ToString::to_string).collect();
    assert_eq!(
        places,
        ["PVC annotation", "namespace annotation", "group gold"],
        "the default is no rule beside others"
    );

    // One that cannot be read is not in force.
    case.claim.settings.insert(format!("{KEY}schedule"), "sometimes".to_owned());
    assert_eq!(told(&origins(&case).settings.unwrap().schedule), "group gold: 0 1 * * *");

    let plain = Case { config: config(""), namespace: namespace("metadata: {name: shop}"), ..self::case() };
    let plain = origins(&plain);
    assert_eq!(plain.places(), [&Place::Defaults]);
    let settings = plain.settings.unwrap();
    assert_eq!(
        (told(&settings.schedule), told(&settings.destinations)),
        ("default: H H(0-5) * * *".to_owned(), "default: none".to_owned())
    );
}

#[test]
fn what_leaves_a_pvc_out_is_named() {
    let selected = |case: &Case| explain(&case.input()).1.selected;
    let with = |change: &dyn Fn(&mut Case)| {
        let mut case = case();
        change(&mut case);
        selected(&case)
    };
    assert_eq!(with(&|c| c.config = config("selection: {mode: opt-in}")), Some(Place::Selection));
    assert_eq!(with(&|c| c.claim.namespace = "kube-system".to_owned()), Some(Place::Selection));
    let enabled = |value: &str| (format!("{KEY}enabled"), value.to_owned());
    assert_eq!(with(&|c| c.claim.settings.extend([enabled("false")])), Some(Place::Claim));
    assert_eq!(with(&|c| c.namespace.settings.extend([enabled("true")])), Some(Place::Namespace));
    let off = "groups: [{name: off, namespaces: [shop], enabled: false}]";
    assert_eq!(with(&|c| c.config = config(off)), Some(Place::Group("off".to_owned())));
    assert_eq!(with(&|c| c.claim.terminating = true), None);
}
