//! The OpenShift Template of a restore: what it makes, and who may use it.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use model::names;
use model::restore::Request;
use serde_json::{Value, json};

use super::install::{documents, install};
use super::refused;
use crate::check::strictly;
use crate::engine::Template;
use crate::{RESTORE_TEMPLATE, samples, yaml};

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
        assert_eq!(labels[names::INSTANCE], samples::install().instance);
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
    assert!(error.contains("env must be BACKUP_RESTORE_COMMAND with the value [\"restic\",\"restore\""), "{error}");
    for template in [Template::Restore, Template::RestoreJob] {
        let error =
            refused(template, "        {{#each resticVolumes}}\n        - {{json this}}\n        {{/each}}\n", "");
        assert!(error.contains("the Secret backup-s3 at /secret"), "{error}");
    }
}
