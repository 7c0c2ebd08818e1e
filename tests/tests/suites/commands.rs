//! Every command of the pages is executed as it is written, page by page and in order, on two nodes. Blocks that are
//! marked `sh` are executed; `sh example` marks commands that need something which the dev cluster cannot have.
//!
//! Only these words are replaced: the date of the examples, the names of images in a registry, and the folder of programs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};
use backup_controller_tests::nodes::{self, App, Keys, Place, ansible, project};
use dev_cluster::{Cluster, Kubectl, Part, ensure_built};
use serde_json::json;

use crate::documents::{page as text_of, pages};

const NAMESPACE: &str = "shop";
/// The date of every example.
const DATE: &str = "20181202";
/// Longer than any page takes.
const DEADLINE_SECONDS: u32 = 900;

/// An installation as the README has it, and the namespace of the examples: a `StatefulSet` whose pod has the PVC `data`.
struct Shop {
    kubectl: Kubectl,
    app: App,
    /// The day of its first backup.
    date: String,
}

fn shop() -> &'static Shop {
    static SHOP: OnceLock<Shop> = OnceLock::new();
    SHOP.get_or_init(|| open_shop().expect("the namespace of the examples"))
}

fn open_shop() -> Result<Shop> {
    let cluster = Cluster::existing()?;
    let kubectl = cluster.kubectl();
    let mut vars = ansible::demo_settings(&Place::dev());
    vars["SCHEDULE"] = json!("H H * * *");
    // The restore point of the examples is the first of many.
    vars["RETENTION"] = json!("last=30");
    ansible::install_with_playbook(kubectl, &vars)?;
    delete_leftovers(kubectl)?;
    let app = fresh_namespace(&cluster)?;
    let run = app.back_up(&["disk", "s3"])?;
    app.annotate("backup-controller.io/destinations-")?;
    let date = run.split('T').next().context("a run without a date")?.to_owned();
    Ok(Shop { kubectl: kubectl.clone(), app, date })
}

/// An end-to-end test that failed leaves its namespace to be looked at, and what a page shows would not be true with it.
fn delete_leftovers(kubectl: &Kubectl) -> Result<()> {
    let names = kubectl.run(&["get", "namespaces", "-o", "name"])?;
    let left: Vec<&str> = names.lines().filter(|name| name.starts_with("namespace/e2e-")).collect();
    if left.is_empty() {
        return Ok(());
    }
    kubectl.run(&[&["delete", "--timeout=180s"], left.as_slice()].concat()).map(drop)
}

fn fresh_namespace(cluster: &Cluster) -> Result<App> {
    let kubectl = cluster.kubectl();
    kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=120s"])?;
    kubectl.run(&["create", "namespace", NAMESPACE])?;
    kubectl.run(&["annotate", "namespace", NAMESPACE, "backup-controller.io/destinations=disk,s3"])?;
    let app = App::existing(kubectl, NAMESPACE);
    app.secret("backup-s3", &Keys::of(&cluster.s3()?, NAMESPACE))?;
    let manifest = nodes::manifest(
        "app.yaml",
        &[
            ("NAMESPACE", NAMESPACE),
            ("CLASS", "shared"),
            ("FOLDERS", "/etc"),
            ("kind: Deployment", "kind: StatefulSet"),
            ("strategy: {type: Recreate}", "serviceName: app"),
        ],
    )?;
    app.apply(&manifest)?;
    app.kubectl(&["rollout", "status", "statefulset/app", "--timeout=120s"]).with_context(|| app.seen())?;
    Ok(app)
}

/// The commands of a page: the line where each block begins, and its text.
fn blocks(page: &str) -> Vec<(usize, String)> {
    let text = text_of(page);
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        match (open, line) {
            (false, "```sh") => {
                open = true;
                found.push((number + 2, String::new()));
            }
            (true, "```") => open = false,
            (true, line) => {
                let (_, block) = found.last_mut().expect("a block is open");
                block.push_str(line);
                block.push('\n');
            }
            (false, _) => {}
        }
    }
    found
}

/// Executes the blocks of a page in one shell, in a folder, and fails with what the shell printed.
fn execute(page: &str, kubectl: &Kubectl, date: &str, folder: &Path) -> Result<()> {
    let scratch = project().join("target/pages").join(page.replace('/', "-"));
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    fs::create_dir_all(&scratch)?;
    let mut script = "set -Eeuo pipefail\ntrap 'echo \"FAILED ($?): $BASH_COMMAND\"' ERR\n".to_owned();
    for (line, block) in blocks(page) {
        writeln!(script, "echo '==> {page}:{line}'\n{block}")?;
    }
    // A block that ends the shell would skip the rest.
    let end = format!("==> the end of {page}");
    writeln!(script, "echo '{end}'")?;
    let script = script
        .replace(DATE, date)
        .replace("registry.example/backup-controller:0.1.0", nodes::CONTROLLER_IMAGE)
        .replace("registry.example/backup-mover:0.1.0", nodes::MOVER_IMAGE)
        // Built for tests, which is faster.
        .replace("$PWD/target/image", "$PWD/target/dev-image");
    fs::write(scratch.join("script.sh"), &script)?;
    let kubeconfig = scratch.join("kubeconfig");
    fs::copy(kubectl.kubeconfig(), &kubeconfig)?;
    let here = Kubectl::new(kubectl.program(), &kubeconfig);
    here.run(&["config", "set-context", "--current", &format!("--namespace={NAMESPACE}")])?;
    let log = scratch.join("log");
    let output = fs::File::create(&log)?;
    let folder = if folder.as_os_str().is_empty() { &scratch } else { folder };
    let status = Command::new("timeout")
        .args([&DEADLINE_SECONDS.to_string(), "bash"])
        .arg(scratch.join("script.sh"))
        .current_dir(folder)
        .env("KUBECONFIG", &kubeconfig)
        .env("HOME", &scratch)
        .env("PATH", search_path(kubectl)?)
        .stdin(std::process::Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()
        .context("cannot start timeout")?;
    // Names of files in it may be any bytes.
    let printed = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if !status.success() || !printed.ends_with(&format!("{end}\n")) {
        bail!("{page}: {status}\n{printed}");
    }
    Ok(())
}

/// Where a reader would have the tools: our plugin, kubectl, restic and helm.
fn search_path(kubectl: &Kubectl) -> Result<String> {
    let kubectl = kubectl.program().parent().context("kubectl without a folder")?.to_owned();
    let mut folders: Vec<PathBuf> =
        vec![project().join("target/dev-image"), kubectl, ensure_built(Part::Restic)?, ensure_built(Part::Helm)?];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let path = std::env::join_paths(folders)?;
    path.into_string().map_err(|path| anyhow::anyhow!("not UTF-8: {}", path.display()))
}

fn runs_as_written(page: &str) {
    let shop = shop();
    if let Err(error) = execute(page, &shop.kubectl, &shop.date, Path::new("")) {
        panic!("{error:#}\n{}", shop.app.seen());
    }
}

#[test]
#[ignore = "needs two nodes"]
fn a_readme_runs_as_written() {
    runs_as_written("README.md");
}

#[test]
#[ignore = "needs two nodes"]
fn b_the_verbs_run_as_written() {
    runs_as_written("docs/kubectl-backup.md");
}

#[test]
#[ignore = "needs two nodes"]
fn c_the_settings_run_as_written() {
    runs_as_written("docs/configure.md");
}

#[test]
#[ignore = "needs two nodes"]
fn d_the_safety_page_runs_as_written() {
    runs_as_written("docs/safety.md");
}

#[test]
#[ignore = "needs two nodes"]
fn e_troubleshooting_runs_as_written() {
    runs_as_written("docs/troubleshooting.md");
}

#[test]
#[ignore = "needs two nodes"]
fn f_restores_run_as_written() {
    runs_as_written("docs/restore.md");
}

/// Last: it removes the installation, and installs in three ways.
#[test]
#[ignore = "needs two nodes"]
fn g_installing_runs_as_written() {
    let shop = shop();
    shop.kubectl.run(&["delete", "namespace", NAMESPACE, "--timeout=120s"]).unwrap();
    ansible::play(&shop.kubectl, "uninstall-backup-controller.yaml", &json!({}), &[]).unwrap();
    if let Err(error) = execute("docs/install.md", &shop.kubectl, &shop.date, &project()) {
        panic!("{error:#}\n{}", nodes::controller_log(&shop.kubectl));
    }
}

/// A page whose commands nobody executes would be found by nobody.
#[test]
fn every_page_with_commands_is_executed() {
    let tests = include_str!("commands.rs");
    for page in pages().into_iter().filter(|page| !blocks(page).is_empty()) {
        let executed = ["runs_as_written", "execute"].map(|call| tests.contains(&format!("{call}(\"{page}\"")));
        assert!(executed.contains(&true), "{page} has commands, and no test here executes them");
    }
}

/// A block of another kind would be neither executed nor marked as an example.
#[test]
fn every_block_is_of_a_kind_that_is_known_and_examples_say_so() {
    for page in pages() {
        let text = text_of(&page);
        let (mut open, mut before) = (false, String::new());
        for (number, line) in text.lines().enumerate() {
            if let Some(kind) = line.trim_start().strip_prefix("```") {
                assert!(line.starts_with('`'), "{page}:{}: an indented block is executed by nothing", number + 1);
                let known = ["sh", "sh example", "console", "yaml", "text", "json", "promql", ""];
                if !open {
                    assert!(known.contains(&kind), "{page}:{}: a block of kind {kind:?}", number + 1);
                    let said = before.to_lowercase().contains("example");
                    assert!(kind != "sh example" || said, "{page}:{}: no \"for example\" before it", number + 1);
                }
                open = !open;
                before.clear();
            } else if line.starts_with('#') {
                before.clear();
            } else {
                before.push_str(line);
            }
        }
    }
}
