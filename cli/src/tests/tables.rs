//! Golden texts: `UPDATE_GOLDEN=1 cargo test -p kubectl-backup` writes them anew, to be looked at.

use std::path::PathBuf;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume};
use k8s_openapi::api::storage::v1::StorageClass;

use super::fixture::{ALL, HOME, TENANT, cluster, now};
use crate::asked::Asked;
use crate::flags::Output;
use crate::observe::Gap;
use crate::status::output;
use crate::table::Look;

const LOOK: Look = Look { namespaces: false, wide: false, headers: true, width: None };

pub(crate) fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(golden == text, "{name} differs; it is now:\n{text}\nand was:\n{golden}");
}

#[test]
fn the_table() {
    let volumes: Vec<_> = cluster().volumes(ALL).into_iter().filter(|v| v.namespace == "shop").collect();
    let text = |look| output::text(&volumes, (&[], &[]), Output::Table, look, false, now()).unwrap();
    golden("table.txt", &text(LOOK));
    for width in [80, 120] {
        let text = text(Look { width: Some(width), ..LOOK });
        golden(&format!("table-{width}.txt"), &text);
        assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
    }
    assert_eq!(text(Look { width: Some(1), ..LOOK }).lines().count(), volumes.len() + 1);
}

#[test]
fn the_wide_table_of_all_namespaces() {
    let volumes = cluster().volumes(ALL);
    let look = Look { namespaces: true, wide: true, headers: false, width: None };
    golden("wide.txt", &output::text(&volumes, (&[], &[]), Output::Wide, look, false, now()).unwrap());
}

/// Without rights on the cluster, what the controller recorded is shown, and nothing is made up.
#[test]
fn the_table_of_a_tenant() {
    let volumes: Vec<_> = cluster().volumes(TENANT).into_iter().filter(|v| v.namespace == "shop").collect();
    let gap = |verb: &'static str, resource: Asked, answer: &str, refused: bool| Gap {
        verb,
        resource,
        answer: answer.to_owned(),
        refused,
    };
    let gaps = [
        gap(
            "get",
            Asked::of::<ConfigMap>().named("backup-controller").within(Some(HOME)),
            "it has no key config.yaml",
            false,
        ),
        gap("list", Asked::of::<PersistentVolume>(), "forbidden", true),
        gap("list", Asked::of::<StorageClass>(), "forbidden", true),
    ];
    let table = output::text(&volumes, (&[], &gaps), Output::Table, LOOK, false, now()).unwrap();
    let notes = output::notes(&volumes, &gaps, TENANT, HOME).join("\n");
    golden("tenant.txt", &format!("{table}\n{notes}\n"));
}

#[test]
fn one_pvc_with_what_to_do() {
    let volumes = [cluster().only("full")];
    golden("one.txt", &output::text(&volumes, (&[], &[]), Output::Table, LOOK, true, now()).unwrap());
}

#[test]
fn all_that_is_known() {
    let volumes = [cluster().only("data"), cluster().only("full")];
    golden("data.yaml", &output::text(&volumes, (&[], &[]), Output::Yaml, LOOK, true, now()).unwrap());
    let json = output::text(&volumes, (&[], &[]), Output::Json, LOOK, true, now()).unwrap();
    let yaml = output::text(&volumes, (&[], &[]), Output::Yaml, LOOK, true, now()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json, serde_yaml::from_str::<serde_json::Value>(&yaml).unwrap());
    assert_eq!(json["alarms"], 1);
}

/// What vanished is no name that kubectl could be given.
#[test]
fn names_can_be_given_to_kubectl() {
    let volumes = cluster().volumes(ALL);
    let text = output::text(&volumes, (&[], &[]), Output::Name, LOOK, false, now()).unwrap();
    assert!(text.starts_with("persistentvolumeclaim/etcd\npersistentvolumeclaim/data\n"), "{text}");
    assert!(!text.contains("/gone") && !text.contains("data-2018") && !text.contains("backup-disk"), "{text}");
}
