//! The stage for a job: a real API server, on which the test plays the storage.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use backup_controller_tests::{binaries, ledger};
use dev_cluster::{AuditedRequest, ControlPlane, Options};
use model::Timestamp;
use model::ledger::{Ledger, SCHEMA, Whose};
use model::names;
use model::record::{RunRecord, Settings, SnapshotResult, Status, Taken, Volume};
use serde_json::{Value, json};

/// Where Jobs live.
pub const OURS: &str = "backup";
const LIMIT: Duration = Duration::from_mins(1);

/// One control plane for all tests: each has a namespace, an installation and a service account of its own.
pub fn plane() -> &'static ControlPlane {
    static PLANE: OnceLock<&ControlPlane> = OnceLock::new();
    PLANE.get_or_init(|| new_plane(true))
}

/// A control plane on which jobs have the rights that an installation gives them. It ends with the process.
pub fn new_plane(snapshot_crds: bool) -> &'static ControlPlane {
    let plane = ControlPlane::start_with(&Options {
        snapshot_crds,
        audit: true,
        disabled_controllers: vec!["persistentvolume-binder-controller".into()],
        ..Options::default()
    });
    let plane = Box::leak(Box::new(plane.unwrap()));
    let roles = binaries::project().join("templates/install/job-role.yaml");
    plane.kubectl(&["create", "namespace", OURS]).unwrap();
    plane.apply(&std::fs::read_to_string(roles).unwrap()).unwrap();
    plane
}

/// The program under test.
pub fn program() -> PathBuf {
    binaries::path("backup-job").unwrap()
}

/// Waits until `look` finds something; shows what it saw last if it does not.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if begun.elapsed() > LIMIT => panic!("not within {LIMIT:?}: {what}; seen: {seen}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// How the storage that the test plays behaves.
#[derive(Clone)]
pub struct Storage {
    /// Snapshots become ready.
    pub ready: bool,
    /// The restore size that the driver tells.
    pub restore_size: Option<&'static str>,
    /// An error in the status of snapshots that are not ready; with `ready` it passes.
    pub error: Option<&'static str>,
    /// A snapshot that never becomes ready.
    pub never: Option<&'static str>,
    /// Volumes go when their claims are gone.
    pub deletes_volumes: bool,
}

impl Default for Storage {
    fn default() -> Self {
        Self { ready: true, restore_size: Some("1Gi"), error: None, never: None, deletes_volumes: true }
    }
}

/// How the ledger of a source is that the job finds: no controller runs here, so the test plays it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Book {
    /// As the controller writes it.
    Whole,
    /// There is none.
    Missing,
    /// Somebody edited it by hand.
    Edited,
    /// It was lost, and the destination has not told yet what it has.
    Rebuilt,
}

/// One source in a namespace of its own.
pub struct Stage {
    pub namespace: String,
    pub uid: String,
    pub storage: Storage,
    /// The destinations of its runs.
    pub destinations: Vec<String>,
    pub book: Book,
    /// When the controller saw that it is gone.
    pub gone: Cell<Option<Timestamp>>,
    /// What the controller knows of its earlier runs.
    records: RefCell<Vec<RunRecord>>,
    /// The ledger that stands there.
    told: RefCell<String>,
    /// The promoters whose volumes are there.
    volumes: RefCell<Vec<String>>,
    /// The snapshots that went before the volumes of their promoters.
    pub early: RefCell<Vec<String>>,
    plane: &'static ControlPlane,
    kubeconfig: PathBuf,
    options: BTreeMap<String, String>,
}

/// A restore point from before, for [`Stage::has`].
#[derive(Clone)]
pub struct Before {
    pub run: &'static str,
    pub ready: bool,
    /// The state of its copy to `disk`, if it has that destination.
    pub copy: Option<&'static str>,
    /// The reclaim policy of its promoter's volume, if it has a promoter.
    pub promoter: Option<&'static str>,
    pub read_only: bool,
    pub labels: BTreeMap<&'static str, String>,
}

pub fn before(run: &'static str) -> Before {
    Before { run, ready: true, copy: None, promoter: None, read_only: false, labels: BTreeMap::new() }
}

impl Before {
    pub fn name(&self) -> String {
        format!("data-{}", self.run.to_ascii_lowercase())
    }
}

impl Stage {
    /// A namespace with the bound PVC `data` of 1Gi, and a service account for the job.
    pub fn new(namespace: &str) -> Self {
        Self::on(plane(), namespace)
    }

    /// The same on a control plane of its own.
    pub fn on(plane: &'static ControlPlane, namespace: &str) -> Self {
        plane.kubectl(&["create", "namespace", namespace]).unwrap();
        let rights = [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": namespace, "namespace": OURS}}),
            binding("ClusterRoleBinding", "ClusterRole", namespace),
            binding("RoleBinding", "Role", namespace),
        ];
        plane.apply(&documents(&rights)).unwrap();
        let mut stage = Self {
            namespace: namespace.into(),
            uid: String::new(),
            storage: Storage::default(),
            destinations: Vec::new(),
            book: Book::Whole,
            gone: Cell::default(),
            records: RefCell::default(),
            told: RefCell::default(),
            volumes: RefCell::default(),
            early: RefCell::default(),
            plane,
            kubeconfig: plane.service_account_kubeconfig(OURS, namespace).unwrap(),
            options: BTreeMap::new(),
        };
        stage.make_source();
        for (name, value) in [
            ("instance", format!("of-{namespace}").as_str()),
            ("namespace", namespace),
            ("pvc", "data"),
            ("uid", &stage.uid.clone()),
            ("retention", "2days"),
            ("time-zone", "Etc/UTC"),
            ("snapshot-class", "snap"),
            ("storage-class", "clone"),
            ("promoter-retention", "auto"),
            ("min-interval", "1h"),
            ("min-keep", "1"),
            ("max-unconfirmed", "3"),
            ("max-deletes", "3"),
            ("max-holds", "10"),
            ("snapshot-deadline", "30s"),
        ] {
            stage.set(name, value);
        }
        stage
    }

    /// Makes the PVC `data`; again, after it was deleted, it is another source.
    pub fn make_source(&mut self) {
        self.make("data", "Filesystem");
    }

    /// Makes the PVC `raw`, a raw block volume, which is the source from now on.
    pub fn make_device(&mut self) {
        self.make("raw", "Block");
        self.set("pvc", "raw");
        self.set("uid", &self.uid.clone());
    }

    fn make(&mut self, name: &str, mode: &str) {
        let claim = json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "volumeMode": mode,
                     "volumeName": format!("{}-{name}", self.namespace), "resources": {"requests": {"storage": "1Gi"}}},
        });
        self.plane.apply(&claim.to_string()).unwrap();
        self.status(&format!("pvc/{name}"), &json!({"phase": "Bound", "capacity": {"storage": "1Gi"}}));
        let claim = self.json(&["get", "pvc", name]);
        claim["metadata"]["uid"].as_str().unwrap().clone_into(&mut self.uid);
        // It is another source, of which nothing is known.
        self.records.borrow_mut().clear();
    }

    /// Sets an option of the command line.
    pub fn set(&mut self, option: &str, value: &str) {
        self.options.insert(option.into(), value.into());
    }

    pub fn kubectl(&self, args: &[&str]) -> String {
        self.try_kubectl(args).unwrap()
    }

    pub fn try_kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        self.plane.kubectl(&[&["-n", &self.namespace], args].concat())
    }

    pub fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.kubectl(&[args, &["-o", "json"]].concat())).unwrap()
    }

    pub fn status(&self, object: &str, status: &Value) {
        let patch = json!({"status": status}).to_string();
        self.kubectl(&["patch", object, "--subresource=status", "--type=merge", "-p", &patch]);
    }

    /// The names of the snapshots (`vs`) or PVCs (`pvc`) that are there.
    pub fn names(&self, kind: &str) -> Vec<String> {
        let kind = if kind == "vs" { "volumesnapshots" } else { kind };
        let text = self.kubectl(&["get", kind, "-o", "name"]);
        text.lines().filter_map(|line| line.split_once('/')).map(|(_, name)| name.to_owned()).collect()
    }

    /// The names of the snapshots, and those of the promoters.
    pub fn points(&self) -> (Vec<String>, Vec<String>) {
        let promoters = self.names("pvc").into_iter().filter(|name| name != "data").collect();
        (self.names("vs"), promoters)
    }

    pub fn labels(&self, component: &str, run: &str) -> Value {
        json!({
            names::MANAGED_BY: names::MANAGER,
            names::INSTANCE: self.options["instance"],
            names::COMPONENT: component,
            names::SOURCE_PVC: "data",
            names::SOURCE_UID: self.uid,
            names::RUN: run,
            names::NOT_FOR_VELERO: "true",
        })
    }

    /// Makes restore points as earlier runs would have left them.
    pub fn has(&self, points: &[Before]) {
        let mut objects = Vec::new();
        for point in points {
            let name = point.name();
            let mut labels = self.labels("snapshot", point.run);
            for (key, value) in &point.labels {
                labels[*key] = value.clone().into();
            }
            objects.push(json!({
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                "metadata": {"name": name, "namespace": self.namespace, "labels": labels},
                "spec": {"volumeSnapshotClassName": "snap", "source": {"persistentVolumeClaimName": "data"}},
            }));
            if let Some(policy) = point.promoter {
                self.volumes.borrow_mut().push(name.clone());
                objects.extend(self.promoter(point, &name, policy));
            }
        }
        self.plane.apply(&documents(&objects)).unwrap();
        for point in points.iter().filter(|p| p.ready) {
            self.status(
                &format!("volumesnapshot/{}", point.name()),
                &json!({"readyToUse": true, "restoreSize": "1Gi"}),
            );
        }
        for point in points.iter().filter(|p| p.promoter.is_some()) {
            self.status(&format!("pvc/{}", point.name()), &json!({"phase": "Bound", "capacity": {"storage": "1Gi"}}));
        }
        let made = items(&self.json(&["get", "volumesnapshots"]));
        for point in points {
            let snapshot = made.iter().find(|s| s["metadata"]["name"] == point.name()).unwrap();
            let uid = snapshot["metadata"]["uid"].as_str().unwrap().to_owned();
            let mut record =
                RunRecord::new(point.run.parse().unwrap(), Taken::Snapshot { name: point.name(), uid }, None);
            record.retention = Some(self.options["retention"].clone());
            if let Some(state) = point.copy {
                record.destinations.push("disk".to_owned());
                if state != "none" {
                    let result = json!({"state": state, "finished": "2026-01-01T00:00:00Z"});
                    record.results.insert("disk".to_owned(), serde_json::from_value(result).unwrap());
                }
            }
            self.records.borrow_mut().push(record);
        }
        self.records.borrow_mut().sort_by(|a, b| a.run.cmp(&b.run));
        self.keep_book();
    }

    /// Writes the source's ledger as it is now, if it is not there already.
    fn keep_book(&self) {
        let rebuilding = if self.book == Book::Rebuilt { vec!["disk".to_owned()] } else { Vec::new() };
        let known = Ledger {
            schema: SCHEMA,
            source: Whose {
                namespace: self.namespace.clone(),
                namespace_uid: String::new(),
                name: self.options["pvc"].clone(),
                uid: self.uid.clone(),
            },
            volume: Volume::default(),
            gone: self.gone.get(),
            settings: Some(Settings {
                retention: self.options["retention"].clone(),
                time_zone: self.options["time-zone"].clone(),
                choice: None,
                destinations: self.destinations.clone(),
            }),
            rebuilding: rebuilding.into_iter().collect(),
            removals: BTreeMap::new(),
            announced: BTreeMap::new(),
            runs: self.records.borrow().clone(),
            status: Status::default(),
        };
        let mut object = ledger::object(&self.options["instance"], OURS, &known);
        if self.book == Book::Edited {
            let text = object["data"]["ledger.json"].as_str().unwrap().replace("\"runs\"", "\"ran\"");
            object["data"]["ledger.json"] = text.into();
        }
        let text = if self.book == Book::Missing { String::new() } else { object.to_string() };
        if *self.told.borrow() == text {
            return;
        }
        if self.book == Book::Missing {
            let name = names::ledger(&self.uid);
            self.plane.kubectl(&["delete", "configmap", "-n", OURS, "--ignore-not-found", &name]).unwrap();
        } else {
            self.plane.apply(&text).unwrap();
        }
        *self.told.borrow_mut() = text;
    }

    fn promoter(&self, point: &Before, name: &str, policy: &str) -> [Value; 2] {
        let volume = format!("{}-{name}", self.namespace);
        let modes = json!([if point.read_only { "ReadOnlyMany" } else { "ReadWriteOnce" }]);
        let size = json!({"storage": "1Gi"});
        [
            json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                "metadata": {"name": name, "namespace": self.namespace, "labels": self.labels("promoter", point.run)},
                "spec": {"accessModes": modes, "storageClassName": "clone", "volumeName": volume,
                         "resources": {"requests": size},
                         "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": name}},
            }),
            json!({
                "apiVersion": "v1", "kind": "PersistentVolume",
                "metadata": {"name": volume},
                "spec": {"accessModes": modes, "capacity": size, "persistentVolumeReclaimPolicy": policy,
                         "storageClassName": "clone", "csi": {"driver": "test", "volumeHandle": volume},
                         "claimRef": {"namespace": self.namespace, "name": name}},
            }),
        ]
    }

    /// A pod that mounts a claim.
    pub fn pod(&self, name: &str, claim: &str) {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"containers": [{"name": "c", "image": "none"}],
                     "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": claim}}]},
        });
        eventually("the namespace has its service account", || {
            self.plane.apply(&pod.to_string()).map_err(|e| e.to_string())
        });
    }

    /// The Job that a run belongs to; `minute` is what its CronJob scheduled.
    pub fn job(&self, name: &str, minute: &str) -> String {
        let name = format!("{}-{name}", self.namespace);
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": OURS, "annotations": {names::SCHEDULED_TIMESTAMP: minute}},
            "spec": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": "none"}]}}},
        });
        self.plane.apply(&job.to_string()).unwrap();
        name
    }

    /// Starts the program as the pod of a Job would.
    pub fn start(&self, step: &str, job: &str, more: &[&str]) -> Running {
        const SWEEP: [&str; 8] = [
            "instance",
            "time-zone",
            "promoter-retention",
            "min-keep",
            "max-unconfirmed",
            "max-deletes",
            "max-holds",
            "snapshot-deadline",
        ];
        self.keep_book();
        let log = self.kubeconfig.with_extension(format!("{job}.log"));
        let options = self.options.iter().filter(|(name, _)| step != "sweep" || SWEEP.contains(&name.as_str()));
        let child = Command::new(program())
            .arg(step)
            .args(options.map(|(name, value)| format!("--{name}={value}")))
            .args(more)
            .arg(format!("--termination-log={}", log.display()))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("JOB_NAME", job)
            .env("JOB_NAMESPACE", OURS)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running { child, log }
    }

    /// Runs a Job's pod to its end, with the storage at work.
    pub fn run(&self, job: &str) -> Ended {
        self.finish(self.start("snapshot", job, &[]))
    }

    /// A new run at a minute, to its end.
    pub fn run_at(&self, minute: &str) -> Ended {
        self.run(&self.job(&minute.replace([':', '-'], "").to_lowercase(), minute))
    }

    /// Plays the storage until the program ends.
    pub fn finish(&self, mut running: Running) -> Ended {
        let begun = Instant::now();
        while running.child.try_wait().unwrap().is_none() {
            if begun.elapsed() > LIMIT {
                running.child.kill().unwrap();
                let ended = running.ended();
                panic!("the job did not end within {LIMIT:?}:\n{}", ended.output);
            }
            self.play();
            std::thread::sleep(Duration::from_millis(50));
        }
        self.play();
        running.ended()
    }

    fn play(&self) {
        let objects = items(&self.json(&["get", "volumesnapshots,pvc"]));
        let name = |object: &Value| object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        for snapshot in objects.iter().filter(|o| o["kind"] == "VolumeSnapshot") {
            let (name, status) = (name(snapshot), &snapshot["status"]);
            let never = self.storage.never == Some(&name) && !status.is_null();
            if status["readyToUse"] == true || never {
                continue;
            }
            let name = format!("volumesnapshot/{name}");
            if let Some(error) = self.storage.error.filter(|_| status["error"].is_null()) {
                self.status(&name, &json!({"readyToUse": false, "error": {"message": error}}));
            } else if self.storage.ready {
                self.status(
                    &name,
                    &json!({"readyToUse": true, "restoreSize": self.storage.restore_size, "error": null}),
                );
            }
        }
        let claims: Vec<String> = objects.iter().filter(|o| o["kind"] == "PersistentVolumeClaim").map(name).collect();
        let mut volumes = self.volumes.borrow_mut();
        for name in volumes.extract_if(.., |name| self.storage.deletes_volumes && !claims.contains(name)) {
            // A driver takes its time; until then the snapshot must stay (F15).
            std::thread::sleep(Duration::from_secs(1));
            if !self.names("vs").contains(&name) {
                self.early.borrow_mut().push(name.clone());
            }
            self.kubectl(&["delete", "pv", &format!("{}-{name}", self.namespace)]);
        }
    }

    /// What this test's job asked the API server, as `verb resource`, in order.
    pub fn requests(&self) -> Vec<String> {
        let user = format!("system:serviceaccount:{OURS}:{}", self.namespace);
        let log = self.plane.audit_log().unwrap();
        let mut asked: Vec<String> = Vec::new();
        // A watch is recorded when it begins and when it ends.
        for AuditedRequest { verb, resource, stage, .. } in log.into_iter().filter(|r| r.user == user) {
            if verb != "watch" || stage == "ResponseStarted" {
                asked.push(format!("{verb} {resource}"));
            }
        }
        asked
    }
}

fn binding(kind: &str, role: &str, account: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
        "metadata": {"name": account, "namespace": if kind == "RoleBinding" { json!(OURS) } else { Value::Null }},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": "backup-job"},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": OURS}],
    })
}

fn documents(objects: &[Value]) -> String {
    objects.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

pub fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().cloned().unwrap_or_default()
}

/// A program that runs.
pub struct Running {
    pub child: Child,
    log: PathBuf,
}

impl Running {
    pub fn ended(self) -> Ended {
        let output = self.child.wait_with_output().unwrap();
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        Ended {
            code: output.status.code(),
            result: serde_json::from_str(&text).ok(),
            output: format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)),
        }
    }
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub result: Option<SnapshotResult>,
    pub output: String,
}

impl Ended {
    /// The result, after a look at the exit code.
    #[track_caller]
    pub fn with(&self, code: i32) -> &SnapshotResult {
        assert_eq!(self.code, Some(code), "{}", self.output);
        self.result.as_ref().unwrap_or_else(|| panic!("no termination message:\n{}", self.output))
    }

    /// The result of a run that did all.
    #[track_caller]
    pub fn done(&self) -> &SnapshotResult {
        let result = self.with(0);
        assert_eq!(result.problem, None, "{}", self.output);
        result
    }

    /// The reason, after a look at the exit code.
    #[track_caller]
    pub fn reason(&self, code: i32) -> &'static str {
        self.with(code).problem.as_ref().map_or("none", |p| p.reason.as_str())
    }

    /// The reasons of the warnings.
    pub fn warned(&self) -> Vec<&'static str> {
        self.result.iter().flat_map(|r| &r.warnings).map(|w| w.reason.as_str()).collect()
    }
}
