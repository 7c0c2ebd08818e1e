//! What comes out of the templates, and what does not, whatever a template or a tenant says.

mod install;
mod maintain;
mod repository;
mod restore;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use model::config::{Config, Disk, Store};
use model::duration::Span;
use model::names::{self, Run, SourceId};
use model::options::Options;
use model::schedule::Schedule;
use model::select::Protection;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::engine::Template;
use crate::{CopyJob, Install, Point, Promoter, TemplateError, Templates, args, samples, sweep_name};

/// Each fixture is what the samples render to, as `kubectl get -o yaml` would show it.
#[test]
fn every_template_renders_its_fixture() {
    for (name, object) in samples::render_all(&Templates::embedded()).unwrap() {
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
        (Cronjob, "kind: CronJob", "kind: Deployment", r#"kind must be "CronJob", and is "Deployment""#),
        (Promoter, "apiVersion: v1", "apiVersion: v2", r#"apiVersion must be "v1", and is "v2""#),
        (Copy, "{{json namespace}}", "kube-system", r#"metadata.namespace must be "shop", and is "kube-system""#),
        (Snapshot, "{{json name}}", "other", r#"metadata.name must be "mypvc-20181202", and is "other""#),
        (Snapshot, "  name: {{json name}}\n", "", r#"metadata.name must be "mypvc-20181202", and is missing"#),
        (
            DiskVolume,
            "metadata:",
            "metadata:\n  namespace: shop",
            r#"metadata.namespace must be left out, and is "shop""#,
        ),
        (Snapshot, "spec:", "---\nspec:", "must render exactly one object, and renders 2 documents"),
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
            "no variable backofLimit; there are activeDeadlineSeconds, ",
        ),
        (Copy, "  template:", "  template: {}\n  template:", "duplicate entry"),
        (Copy, "restartPolicy: Never", "restartPolicy: \"Never", "renders no YAML"),
        (
            Snapshot,
            "metadata:",
            "metadata:\n  finalizers: [a/b]",
            r#"metadata.finalizers must be left out, and is ["a/b"]"#,
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
            r#"metadata.labels["app.kubernetes.io/managed-by"] must be "backup-controller", and is missing"#,
        ),
        (
            Promoter,
            "labels:\n    {{#each labels}}\n    {{json @key}}: x\n    {{/each}}",
            r#"metadata.labels["app.kubernetes.io/managed-by"] must be "backup-controller", and is "x""#,
        ),
        (
            Promoter,
            "labels:\n    {{#each labels}}\n    {{json @key}}: {{json this}}\n    {{/each}}\n    backup-controller.io/destination: disk",
            r#"metadata.labels["backup-controller.io/destination"] must be left out, and is "disk""#,
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
        (Cronjob, "Forbid", "Allow", r#"spec.concurrencyPolicy must be "Forbid", and is "Allow""#),
        (Cronjob, "{{json schedule}}", "\"* * * * *\"", "spec.schedule must be \"17 3 * * *\""),
        (Cronjob, "spec:\n", "spec:\n  suspend: true\n", "spec.suspend must be false or left out, and is true"),
        (Cronjob, "Failed", "TerminatingOrFailed", "spec.jobTemplate.spec.podReplacementPolicy must be \"Failed\""),
        (Copy, "spec:\n", "spec:\n  ttlSecondsAfterFinished: 1\n", "spec.ttlSecondsAfterFinished must be left out"),
        (Copy, "spec:\n", "spec:\n  parallelism: 2\n", "spec.parallelism must be 1 or left out, and is 2"),
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
        (Promoter, "{{json size}}", "1Gi", "spec.resources.requests.storage must be \"10Gi\", and is \"1Gi\""),
        (Promoter, "Filesystem", "Block", "spec.volumeMode must be \"Filesystem\" or left out"),
        (DiskClaim, "{{json storageClass}}", "other", "spec.storageClassName must be \"bulk-retain\""),
        (DiskVolume, "Retain", "Delete", "spec.persistentVolumeReclaimPolicy must be \"Retain\", and is \"Delete\""),
        (DiskVolume, "{{json claimNamespace}}", "other", "spec.claimRef.namespace must be \"shop\""),
        (DiskVolume, "{{json path}}", "/mnt", "spec.local.path must be \"/mnt/attic/shop\", and is \"/mnt\""),
        (HostDiskClaim, "{{json volume}}", "other", "spec.volumeName must be \"backup-attic-shop-4e56e8d46add\""),
        (Keeper, "{{json nodeSelector}}", "{}", "spec.template.spec.nodeSelector must be "),
    ] {
        let error = refused(template, from, to);
        assert!(error.contains(why), "{to:?}: {error}");
    }
}

#[test]
fn no_template_gives_a_pod_more_than_ours_may_have() {
    use Template::{Copy, CopyRestic, Cronjob, Keeper, Maintain};
    let spec = "      enableServiceLinks: false\n";
    let also = |line: &str| format!("{spec}      {line}\n");
    let volumes = "        - name: tmp\n          emptyDir: {}\n";
    let volume = |line: &str| format!("{volumes}        - {{name: more, {line}}}\n");
    let more = "{{#each resticVolumes}}\n        - {{json this}}\n        {{/each}}";
    let mounts = "{{#each resticMounts}}\n            - {{json this}}\n            {{/each}}";
    let volumes_of_task = "{{#each volumes}}\n        - {{json this}}\n        {{/each}}";
    let mounts_of_task = "{{#each mounts}}\n            - {{json this}}\n            {{/each}}";
    let side = |line: &str| format!("      containers:\n        - {{name: side, image: x, {line}}}\n");
    for (template, from, to, why) in [
        (Copy, spec, also("hostNetwork: true"), "spec.template.spec.hostNetwork must be false, and is true"),
        (Copy, spec, also("hostPID: true"), "spec.hostPID must be false"),
        (Copy, spec, also("hostIPC: true"), "spec.hostIPC must be false"),
        (Copy, spec, also("hostname: copy"), "spec.hostname must be left out"),
        (Copy, spec, also("serviceAccountName: builder"), "spec.serviceAccountName must be \"default\" or left out, and is \"builder\""),
        (Copy, spec, also("serviceAccount: builder"), "spec.serviceAccount must be \"default\" or left out"),
        (Copy, "automountServiceAccountToken: false", "automountServiceAccountToken: true".to_owned(), "spec.automountServiceAccountToken must be false, and is true"),
        (Copy, "      automountServiceAccountToken: false\n", String::new(), "spec.automountServiceAccountToken must be false, and is missing"),
        (Cronjob, "{{json serviceAccount}}", "default".to_owned(), "spec.serviceAccountName must be \"backup-job\", and is \"default\""),
        (Copy, "runAsGroup: 0", "fsGroup: 0".to_owned(), "securityContext.fsGroup must be left out, and is 0"),
        (Copy, "runAsGroup: 0", "sysctls: [{name: a, value: b}]".to_owned(), "securityContext.sysctls must be left out"),
        (Copy, "runAsGroup: 0", "seLinuxOptions: {type: spc_t}".to_owned(), "securityContext.seLinuxOptions.type must be left out, and is \"spc_t\""),
        (Copy, "type: RuntimeDefault", "type: Unconfined".to_owned(), "seccompProfile.type must be \"RuntimeDefault\" or \"Localhost\", and is \"Unconfined\""),
        (Copy, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true".to_owned(), "containers[0].securityContext.allowPrivilegeEscalation must be false"),
        (Copy, "            allowPrivilegeEscalation: false\n", String::new(), "allowPrivilegeEscalation must be false, and is missing"),
        (Copy, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: false\n            privileged: true".to_owned(), "securityContext.privileged must be false"),
        (Copy, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: false\n            procMount: Unmasked".to_owned(), "procMount must be \"Default\" or left out"),
        (Copy, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false".to_owned(), "readOnlyRootFilesystem must be true, and is false"),
        (Copy, "[ALL]", "[NET_RAW]".to_owned(), "capabilities.drop must be [\"ALL\"]"),
        (Copy, "{{json capabilities}}", "[SYS_ADMIN]".to_owned(), "capabilities.add[0] must be one of CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP, and is \"SYS_ADMIN\""),
        (Cronjob, "[ALL]", "[ALL]\n                  add: [CHOWN]".to_owned(), "capabilities.add[0] must be left out"),
        (Cronjob, "runAsNonRoot: true", "runAsNonRoot: false".to_owned(), "securityContext.runAsNonRoot must be true"),
        (Cronjob, "runAsUser: 65532", "runAsUser: 0".to_owned(), "securityContext.runAsUser must be another user than root, and is 0"),
        (Copy, volumes, volume("hostPath: {path: /}"), "volumes[3].hostPath must be left out"),
        (Copy, volumes, volume("persistentVolumeClaim: {claimName: data}"), "volumes[3].persistentVolumeClaim.claimName must be mypvc-20181202 or backup-disk, and is \"data\""),
        (Copy, volumes, volume("nfs: {path: /, server: a}"), "volumes[3].nfs must be left out"),
        (Copy, volumes, volume("csi: {driver: a}"), "volumes[3].csi must be left out"),
        (Copy, volumes, volume("projected: {sources: [{serviceAccountToken: {path: a}}]}"), "volumes[3].projected must be left out"),
        (Copy, volumes, volume("secret: {secretName: a}"), "volumes[3].secret must be left out"),
        (Copy, "imagePullPolicy", "envFrom: [{secretRef: {name: a}}]\n          imagePullPolicy".to_owned(), "envFrom[0].secretRef must be left out"),
        (Cronjob, "              env:\n", "              env:\n                - {name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}\n".to_owned(), "env[0].valueFrom.secretKeyRef must be left out"),
        (Copy, "            readOnly: true\n        - name: destination", "            readOnly: false\n        - name: destination".to_owned(), "persistentVolumeClaim.readOnly must be true"),
        (Copy, "              readOnly: true\n", String::new(), "volumeMounts[0].readOnly must be true, and is missing"),
        (Copy, "              subPath: {{json subPath}}\n", String::new(), "volumeMounts[1].subPath must be \"shop/mypvc/0aa5e1d3-7c3a-4d4e-9d33-0f8f3c9b3a11\", and is missing"),
        (Copy, "{{json destinationDir}}", "/data".to_owned(), "volumeMounts[1].mountPath must be \"/destination\""),
        (Copy, "      containers:\n", side("command: [sh]"), "containers[0].securityContext.allowPrivilegeEscalation must be false"),
        (
            Copy,
            "      containers:\n",
            side("securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"),
            "containers[0].name must be \"backup\", and is \"side\"",
        ),
        (
            Copy,
            "      containers:\n",
            "      initContainers:\n        - {name: side, image: x, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}, volumeMounts: [{name: destination, mountPath: /destination}]}\n      containers:\n".to_owned(),
            "initContainers[0].volumeMounts[0].subPath must be ",
        ),
        (Copy, "{{json image}}", "other".to_owned(), "containers[0].image must be \"registry.example/backup-mover:1\", and is \"other\""),
        (Copy, "{{json command}}", "[sh]".to_owned(), "containers[0].command must be "),
        (Copy, "{{json args}}", "[copy]".to_owned(), "containers[0].args must be "),
        (Copy, "terminationMessagePolicy: File", "terminationMessagePolicy: FallbackToLogsOnError".to_owned(), "terminationMessagePolicy must be \"File\""),
        (Copy, "imagePullPolicy", "ports: [{containerPort: 1, hostPort: 1}]\n          imagePullPolicy".to_owned(), "ports[0].hostPort must be left out"),
        (CopyRestic, "{{json promoter}}", "backup-disk".to_owned(), "volumes[0].persistentVolumeClaim.claimName must be mypvc-20181202, and is \"backup-disk\""),
        (CopyRestic, more, "- {name: more, secret: {secretName: a, optional: true}}".to_owned(), "volumes[1].secret.secretName must be \"backup-s3\", and is \"a\""),
        (CopyRestic, more, "- {name: more, secret: {secretName: backup-s3}}".to_owned(), "volumes[1].secret.optional must be true, and is missing"),
        (CopyRestic, more, "- {name: more, projected: {sources: [{secret: {name: backup-s3}}]}}".to_owned(), "volumes[1].projected must be left out"),
        (CopyRestic, mounts, "- {name: secret, mountPath: /etc, readOnly: true}".to_owned(), "volumeMounts[1].mountPath must be \"/secret\""),
        (CopyRestic, mounts, "- {name: secret, mountPath: /secret}".to_owned(), "volumeMounts[1].readOnly must be true, and is missing"),
        (CopyRestic, mounts, String::new(), "volumeMounts must be the Secret backup-s3 at /secret, and is "),
        (CopyRestic, "imagePullPolicy", "env: [{name: A, valueFrom: {secretKeyRef: {name: backup-s3, key: b}}}]\n          imagePullPolicy".to_owned(), "env[0].valueFrom.secretKeyRef must be left out"),
        (CopyRestic, "{{json capabilities}}", "[CHOWN]".to_owned(), "capabilities.add[0] must be one of DAC_OVERRIDE, and is \"CHOWN\""),
        (Maintain, volumes_of_task, "- {name: more, ephemeral: {volumeClaimTemplate: {spec: {}}}}".to_owned(), "volumes[0].ephemeral must be left out"),
        (Maintain, volumes_of_task, "- {name: more, secret: {secretName: a, optional: true}}".to_owned(), "volumes[0].secret.secretName must be \"backup-s3\""),
        (Maintain, volumes_of_task, "- {name: more, persistentVolumeClaim: {claimName: mypvc}}".to_owned(), "volumes[0].persistentVolumeClaim.claimName must be left out"),
        (Maintain, mounts_of_task, "- {name: secret, mountPath: /secret, readOnly: true}\n            - {name: destination, mountPath: /destination}\n            - {name: source, mountPath: /source}".to_owned(), "volumeMounts[2].readOnly must be true"),
        (Maintain, "{{json capabilities}}", "[CHOWN]".to_owned(), "capabilities.add[0] must be left out"),
        (Maintain, "{{json args}}", "[restic, unlock]".to_owned(), "containers[0].args must be "),
        (Keeper, "{{json path}}", "/".to_owned(), "hostPath.path must be \"/mnt/attic\", and is \"/\""),
        (Keeper, "type: Directory", "type: DirectoryOrCreate".to_owned(), "hostPath.type must be \"Directory\""),
        (Keeper, "mountPath: {{json keeperDir}}", "mountPath: {{json keeperDir}}\n              mountPropagation: Bidirectional".to_owned(), "mountPropagation must be "),
        (Keeper, "automountServiceAccountToken: false", "automountServiceAccountToken: true".to_owned(), "automountServiceAccountToken must be false"),
    ] {
        let error = refused(template, from, &to);
        assert!(error.contains(why), "{to:?}: {error}");
    }
    // What must be mounted is.
    let error = refused(
        Copy,
        "            - name: destination\n              mountPath: {{json destinationDir}}\n              subPath: {{json subPath}}\n",
        "",
    );
    assert!(error.contains("volumeMounts must be the PVC backup-disk at /destination"), "{error}");
}

/// All objects of one source, by what they are.
fn everything(
    templates: &Templates,
    install: &Install,
    source: &SourceId,
    word: &str,
) -> BTreeMap<&'static str, Value> {
    let config = Config::default();
    let run: Run = "20181202T0000Z".parse().unwrap();
    let mut protection = samples::protection(&config);
    protection.snapshot_class.0 = word.to_owned();
    protection.promoter.storage_class = word.to_owned();
    protection.promoter.annotations = BTreeMap::from([(format!("k{word}"), word.to_owned())]);
    let (mut claim, mut host, mut restic) = (samples::claim(), samples::host(), samples::restic());
    for destination in [&mut claim, &mut host, &mut restic] {
        destination.name = word.to_owned();
    }
    if let Store::Disk(Disk::Claim(claim)) = &mut claim.store {
        claim.name = word.to_owned();
        claim.storage_class = Some(word.to_owned());
        claim.size = word.to_owned();
    }
    if let Store::Disk(Disk::HostPath(host)) = &mut host.store {
        host.path = format!("/{word}");
        host.size = word.to_owned();
        host.node_selector = BTreeMap::from([(format!("k{word}"), word.to_owned())]);
    }
    if let Store::Restic(restic) = &mut restic.store {
        restic.repository = format!("{word}/{{uid}}");
        restic.ca = Some(word.to_owned());
        restic.cache = Some(word.to_owned());
    }
    let options = Options { exclude: vec![word.to_owned()], ..Options::default() };
    // Another PVC than the disk's: a copy onto itself is refused.
    let copied = format!("p{word}");
    let copy = |destination| CopyJob {
        source,
        run: &run,
        destination,
        promoter: &copied,
        retention: None,
        zone: &protection.zone,
        accept_empty: true,
        spc_no_relabeling: false,
        options: &options,
        secret: Some(word),
    };
    let point = Point {
        instance: &install.instance,
        source,
        run: &run,
        name: word,
        class: word,
        retention: &protection.retention,
        destinations: &[word.to_owned()],
    };
    let promoter = Promoter {
        instance: &install.instance,
        source,
        run: &run,
        name: word,
        snapshot: word,
        bytes: 1,
        storage_class: word,
        read_only: false,
        annotations: &protection.promoter.annotations,
    };
    let cronjob = templates.snapshot_cronjob(install, &config, source, &protection, false).unwrap();
    BTreeMap::from([
        ("run-now", templates.run_job(&cronjob, word, &names::run_now_job(source, word)).unwrap()),
        ("cronjob", cronjob),
        ("sweep", templates.sweep_cronjob(install, &config).unwrap()),
        ("copy", templates.copy_job(install, &config, &copy(&claim)).unwrap()),
        ("copy-host", templates.copy_job(install, &config, &copy(&host)).unwrap()),
        ("copy-restic", templates.copy_job(install, &config, &copy(&restic)).unwrap()),
        ("disk-claim", templates.disk_claim(install, &claim, &source.namespace).unwrap()),
        ("keeper", templates.keeper_job(install, &config, &host, &source.namespace).unwrap()),
        ("disk-volume", templates.disk_volume(install, &host, &source.namespace).unwrap()),
        ("host-disk-claim", templates.host_disk_claim(install, &host, &source.namespace).unwrap()),
        ("snapshot", templates.volume_snapshot(&point).unwrap()),
        ("promoter", templates.promoter(&promoter).unwrap()),
    ])
}

fn all_of(word: &str) -> (Install, SourceId) {
    let word = || word.to_owned();
    let install = Install {
        instance: word(),
        namespace: word(),
        job_service_account: word(),
        controller_image: word(),
        mover_image: word(),
        image_pull_policy: word(),
        templates_config_map: Some(word()),
    };
    (install, SourceId { namespace: word(), name: word(), uid: word() })
}

/// Law 9. That the objects carry exactly these texts is what the check after rendering says too; here it
/// is said again for what the check does not pin.
fn carries(word: &str) {
    let (install, source) = all_of(word);
    let objects = everything(&Templates::embedded(), &install, &source, word);
    let text = |object: &str, pointer: &str| objects[object].pointer(pointer).and_then(Value::as_str);
    for (object, pointer) in [
        ("cronjob", "/metadata/namespace"),
        ("cronjob", "/metadata/annotations/backup-controller.io~1source-name"),
        ("cronjob", "/spec/jobTemplate/metadata/annotations/backup-controller.io~1source-namespace"),
        ("cronjob", "/spec/jobTemplate/spec/template/spec/serviceAccountName"),
        ("cronjob", "/spec/jobTemplate/spec/template/spec/containers/0/image"),
        ("cronjob", "/spec/jobTemplate/spec/template/spec/containers/0/imagePullPolicy"),
        ("run-now", "/metadata/ownerReferences/0/uid"),
        ("sweep", "/metadata/labels/backup-controller.io~1instance"),
        ("snapshot", "/metadata/annotations/backup-controller.io~1destinations-taken"),
        ("promoter", "/spec/storageClassName"),
        ("copy", "/metadata/labels/backup-controller.io~1source-uid"),
        ("copy", "/spec/template/spec/volumes/1/persistentVolumeClaim/claimName"),
        ("copy-restic", "/spec/template/spec/volumes/1/secret/secretName"),
        ("copy-restic", "/spec/template/spec/volumes/2/configMap/name"),
        ("copy-restic", "/spec/template/spec/volumes/3/emptyDir/sizeLimit"),
        ("disk-claim", "/spec/resources/requests/storage"),
        ("disk-volume", "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values/0"),
        ("keeper", "/metadata/annotations/backup-controller.io~1source-namespace"),
    ] {
        assert_eq!(text(object, pointer), Some(word), "{object} {pointer}");
    }
    if !word.is_empty() {
        let volume = text("cronjob", "/spec/jobTemplate/spec/template/spec/volumes/0/configMap/name");
        assert_eq!(volume, Some(word));
    }
    assert_eq!(objects["promoter"]["metadata"]["annotations"][format!("k{word}")], word);
    assert_eq!(
        text("copy", "/spec/template/spec/containers/0/volumeMounts/1/subPath"),
        Some(&*format!("{word}/{word}/{word}"))
    );
    assert_eq!(
        text("copy-host", "/spec/template/spec/containers/0/volumeMounts/1/subPath"),
        Some(&*format!("{word}/{word}"))
    );
    // What the program gets, after Kubernetes has expanded variables.
    let config = Config::default();
    let mut protection = samples::protection(&config);
    protection.snapshot_class.0 = word.to_owned();
    protection.promoter.storage_class = word.to_owned();
    protection.promoter.annotations = BTreeMap::from([(format!("k{word}"), word.to_owned())]);
    let rendered = objects["cronjob"].pointer("/spec/jobTemplate/spec/template/spec/containers/0/args").unwrap();
    let got: Vec<String> = rendered.as_array().unwrap().iter().map(|a| expand(a.as_str().unwrap())).collect();
    assert_eq!(got, args::snapshot_args(&install, &config, &source, &protection, false));
    assert!(got.contains(&format!("--pvc={word}")));
}

/// What Kubernetes makes of an argument when each variable that is named exists.
fn expand(arg: &str) -> String {
    let mut out = String::new();
    let mut rest = arg.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('$', Some('$')) => {
                rest.next();
                out.push('$');
            }
            ('$', Some('(')) => {
                out.push_str("EXPANDED");
                rest.by_ref().take_while(|c| *c != ')').for_each(drop);
            }
            _ => out.push(c),
        }
    }
    out
}

#[test]
fn hostile_texts_stay_texts() {
    for word in [
        "\": \n- {{",
        "$(POD_UID) $$(POD_UID) $",
        "}}{{json namespace}}",
        "x\n---\nkind: ClusterRoleBinding",
        "naïve-🐘-\u{202e}\u{0}\u{85}\u{2028}",
        "&a *a !!binary <<: {} [] # | > %",
        "true",
        "0644",
        "~",
        "--no-rotate",
        "a=b,c=d",
        &"x".repeat(253),
    ] {
        carries(word);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_text_is_carried_exactly(word in "\\PC{0,20}|[\\x00-\\x7f]{1,30}|.{1,12}") {
        carries(&word);
    }
}

/// F58, F59.
#[test]
fn names_fit_the_api_and_long_ones_do_not_meet() {
    let (install, templates) = (samples::install(), Templates::embedded());
    let long = |end: &str| SourceId { name: format!("{}{end}", "a".repeat(250)), ..samples::source() };
    let (one, two) = (long(".aa"), long(".ab"));
    let objects = [everything(&templates, &install, &one, "word"), everything(&templates, &install, &two, "word")];
    for (kind, most) in [("cronjob", 52), ("sweep", 52), ("run-now", 63), ("copy", 63), ("keeper", 63)] {
        for objects in &objects {
            let name = objects[kind].pointer("/metadata/name").unwrap().as_str().unwrap();
            assert!(name.len() <= most, "{kind} {name}");
        }
    }
    for kind in ["cronjob", "run-now", "copy"] {
        assert_ne!(objects[0][kind]["metadata"]["name"], objects[1][kind]["metadata"]["name"]);
    }
    for object in objects[0].values() {
        for (key, value) in object.pointer("/metadata/labels").unwrap().as_object().unwrap() {
            assert!(value.as_str().unwrap().len() <= 63, "{key}");
        }
    }
    assert!(sweep_name(&"i".repeat(63)).len() <= 52);
    assert_ne!(objects[0]["copy"]["metadata"]["labels"], objects[1]["copy"]["metadata"]["labels"]);
    let full = &objects[0]["copy"]["metadata"]["annotations"][names::SOURCE_NAME];
    assert_eq!(full, &json!(one.name));
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
    assert!(error.to_string().contains("without metadata.name"), "{error}");
}

/// Kubernetes starts nothing of it: suspended, with a schedule that never fires, should somebody end that.
#[test]
fn the_cronjob_of_runs_that_count_from_the_end_of_the_last_fires_never() {
    let (config, source) = (Config::default(), samples::source());
    let protection =
        Protection { schedule: "@after 1d".to_owned(), after: Some(Span::days(1)), ..samples::protection(&config) };
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
    assert_eq!(error.to_string(), "disk-claim.yaml.hbs: the destination attic is no claim");
    let error = templates.keeper_job(&install, &config, &claim, "shop").unwrap_err();
    assert_eq!(error.to_string(), "keeper.yaml.hbs: the destination disk is no host's disk");
    if let Store::Disk(Disk::HostPath(host)) = &mut host.store {
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
    let promoter = Promoter {
        instance: "backup",
        source: &source,
        run: &run,
        name: "n",
        snapshot: "n",
        bytes: 1 << 30,
        storage_class: "c",
        read_only: false,
        annotations: &annotations,
    };
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
    assert!(error.starts_with("cron.yaml.hbs replaces no template; the names are cronjob.yaml.hbs, "), "{error}");
    let dir = Dir::new("broken", &[("copy.yaml.hbs", "a: {{#if x}}\n")]);
    let error = Templates::load(Some(&dir.0)).unwrap_err().to_string();
    assert!(error.starts_with("copy.yaml.hbs:"), "{error}");
    let dir = Dir::new("typo", &[("promoter.yaml.hbs", "kind: {{json knid}}\n")]);
    let error = Templates::load(Some(&dir.0)).unwrap_err();
    assert!(matches!(error, TemplateError::Bad(_)), "{error}");
    assert!(error.to_string().contains("no variable knid"), "{error}");
    let error = Templates::load(Some(&dir.0.join("none"))).unwrap_err().to_string();
    assert!(error.contains("/none: "), "{error}");
}
