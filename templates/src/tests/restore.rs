//! The OpenShift Template of a restore: what it makes, and who may use it.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use model::names;
use model::restore::Request;
use serde_json::{Value, json};

use super::install::{documents, install};
use super::{installed, refused};
use crate::check::strictly;
use crate::engine::Template;
use crate::{RESTORE_TEMPLATE, yaml};

fn template() -> Value {
    serde_yaml::from_str(RESTORE_TEMPLATE).unwrap()
}

/// Each `${NAME}` of a text.
fn parameters_in(text: &str) -> BTreeSet<String> {
    text.split("${").skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect()
}

/// Its objects with `NAME=mypvc DATE=20181202`.
fn objects() -> (Value, Value) {
    let text = serde_json::to_string(&template()["objects"]).unwrap();
    let text = text.replace("${NAME}", "mypvc").replace("${DATE}", "20181202");
    let text = ["${FROM}", "${TARGET}", "${SOURCE_UID}"].iter().fold(text, |text, empty| text.replace(empty, ""));
    let mut objects: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(objects.len(), 2);
    let deployment = objects.remove(1);
    (objects.remove(0), deployment)
}

#[test]
fn the_template_is_one_document_that_any_reader_of_yaml_reads_alike() {
    let read = yaml::parse_document("restore", RESTORE_TEMPLATE).unwrap();
    assert_eq!(read, template());
    assert_eq!((&read["kind"], &read["metadata"]["name"]), (&json!("Template"), &json!("restore")));
}

#[test]
fn every_parameter_is_used_and_every_used_one_is_there() {
    let template = template();
    let list = template["parameters"].as_array().unwrap();
    let there: BTreeSet<String> = list.iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(parameters_in(&template["objects"].to_string()), there);
    assert!(parameters_in(template["message"].as_str().unwrap()).is_subset(&there));
    for parameter in list {
        let required = ["NAME", "DATE"].contains(&parameter["name"].as_str().unwrap());
        assert_eq!(parameter["required"] == true, required, "{parameter}");
        assert_eq!(parameter["value"] == "", !required, "{parameter}");
        assert!(parameter["description"].is_string(), "{parameter}");
    }
}

#[test]
fn what_it_makes_is_what_its_kinds_allow() {
    let (script, deployment) = objects();
    assert_eq!(strictly::<ConfigMap>(&script), Ok(()));
    assert_eq!(strictly::<Deployment>(&deployment), Ok(()));
    assert_eq!(
        (&script["metadata"]["name"], &deployment["metadata"]["name"]),
        (&json!("restore-mypvc"), &json!("restore-mypvc"))
    );
    let script = script["data"]["restore.sh"].as_str().unwrap();
    assert!(script.starts_with("#!/bin/sh\n") && script.ends_with("\nexec /usr/bin/backup-job restore \"$@\"\n"));
}

/// It is the controller that starts the pod: nothing runs that it has not looked at.
#[test]
fn the_deployment_starts_nothing_by_itself_and_asks_this_installation() {
    let (_, deployment) = objects();
    let pod = &deployment["spec"]["template"];
    assert_eq!(deployment["spec"]["replicas"], 0);
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    assert_eq!(pod["spec"]["automountServiceAccountToken"], false);
    let line = deployment["metadata"]["annotations"][names::RESTORE_FROM].as_str().unwrap();
    let request: Request = line.parse().unwrap();
    assert_eq!(request, "pvc=mypvc date=20181202".parse().unwrap());
    for labels in [&deployment["metadata"]["labels"], &pod["metadata"]["labels"]] {
        assert_eq!(labels[names::INSTANCE], installed().instance.as_str());
        assert_eq!(labels[names::COMPONENT], names::Component::Restore.as_str());
    }
    let selector = deployment["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert!(selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value), "{selector:?}");
    assert_eq!(selector["template"], template()["labels"]["template"]);
}

#[test]
fn whoever_logs_in_may_find_the_template_and_nothing_else() {
    let documents = documents(&install().join("restore/role.yaml"));
    assert_eq!((strictly::<Role>(&documents[0]), strictly::<RoleBinding>(&documents[1])), (Ok(()), Ok(())));
    let rules = json!([{"apiGroups": ["template.openshift.io"], "resources": ["templates"], "verbs": ["get", "list"]}]);
    assert_eq!(documents[0]["rules"], rules);
    assert_eq!(documents[1]["subjects"][0]["name"], "system:authenticated");
    assert_eq!(documents[1]["roleRef"]["name"], documents[0]["metadata"]["name"]);
}

/// `restore.sh` calls `backup-job restore`, whatever there is to restore from.
#[test]
fn a_restore_pod_of_a_repository_has_the_secret_and_the_command_that_reads_it() {
    let error = refused(Template::Restore, "            - {{json restoreCommand}}\n", "");
    assert!(error.contains("env must be a list with BACKUP_RESTORE_COMMAND=[\"restic\",\"restore\""), "{error}");
    for template in [Template::Restore, Template::RestoreJob] {
        let error =
            refused(template, "        {{#each resticVolumes}}\n        - {{json this}}\n        {{/each}}\n", "");
        assert!(error.contains("a list with Secret backup-s3 at /secret"), "{error}");
    }
}

/// F75. A device is pinned as a mount is: which PVC, where, and whether it can be written.
#[test]
fn a_pod_has_the_devices_that_were_asked_for_and_no_others() {
    use Template::{Restore, RestoreJob};
    let target = "            - name: source\n              devicePath: {{json volumeDir}}\n";
    let point = "            - name: destination\n              devicePath: {{json restorePointDir}}\n";
    let pod = "            claimName: {{json claim}}\n            readOnly: true\n";
    let also = format!("{target}            - {{name: tmp, devicePath: /tmp2}}\n");
    for (template, from, to, why) in [
        (Restore, target, "", "volumeDevices must be a list with PVC mypvc at /volume"),
        (RestoreJob, target, "", "volumeDevices must be a list with PVC mypvc at /volume"),
        (Restore, point, "", "volumeDevices must be a list with PVC mypvc-20181202 at /restore-point"),
        (
            Restore,
            "devicePath: {{json volumeDir}}",
            "devicePath: /dev/sda",
            "volumeDevices[0].devicePath must be \"/volume\", but is \"/dev/sda\"",
        ),
        (
            Restore,
            "devicePath: {{json restorePointDir}}",
            "devicePath: /source2",
            "volumeDevices[1].devicePath must be \"/restore-point\"",
        ),
        (
            Restore,
            pod,
            "            claimName: {{json claim}}\n",
            "persistentVolumeClaim.readOnly must be true, but is missing",
        ),
        // The other PVC stands where this one should.
        (
            Restore,
            "claimName: {{json target}}",
            "claimName: {{json claim}}",
            "persistentVolumeClaim.readOnly must be true",
        ),
        (Restore, "claimName: {{json target}}", "claimName: other", "claimName must be mypvc"),
        // What is a filesystem is no device, and the other way round.
        (
            Restore,
            "          {{#if block}}\n",
            "          volumeDevices:\n            - {name: source, devicePath: /source}\n          {{#if false}}\n",
            "volumeDevices[0].name must be left out",
        ),
        (
            Restore,
            "            {{#unless block}}\n",
            "            {{#unless false}}\n",
            "volumeMounts[0].name must be left out",
        ),
        (
            Restore,
            "            {{#unless pointBlock}}\n",
            "            {{#unless false}}\n",
            "volumeMounts[0].name must be left out",
        ),
        (Restore, target, &also, "volumeDevices[1].name must be left out"),
    ] {
        let error = refused(template, from, to);
        assert!(error.contains(why), "{to:?}: {error}");
    }
}

/// The names of old are there beside the new ones, and hold the same.
#[test]
fn both_file_systems_are_mounted_by_both_of_their_names() {
    for template in [Template::Restore, Template::RestoreJob] {
        for (new, old, at, both) in [
            ("volumeDir", "sourceDir", "/volume", r#""/volume" or "/source""#),
            ("restorePointDir", "destinationDir", "/restore-point", r#""/restore-point" or "/destination""#),
        ] {
            let path = |variable: &str| format!("mountPath: {{{{json {variable}}}}}");
            let elsewhere = refused(template, &path(old), "mountPath: /elsewhere");
            assert!(elsewhere.contains(&format!("mountPath must be {both}, but is")), "{elsewhere}");
            let only_old = refused(template, &path(new), &path(old));
            assert!(only_old.contains(&format!(" at {at}, but is")), "{only_old}");
        }
    }
}
