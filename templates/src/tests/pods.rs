//! What pods may do at most, whatever a template says.

use serde_json::json;

use super::refused;
use crate::engine::Template;
use crate::{Templates, samples};

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
        (Copy, spec, also("hostNetwork: true"), "spec.template.spec.hostNetwork must be false, but is true"),
        (Copy, spec, also("hostPID: true"), "spec.hostPID must be false"),
        (Copy, spec, also("hostIPC: true"), "spec.hostIPC must be false"),
        (Copy, spec, also("hostname: copy"), "spec.hostname must be left out"),
        (Copy, spec, also("serviceAccountName: builder"), "spec.serviceAccountName must be \"default\" or left out, but is \"builder\""),
        (Copy, spec, also("serviceAccount: builder"), "spec.serviceAccount must be \"default\" or left out"),
        (Copy, "automountServiceAccountToken: false", "automountServiceAccountToken: true".to_owned(), "spec.automountServiceAccountToken must be false, but is true"),
        (Copy, "      automountServiceAccountToken: false\n", String::new(), "spec.automountServiceAccountToken must be false, but is missing"),
        (Cronjob, "{{json serviceAccount}}", "default".to_owned(), "spec.serviceAccountName must be \"backup-job\", but is \"default\""),
        (Copy, "runAsGroup: 0", "fsGroup: 0".to_owned(), "securityContext.fsGroup must be left out, but is 0"),
        (Copy, "runAsGroup: 0", "sysctls: [{name: a, value: b}]".to_owned(), "securityContext.sysctls must be left out"),
        (Copy, "runAsGroup: 0", "seLinuxOptions: {type: spc_t}".to_owned(), "securityContext.seLinuxOptions.type must be left out, but is \"spc_t\""),
        (Copy, "type: RuntimeDefault", "type: Unconfined".to_owned(), "seccompProfile.type must be \"RuntimeDefault\" or \"Localhost\", but is \"Unconfined\""),
        (Copy, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true".to_owned(), "containers[0].securityContext.allowPrivilegeEscalation must be false"),
        (Copy, "            allowPrivilegeEscalation: false\n", String::new(), "allowPrivilegeEscalation must be false, but is missing"),
        (Copy, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: false\n            privileged: true".to_owned(), "securityContext.privileged must be false"),
        (Copy, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: false\n            procMount: Unmasked".to_owned(), "procMount must be \"Default\" or left out"),
        (Copy, "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false".to_owned(), "readOnlyRootFilesystem must be true, but is false"),
        (Copy, "[ALL]", "[NET_RAW]".to_owned(), "capabilities.drop must be [\"ALL\"]"),
        (Copy, "{{json capabilities}}", "[SYS_ADMIN]".to_owned(), "capabilities.add[0] must be one of CHOWN, DAC_OVERRIDE, FOWNER, FSETID, MKNOD, SETFCAP, but is \"SYS_ADMIN\""),
        (Cronjob, "[ALL]", "[ALL]\n                  add: [CHOWN]".to_owned(), "capabilities.add[0] must be left out"),
        (Cronjob, "runAsNonRoot: true", "runAsNonRoot: false".to_owned(), "securityContext.runAsNonRoot must be true"),
        (Cronjob, "runAsUser: 65532", "runAsUser: 0".to_owned(), "securityContext.runAsUser must be a user other than root, but is 0"),
        (Copy, volumes, volume("hostPath: {path: /}"), "volumes[3].hostPath must be left out"),
        (Copy, volumes, volume("persistentVolumeClaim: {claimName: data}"), "volumes[3].persistentVolumeClaim.claimName must be mypvc-20181202 or backup-disk, but is \"data\""),
        (Copy, volumes, volume("nfs: {path: /, server: a}"), "volumes[3].nfs must be left out"),
        (Copy, volumes, volume("csi: {driver: a}"), "volumes[3].csi must be left out"),
        (Copy, volumes, volume("projected: {sources: [{serviceAccountToken: {path: a}}]}"), "volumes[3].projected must be left out"),
        (Copy, volumes, volume("secret: {secretName: a}"), "volumes[3].secret must be left out"),
        (Copy, "imagePullPolicy", "envFrom: [{secretRef: {name: a}}]\n          imagePullPolicy".to_owned(), "envFrom[0].secretRef must be left out"),
        (Cronjob, "              env:\n", "              env:\n                - {name: A, valueFrom: {secretKeyRef: {name: a, key: b}}}\n".to_owned(), "env[0].valueFrom.secretKeyRef must be left out"),
        (Copy, "            readOnly: true\n        - name: destination", "            readOnly: false\n        - name: destination".to_owned(), "persistentVolumeClaim.readOnly must be true"),
        (Copy, "              readOnly: true\n", String::new(), "volumeMounts[0].readOnly must be true, but is missing"),
        (Copy, "              subPath: {{json subPath}}\n", String::new(), "volumeMounts[1].subPath must be \"shop/mypvc/0aa5e1d3-7c3a-4d4e-9d33-0f8f3c9b3a11\", but is missing"),
        (Copy, "{{json destinationDir}}", "/data".to_owned(), "volumeMounts[1].mountPath must be \"/destination\""),
        (Copy, "      containers:\n", side("command: [sh]"), "containers[0].securityContext.allowPrivilegeEscalation must be false"),
        (
            Copy,
            "      containers:\n",
            side("securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}"),
            "containers[0].name must be \"backup\", but is \"side\"",
        ),
        (
            Copy,
            "      containers:\n",
            "      initContainers:\n        - {name: side, image: x, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}, volumeMounts: [{name: destination, mountPath: /destination}]}\n      containers:\n".to_owned(),
            "initContainers[0].volumeMounts[0].subPath must be ",
        ),
        (Copy, "{{json image}}", "other".to_owned(), "containers[0].image must be \"registry.example/backup-mover:1\", but is \"other\""),
        (Copy, "{{json command}}", "[sh]".to_owned(), "containers[0].command must be "),
        (Copy, "{{json args}}", "[copy]".to_owned(), "containers[0].args must be "),
        (Copy, "terminationMessagePolicy: File", "terminationMessagePolicy: FallbackToLogsOnError".to_owned(), "terminationMessagePolicy must be \"File\""),
        (Copy, "imagePullPolicy", "ports: [{containerPort: 1, hostPort: 1}]\n          imagePullPolicy".to_owned(), "ports[0].hostPort must be left out"),
        (CopyRestic, "{{json promoter}}", "backup-disk".to_owned(), "volumes[0].persistentVolumeClaim.claimName must be mypvc-20181202, but is \"backup-disk\""),
        (CopyRestic, more, "- {name: more, secret: {secretName: a, optional: true}}".to_owned(), "volumes[1].secret.secretName must be \"backup-s3\", but is \"a\""),
        (CopyRestic, more, "- {name: more, secret: {secretName: backup-s3}}".to_owned(), "volumes[1].secret.optional must be true, but is missing"),
        (CopyRestic, more, "- {name: more, projected: {sources: [{secret: {name: backup-s3}}]}}".to_owned(), "volumes[1].projected must be left out"),
        (CopyRestic, mounts, "- {name: secret, mountPath: /etc, readOnly: true}".to_owned(), "volumeMounts[1].mountPath must be \"/secret\""),
        (CopyRestic, mounts, "- {name: secret, mountPath: /secret}".to_owned(), "volumeMounts[1].readOnly must be true, but is missing"),
        (CopyRestic, mounts, String::new(), "volumeMounts must be a list with Secret backup-s3 at /secret, but is "),
        (CopyRestic, "imagePullPolicy", "env: [{name: A, valueFrom: {secretKeyRef: {name: backup-s3, key: b}}}]\n          imagePullPolicy".to_owned(), "env[0].valueFrom.secretKeyRef must be left out"),
        (CopyRestic, "{{json capabilities}}", "[CHOWN]".to_owned(), "capabilities.add[0] must be one of DAC_OVERRIDE, but is \"CHOWN\""),
        (Maintain, volumes_of_task, "- {name: more, ephemeral: {volumeClaimTemplate: {spec: {}}}}".to_owned(), "volumes[0].ephemeral must be left out"),
        (Maintain, volumes_of_task, "- {name: more, secret: {secretName: a, optional: true}}".to_owned(), "volumes[0].secret.secretName must be \"backup-s3\""),
        (Maintain, volumes_of_task, "- {name: more, persistentVolumeClaim: {claimName: mypvc}}".to_owned(), "volumes[0].persistentVolumeClaim.claimName must be left out"),
        (Maintain, mounts_of_task, "- {name: secret, mountPath: /secret, readOnly: true}\n            - {name: destination, mountPath: /destination}\n            - {name: source, mountPath: /source}".to_owned(), "volumeMounts[2].readOnly must be true"),
        (Maintain, "{{json capabilities}}", "[CHOWN]".to_owned(), "capabilities.add[0] must be left out"),
        (Maintain, "{{json args}}", "[restic, unlock]".to_owned(), "containers[0].args must be "),
        (Keeper, "{{json path}}", "/".to_owned(), "hostPath.path must be \"/mnt/attic\", but is \"/\""),
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
    assert!(error.contains("volumeMounts must be a list with PVC backup-disk at /destination"), "{error}");
}

/// A device is as dangerous as a mount: only our promoter is opened, at its one place, and by a volume that is read-only.
#[test]
fn no_template_opens_another_device_than_ours() {
    use Template::{Copy, CopyRestic, Cronjob, Keeper, Maintain};
    let own = "            - name: source\n              devicePath: {{json sourceDir}}\n";
    let also = |device: &str| format!("{own}            - {{{device}}}\n");
    let side = "      containers:\n";
    let init = |device: &str| {
        let security = "securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}";
        format!(
            "      initContainers:\n        - {{name: side, image: x, {security}, volumeDevices: [{{{device}}}]}}\n{side}"
        )
    };
    let pull = "          imagePullPolicy";
    let device = |path: &str| format!("          volumeDevices: [{{name: {path}, devicePath: /{path}}}]\n{pull}");
    let of_task = "{{#each devices}}\n            - {{json this}}\n            {{/each}}";
    for (template, from, to, why) in [
        (Copy, own, own.replace("{{json sourceDir}}", "/dev/sda"), "containers[0].volumeDevices[0].devicePath must be \"/source\", but is \"/dev/sda\""),
        (Copy, own, also("name: destination, devicePath: /destination"), "volumeDevices[1].name must be left out, but is \"destination\""),
        (Copy, own, also("name: tmp, devicePath: /tmp"), "volumeDevices[1].name must be left out, but is \"tmp\""),
        (Copy, own, also("name: none, devicePath: /none"), "volumeDevices[1].name must be left out, but is \"none\""),
        (Copy, own, also("name: source, devicePath: /again"), "volumeDevices[1].devicePath must be \"/source\""),
        (Copy, "{{#if block}}", "{{#if true}}".to_owned(), "volumeDevices[0].name must be left out, but is \"source\""),
        (Copy, "{{#if block}}", "{{#if false}}".to_owned(), "volumeDevices must be a list with PVC mypvc-20181202 at /source, but is missing"),
        (Copy, "{{#unless block}}", "{{#unless false}}".to_owned(), "volumeMounts[0].name must be left out, but is \"source\""),
        (Copy, side, init("name: source, devicePath: /source"), "initContainers[0].volumeDevices[0].name must be left out"),
        (CopyRestic, own, own.replace("{{json sourceDir}}", "/"), "volumeDevices[0].devicePath must be \"/source\", but is \"/\""),
        (CopyRestic, own, also("name: secret, devicePath: /secret"), "volumeDevices[1].name must be left out"),
        (CopyRestic, "{{#unless block}}", "{{#unless false}}".to_owned(), "volumeMounts[0].name must be left out, but is \"source\""),
        (Maintain, of_task, "- {name: scratch, devicePath: /scratch}".to_owned(), "volumeDevices[0].name must be left out, but is \"scratch\""),
        (Maintain, of_task, "- {name: source, devicePath: /scratch}".to_owned(), "volumeDevices[0].devicePath must be \"/source\""),
        (Maintain, "{{#if devices}}", "{{#if false}}".to_owned(), "volumeDevices must be a list with PVC mypvc-20181202 at /source, but is missing"),
        (Maintain, "            {{#each mounts}}", "            {{#each devices}}\n            - {name: source, mountPath: /source}\n            {{/each}}\n            {{#each mounts}}".to_owned(), "volumeMounts[0].name must be left out, but is \"source\""),
        (Keeper, pull, device("disk"), "volumeDevices[0].name must be left out, but is \"disk\""),
        (Cronjob, "              imagePullPolicy", "              volumeDevices: [{name: templates, devicePath: /dev/a}]\n              imagePullPolicy".to_owned(), "volumeDevices[0].name must be left out"),
    ] {
        let error = refused(template, from, &to);
        assert!(error.contains(why), "{to:?}: {error}");
    }
}

/// The kubelet gives a device for reading alone where its volume says so: there is no such word beside the device.
#[test]
fn the_device_of_a_copy_or_drill_is_read_only() {
    let objects = samples::render_all(&Templates::embedded()).unwrap();
    for name in ["copy-block", "copy-restic-block", "maintain-drill-block"] {
        let (_, object) = objects.iter().find(|(n, _)| *n == name).unwrap();
        let pod = &object["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(container["volumeDevices"], json!([{"name": "source", "devicePath": "/source"}]), "{name}");
        let volume = pod["volumes"].as_array().unwrap().iter().find(|v| v["name"] == "source").unwrap();
        assert_eq!(volume["persistentVolumeClaim"], json!({"claimName": "mypvc-20181202", "readOnly": true}), "{name}");
        let mounts = container["volumeMounts"].as_array().unwrap();
        assert!(mounts.iter().all(|m| m["name"] != "source"), "{name}: {mounts:?}");
    }
    for (template, text) in [(Template::Copy, "{{json promoter}}"), (Template::CopyRestic, "{{json promoter}}")] {
        // Of the samples with a device, which are rendered after those without.
        let only_device = format!("{text}\n            {{{{#unless block}}}}readOnly: true{{{{/unless}}}}");
        let error = refused(template, &format!("{text}\n            readOnly: true"), &only_device);
        assert!(error.contains("persistentVolumeClaim.readOnly must be true, but is missing"), "{error}");
    }
}
