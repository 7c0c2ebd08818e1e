//! Whether a cluster that is not ours can show the demo: asked before anything is changed there. The answer is one
//! sentence with the way out.

use std::env;

use anyhow::{Result, bail};
use backup_controller_tests::nodes::{CONTROLLER_IMAGE, MOVER_IMAGE, Place};
use dev_cluster::Kubectl;
use serde_json::Value;

use crate::names::{INSTALLATION, MADE_BY_DEMO, NAMESPACE};

const SNAPSHOT_CRD: &str = "crd/volumesnapshots.snapshot.storage.k8s.io";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";
/// The kubelet reports no more images than these.
const REPORTED_IMAGES: usize = 50;

/// What was seen of a cluster. Lists are the API's.
#[derive(Debug)]
pub(crate) struct Seen {
    administrator: bool,
    snapshot_api: bool,
    classes: Value,
    snapshot_classes: Value,
    deployments: Value,
    namespaces: Value,
    nodes: Value,
}

/// What its user asked for; `make demo NAME=value`.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    class: Option<String>,
    image: Option<String>,
    mover_image: Option<String>,
}

impl Wishes {
    pub(crate) fn from_environment() -> Self {
        let get = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self { class: get("STORAGE_CLASS"), image: get("IMAGE"), mover_image: get("MOVER_IMAGE") }
    }
}

/// Looks at a cluster, and changes nothing.
pub(crate) fn look(kubectl: &Kubectl) -> Result<Seen> {
    let administrator = kubectl.run(&["auth", "can-i", "*", "*", "--all-namespaces"]).is_ok();
    if !administrator {
        // The rest could not be read.
        return Ok(Seen { administrator, ..Seen::nothing() });
    }
    let snapshot_api = !kubectl.run(&["get", SNAPSHOT_CRD, "--ignore-not-found", "-o", "name"])?.is_empty();
    let snapshot_classes = if snapshot_api { kubectl.json(&["get", "volumesnapshotclasses"])? } else { Value::Null };
    Ok(Seen {
        administrator,
        snapshot_api,
        classes: kubectl.json(&["get", "storageclasses"])?,
        snapshot_classes,
        deployments: kubectl.json(&["get", "deployments", "-A", "-l", "app.kubernetes.io/name=backup-controller"])?,
        namespaces: kubectl.json(&["get", "namespaces"])?,
        nodes: kubectl.json(&["get", "nodes"])?,
    })
}

impl Seen {
    fn nothing() -> Self {
        Self {
            administrator: false,
            snapshot_api: false,
            classes: Value::Null,
            snapshot_classes: Value::Null,
            deployments: Value::Null,
            namespaces: Value::Null,
            nodes: Value::Null,
        }
    }

    /// Where the demo runs, or why it cannot.
    pub(crate) fn place(&self, wishes: &Wishes) -> Result<Place> {
        if !self.administrator {
            bail!("the demo needs cluster-admin, and the user of KUBECONFIG may not do everything in every namespace");
        }
        if !self.snapshot_api {
            bail!(
                "this cluster has no VolumeSnapshots: install the snapshot CRDs and the snapshot controller \
                 (ansible-playbook ansible/install-snapshot-controller.yaml does) and a CSI driver that makes snapshots"
            );
        }
        let class = self.class(wishes)?;
        let (name, driver) = (text(&class["metadata"]["name"]), text(&class["provisioner"]));
        let mut snapshot_classes = items(&self.snapshot_classes);
        if !snapshot_classes.any(|snapshots| snapshots["driver"] == driver) {
            bail!(
                "no VolumeSnapshotClass has the driver {driver} of StorageClass {name}: create one, or name another \
                 StorageClass: make demo STORAGE_CLASS=NAME"
            );
        }
        self.check_installations()?;
        self.check_namespaces()?;
        let image = |wish: &Option<String>, name: &str, variable: &str| match wish {
            Some(image) => Ok(image.clone()),
            None if self.has_image(name) => Ok(name.to_owned()),
            None => bail!(
                "a node lacks the image {name}: load it into the cluster, or name one that its nodes can pull: \
                 make demo {variable}=IMAGE (docs/own-cluster.md shows both)"
            ),
        };
        let controller = image(&wishes.image, CONTROLLER_IMAGE, "IMAGE")?;
        let mover = image(&wishes.mover_image, MOVER_IMAGE, "MOVER_IMAGE")?;
        let binds_late = class["volumeBindingMode"] == "WaitForFirstConsumer";
        Ok(Place::other(name, binds_late, &controller, &mover))
    }

    fn class(&self, wishes: &Wishes) -> Result<&Value> {
        if let Some(wanted) = &wishes.class {
            let found = items(&self.classes).find(|class| class["metadata"]["name"] == wanted.as_str());
            return found.ok_or_else(|| {
                let names = items(&self.classes).map(|class| text(&class["metadata"]["name"])).collect::<Vec<_>>();
                anyhow::anyhow!("there is no StorageClass {wanted}; this cluster has: {}", names.join(", "))
            });
        }
        let default = items(&self.classes).find(|class| class["metadata"]["annotations"][DEFAULT_CLASS] == "true");
        default.ok_or_else(|| {
            anyhow::anyhow!("this cluster has no default StorageClass: name one: make demo STORAGE_CLASS=NAME")
        })
    }

    /// The demo sets the installation's configuration, which nobody else's may have to bear.
    fn check_installations(&self) -> Result<()> {
        for deployment in items(&self.deployments) {
            let namespace = text(&deployment["metadata"]["namespace"]);
            if namespace != INSTALLATION || !self.is_ours(INSTALLATION) {
                bail!(
                    "backup-controller is installed in namespace {namespace}, and the demo would change what it does: \
                     use another cluster, or remove it first: ansible-playbook ansible/uninstall-backup-controller.yaml"
                );
            }
        }
        Ok(())
    }

    /// `make down` deletes both.
    fn check_namespaces(&self) -> Result<()> {
        for name in [NAMESPACE, INSTALLATION] {
            let there = items(&self.namespaces).any(|namespace| namespace["metadata"]["name"] == name);
            if there && !self.is_ours(name) {
                bail!(
                    "namespace {name} exists and was not created by the demo, which would delete it: delete it first"
                );
            }
        }
        Ok(())
    }

    /// Whether the demo made a namespace.
    fn is_ours(&self, name: &str) -> bool {
        items(&self.namespaces).any(|namespace| {
            namespace["metadata"]["name"] == name && namespace["metadata"]["labels"][MADE_BY_DEMO] == "true"
        })
    }

    /// Whether every node that takes pods has an image, as far as its kubelet reports them.
    fn has_image(&self, image: &str) -> bool {
        let mut nodes = items(&self.nodes).filter(|node| node["spec"]["unschedulable"] != true).peekable();
        let there = nodes.peek().is_some();
        there
            && nodes.all(|node| {
                let images = &node["status"]["images"];
                let mut names = list(images).flat_map(|i| list(&i["names"])).filter_map(Value::as_str);
                // Runtimes name a local image in full: docker.io/library/NAME, localhost/NAME.
                names.any(|name| name == image || name.ends_with(&format!("/{image}")))
                    || list(images).len() >= REPORTED_IMAGES
            })
    }
}

fn items(list_of: &Value) -> impl Iterator<Item = &Value> {
    list(&list_of["items"])
}

fn list(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A cluster of kind with the hostpath driver, and both images loaded.
    fn kind() -> Seen {
        let images = json!([{"names": [CONTROLLER_IMAGE]}, {"names": [MOVER_IMAGE, "other"]}]);
        Seen {
            administrator: true,
            snapshot_api: true,
            classes: json!({"items": [
                {"metadata": {"name": "standard"}, "provisioner": "rancher.io/local-path"},
                {
                    "metadata": {"name": "csi-hostpath", "annotations": {DEFAULT_CLASS: "true"}},
                    "provisioner": "hostpath.csi.k8s.io", "volumeBindingMode": "WaitForFirstConsumer",
                },
            ]}),
            snapshot_classes: json!({"items": [{"driver": "hostpath.csi.k8s.io"}]}),
            deployments: json!({"items": []}),
            namespaces: json!({"items": [{"metadata": {"name": "default"}}]}),
            nodes: json!({"items": [{"status": {"images": images}}]}),
        }
    }

    fn refusal(change: impl FnOnce(&mut Seen, &mut Wishes)) -> String {
        let (mut seen, mut wishes) = (kind(), Wishes::default());
        change(&mut seen, &mut wishes);
        seen.place(&wishes).unwrap_err().to_string()
    }

    fn list_mut(value: &mut Value) -> &mut Vec<Value> {
        value.as_array_mut().unwrap()
    }

    #[test]
    fn a_cluster_that_has_everything_is_used_with_its_default_class() {
        let place = kind().place(&Wishes::default()).unwrap();
        assert_eq!((place.class.as_str(), place.binds_late), ("csi-hostpath", true));
        assert_eq!(place.mover_image, MOVER_IMAGE);
    }

    #[test]
    fn each_thing_that_is_missing_is_one_sentence_with_a_way_out() {
        let no_class = |seen: &mut Seen, _: &mut Wishes| seen.classes["items"][1]["metadata"]["annotations"].take();
        let other_class = |_: &mut Seen, wishes: &mut Wishes| wishes.class = Some("standard".into());
        let unknown_class = |_: &mut Seen, wishes: &mut Wishes| wishes.class = Some("fast".into());
        for (said, part) in [
            (refusal(|seen, _| seen.administrator = false), "needs cluster-admin"),
            (refusal(|seen, _| seen.snapshot_api = false), "install-snapshot-controller.yaml"),
            (refusal(|seen, wishes| drop(no_class(seen, wishes))), "make demo STORAGE_CLASS=NAME"),
            (refusal(other_class), "no VolumeSnapshotClass has the driver rancher.io/local-path"),
            (refusal(unknown_class), "this cluster has: standard, csi-hostpath"),
            (refusal(|seen, _| seen.nodes = Value::Null), "make demo IMAGE=IMAGE"),
            (
                refusal(|seen, _| list_mut(&mut seen.nodes["items"]).push(json!({"status": {"images": []}}))),
                "a node lacks",
            ),
        ] {
            assert!(said.contains(part), "{said}");
            assert!(!said.contains(". "), "more than one sentence: {said}");
        }
    }

    #[test]
    fn an_installation_of_somebody_else_is_left_alone() {
        let installed = |namespace: &str| json!({"items": [{"metadata": {"namespace": namespace}}]});
        for namespace in [INSTALLATION, "storage"] {
            let said = refusal(|seen, _| seen.deployments = installed(namespace));
            assert!(said.contains(&format!("installed in namespace {namespace}")), "{said}");
        }
        let said = refusal(|seen, _| seen.namespaces = json!({"items": [{"metadata": {"name": NAMESPACE}}]}));
        assert!(said.contains("not created by the demo"), "{said}");
        let said = refusal(|seen, _| seen.namespaces = json!({"items": [{"metadata": {"name": INSTALLATION}}]}));
        assert!(said.contains("namespace backup exists"), "{said}");
        let ours = |name: &str| json!({"metadata": {"name": name, "labels": {MADE_BY_DEMO: "true"}}});
        let mut again = kind();
        again.deployments = installed(INSTALLATION);
        again.namespaces = json!({"items": [ours(INSTALLATION), ours(NAMESPACE)]});
        assert!(again.place(&Wishes::default()).is_ok());
    }
}
