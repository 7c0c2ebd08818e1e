//! Repositories on a disk: what their pods mount of it.

use std::fs;

use model::config::{Config, Destination, PodType};
use model::copy_options::Options;
use model::names;
use model::plan::Work;
use serde_json::{Value, json};

use super::install::install;
use crate::engine::Template;
use crate::{Folder, Repository, Templates, samples};

/// What a task's Job is when its template writes something else than it was given.
fn task(volume: &str, mount: &str, drill: bool) -> Result<Value, String> {
    let text = Template::Maintain.embedded().replace(
        "        {{#each volumes}}\n        - {{json this}}\n        {{/each}}\n",
        &format!("        - {{name: secret, secret: {{secretName: backup-restic, optional: true}}}}\n{volume}"),
    );
    let text = text.replace(
        "            {{#each mounts}}\n            - {{json this}}\n            {{/each}}\n",
        &format!("            - {{name: secret, mountPath: /secret, readOnly: true}}\n{mount}"),
    );
    let mut templates = Templates::embedded();
    templates.replace(Template::Maintain, &text).unwrap();
    let (config, crypt) = (Config::default(), samples::crypt());
    let work = if drill { Work::Drill(samples::drill()) } else { samples::prune(&config) };
    let task = samples::task(&config, &crypt, work);
    templates.maintain_job(&samples::install(), &config, &crypt, &task).map_err(|e| e.to_string())
}

/// Another source's repository lies beside it, and what a drill only reads it cannot break.
#[test]
fn of_the_disk_a_pod_mounts_its_sources_folder_alone() {
    let shelf = "shop/mypvc/0aa5e1d3-7c3a-4d4e-9d33-0f8f3c9b3a11";
    let volume = |claim: &str, more: &str| {
        format!("        - {{name: repository, persistentVolumeClaim: {{claimName: {claim}{more}}}}}\n")
    };
    let mount = |path: &str, sub: &str, more: &str| {
        format!("            - {{name: repository, mountPath: {path}, subPath: {sub}{more}}}\n")
    };
    let ours = volume("backup-disk", "");
    assert!(task(&ours, &mount("/repository", shelf, ""), false).is_ok());
    for (volume, mount, drill, told) in [
        (
            volume("other", ""),
            mount("/repository", shelf, ""),
            false,
            "claimName must be backup-disk, but is \"other\"",
        ),
        (ours.clone(), mount("/repository", "shop", ""), false, "subPath must be \"shop/mypvc/"),
        (ours.clone(), mount("/source", shelf, ""), false, "mountPath must be \"/repository\""),
        (ours.clone(), String::new(), false, "volumeMounts must be a list with PVC backup-disk at /repository"),
        (
            ours.clone(),
            mount("/repository", shelf, ", readOnly: true"),
            true,
            "persistentVolumeClaim.readOnly must be true",
        ),
        (volume("backup-disk", ", readOnly: true"), mount("/repository", shelf, ""), true, "readOnly must be true"),
    ] {
        let error = task(&volume, &mount, drill).expect_err(told);
        assert!(error.contains(told), "{told}: {error}");
    }
}

/// The `NetworkPolicy` selects what does not say `restic`, and the guard lets a Secret in where it is said.
#[test]
fn a_pod_of_a_repository_on_a_disk_has_its_secret_and_no_network() {
    let templates = Templates::embedded();
    let policy = templates.network_policy(&samples::install(), "shop").unwrap();
    let selector = &policy["spec"]["podSelector"]["matchExpressions"];
    let network = json!({"key": names::DESTINATION_TYPE, "operator": "NotIn", "values": ["restic"]});
    assert!(selector.as_array().unwrap().contains(&network), "{selector}");
    let pods = samples::render_all(&templates).unwrap();
    let on_disk: Vec<&Value> = pods
        .iter()
        .filter(|(name, _)| name.contains("restic-disk") || name.contains("restic-host"))
        .map(|(_, object)| &object["spec"]["template"])
        .collect();
    assert_eq!(on_disk.len(), 5);
    for pod in on_disk {
        assert_eq!(pod["metadata"]["labels"][names::DESTINATION_TYPE], names::RESTIC_ON_DISK);
        assert!(
            pod["spec"]["volumes"].as_array().unwrap().iter().any(|v| v["secret"]["secretName"] == "backup-restic")
        );
    }
    let guard = fs::read_to_string(install().join("guard/controller.yaml")).unwrap();
    let allowed: Vec<String> = PodType::with_secret().map(|label| format!("'{label}'")).collect();
    assert!(guard.contains(&format!("in [{}]", allowed.join(", "))), "{allowed:?}");
}

/// S1: a lent disk is lent whole, and the pod selects the one source's folder of it. On a host's disk the volume is the
/// folder of the namespace.
#[test]
fn a_lent_disk_has_the_repository_where_it_was_written() {
    let source = samples::source();
    let lent = |destination: &Destination| {
        let repository = Repository::new("backup", destination, &source, &Options::default(), None).unwrap();
        repository.granted("restore-a").folder.map(|f: Folder| (f.claim, f.path))
    };
    let folder = |path: &str| Some((String::from("restore-a"), Some(path.to_owned())));
    assert_eq!(lent(&samples::crypt()), folder("shop/mypvc/0aa5e1d3-7c3a-4d4e-9d33-0f8f3c9b3a11"));
    assert_eq!(lent(&samples::crypt_host()), folder("mypvc/0aa5e1d3-7c3a-4d4e-9d33-0f8f3c9b3a11"));
}
