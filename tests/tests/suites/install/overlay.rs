//! A complete overlay is applied. From an incomplete one, the API server refuses Deployment and guard, and names the gap.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use backup_controller_tests::binaries::project;
use backup_controller_tests::chart::kustomize;
use dev_cluster::ControlPlane;
use serde_json::{Value, json};

const BASE: &str = "resources: [BASE]\nnamespace: keep\n";
const CONTROLLER: &str = "  - {name: backup-controller, newName: registry.example/backup-controller, newTag: 1.2.3}\n";
const MOVER: &str = "  - {name: backup-mover, newName: registry.example/backup-mover}\n";
const DERIVED: &str = "transformers: [BASE/derived]\n";

/// A folder in the project, since kustomize takes relative paths alone. Dropping it removes it.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, kustomization: &str) -> Result<Self> {
        let folder = project().join("target").join(format!("overlay-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("kustomization.yaml"), kustomization.replace("BASE", "../../templates/install"))?;
        Ok(Self(folder))
    }

    /// An overlay of this one.
    fn under(&self, name: &str, kustomization: &str) -> Result<Self> {
        let below = self.0.file_name().context("a folder without a name")?.to_string_lossy();
        Self::with(name, &format!("resources: [../{below}]\n{kustomization}"))
    }

    fn objects(&self) -> Result<Vec<Value>> {
        kustomize(&self.0.display().to_string())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Overlays that are no installation yet, each with the sentence that the API server refuses.
fn incomplete() -> Result<Vec<(PathBuf, Option<Folder>, &'static str)>> {
    let overlay = |name: &str, lines: &str, sentence| {
        let folder = Folder::with(name, &format!("{BASE}{lines}"))?;
        anyhow::Ok((folder.0.clone(), Some(folder), sentence))
    };
    let derived =
        "this is not an installation yet: apply an overlay with the line transformers: [.../templates/install/derived]";
    let images = "both images are missing: add backup-controller and backup-mover to the images of the overlay";
    Ok(vec![
        (project().join("templates/install"), None, derived),
        overlay("without-derived", &format!("images:\n{CONTROLLER}{MOVER}"), derived)?,
        (project().join("templates/overlay"), None, images),
        overlay("without-images", DERIVED, images)?,
        overlay(
            "without-controller",
            &format!("images:\n{MOVER}{DERIVED}"),
            "the controller's image is missing: add backup-controller to the images of the overlay",
        )?,
        overlay(
            "without-mover",
            &format!("images:\n{CONTROLLER}{DERIVED}"),
            "the mover's image is missing: add backup-mover to the images of the overlay",
        )?,
    ])
}

fn whole() -> Result<Folder> {
    Folder::with("whole", &format!("{BASE}images:\n{CONTROLLER}{MOVER}{DERIVED}"))
}

fn apply(plane: &ControlPlane, folder: &Path) -> Result<String> {
    plane.kubectl(&["apply", "-k", &folder.display().to_string()])
}

/// The API server refuses the Deployment and each policy, with this sentence.
fn is_refused(plane: &ControlPlane, folder: &Path, sentence: &str) -> Result<()> {
    let applied = apply(plane, folder);
    let said = format!("{:#}", applied.err().with_context(|| format!("{} was taken", folder.display()))?);
    for (field, count) in [("terminationMessagePolicy", 1), ("spec.failurePolicy", 2)] {
        let refused = said.matches(&format!("{field}: Unsupported value: \"{sentence}")).count();
        ensure!(refused == count, "{}: {field} is refused {refused} times:\n{said}", folder.display());
    }
    Ok(())
}

/// The specs of the controller and of its guard.
fn installed(plane: &ControlPlane) -> Result<Vec<Value>> {
    let mut specs = Vec::new();
    for kind in ["deployments", "validatingadmissionpolicies"] {
        let list = plane.kubectl_tool().json(&["get", kind, "-A"])?;
        let items = list["items"].as_array().context("a list without items")?;
        specs.extend(items.iter().map(|object| json!([object["metadata"]["name"], object["spec"]])));
    }
    Ok(specs)
}

#[test]
fn an_incomplete_overlay_changes_neither_controller_nor_guard_and_the_error_names_the_gap() -> Result<()> {
    let plane = ControlPlane::start()?;
    let incomplete = incomplete()?;
    for (folder, _, sentence) in &incomplete {
        is_refused(&plane, folder, sentence)?;
        assert_eq!(installed(&plane)?, Vec::<Value>::new(), "{}", folder.display());
    }

    // A complete one. An image without a tag is an image too, and the other objects follow.
    apply(&plane, &whole()?.0)?;
    let deployment = plane.kubectl_tool().json(&["get", "-n", "keep", "deployment", "backup-controller"])?;
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example/backup-controller:1.2.3");
    let mover = json!({"name": "BACKUP_MOVER_IMAGE", "value": "registry.example/backup-mover"});
    ensure!(container["env"].as_array().is_some_and(|all| all.contains(&mover)), "{container}");
    let guard = plane.kubectl_tool().json(&["get", "validatingadmissionpolicy", "backup-controller"])?;
    ensure!(guard.to_string().contains("'keep'") && !guard.to_string().contains("'backup', "), "{guard}");

    // The same over an installation: it stays as it is.
    let before = installed(&plane)?;
    assert_eq!(before.len(), 3);
    for (folder, _, sentence) in &incomplete {
        is_refused(&plane, folder, sentence)?;
        assert_eq!(installed(&plane)?, before, "{}", folder.display());
    }
    Ok(())
}

#[test]
fn an_overlay_of_an_overlay_may_set_the_images() -> Result<()> {
    let wanted = whole()?.objects()?;
    let bare = Folder::with("bare", &format!("{BASE}{DERIVED}"))?;
    let half = Folder::with("half", &format!("{BASE}images:\n{MOVER}{DERIVED}"))?;
    let plain = Folder::with("plain", BASE)?;
    for (name, below, images) in [
        ("over-bare", &bare, format!("{CONTROLLER}{MOVER}")),
        ("over-half", &half, CONTROLLER.to_owned()),
        ("over-plain", &plain, format!("{CONTROLLER}{MOVER}")),
    ] {
        assert_eq!(below.under(name, &format!("images:\n{images}{DERIVED}"))?.objects()?, wanted, "{name}");
    }
    // Images without `derived` change the Deployment alone. The guard of the overlay below still has its sentence.
    let changed = bare.under("images-alone", &format!("images:\n{CONTROLLER}{MOVER}"))?.objects()?;
    for policy in changed.iter().filter(|object| object["kind"] == "ValidatingAdmissionPolicy") {
        let sentence = policy["spec"]["failurePolicy"].as_str().unwrap_or_default();
        ensure!(sentence.starts_with("both images are missing"), "{policy}");
    }
    // A layer above a complete overlay needs nothing.
    assert_eq!(whole()?.under("over-whole", "")?.objects()?, wanted);
    Ok(())
}
