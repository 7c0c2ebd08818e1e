//! What is read from the API's objects, and what is made of fields that are missing or wrong.

use crate::fixtures::{claim, namespace, read, snapshot, snapshot_class, storage_class, volume};
use k8s_openapi::api::batch::v1::Job as ApiJob;
use k8s_openapi::api::core::v1::Pod as ApiPod;
use model::facts::{ClaimPhase, Job, JobState, Journal, NodeTerm, Pod, VolumeMode, list};
use model::names::{CONTAINER, Component, FolderOf, SourceId, disk_volume};

const GIB: u64 = 1 << 30;

/// F07: a PVC that was resized, or is about to be, needs a clone of the larger size.
#[test]
fn the_size_of_a_pvc_is_the_larger_of_what_it_has_and_what_it_asks_for() {
    for (asks, has, expected) in
        [("1Gi", "2Gi", 2 * GIB), ("2Gi", "1Gi", 2 * GIB), ("1Gi", "nonsense", GIB), ("0", "0", 0)]
    {
        let yaml = format!(
            "spec: {{resources: {{requests: {{storage: '{asks}'}}}}}}\nstatus: {{phase: Bound, capacity: {{storage: '{has}'}}}}"
        );
        assert_eq!(claim(&yaml).capacity, expected, "{asks}, {has}");
    }
    assert_eq!(claim("status: {phase: Bound}").capacity, 0);
}

/// F06: the driver tells no size, or none that is one.
#[test]
fn a_snapshot_without_a_size_has_none() {
    for (status, expected) in
        [("{}", 0), ("{restoreSize: '0'}", 0), ("{restoreSize: '3Gi'}", 3 * GIB), ("{restoreSize: '?'}", 0)]
    {
        assert_eq!(snapshot(&format!("status: {status}")).restore_size, expected, "{status}");
    }
    let none = snapshot("metadata: {name: a}");
    assert!(!none.ready && none.hold.is_none() && none.claim.is_none() && none.shown.is_none());
}

#[test]
fn a_pvc_is_told_by_its_phase_its_modes_and_its_class() {
    let pvc = claim("{}");
    assert_eq!(
        (pvc.phase, pvc.terminating, pvc.read_only, pvc.mode),
        (ClaimPhase::Pending, false, false, VolumeMode::Filesystem)
    );
    let pvc = claim(
        "metadata: {deletionTimestamp: '2026-11-20T00:00:00Z'}\nspec: {volumeMode: Block, accessModes: [ReadOnlyMany], volumeName: ''}\nstatus: {phase: Lost}",
    );
    assert_eq!(
        (pvc.phase, pvc.terminating, pvc.read_only, pvc.mode),
        (ClaimPhase::Lost, true, true, VolumeMode::Block)
    );
    assert_eq!(pvc.volume, None);
    // Bound for writing too, it is no cheap view.
    assert!(!claim("spec: {accessModes: [ReadOnlyMany, ReadWriteOnce]}").read_only);
}

/// F94: what does not say in full that it is ours is not ours.
#[test]
fn labels_say_whose_an_object_is_or_nothing() {
    let all = "app.kubernetes.io/managed-by: backup-controller, backup-controller.io/instance: i, \
               backup-controller.io/component: promoter, backup-controller.io/source-uid: u, \
               backup-controller.io/run: 20261120T0300Z, backup-controller.io/source-pvc: data";
    let ours = |labels: &str| claim(&format!("metadata: {{labels: {{{labels}}}}}")).ours;
    let read = ours(all).unwrap();
    assert_eq!((read.instance.as_str(), read.component, read.source_uid.as_str()), ("i", Component::Promoter, "u"));
    assert_eq!(read.run.unwrap().as_str(), "20261120T0300Z");
    for without in [
        "app.kubernetes.io/managed-by: backup-controller",
        "backup-controller.io/instance: i",
        "backup-controller.io/component: promoter",
    ] {
        assert_eq!(ours(&all.replace(without, "a: b")), None, "{without}");
    }
    assert_eq!(ours(&all.replace("managed-by: backup-controller", "managed-by: helm")), None);
    assert_eq!(ours(&all.replace("component: promoter", "component: other")), None);
    // A run that is none is none, and no panic.
    assert_eq!(ours(&all.replace("20261120T0300Z", "yesterday")).unwrap().run, None);
}

#[test]
fn annotations_that_are_not_ours_and_our_own_record_are_not_settings() {
    let pvc = claim(
        "metadata: {annotations: {backup-controller.io/hold: '', backup-controller.io/status: '{\"good\":\"20261120T0300Z\"}', \
         Velero.io/csi-volumesnapshot-class: snap, kubectl.kubernetes.io/last-applied: big}}",
    );
    let keys: Vec<&str> = pvc.settings.keys().map(String::as_str).collect();
    assert_eq!(keys, ["Velero.io/csi-volumesnapshot-class", "backup-controller.io/hold"]);
    assert!(pvc.held(k8s_openapi::jiff::Timestamp::MAX) && pvc.shown.unwrap().good.is_some());
    assert_eq!(claim("metadata: {annotations: {backup-controller.io/status: nonsense}}").shown, None);
    let ns = namespace(
        "metadata: {name: a, annotations: {x: y, backup-controller.io/enabled: 'false'}, labels: {pod-security.kubernetes.io/enforce: restricted}}",
    );
    assert_eq!((ns.settings.len(), ns.enforces.as_deref(), ns.terminating), (1, Some("restricted"), false));
}

/// L11: a class migration, or a tool that applies manifests, brings the old annotations along.
#[test]
fn what_is_shown_of_an_earlier_pvc_of_the_name_is_not_told_of_this_one() {
    let pvc = |uid: &str| {
        let status = format!("'{{\"uid\":\"{uid}\",\"good\":\"20261120T0300Z\"}}'");
        claim(&format!("metadata: {{uid: new, annotations: {{backup-controller.io/status: {status}}}}}"))
    };
    assert!(pvc("new").told().is_some_and(|status| status.good.is_some()));
    assert_eq!((pvc("old").told(), pvc("").told()), (None, None));
    assert_eq!(list(" , "), [""; 0]);
}

#[test]
fn volumes_and_classes_say_what_survives_and_what_waits() {
    let pv = volume(
        "metadata: {name: pv}\nspec: {csi: {driver: d, volumeHandle: h}, persistentVolumeReclaimPolicy: Retain, claimRef: {uid: u}}",
    );
    assert_eq!(
        (pv.driver.as_deref(), pv.retained, pv.claim_uid.as_deref(), pv.nodes.is_none()),
        (Some("d"), true, Some("u"), true)
    );
    let nfs = volume("metadata: {name: pv}\nspec: {nfs: {server: s, path: p}, persistentVolumeReclaimPolicy: Delete}");
    assert_eq!((nfs.driver, nfs.retained), (None, false));
    let class = storage_class(
        "metadata: {name: a, annotations: {storageclass.kubernetes.io/is-default-class: 'true'}}\nprovisioner: d\nvolumeBindingMode: WaitForFirstConsumer\nreclaimPolicy: Retain",
    );
    assert!(class.waits_for_consumer && class.retained && class.default);
    let class = storage_class(
        "metadata: {name: a, annotations: {storageclass.kubernetes.io/is-default-class: 'false'}}\nprovisioner: d",
    );
    assert!(!class.waits_for_consumer && !class.retained && !class.default);
    assert!(!snapshot_class("metadata: {name: a}\ndriver: d").velero);
}

/// F31: by labels, as the scheduler does. What cannot be judged is left to it.
#[test]
fn a_node_matches_a_volumes_terms_by_its_labels() {
    let terms = |expression: &str| {
        let yaml = format!(
            "metadata: {{name: pv}}\nspec: {{nodeAffinity: {{required: {{nodeSelectorTerms: [{{matchExpressions: [{expression}]}}]}}}}}}"
        );
        volume(&yaml).nodes.unwrap()
    };
    let labels = [("zone".to_owned(), "a".to_owned())].into();
    for (expression, matches) in [
        ("{key: zone, operator: In, values: [a, b]}", true),
        ("{key: zone, operator: In, values: [b]}", false),
        ("{key: zone, operator: NotIn, values: [b]}", true),
        ("{key: rack, operator: NotIn, values: [b]}", true),
        ("{key: zone, operator: NotIn, values: [a]}", false),
        ("{key: zone, operator: Exists}", true),
        ("{key: rack, operator: Exists}", false),
        ("{key: rack, operator: DoesNotExist}", true),
        ("{key: zone, operator: Gt, values: ['1']}", true),
        ("{key: zone, operator: In, values: [a]}, {key: rack, operator: Exists}", false),
    ] {
        let terms: Vec<NodeTerm> = terms(expression);
        assert_eq!(terms.iter().any(|t| t.matches(&labels)), matches, "{expression}");
    }
}

/// A Job that failed is failed, whatever else its conditions say.
#[test]
fn a_job_stands_as_its_conditions_that_hold_say() {
    let state = |conditions: &str| {
        let yaml = format!("metadata: {{name: j}}\nstatus: {{conditions: [{conditions}]}}");
        Job::from(&read::<ApiJob>(&yaml))
    };
    for (conditions, expected) in [
        ("", JobState::Active),
        ("{type: Complete, status: 'False'}", JobState::Active),
        ("{type: SuccessCriteriaMet, status: 'True'}", JobState::Active),
        ("{type: Complete, status: 'True'}", JobState::Complete),
        (
            "{type: FailureTarget, status: 'True'}, {type: Failed, status: 'True', reason: DeadlineExceeded, message: m}",
            JobState::Failed,
        ),
    ] {
        assert_eq!(state(conditions).state, expected, "{conditions}");
    }
    let failed = state("{type: Failed, status: 'True', reason: BackoffLimitExceeded, message: m}");
    assert_eq!(failed.failure, Some(("BackoffLimitExceeded".to_owned(), "m".to_owned())));
}

/// F38: a container that is being made is not stuck. A sidecar that somebody injects says nothing about ours.
#[test]
fn a_pod_is_stuck_when_our_container_says_why() {
    let container = |name: &str, state: &str| {
        format!("{{name: {name}, image: i, imageID: '', ready: false, restartCount: 0, state: {state}}}")
    };
    let pod = |state: &str| {
        let sidecar = container("a-sidecar", "{waiting: {reason: ErrImagePull}}");
        let ours = container(CONTAINER, state);
        Pod::from(&read::<ApiPod>(&format!(
            "metadata: {{name: p, labels: {{batch.kubernetes.io/job-name: j}}}}\nstatus: {{containerStatuses: [{sidecar}, {ours}]}}"
        )))
    };
    for (reason, stuck) in [
        ("ContainerCreating", false),
        ("PodInitializing", false),
        ("ImagePullBackOff", true),
        ("CreateContainerConfigError", true),
    ] {
        assert_eq!(pod(&format!("{{waiting: {{reason: {reason}}}}}")).stuck.is_some(), stuck, "{reason}");
    }
    let no_folder = |reason: &str, message: &str| {
        pod(&format!("{{waiting: {{reason: {reason}, message: '{message}'}}}}")).stuck.unwrap().no_folder
    };
    assert!(no_folder("CreateContainerConfigError", "failed to prepare subPath for volumeMount"));
    assert!(!no_folder("CreateContainerConfigError", "couldn''t find key a in ConfigMap"));
    assert!(!no_folder("ErrImagePull", "failed to pull subPath/mover:1"));
    let ended = pod("{terminated: {exitCode: 3, message: '{}'}}");
    assert_eq!((ended.ended, ended.job.as_str()), (Some((3, "{}".to_owned())), "j"));
}

/// F59: names of the whole cluster; each of their parts may have dashes.
#[test]
fn two_disks_never_share_a_volume() {
    let volume = |instance: &str, destination: &str, namespace: &str| {
        disk_volume(&instance.into(), FolderOf { destination, namespace })
    };
    assert_ne!(volume("i", "disk", "a-b"), volume("i", "disk-a", "b"));
    assert_ne!(volume("i-disk", "a", "b"), volume("i", "disk-a", "b"));
    assert!(volume(&"i".repeat(60), &"d".repeat(60), &"n".repeat(63)).len() <= 253);
    let source = SourceId { namespace: "shop".into(), name: "data".into(), uid: "u".into() };
    assert_eq!(source.to_string(), "shop/data");
}

#[test]
fn a_class_mounts_without_a_journal_if_one_of_its_options_says_so() {
    let of = |options: &str| {
        storage_class(&format!("metadata: {{name: c}}\nprovisioner: p\nmountOptions: {options}")).journal
    };
    for options in [
        "[noload]",
        "[ro, ' noload']",
        "['ro,norecovery']",
        "['ro,nologreplay']",
        "['rescue=nologreplay']",
        "[ro, 'rescue=usebackuproot:nologreplay']",
        "['ro,rescue=all']",
    ] {
        assert_eq!(of(options), Journal::Skipped, "{options}");
    }
    for options in ["[]", "[discard]", "[nouuid]", "['x-noload-y']", "['rescue=usebackuproot']"] {
        assert_eq!(of(options), Journal::Replayed, "{options}");
    }
}

#[test]
fn a_device_is_counted_as_one_whatever_its_image_is_made_of() {
    assert_eq!(VolumeMode::Filesystem.amount(3043, "entries", 1 << 20), "3043 entries, 1Mi");
    assert_eq!(VolumeMode::Block.amount(3043, "entries", 20 << 30), "1 device, 20Gi");
}
