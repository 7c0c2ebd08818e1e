//! The playbook that adds the snapshot API: a control plane is enough to see what it applies.

use backup_controller_tests::nodes::ansible::{folder, play, play_in};
use dev_cluster::{ControlPlane, Options};
use serde_json::json;

/// Where there is nothing: CRDs, controller and class. Where there is something: that is left.
#[test]
fn the_snapshot_controller_is_added_only_where_there_is_none() {
    let plane = ControlPlane::start_with(&Options { snapshot_crds: false, ..Options::default() }).unwrap();
    let kubectl = plane.kubectl_tool();
    let driver = "{apiVersion: storage.k8s.io/v1, kind: CSIDriver, metadata: {name: some.driver}}";
    kubectl.run_with_input(&["apply", "-f", "-"], driver).unwrap();
    let playbook = "install-snapshot-controller.yaml";
    // There are no nodes, so that it never becomes ready.
    let vars = json!({"DRIVER": "some.driver", "NODE_SELECTOR": "geo2-master-0", "WAIT": false});
    let names = || {
        let kinds = "deployments,clusterroles,crds";
        let all = kubectl.run(&["get", kinds, "-A", "-o", "name"]).unwrap();
        all.lines().filter(|l| l.contains("snapshot") && !l.contains("system:")).collect::<Vec<_>>().join("\n")
    };

    play(kubectl, playbook, &vars, &["--check"]).unwrap();
    assert_eq!(names(), "", "check mode makes nothing");
    play(kubectl, playbook, &vars, &[]).unwrap();
    assert_eq!(names().lines().count(), 5, "{}", names());
    let node = "jsonpath={.spec.template.spec.nodeSelector}";
    let node = kubectl.run(&["-n", "kube-system", "get", "deployment/snapshot-controller", "-o", node]).unwrap();
    assert_eq!(node, r#"{"kubernetes.io/hostname":"geo2-master-0"}"#);
    assert_eq!(
        kubectl.run(&["get", "volumesnapshotclass/some.driver", "-o", "jsonpath={.driver}"]).unwrap(),
        "some.driver"
    );
    let again = play(kubectl, playbook, &vars, &[]).unwrap();
    assert_eq!(again.changed, 0, "{}", again.output);
    let wrong = play_in(&folder(), kubectl, playbook, &json!({"DRIVER": "no.driver"}), &[]).unwrap();
    assert!(!wrong.ok && wrong.output.contains("has no CSI driver no.driver"), "{}", wrong.output);

    // Somebody else's, as OpenShift has it, with a class of another name.
    kubectl.run(&["-n", "kube-system", "delete", "deployment/snapshot-controller"]).unwrap();
    kubectl.run(&["delete", "volumesnapshotclass/some.driver", "clusterrole/snapshot-controller-runner"]).unwrap();
    kubectl.run(&["create", "deployment", "csi-snapshot-controller", "--image=registry.example/it@sha256:00"]).unwrap();
    let class = "{apiVersion: snapshot.storage.k8s.io/v1, kind: VolumeSnapshotClass, metadata: {name: theirs}, driver: \
                 some.driver, deletionPolicy: Retain}";
    kubectl.run_with_input(&["apply", "-f", "-"], class).unwrap();
    let left = play(kubectl, playbook, &vars, &[]).unwrap();
    assert_eq!(left.changed, 0, "{}", left.output);
    assert!(left.output.contains("csi-snapshot-controller"), "{}", left.output);
}
