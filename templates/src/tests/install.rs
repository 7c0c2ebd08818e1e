//! The manifests of `install/`: well formed, minimal in rights, and in step with the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, PodTemplate, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use model::config::{self, Config};
use serde::Deserialize;
use serde_json::Value;

use super::installed;
use crate::check::strictly;
use crate::program::TEMPLATES_DIR;

pub(super) fn install() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("install")
}

pub(super) fn documents(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    serde_yaml::Deserializer::from_str(&text)
        .map(|d| {
            // By way of YAML's own value, which refuses keys that stand twice.
            let yaml = serde_yaml::Value::deserialize(d).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
            serde_json::to_value(yaml).unwrap()
        })
        .collect()
}

/// Everything that `kubectl apply -k` of a folder applies.
fn objects(folder: &Path) -> Vec<Value> {
    let kustomization = &documents(&folder.join("kustomization.yaml"))[0];
    let resources = kustomization["resources"].as_array().cloned().unwrap_or_default();
    resources
        .iter()
        .flat_map(|r| {
            let path = folder.join(r.as_str().unwrap());
            if path.is_dir() { objects(&path) } else { documents(&path) }
        })
        .collect()
}

fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn every_manifest_is_what_its_kind_allows() {
    for object in objects(&install()) {
        let checked = match object["kind"].as_str().unwrap() {
            "ClusterRole" => strictly::<ClusterRole>(&object),
            "ClusterRoleBinding" => strictly::<ClusterRoleBinding>(&object),
            "ConfigMap" => strictly::<ConfigMap>(&object),
            "Deployment" => strictly::<Deployment>(&object),
            "Namespace" => strictly::<Namespace>(&object),
            "PodTemplate" => strictly::<PodTemplate>(&object),
            "Role" => strictly::<Role>(&object),
            "RoleBinding" => strictly::<RoleBinding>(&object),
            "Service" => strictly::<Service>(&object),
            "ServiceAccount" => strictly::<ServiceAccount>(&object),
            "ValidatingAdmissionPolicy" => strictly::<ValidatingAdmissionPolicy>(&object),
            "ValidatingAdmissionPolicyBinding" => strictly::<ValidatingAdmissionPolicyBinding>(&object),
            other => panic!("{other}: say here of what type it is"),
        };
        assert_eq!(checked, Ok(()), "{}", object["metadata"]["name"]);
    }
}

#[test]
fn every_file_is_applied() {
    for folder in ["", "guard", "openshift", "restore", "derived"].map(|f| install().join(f)) {
        let kustomization = &documents(&folder.join("kustomization.yaml"))[0];
        let listed: BTreeSet<&str> =
            kustomization["resources"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for entry in fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.path().is_file() && name != "kustomization.yaml" {
                assert!(listed.contains(name.as_str()), "{}/{name} is not in the kustomization", folder.display());
            }
        }
    }
}

/// One that is bound to nothing, or only warns, guards nothing.
#[test]
fn every_policy_of_the_guard_denies() {
    let objects = objects(&install().join("guard"));
    let of = |kind: &str| objects.iter().filter(|o| o["kind"] == kind).cloned().collect::<Vec<_>>();
    let policies = of("ValidatingAdmissionPolicy");
    let bindings = of("ValidatingAdmissionPolicyBinding");
    assert_eq!(policies.len(), 2);
    for policy in &policies {
        let name = &policy["metadata"]["name"];
        let binding = bindings.iter().find(|b| b["spec"]["policyName"] == *name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(binding["spec"]["validationActions"], serde_json::json!(["Deny"]), "{name}");
        assert!(binding["spec"]["matchResources"].is_null(), "{name}");
        for validation in policy["spec"]["validations"].as_array().unwrap() {
            // 403, which is told as a right that is missing, not as an object that is wrong.
            assert_eq!(validation["reason"], "Forbidden", "{name}: {validation}");
        }
    }
}

/// Verbs by resource that the rules of all roles with this name give.
fn rights(objects: &[Value], role: &str) -> Vec<(String, String)> {
    let mut rights = Vec::new();
    for object in objects.iter().filter(|o| o["metadata"]["name"] == role) {
        for rule in object["rules"].as_array().into_iter().flatten() {
            let list = |field: &str| rule[field].as_array().cloned().unwrap_or_default();
            for resource in list("resources") {
                for verb in list("verbs") {
                    rights.push((resource.as_str().unwrap().to_owned(), verb.as_str().unwrap().to_owned()));
                }
            }
        }
    }
    rights
}

#[test]
fn no_role_reads_secrets_or_gives_itself_rights() {
    let objects = objects(&install());
    for role in ["backup-controller", "backup-job", "backup-view", "backup-edit", "backup-status"] {
        let rights = rights(&objects, role);
        assert!(!rights.is_empty());
        for (resource, verb) in rights {
            for never in ["*", "secrets", "serviceaccounts", "roles", "clusterroles", "pods/exec"] {
                assert_ne!(resource, never, "{role}");
            }
            for never in ["*", "deletecollection", "escalate", "bind", "impersonate"] {
                assert_ne!(verb, never, "{role} {resource}");
            }
            // A ledger is replaced whole, in the version that was read.
            assert!(
                verb != "update" || (role, resource.as_str()) == ("backup-controller", "configmaps"),
                "{role} {resource}"
            );
        }
    }
}

#[test]
fn each_account_deletes_only_what_is_its_to_delete() {
    let objects = objects(&install());
    let deletes = |kind: &str, role: &str| -> BTreeSet<String> {
        let of_kind: Vec<Value> = objects.iter().filter(|o| o["kind"] == kind).cloned().collect();
        rights(&of_kind, role).into_iter().filter(|(_, verb)| verb == "delete").map(|(resource, _)| resource).collect()
    };
    let these = |resources: &[&str]| resources.iter().map(|r| (*r).to_owned()).collect::<BTreeSet<String>>();
    // Of volumes those that were lent for a restore, and of contents those of central copies: the guard sees to it, and
    // their data stay.
    let everywhere = these(&["jobs", "persistentvolumes", "volumesnapshotcontents"]);
    assert_eq!(deletes("ClusterRole", "backup-controller"), everywhere);
    // In its own namespace alone.
    let at_home = these(&["configmaps", "cronjobs", "persistentvolumeclaims", "volumesnapshots"]);
    assert_eq!(deletes("Role", "backup-controller"), at_home);
    assert_eq!(deletes("ClusterRole", "backup-job"), these(&["persistentvolumeclaims", "volumesnapshots"]));
    assert!(rights(&objects, "backup-job").iter().all(|(_, verb)| verb != "patch"));
}

/// The roles that join `view` and `edit` are everybody's in his namespace: snapshots there, and nothing else.
#[test]
fn viewers_see_snapshots_and_editors_hold_them() {
    let objects = objects(&install());
    let snapshots = |verbs: &[&str]| -> Vec<(String, String)> {
        verbs.iter().map(|verb| ("volumesnapshots".to_owned(), (*verb).to_owned())).collect()
    };
    assert_eq!(rights(&objects, "backup-view"), snapshots(&["get", "list", "watch"]));
    assert_eq!(rights(&objects, "backup-edit"), snapshots(&["create", "patch", "delete"]));
    for (role, label) in [("backup-view", "aggregate-to-view"), ("backup-edit", "aggregate-to-edit")] {
        let labels = &named(&objects, "ClusterRole", role)["metadata"]["labels"];
        assert_eq!(labels[format!("rbac.authorization.k8s.io/{label}")], "true", "{role}");
    }
}

#[test]
fn the_status_roles_only_read_and_are_bound_to_nobody() {
    let objects = objects(&install());
    let rights = rights(&objects, "backup-status");
    assert!(!rights.is_empty() && rights.iter().all(|(_, verb)| ["get", "list"].contains(&&**verb)), "{rights:?}");
    assert!(objects.iter().all(|o| o["roleRef"]["name"] != "backup-status"));
}

/// `text` with `#` before each line that sets something: as it stands in the `ConfigMap`.
fn switched_off(text: &str) -> String {
    let line = |l: &str| if l.trim().is_empty() || l.trim().starts_with('#') { l.to_owned() } else { format!("#{l}") };
    text.lines().map(|l| line(l) + "\n").collect()
}

#[test]
fn the_config_map_is_the_example_switched_off() {
    let objects = objects(&install());
    let text = named(&objects, "ConfigMap", "backup-controller")["data"]["config.yaml"].as_str().unwrap().to_owned();
    assert_eq!(text, switched_off(config::EXAMPLE), "install/config.yaml follows model/src/config/example.yaml");
    assert_eq!(Config::parse(&text).unwrap(), Config::default());
}

#[test]
fn the_deployment_gives_what_the_code_expects() {
    let objects = objects(&install());
    let deployment = named(&objects, "Deployment", "backup-controller");
    let pod = &deployment["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["spec"]["strategy"]["type"], "Recreate");
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    let args: Vec<&str> = container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(args.contains(&&*format!("--templates={TEMPLATES_DIR}")), "{args:?}");
    let mounts = container["volumeMounts"].as_array().unwrap();
    assert!(mounts.iter().any(|m| m["mountPath"] == TEMPLATES_DIR));
    let env = |name: &str| {
        let list = container["env"].as_array().unwrap();
        list.iter().find(|e| e["name"] == name).unwrap_or_else(|| panic!("no {name}"))["value"].clone()
    };
    let sample = installed();
    assert_eq!(env("BACKUP_INSTANCE"), sample.instance.as_str());
    assert_eq!(env("BACKUP_JOB_SERVICE_ACCOUNT"), sample.job_service_account);
    assert_eq!(env("BACKUP_CONTROLLER_IMAGE"), container["image"]);
    assert_eq!(
        env("BACKUP_MOVER_IMAGE"),
        named(&objects, "PodTemplate", "backup-mover")["template"]["spec"]["containers"][0]["image"]
    );
    let templates = pod["volumes"].as_array().unwrap().iter().find(|v| v["name"] == "templates").unwrap();
    assert_eq!(env("BACKUP_TEMPLATES_CONFIG_MAP"), templates["configMap"]["name"]);
    assert_eq!(named(&objects, "Namespace", "backup")["metadata"]["name"], sample.namespace);
}
