//! The full cluster: volumes, snapshots and promoters on both nodes. Needs a running one:
//! `dev-cluster up && dev-cluster load-images && cargo test -p dev-cluster --test nodes -- --ignored`.
#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dev_cluster::{Cluster, Kubectl};

const NAMESPACE: &str = "dev-cluster-check";
const DONE: &str = "--for=jsonpath={.status.phase}=Succeeded";
const READY: &str = "--for=jsonpath={.status.readyToUse}=true";

/// An empty namespace. The tests share its name, and run one after the other.
fn namespace(kubectl: &Kubectl) -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s"]).unwrap();
    kubectl.run(&["create", "namespace", NAMESPACE]).unwrap();
    wait(kubectl, "--for=create", &["serviceaccount/default"]);
    one
}

fn dev_cluster() -> Cluster {
    let cluster = Cluster::existing().unwrap();
    assert!(cluster.is_dev(), "this test is for the dev cluster only");
    cluster
}

/// A claim of a raw device.
fn block(claim: &str) -> String {
    format!("{claim}  volumeMode: Block\n")
}

/// A pod that has the claim as a device, /dev/data.
fn device(pod: &str) -> String {
    pod.replace(
        "volumeMounts: [{name: data, mountPath: /data}]",
        "volumeDevices: [{name: data, devicePath: /dev/data}]",
    )
}

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

#[track_caller]
fn told_by_an_event(kubectl: &Kubectl, words: &str) {
    let events = std::iter::repeat_with(|| {
        std::thread::sleep(Duration::from_millis(300));
        kubectl.run(&["get", "events", "-n", NAMESPACE]).unwrap()
    });
    assert!(events.take(100).any(|events| events.contains(words)), "no event says {words:?}");
}

#[test]
#[ignore = "needs a running cluster"]
fn volumes_snapshots_and_promoters_on_both_nodes() {
    let cluster = dev_cluster();
    let kubectl = cluster.kubectl();
    let begun = Instant::now();
    let told = |what: &str| println!("{:>6.1} s  {what}", begun.elapsed().as_secs_f64());
    let _one = namespace(kubectl);

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
    wait(kubectl, READY, &["volumesnapshot/of-on-node", "volumesnapshot/of-anywhere"]);
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
    told_by_an_event(kubectl, "Multi-Attach error");
    kubectl.run(&["delete", "pod", "holder", "-n", NAMESPACE]).unwrap();
    wait(kubectl, DONE, &["pod/rival"]);
    told("one node at a time has a ReadWriteOnce volume");

    kubectl.run(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).unwrap();
    told("everything is deleted");
}

/// A `volumeMode: Block` volume is written, snapshotted, promoted, and read on the other node.
#[test]
#[ignore = "needs a running cluster"]
fn a_raw_device_has_the_bytes_of_its_snapshot() {
    let cluster = dev_cluster();
    let kubectl = cluster.kubectl();
    let _one = namespace(kubectl);
    let write = "test $(blockdev --getsize64 /dev/data) = 1073741824
        dd if=/dev/urandom of=/dev/data bs=1M count=8 seek=500 conv=fsync status=none; sha256sum </dev/data";
    create(
        kubectl,
        &[block(&claim("raw", "ext4", "ReadWriteOnce", None)), device(&pod("write", "node-1", "raw", write))],
    );
    wait(kubectl, DONE, &["pod/write"]);
    create(kubectl, &[snapshot("of-raw", "raw")]);
    wait(kubectl, READY, &["volumesnapshot/of-raw"]);

    let change = "dd if=/dev/zero of=/dev/data bs=1M count=1 seek=500 conv=fsync status=none; sha256sum </dev/data";
    let read = "sha256sum </dev/data; ! dd if=/dev/zero of=/dev/data bs=1M count=1 conv=fsync status=none";
    create(
        kubectl,
        &[
            device(&pod("change", "node-1", "raw", change)),
            block(&claim("raw-20181202", "ext4", "ReadOnlyMany", Some("of-raw"))),
            device(&pod("read-1", "node-1", "raw-20181202", read)),
            device(&pod("read-2", "node-2", "raw-20181202", read)),
        ],
    );
    wait(kubectl, DONE, &["pod/change", "pod/read-1", "pod/read-2"]);
    let digest = |pod: &str| kubectl.run(&["logs", "-n", NAMESPACE, pod]).unwrap();
    let digest = |pod: &str| digest(pod).lines().next().unwrap().to_owned();
    assert_eq!([digest("read-1"), digest("read-2")], [digest("write"), digest("write")]);
    assert_ne!(digest("change"), digest("write"));
    kubectl.run(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).unwrap();
}

/// A read-only device cannot replay its journal: without `noload` the promoter of a mounted ext4 is refused.
#[test]
#[ignore = "needs a running cluster"]
fn a_promoter_of_ext4_under_writes_is_refused_without_noload() {
    let cluster = dev_cluster();
    let kubectl = cluster.kubectl();
    let _one = namespace(kubectl);
    let write = "echo kept >/data/kept; sync -f /data; touch /data/ready
        while true; do echo more >>/data/more; sync -f /data; sleep 0.1; done";
    create(kubectl, &[claim("data", "ext4", "ReadWriteOnce", None), pod("write", "node-1", "data", write)]);
    wait(kubectl, "--for=condition=Ready", &["pod/write"]);
    kubectl
        .run(&["exec", "-n", NAMESPACE, "write", "--", "bash", "-c", "until test -e /data/ready; do sleep 0.1; done"])
        .unwrap();
    create(kubectl, &[snapshot("of-data", "data")]);
    wait(kubectl, READY, &["volumesnapshot/of-data"]);

    let read = "test $(cat /data/kept) = kept; ! touch /data/other; grep -q ' /data ext4 ro,.*norecovery' /proc/mounts";
    create(
        kubectl,
        &[
            claim("data-strict", "ext4", "ReadOnlyMany", Some("of-data")),
            claim("data-noload", "ext4-noload", "ReadOnlyMany", Some("of-data")),
            claim("data-writable", "ext4", "ReadWriteOnce", Some("of-data")),
            pod("strict", "node-2", "data-strict", "true"),
            pod("noload-1", "node-1", "data-noload", read),
            pod("noload-2", "node-2", "data-noload", read),
            pod("writable", "node-2", "data-writable", "test $(cat /data/kept) = kept; touch /data/other"),
        ],
    );
    wait(kubectl, DONE, &["pod/noload-1", "pod/noload-2", "pod/writable"]);
    told_by_an_event(kubectl, "cannot mount /dev/loop");
    let strict = kubectl.run(&["get", "-n", NAMESPACE, "pod/strict", "-o", "jsonpath={.status.phase}"]).unwrap();
    assert_eq!(strict, "Pending", "what cannot be mounted must not start");
    kubectl.run(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).unwrap();
}

/// Where the host finds the S3 server, the pods of both nodes find it, without TLS and with it.
#[test]
#[ignore = "needs a running cluster"]
fn the_s3_server_answers_the_pods_of_both_nodes() {
    let cluster = dev_cluster();
    let kubectl = cluster.kubectl();
    let s3 = cluster.s3().unwrap();
    let _one = namespace(kubectl);
    let ask = |endpoint: &str| {
        let address = endpoint.split_once("//").unwrap().1.replace(':', "/");
        format!("exec 3<>/dev/tcp/{address}\n")
    };
    let plain = format!(
        "{}printf 'GET / HTTP/1.0\r\n\r\n' >&3; head -n 1 <&3 | grep -q ' 403 '\n{}",
        ask(&s3.endpoint),
        ask(&s3.tls_endpoint)
    );
    create(
        kubectl,
        &[
            claim("any", "shared", "ReadWriteMany", None),
            pod("ask-1", "node-1", "any", &plain),
            pod("ask-2", "node-2", "any", &plain),
        ],
    );
    wait(kubectl, DONE, &["pod/ask-1", "pod/ask-2"]);
    kubectl.run(&["delete", "namespace", NAMESPACE, "--timeout=60s"]).unwrap();
}
