//! What comes out of the templates, and what does not, whatever a template or a tenant says.

mod expected;
mod install;
mod maintain;
mod places;
mod pods;
mod repository;
mod restore;
mod texts;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use model::config::{Config, Disk, Store, Trees};
use model::duration::Span;
use model::facts::{Journal, VolumeMode};
use model::names::{self, Run};
use model::promoter::PromoterShape;
use model::schedule::Due;
use model::schedule::Schedule;
use model::select::Protection;
use serde_json::{Value, json};

use crate::engine::Template;
use crate::{Install, Promoter, TemplateError, Templates, samples};

/// As `templates/install` installs us: the guard's suite tries the fixtures on it.
fn installed() -> Install {
    Install { instance: "backup".into(), namespace: "backup".to_owned(), ..samples::install() }
}

/// Each fixture is what the samples render to, as `kubectl get -o yaml` would show it.
#[test]
fn every_template_renders_its_fixture() {
    for (name, object) in samples::render_for(&Templates::embedded(), &installed()).unwrap() {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/{name}.yaml"));
        let shown = serde_yaml::to_string(&object).unwrap();
        let fixture = fs::read_to_string(&file).unwrap_or_default();
        let wanted: Value = serde_yaml::from_str(&fixture).unwrap();
        assert_eq!(wanted, object, "{} should read\n{shown}", file.display());
    }
}

/// What the samples say when a template has another text in one place.
fn spoilt(template: Template, from: &str, to: &str) -> Result<(), String> {
    let text = template.embedded();
    assert!(text.contains(from), "{} has no {from:?}", template.file());
    let mut templates = Templates::embedded();
    templates
        .replace(template, &text.replacen(from, to, 1))
        .and_then(|()| samples::render_all(&templates))
        .map(drop)
        .map_err(|e| e.to_string())
}

fn refused(template: Template, from: &str, to: &str) -> String {
    spoilt(template, from, to).expect_err(to)
}

/// F75.
#[test]
fn a_template_cannot_render_another_object() {
    use Template::{Copy, Cronjob, DiskVolume, HostDiskClaim, Promoter, Snapshot};
    for (template, from, to, why) in [
        (Cronjob, "kind: CronJob", "kind: Deployment", r#"kind must be "CronJob", but is "Deployment""#),
        (Promoter, "apiVersion: v1", "apiVersion: v2", r#"apiVersion must be "v1", but is "v2""#),
        (Copy, "{{json namespace}}", "kube-system", r#"metadata.namespace must be "shop", but is "kube-system""#),
        (Snapshot, "{{json name}}", "other", r#"metadata.name must be "mypvc-20181202", but is "other""#),
        (Snapshot, "  name: {{json name}}\n", "", r#"metadata.name must be "mypvc-20181202", but is missing"#),
        (
            DiskVolume,
            "metadata:",
            "metadata:\n  namespace: shop",
            r#"metadata.namespace must be left out, but is "shop""#,
        ),
        (Snapshot, "spec:", "---\nspec:", "must render exactly one object, but renders 2 documents"),
        (Copy, "apiVersion: batch/v1", "{{#if false}}", "no end"),
        (Cronjob, "  schedule:", "  shedule:", "unknown field spec.shedule"),
        (Copy, "restartPolicy:", "restartPolice:", "unknown field spec.template.spec.restartPolice"),
        (
            Copy,
            "mountPath: /tmp",
            "mountPth: /tmp",
            "unknown field spec.template.spec.containers[0].volumeMounts[2].mountPth",
        ),
        (Snapshot, "  source:", "  sourse: 1\n  source:", "unknown field spec.sourse"),
        (HostDiskClaim, "spec:", "spec:\n  storageClas: x", "unknown field spec.storageClas"),
        (Copy, "{{json backoffLimit}}", "many", "spec.backoffLimit: invalid type: string \"many\", expected i32"),
        (
            Copy,
            "{{json backoffLimit}}",
            "{{backoffLimit}}",
            "spec.backoffLimit: invalid type: string \"6\", expected i32",
        ),
        (Copy, "readOnly: true", "readOnly: yes", "volumeMounts[0].readOnly: invalid type: string \"yes\""),
        (
            Copy,
            "{{json backoffLimit}}",
            "{{json backofLimit}}",
            "unknown variable backofLimit; use one of activeDeadlineSeconds, ",
        ),
        (Copy, "  template:", "  template: {}\n  template:", "duplicate entry"),
        (Copy, "restartPolicy: Never", "restartPolicy: \"Never", "does not render YAML"),
        (
            Snapshot,
            "metadata:",
            "metadata:\n  finalizers: [a/b]",
            r#"metadata.finalizers must be left out, but is ["a/b"]"#,
        ),
        (
            Snapshot,
            "metadata:",
            "metadata:\n  ownerReferences: [{apiVersion: v1, kind: Pod, name: a, uid: b}]",
            "metadata.ownerReferences must be left out",
        ),
        (Snapshot, "metadata:", "metadata:\n  generateName: a-", "metadata.generateName must be left out"),
    ] {
        let error = refused(template, from, to);
        assert!(error.starts_with(template.file()), "{error}");
        assert!(error.contains(why), "{to:?}: {error}");
        assert!(error.len() < 500, "{error}");
    }
}

#[test]
fn the_labels_and_annotations_by_which_objects_are_found_are_ours() {
    use Template::{Copy, Cronjob, Promoter};
    let own = "labels: {{json labels}}";
    for (template, to, why) in [
        (
            Promoter,
            "labels: {}",
            r#"metadata.labels["app.kubernetes.io/managed-by"] must be "backup-controller", but is missing"#,
        ),
        (
            Promoter,
            "labels:\n    {{#each labels}}\n    {{json @key}}: x\n    {{/each}}",
            r#"metadata.labels["app.kubernetes.io/managed-by"] must be "backup-controller", but is "x""#,
        ),
        (
            Promoter,
            "labels:\n    {{#each labels}}\n    {{json @key}}: {{json this}}\n    {{/each}}\n    backup-controller.io/destination: disk",
            r#"metadata.labels["backup-controller.io/destination"] must be left out, but is "disk""#,
        ),
    ] {
        let error = refused(template, own, to);
        assert!(error.contains(why), "{error}");
    }
    let error = refused(Promoter, "annotations: {{json annotations}}", "annotations: {backup-controller.io/hold: x}");
    assert!(error.contains(r#"metadata.annotations["backup-controller.io/hold"] must be left out"#), "{error}");
    // Where the controller looks for pods, and for Jobs of a CronJob.
    for (template, at, place) in [
        (Copy, "      labels: {{json labels}}", "spec.template.metadata.labels"),
        (Cronjob, "      labels: {{json labels}}\n      annotations", "spec.jobTemplate.metadata.labels"),
        (Cronjob, "          labels: {{json labels}}", "spec.jobTemplate.spec.template.metadata.labels"),
    ] {
        let error = refused(template, at, &at.replace("{{json labels}}", "{}"));
        assert!(error.contains(&format!("yaml.hbs: {place}[")), "{error}");
    }
}

#[test]
fn an_administrator_may_add_what_harms_nobody() {
    use Template::{Copy, Cronjob};
    for (template, from, to) in [
        (
            Copy,
            "labels: {{json labels}}",
            "labels:\n    {{#each labels}}\n    {{json @key}}: {{json this}}\n    {{/each}}\n    cost-centre: \"7\"",
        ),
        (
            Copy,
            "      enableServiceLinks: false",
            "      priorityClassName: low\n      tolerations: [{operator: Exists}]",
        ),
        (Copy, "      enableServiceLinks: false", "      imagePullSecrets: [{name: pull}]"),
        (
            Copy,
            "        - name: tmp\n          emptyDir: {}",
            "        - name: tmp\n          emptyDir: {sizeLimit: 1Gi}\n        - name: ca\n          configMap: {name: ca}",
        ),
        (
            Cronjob,
            "            - name: backup\n",
            "            - name: backup\n              envFrom: [{configMapRef: {name: proxy}}]\n",
        ),
        (
            Cronjob,
            "          containers:\n",
            "          initContainers:\n            - name: wait\n              image: x\n              securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}\n          containers:\n",
        ),
    ] {
        assert_eq!(spoilt(template, from, to), Ok(()), "{to}");
    }
}

#[test]
fn fields_on_which_safety_rests_stay_as_they_are() {
    use Template::{Copy, Cronjob, DiskClaim, DiskVolume, HostDiskClaim, Keeper, Promoter, Snapshot};
    for (template, from, to, why) in [
        (Cronjob, "Forbid", "Allow", r#"spec.concurrencyPolicy must be "Forbid", but is "Allow""#),
        (Cronjob, "{{json schedule}}", "\"* * * * *\"", "spec.schedule must be \"17 3 * * *\""),
        (Cronjob, "spec:\n", "spec:\n  suspend: true\n", "spec.suspend must be false or left out, but is true"),
        (Cronjob, "Failed", "TerminatingOrFailed", "spec.jobTemplate.spec.podReplacementPolicy must be \"Failed\""),
        (Copy, "spec:\n", "spec:\n  ttlSecondsAfterFinished: 1\n", "spec.ttlSecondsAfterFinished must be left out"),
        (Copy, "spec:\n", "spec:\n  parallelism: 2\n", "spec.parallelism must be 1 or left out, but is 2"),
        (
            Copy,
            "restartPolicy: Never",
            "restartPolicy: OnFailure",
            "spec.template.spec.restartPolicy must be \"Never\"",
        ),
        (Snapshot, "{{json source.name}}", "other", "spec.source must be {\"persistentVolumeClaimName\":\"mypvc\"}"),
        (Snapshot, "{{json class}}", "other", "spec.volumeSnapshotClassName must be \"rbd-snapshots\""),
        (Promoter, "{{json snapshot}}", "other", "spec.dataSource must be "),
        (Promoter, "{{json accessModes}}", "[ReadWriteMany]", "spec.accessModes must be [\"ReadOnlyMany\"]"),
        (Promoter, "{{json size}}", "1Gi", "spec.resources.requests.storage must be \"10Gi\", but is \"1Gi\""),
        (Promoter, "{{json volumeMode}}", "Block", "spec.volumeMode must be \"Filesystem\" or left out"),
        (Promoter, "{{json volumeMode}}", "Filesystem", "spec.volumeMode must be \"Block\", but is \"Filesystem\""),
        (Promoter, "  volumeMode: {{json volumeMode}}\n", "", "spec.volumeMode must be \"Block\", but is missing"),
        (DiskClaim, "{{json storageClass}}", "other", "spec.storageClassName must be \"bulk-retain\""),
        (DiskVolume, "Retain", "Delete", "spec.persistentVolumeReclaimPolicy must be \"Retain\", but is \"Delete\""),
        (DiskVolume, "{{json claimNamespace}}", "other", "spec.claimRef.namespace must be \"shop\""),
        (DiskVolume, "{{json path}}", "/mnt", "spec.local.path must be \"/mnt/attic/shop\", but is \"/mnt\""),
        (HostDiskClaim, "{{json volume}}", "other", "spec.volumeName must be \"night-attic-shop-e07681360f63\""),
        (Keeper, "{{json nodeSelector}}", "{}", "spec.template.spec.nodeSelector must be "),
    ] {
        let error = refused(template, from, to);
        assert!(error.contains(why), "{to:?}: {error}");
    }
}

#[test]
fn the_hash_of_a_cronjob_follows_what_it_says_and_not_how_its_template_is_written() {
    let config = Config::default();
    let (install, source, protection) = (samples::install(), samples::source(), samples::protection(&config));
    let hash = |templates: &Templates, rotate| {
        let cronjob = templates.snapshot_cronjob(&install, &config, &source, &protection, rotate).unwrap();
        cronjob["metadata"]["annotations"][names::APPLIED].as_str().unwrap().to_owned()
    };
    let embedded = Templates::embedded();
    let mut other = Templates::embedded();
    let text = Template::Cronjob.embedded();
    other.replace(Template::Cronjob, &text.replace("spec:\n  schedule", "# why\nspec:\n  schedule")).unwrap();
    assert_eq!(hash(&embedded, true), hash(&other, true));
    assert_ne!(hash(&embedded, true), hash(&embedded, false));
    other.replace(Template::Cronjob, &text.replace("Limit: 1", "Limit: 2")).unwrap();
    assert_ne!(hash(&embedded, true), hash(&other, true));
}

/// The pod template of an object, or the pod.
fn pod_of(object: &Value) -> Option<&Value> {
    let of = |pointer: &str| object.pointer(pointer).filter(|pod| pod["spec"]["containers"].is_array());
    ["/spec/jobTemplate/spec/template", "/spec/template", ""].into_iter().find_map(of)
}

/// A6: what the configuration says of pods is in each of them, also in those of custom templates, and what a template says
/// itself stays. A1: no mesh is asked in. A9: nothing is saved by Velero.
#[test]
fn every_pod_has_what_the_configuration_says_and_every_object_is_marked_for_others() {
    let mut config = Config::parse(
        "pods:\n  all:\n    nodeSelector: {zone: a}\n    tolerations: [{key: infra, operator: Exists}]\n    \
         priorityClassName: low\n    labels: {team: storage, kuma.io/sidecar-injection: enabled}\n  \
         copy: {imagePullSecrets: [{name: registry}]}",
    )
    .unwrap();
    let plain = samples::render_all(&Templates::embedded()).unwrap();
    assert!(plain.iter().filter(|(_, object)| pod_of(object).is_some()).count() >= 8);
    for (file, object) in &plain {
        assert_eq!(object["metadata"]["labels"]["velero.io/exclude-from-backup"], "true", "{file}");
        let Some(pod) = pod_of(object) else { continue };
        assert_eq!(pod["spec"]["nodeSelector"]["kubernetes.io/os"], "linux", "{file}");
        assert_eq!(pod["metadata"]["labels"]["sidecar.istio.io/inject"], "false", "{file}");
        assert_eq!(pod["metadata"]["annotations"]["linkerd.io/inject"], "disabled", "{file}");
        assert!(pod["spec"].as_object().unwrap().values().all(|value| !value.is_null()), "{file}: {pod}");
    }
    let (templates, source) = (Templates::embedded(), samples::source());
    config.destinations = vec![samples::claim(), samples::host()];
    let cronjob = |config: &Config, templates: &Templates| {
        templates.snapshot_cronjob(&samples::install(), config, &source, &samples::protection(config), true).unwrap()
    };
    let object = cronjob(&config, &templates);
    let pod = pod_of(&object).unwrap();
    assert_eq!(pod["spec"]["nodeSelector"], json!({"zone": "a", "kubernetes.io/os": "linux"}));
    assert_eq!(pod["spec"]["tolerations"], json!([{"key": "infra", "operator": "Exists"}]));
    assert_eq!((&pod["spec"]["priorityClassName"], pod["spec"].get("imagePullSecrets")), (&json!("low"), None));
    let labels = &pod["metadata"]["labels"];
    assert_eq!((&labels["team"], &labels["kuma.io/sidecar-injection"]), (&json!("storage"), &json!("enabled")));
    let mut custom = Templates::embedded();
    let text = Template::Cronjob.embedded();
    let own = "          restartPolicy: Never\n          priorityClassName: mine\n          tolerations: [{key: mine}]\n          nodeSelector: {zone: b}";
    custom.replace(Template::Cronjob, &text.replace("          restartPolicy: Never", own)).unwrap();
    let object = cronjob(&config, &custom);
    let spec = &pod_of(&object).unwrap()["spec"];
    assert_eq!((&spec["priorityClassName"], &spec["nodeSelector"]["zone"]), (&json!("mine"), &json!("b")));
    assert_eq!(spec["tolerations"], json!([{"key": "mine"}, {"key": "infra", "operator": "Exists"}]));
    let keeper = templates.keeper_job(&samples::install(), &config, &samples::host(), "shop").unwrap();
    let selector = &pod_of(&keeper).unwrap()["spec"]["nodeSelector"];
    assert!(selector.as_object().unwrap().len() > 2, "the node that has the disk: {selector}");
}

#[test]
fn a_runs_job_is_the_cronjobs_as_kubectl_makes_it() {
    let config = Config::default();
    let (templates, source) = (Templates::embedded(), samples::source());
    let cronjob =
        templates.snapshot_cronjob(&samples::install(), &config, &source, &samples::protection(&config), true).unwrap();
    let job = templates.run_job(&cronjob, "uid-1", "now-please").unwrap();
    assert_eq!(job["spec"], cronjob["spec"]["jobTemplate"]["spec"]);
    assert_eq!(job["metadata"]["labels"], cronjob["metadata"]["labels"]);
    assert_eq!(job["metadata"]["name"], "now-please");
    assert_eq!(job["metadata"]["annotations"]["cronjob.kubernetes.io/instantiate"], "manual");
    assert_eq!(
        job["metadata"]["ownerReferences"],
        json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": names::cronjob(&source), "uid": "uid-1", "controller": true}])
    );
    assert_eq!(job, templates.run_job(&cronjob, "uid-1", "now-please").unwrap());
    let error = templates.run_job(&json!({"spec": {"jobTemplate": "x"}}), "u", "v").unwrap_err();
    assert!(error.to_string().contains("the CronJob has no metadata.name"), "{error}");
}

/// Kubernetes starts nothing of it: suspended, with a schedule that never fires, should somebody end that.
#[test]
fn the_cronjob_of_runs_that_count_from_the_end_of_the_last_fires_never() {
    let (config, source) = (Config::default(), samples::source());
    let protection = Protection { due: Due::After(Span::days(1)), ..samples::protection(&config) };
    let cronjob =
        Templates::embedded().snapshot_cronjob(&samples::install(), &config, &source, &protection, true).unwrap();
    assert_eq!(cronjob["spec"]["suspend"], true);
    assert_eq!(cronjob["spec"]["schedule"], "0 0 30 2 *");
    assert!(Schedule::parse("0 0 30 2 *", "").is_err(), "30 February");
    assert_eq!(cronjob["metadata"]["annotations"][names::AFTER], "1d");
    let clock = Templates::embedded()
        .snapshot_cronjob(&samples::install(), &config, &source, &samples::protection(&config), true)
        .unwrap();
    assert_eq!((&clock["spec"]["suspend"], clock["metadata"]["annotations"].get(names::AFTER)), (&json!(false), None));
}

#[test]
fn what_a_destination_is_not_made_of_is_refused() {
    let (templates, install, config) = (Templates::embedded(), samples::install(), Config::default());
    let (claim, mut host) = (samples::claim(), samples::host());
    let error = templates.disk_claim(&install, &host, "shop").unwrap_err();
    assert_eq!(error.to_string(), "disk-claim.yaml.hbs: destination attic has no claim");
    let error = templates.keeper_job(&install, &config, &claim, "shop").unwrap_err();
    assert_eq!(error.to_string(), "keeper.yaml.hbs: destination disk is not a host's disk");
    if let Store::Disk(Trees { disk: Disk::HostPath(host), .. }) = &mut host.store {
        host.node_selector.clear();
    }
    let error = templates.disk_volume(&install, &host, "shop").unwrap_err();
    assert!(error.to_string().contains("needs a nodeSelector"), "{error}");
    let problem = model::reason::Problem::from(error);
    assert_eq!(problem.reason, model::reason::Reason::InvalidObject);
}

#[test]
fn a_class_cannot_annotate_a_promoter_in_our_name() {
    let source = samples::source();
    let run: Run = "20181202T0000Z".parse().unwrap();
    let annotations = BTreeMap::from([(names::HOLD.to_owned(), "x".to_owned()), ("a".to_owned(), "b".to_owned())]);
    let shape = PromoterShape {
        storage_class: "c".to_owned(),
        read_only: false,
        mode: VolumeMode::Filesystem,
        journal: Journal::Replayed,
        annotations,
    };
    let spec = shape.sized(1 << 30);
    let promoter = Promoter { instance: &"backup".into(), source: &source, run: &run, snapshot: "n", spec: &spec };
    let pvc = Templates::embedded().promoter(&promoter).unwrap();
    let found = pvc["metadata"]["annotations"].as_object().unwrap();
    assert!(found.contains_key("a") && !found.contains_key(names::HOLD));
    assert_eq!(pvc["spec"]["accessModes"], json!(["ReadWriteOnce"]));
}

/// A directory of templates, removed when it is dropped.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let dir = std::env::temp_dir().join(format!("templates-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for (file, text) in files {
            fs::write(dir.join(file), text).unwrap();
        }
        Self(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_of_a_directory_replace_templates_of_the_same_name() {
    let snapshot = Template::Snapshot.embedded();
    let more = snapshot.replace(
        "labels: {{json labels}}",
        "labels:\n    team: a\n    {{#each labels}}\n    {{json @key}}: {{json this}}\n    {{/each}}",
    );
    let dir = Dir::new("good", &[("snapshot.yaml.hbs", &more), ("README", "x"), (".snapshot.yaml.hbs", "{{")]);
    // What a mounted ConfigMap looks like.
    fs::create_dir_all(dir.0.join("..data")).unwrap();
    let templates = Templates::load(Some(&dir.0)).unwrap();
    let objects = samples::render_all(&templates).unwrap();
    let (_, snapshot) = objects.iter().find(|(name, _)| *name == "snapshot").unwrap();
    assert_eq!(snapshot["metadata"]["labels"]["team"], "a");
    assert!(Templates::load(None).is_ok());
}

#[test]
fn a_directory_that_would_not_work_is_refused_when_it_is_read() {
    let dir = Dir::new("unknown", &[("cron.yaml.hbs", "")]);
    let error = Templates::load(Some(&dir.0)).unwrap_err().to_string();
    assert!(error.starts_with("cron.yaml.hbs is not the name of a template; use one of cronjob.yaml.hbs, "), "{error}");
    let dir = Dir::new("broken", &[("copy.yaml.hbs", "a: {{#if x}}\n")]);
    let error = Templates::load(Some(&dir.0)).unwrap_err().to_string();
    assert!(error.starts_with("copy.yaml.hbs:"), "{error}");
    let dir = Dir::new("typo", &[("promoter.yaml.hbs", "kind: {{json knid}}\n")]);
    let error = Templates::load(Some(&dir.0)).unwrap_err();
    assert!(matches!(error, TemplateError::Bad(_)), "{error}");
    assert!(error.to_string().contains("unknown variable knid"), "{error}");
    let error = Templates::load(Some(&dir.0.join("none"))).unwrap_err().to_string();
    assert!(error.contains("/none: "), "{error}");
}
