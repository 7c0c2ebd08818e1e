//! The full cluster: volumes, snapshots and promoters on both nodes. Needs a running one
//! with its images.

use std::time::{Duration, Instant};

use dev_cluster::{Cluster, Kubectl};

const DONE: &str = "--for=jsonpath={.status.phase}=Succeeded";
const READY: &str = "--for=jsonpath={.status.readyToUse}=true";

/// A namespace of one test's. Its end removes it, unless the test failed.
struct Stage {
    cluster: Cluster,
    namespace: String,
}

impl Stage {
    /// An empty namespace, `dev-cluster-<name>`.
    fn new(name: &str) -> Self {
        let cluster = Cluster::existing().unwrap();
        assert!(cluster.is_dev(), "this test is for the dev cluster only");
        let stage = Self { cluster, namespace: format!("dev-cluster-{name}") };
        stage.remove();
        stage.kubectl().run(&["create", "namespace", &stage.namespace]).unwrap();
        stage.wait("--for=create", &["serviceaccount/default"]);
        stage
    }

    fn kubectl(&self) -> &Kubectl {
        self.cluster.kubectl()
    }

    fn remove(&self) {
        let delete = ["delete", "namespace", &self.namespace, "--ignore-not-found", "--timeout=60s"];
        self.kubectl().run(&delete).unwrap();
    }

    /// Runs kubectl in the namespace.
    fn run(&self, args: &[&str]) -> String {
        self.kubectl().run(&[&["-n", self.namespace.as_str()], args].concat()).unwrap()
    }

    fn claim(&self, name: &str, class: &str, mode: &str, snapshot: Option<&str>) -> String {
        let source = snapshot.map_or(String::new(), |name| {
            format!("dataSource: {{apiGroup: snapshot.storage.k8s.io, kind: VolumeSnapshot, name: {name}}}")
        });
        let namespace = &self.namespace;
        format!(
            "---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  storageClassName: {class}
  accessModes: [{mode}]
  resources: {{requests: {{storage: 1Gi}}}}
  {source}
"
        )
    }

    fn pod(&self, name: &str, node: &str, claim: &str, script: &str) -> String {
        let namespace = &self.namespace;
        format!(
            "---
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {namespace}}}
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

    fn snapshot(&self, name: &str, claim: &str) -> String {
        let namespace = &self.namespace;
        format!(
            "---
apiVersion: snapshot.storage.k8s.io/v1
kind: VolumeSnapshot
metadata: {{name: {name}, namespace: {namespace}}}
spec: {{volumeSnapshotClassName: snapshots, source: {{persistentVolumeClaimName: {claim}}}}}
"
        )
    }

    fn create(&self, objects: &[String]) {
        self.kubectl().run_with_input(&["create", "-f", "-"], &objects.concat()).unwrap();
    }

    fn wait(&self, condition: &str, objects: &[&str]) {
        let args = [&["wait", condition, "--timeout=60s", "-n", &self.namespace], objects].concat();
        self.kubectl().run(&args).unwrap_or_else(|error| {
            let state = ["get", "pods,pvc,volumesnapshots,events", "-n", &self.namespace];
            unreachable!("{error:#}\n{}", self.kubectl().run(&state).unwrap_or_default())
        });
    }

    #[track_caller]
    fn told_by_an_event(&self, words: &str) {
        let events = std::iter::repeat_with(|| {
            std::thread::sleep(Duration::from_millis(300));
            self.run(&["get", "events"])
        });
        assert!(events.take(100).any(|events| events.contains(words)), "no event says {words:?}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.remove();
        }
    }
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

#[test]
#[ignore = "needs a running cluster"]
fn volumes_snapshots_and_promoters_on_both_nodes() {
    let stage = Stage::new("both-nodes");
    let begun = Instant::now();
    let told = |what: &str| println!("{:>6.1} s  {what}", begun.elapsed().as_secs_f64());

    let write = "echo old >/data/file; setfattr -n user.note -v kept /data/file; setfacl -m u:4242:r /data/file; sync; \
                 exec 3<>/dev/tcp/10.96.0.1/443";
    stage.create(&[
        stage.claim("on-node", "local", "ReadWriteOnce", None),
        stage.claim("anywhere", "shared", "ReadWriteMany", None),
        stage.pod("write-1", "node-1", "on-node", write),
        stage.pod("write-2", "node-2", "anywhere", write),
    ]);
    stage.wait(DONE, &["pod/write-1", "pod/write-2"]);
    told("written on both nodes, and the API answers at its service address");

    stage.create(&[stage.snapshot("of-on-node", "on-node"), stage.snapshot("of-anywhere", "anywhere")]);
    stage.wait(READY, &["volumesnapshot/of-on-node", "volumesnapshot/of-anywhere"]);
    told("snapshots are ready");

    stage.create(&[
        stage.pod("change-1", "node-1", "on-node", "echo new >/data/file"),
        stage.pod("change-2", "node-1", "anywhere", "echo new >/data/file"),
        stage.claim("on-node-20181202", "local", "ReadOnlyMany", Some("of-on-node")),
        stage.claim("anywhere-20181202", "shared", "ReadOnlyMany", Some("of-anywhere")),
    ]);
    stage.wait(DONE, &["pod/change-1", "pod/change-2"]);
    stage.wait("--for=jsonpath={.status.phase}=Bound", &["pvc/anywhere-20181202"]);

    let read = "test $(cat /data/file) = old; getfattr -n user.note /data/file; getfacl -n /data/file | grep user:4242:r--; \
                ! touch /data/file; ! touch /data/other";
    stage.create(&[
        stage.pod("read-1", "node-1", "on-node-20181202", read),
        stage.pod("read-2", "node-1", "anywhere-20181202", read),
        stage.pod("read-3", "node-2", "anywhere-20181202", read),
    ]);
    stage.wait(DONE, &["pod/read-1", "pod/read-2", "pod/read-3"]);
    told("promoters were read, and refused writes, on both nodes");

    // A ReadWriteOnce volume that one node holds is not given to another.
    stage.create(&[
        stage.claim("single", "shared", "ReadWriteOnce", None),
        stage.pod("holder", "node-1", "single", "sleep infinity"),
    ]);
    stage.wait("--for=condition=Ready", &["pod/holder"]);
    stage.create(&[stage.pod("rival", "node-2", "single", "true")]);
    stage.wait("--for=create", &["pod/rival"]);
    stage.told_by_an_event("Multi-Attach error");
    stage.run(&["delete", "pod", "holder"]);
    stage.wait(DONE, &["pod/rival"]);
    told("one node at a time has a ReadWriteOnce volume");
}

/// A `volumeMode: Block` volume is written, snapshotted, promoted, and read on the other node.
#[test]
#[ignore = "needs a running cluster"]
fn a_raw_device_has_the_bytes_of_its_snapshot() {
    let stage = Stage::new("device");
    let write = "test $(blockdev --getsize64 /dev/data) = 1073741824
        dd if=/dev/urandom of=/dev/data bs=1M count=8 seek=500 conv=fsync status=none; sha256sum </dev/data";
    stage.create(&[
        block(&stage.claim("raw", "ext4", "ReadWriteOnce", None)),
        device(&stage.pod("write", "node-1", "raw", write)),
    ]);
    stage.wait(DONE, &["pod/write"]);
    stage.create(&[stage.snapshot("of-raw", "raw")]);
    stage.wait(READY, &["volumesnapshot/of-raw"]);

    let change = "dd if=/dev/zero of=/dev/data bs=1M count=1 seek=500 conv=fsync status=none; sha256sum </dev/data";
    let read = "sha256sum </dev/data; ! dd if=/dev/zero of=/dev/data bs=1M count=1 conv=fsync status=none";
    stage.create(&[
        device(&stage.pod("change", "node-1", "raw", change)),
        block(&stage.claim("raw-20181202", "ext4", "ReadOnlyMany", Some("of-raw"))),
        device(&stage.pod("read-1", "node-1", "raw-20181202", read)),
        device(&stage.pod("read-2", "node-2", "raw-20181202", read)),
    ]);
    stage.wait(DONE, &["pod/change", "pod/read-1", "pod/read-2"]);
    let digest = |pod: &str| stage.run(&["logs", pod]).lines().next().unwrap().to_owned();
    assert_eq!([digest("read-1"), digest("read-2")], [digest("write"), digest("write")]);
    assert_ne!(digest("change"), digest("write"));
}

/// A read-only device cannot replay its journal: without `noload` the promoter of a mounted ext4 is refused.
#[test]
#[ignore = "needs a running cluster"]
fn a_promoter_of_ext4_under_writes_is_refused_without_noload() {
    let stage = Stage::new("journal");
    let write = "echo kept >/data/kept; sync -f /data; touch /data/ready
        while true; do echo more >>/data/more; sync -f /data; sleep 0.1; done";
    stage.create(&[stage.claim("data", "ext4", "ReadWriteOnce", None), stage.pod("write", "node-1", "data", write)]);
    stage.wait("--for=condition=Ready", &["pod/write"]);
    stage.run(&["exec", "write", "--", "bash", "-c", "until test -e /data/ready; do sleep 0.1; done"]);
    stage.create(&[stage.snapshot("of-data", "data")]);
    stage.wait(READY, &["volumesnapshot/of-data"]);

    let read = "test $(cat /data/kept) = kept; ! touch /data/other; grep -q ' /data ext4 ro,.*norecovery' /proc/mounts";
    stage.create(&[
        stage.claim("data-strict", "ext4", "ReadOnlyMany", Some("of-data")),
        stage.claim("data-noload", "ext4-noload", "ReadOnlyMany", Some("of-data")),
        stage.claim("data-writable", "ext4", "ReadWriteOnce", Some("of-data")),
        stage.pod("strict", "node-2", "data-strict", "true"),
        stage.pod("noload-1", "node-1", "data-noload", read),
        stage.pod("noload-2", "node-2", "data-noload", read),
        stage.pod("writable", "node-2", "data-writable", "test $(cat /data/kept) = kept; touch /data/other"),
    ]);
    stage.wait(DONE, &["pod/noload-1", "pod/noload-2", "pod/writable"]);
    stage.told_by_an_event("cannot mount /dev/loop");
    let strict = stage.run(&["get", "pod/strict", "-o", "jsonpath={.status.phase}"]);
    assert_eq!(strict, "Pending", "what cannot be mounted must not start");
}

/// Where the host finds the S3 server, the pods of both nodes find it, without TLS and with it.
#[test]
#[ignore = "needs a running cluster"]
fn the_s3_server_answers_the_pods_of_both_nodes() {
    let stage = Stage::new("s3");
    let s3 = stage.cluster.s3().unwrap();
    let ask = |endpoint: &str| {
        let address = endpoint.split_once("//").unwrap().1.replace(':', "/");
        format!("exec 3<>/dev/tcp/{address}\n")
    };
    let plain = format!(
        "{}printf 'GET / HTTP/1.0\r\n\r\n' >&3; head -n 1 <&3 | grep -q ' 403 '\n{}",
        ask(&s3.endpoint),
        ask(&s3.tls_endpoint)
    );
    stage.create(&[
        stage.claim("any", "shared", "ReadWriteMany", None),
        stage.pod("ask-1", "node-1", "any", &plain),
        stage.pod("ask-2", "node-2", "any", &plain),
    ]);
    stage.wait(DONE, &["pod/ask-1", "pod/ask-2"]);
}
