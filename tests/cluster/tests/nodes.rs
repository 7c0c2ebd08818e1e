//! The full cluster: volumes, snapshots and promoters on both nodes. Needs a running one:
//! `dev-cluster up && dev-cluster load-images && cargo test -p dev-cluster --test nodes -- --ignored`.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use dev_cluster::{Cluster, Kubectl};

const NAMESPACE: &str = "dev-cluster-check";

fn claim(name: &str, class: &str, mode: &str, snapshot: Option<&str>) -> String {
    let source = snapshot.map_or(String::new(), |name| {
        format!("dataSource: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: {name}}}")
    });
    format!(
        "---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  storageClassName: {class}
  accessModes: [{mode}]
  resources: {{requests: {{storage: 1Gi}}}}
  {source}
"
    )
}

fn pod(name: &str, node: &str, claim: &str, script: &str) -> String {
    format!(
        "---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  nodeSelector: {{kubernetes.io/hostname: {node}}}
  containers:
  - name: main
    image: localhost/dev-tools:dev
    command: [bash, -ec, {script:?}]
    volumeMounts: [{{name: data, mountPath: /data}}]
  volumes:
  - name: data
    persistentVolumeClaim: {{claimName: {claim}}}
"
    )
}

fn snapshot(name: &str, claim: &str) -> String {
    format!(
        "---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec: {{volumeSnapshotClassName: snapshots, source: {{persistentVolumeClaimName: {claim}}}}}
"
    )
}

fn create(kubectl: &Kubectl, objects: &[String]) {
    kubectl.run_with_input(&["create", "-f", "-"], &objects.concat()).unwrap();
}

fn wait(kubectl: &Kubectl, condition: &str, objects: &[&str]) {
    let args = [&["wait", condition, "--timeout=60s", "-n", NAMESPACE], objects].concat();
    kubectl.run(&args).unwrap_or_else(|error| {
        let state = kubectl.run(&["get", "pods,pvc,volumesnapshots,events", "-n", NAMESPACE]).unwrap_or_default();
        unreachable!("{error:#}\n{state}")
    });
}

#[test]
#[ignore = "needs a running cluster"]
fn volumes_snapshots_and_promoters_on_both_nodes() {
    const DONE: &str = "--for=jsonpath={.status.phase}=Succeeded";
    let cluster = Cluster::existing().unwrap();
    assert!(cluster.is_dev(), "this test is for the dev cluster only");
    let kubectl = cluster.kubectl();
    let begun = Instant::now();
    let told = |what: &str| println!("{:>6.1} s  {what}", begun.elapsed().as_secs_f64());
    let _ = kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found"]);
    kubectl.run(&["create", "namespace", NAMESPACE]).unwrap();
    wait(kubectl, "--for=create", &["serviceaccount/default"]);

    let write = "echo old >/data/file; setfattr -n user.note -v kept /data/file; setfacl -m u:4242:r /data/file; sync; \
                 exec 3<>/dev/tcp/10.96.0.1/443";
    create(
        kubectl,
        &[
            claim("on-node", "local", "ReadWriteOnce", None),
            claim("anywhere", "shared", "ReadWriteMany", None),
            pod("write-1", "node-1", "on-node", write),
            pod("write-2", "node-2", "anywhere", write),
        ],
    );
    wait(kubectl, DONE, &["pod/write-1", "pod/write-2"]);
    told("written on both nodes, and the API answers at its service address");

    create(kubectl, &[snapshot("of-on-node", "on-node"), snapshot("of-anywhere", "anywhere")]);
    wait(
        kubectl,
        "--for=jsonpath={.status.readyToUse}=true",
        &["volumesnapshot/of-on-node", "volumesnapshot/of-anywhere"],
    );
    told("snapshots are ready");

    create(
        kubectl,
        &[
            pod("change-1", "node-1", "on-node", "echo new >/data/file"),
            pod("change-2", "node-1", "anywhere", "echo new >/data/file"),
            claim("on-node-20181202", "local", "ReadOnlyMany", Some("of-on-node")),
            claim("anywhere-20181202", "shared", "ReadOnlyMany", Some("of-anywhere")),
        ],
    );
    wait(kubectl, DONE, &["pod/change-1", "pod/change-2"]);
    wait(kubectl, "--for=jsonpath={.status.phase}=Bound", &["pvc/anywhere-20181202"]);

    let read = "test $(cat /data/file) = old; getfattr -n user.note /data/file; getfacl -n /data/file | grep user:4242:r--; \
                ! touch /data/file; ! touch /data/other";
    create(
        kubectl,
        &[
            pod("read-1", "node-1", "on-node-20181202", read),
            pod("read-2", "node-1", "anywhere-20181202", read),
            pod("read-3", "node-2", "anywhere-20181202", read),
        ],
    );
    wait(kubectl, DONE, &["pod/read-1", "pod/read-2", "pod/read-3"]);
    told("promoters were read, and refused writes, on both nodes");

    // A ReadWriteOnce volume that one node holds is not given to another.
    create(
        kubectl,
        &[claim("single", "shared", "ReadWriteOnce", None), pod("holder", "node-1", "single", "sleep infinity")],
    );
    wait(kubectl, "--for=condition=Ready", &["pod/holder"]);
    create(kubectl, &[pod("rival", "node-2", "single", "true")]);
    wait(kubectl, "--for=create", &["pod/rival"]);
    let refused = std::iter::repeat_with(|| {
        std::thread::sleep(std::time::Duration::from_millis(300));
        kubectl.run(&["get", "events", "-n", NAMESPACE]).unwrap()
    });
    assert!(refused.take(60).any(|events| events.contains("Multi-Attach error")));
    kubectl.run(&["delete", "pod", "holder", "-n", NAMESPACE]).unwrap();
    wait(kubectl, DONE, &["pod/rival"]);
    told("one node at a time has a ReadWriteOnce volume");

    kubectl.run(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).unwrap();
    told("everything is deleted");
}
