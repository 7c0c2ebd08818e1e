//! What the guard costs the API server: each write goes to two control planes in turn, one of which has the guard.
//! Printed as the API server's CPU time, beside the goal.
//!
//! The writes are the worst that a tenant can send: 50,000 annotations, on objects of his own and on ours. Nothing here
//! fails because of a number.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result};
use backup_controller_tests::binaries::project;
use backup_controller_tests::figures::{Table, median};
use dev_cluster::{ControlPlane, Options};
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use model::names;
use serde_json::{Value, json};

/// Keys of five letters, without values: as many as the API server takes.
const ANNOTATIONS: u32 = 50_000;
const PAIRS: usize = 11;
const GOAL: f64 = 1.2;

#[tokio::main]
async fn main() -> ExitCode {
    match measure().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-guard: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<()> {
    eprintln!("==> two control planes start");
    let (bare, guarded) = (Server::new(false).await?, Server::new(true).await?);
    let mut table = Table::default();
    let ours = json!({
        names::MANAGED_BY: names::MANAGER, names::INSTANCE: "backup", names::COMPONENT: "promoter",
        names::SOURCE_UID: "u", names::RUN: "20181202T0000Z",
    });
    let other = json!({"app": "x"});
    for (what, object) in [
        ("a tenant's PVC", claim(&other)),
        ("a promoter", claim(&ours)),
        ("a snapshot of ours", snapshot(&ours)),
        ("a tenant's Deployment", deployment()),
    ] {
        eprintln!("==> {PAIRS} pairs, twice: {what}");
        for server in [&bare, &guarded] {
            server.create(&object).await?;
        }
        // From few annotations to thousands, and from thousands to thousands.
        for (again, whence) in [(false, "from few"), (true, "again")] {
            let (mut without, mut ratios, mut refused) = (Vec::new(), Vec::new(), false);
            for turn in 0..PAIRS {
                for server in [&bare, &guarded] {
                    server.prepare(&object, again).await?;
                }
                let (alone, _) = bare.write(&object, turn).await?;
                let (beside, denied) = guarded.write(&object, turn).await?;
                without.push(alone);
                ratios.push(beside / alone);
                refused |= denied;
            }
            let word = if refused { ", refused" } else { "" };
            table.tell(&format!("{what}, {whence}, without the guard"), format!("{:.2} s", median(&mut without)));
            table.judge(&format!("{what}, {whence}, with the guard{word}"), median(&mut ratios), GOAL, "times", true);
        }
    }
    print!("{table}");
    Ok(())
}

/// A control plane, and a tenant on it.
struct Server {
    plane: ControlPlane,
    apiserver: u32,
    tenant: Client,
    administrator: Client,
}

impl Server {
    async fn new(guarded: bool) -> Result<Self> {
        let plane = ControlPlane::start_with(&Options { controller_manager: false, ..Options::default() })?;
        for namespace in ["backup", "shop"] {
            plane.kubectl(&["create", "namespace", namespace])?;
        }
        plane.kubectl(&["create", "clusterrole", "tenant", "--verb=*", "--resource=*.*"])?;
        plane.kubectl(&["create", "rolebinding", "tenant", "-n", "shop", "--clusterrole=tenant", "--user=tenant"])?;
        if guarded {
            let overlay = project().join("tests/install/guard").display().to_string();
            let overlay = std::env::var("BACKUP_GUARD_OVERLAY").unwrap_or(overlay);
            plane.kubectl(&["apply", "-k", &overlay])?;
            // It is in force a little later.
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        let mut config: Value = serde_json::to_value(serde_yaml::from_str::<serde_yaml::Value>(
            &std::fs::read_to_string(plane.kubeconfig_path())?,
        )?)?;
        config["users"][0]["user"]["as"] = json!("tenant");
        config["users"][0]["user"]["as-groups"] = json!(["system:authenticated"]);
        let path = plane.dir().join("tenant.kubeconfig");
        std::fs::write(&path, config.to_string())?;
        let tenant = api::connect(Some(&path)).await?;
        let administrator = api::connect(Some(plane.kubeconfig_path())).await?;
        let apiserver = apiserver(&plane)?;
        Ok(Self { plane, apiserver, tenant, administrator })
    }

    async fn create(&self, object: &Value) -> Result<()> {
        let created = of(&self.administrator, object).create(&PostParams::default(), &read(object, 0)?).await;
        created.with_context(|| self.plane.url()).map(drop)
    }

    /// The administrator gives the object few annotations, or thousands.
    async fn prepare(&self, object: &Value, thousands: bool) -> Result<()> {
        let api = of(&self.administrator, object);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let mut there = api.get(name).await?;
        let wanted = if thousands { annotations() } else { BTreeMap::new() };
        if there.metadata.annotations.as_ref().map_or(0, BTreeMap::len) < wanted.len() || !thousands {
            there.metadata.annotations = Some(wanted);
            api.replace(name, &PostParams::default(), &there).await?;
        }
        Ok(())
    }

    /// The CPU time of one PUT by the tenant, and whether it was refused.
    async fn write(&self, object: &Value, turn: usize) -> Result<(f64, bool)> {
        let api = of(&self.tenant, object);
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let mut there = api.get(name).await?;
        let mut annotations = annotations();
        annotations.insert("turn".to_owned(), turn.to_string());
        there.metadata.annotations = Some(annotations);
        let before = cpu(self.apiserver)?;
        let answer = api.replace(name, &PostParams::default(), &there).await;
        // What it leaves to be collected is its cost too.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let spent = cpu(self.apiserver)? - before;
        match answer {
            Ok(_) => Ok((spent, false)),
            Err(kube::Error::Api(status)) if status.is_forbidden() => Ok((spent, true)),
            Err(error) => Err(error.into()),
        }
    }
}

fn annotations() -> BTreeMap<String, String> {
    (0..ANNOTATIONS).map(|n| (format!("{n:05}"), String::new())).collect()
}

fn claim(labels: &Value) -> Value {
    let name = if labels["app"].is_null() { "ours" } else { "mypvc" };
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    })
}

fn snapshot(labels: &Value) -> Value {
    json!({
        "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "ours", "namespace": "shop", "labels": labels},
        "spec": {"source": {"persistentVolumeClaimName": "mypvc"}},
    })
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app", "namespace": "shop"},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": {"app": "x"}},
            "template": {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    })
}

fn read(object: &Value, turn: usize) -> Result<DynamicObject> {
    let mut object = object.clone();
    object["metadata"]["annotations"] = json!({"turn": turn.to_string()});
    Ok(serde_json::from_value(object)?)
}

fn of(client: &Client, object: &Value) -> Api<DynamicObject> {
    let text = |key: &str| object[key].as_str().unwrap_or_default();
    let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")));
    Api::namespaced_with(client.clone(), "shop", &resource)
}

/// The process of a plane's API server.
fn apiserver(plane: &ControlPlane) -> Result<u32> {
    let folder = plane.dir().display().to_string();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let line = std::fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default();
        let program = line.split('\0').next().unwrap_or_default();
        if program.ends_with("/kube-apiserver") && line.contains(&folder) {
            return Ok(pid);
        }
    }
    anyhow::bail!("no kube-apiserver of {folder}")
}

/// The CPU seconds that a process has used.
fn cpu(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // After the name, which may have blanks: user and system time, in ticks of 10 ms.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|t| t.parse::<u32>().ok()).context("/proc/PID/stat");
    Ok(f64::from(ticks(11)? + ticks(12)?) / 100.0)
}
