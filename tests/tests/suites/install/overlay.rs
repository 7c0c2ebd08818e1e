//! An overlay is applied whole, or refused with what it lacks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use backup_controller_tests::binaries::project;
use dev_cluster::ControlPlane;
use serde_json::json;

const BASE: &str = "resources: [BASE]\nnamespace: keep\n";
const IMAGES: &str = "images:
  - {name: backup-controller, newName: registry.example/backup-controller, newTag: 1.2.3}
  - {name: backup-mover, newName: registry.example/backup-mover}
";
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
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn apply(plane: &ControlPlane, folder: &Path) -> Result<String> {
    plane.kubectl(&["apply", "-k", &folder.display().to_string()])
}

#[test]
fn what_an_overlay_lacks_is_told_and_neither_controller_nor_guard_is_half_there() -> Result<()> {
    let plane = ControlPlane::start()?;
    let refused = |folder: &Path| -> Result<String> {
        Ok(format!("{:#}", apply(&plane, folder).err().with_context(|| format!("{} was taken", folder.display()))?))
    };
    let there = |kind: &str| plane.kubectl(&["get", kind, "-A", "-o", "name"]);

    // What is not an overlay, and one that forgets a line.
    let without = Folder::with("without-derived", &format!("{BASE}{IMAGES}"))?;
    for folder in [project().join("templates/install"), without.0.clone()] {
        let said = refused(&folder)?;
        let sentence = "apply an overlay with the line transformers: [.../templates/install/derived]";
        ensure!(said.contains("terminationMessagePolicy: Unsupported value") && said.contains(sentence), "{said}");
        assert_eq!(there("deployments")?, "");
        assert_eq!(there("validatingadmissionpolicies")?, "");
    }

    // One without images; and the one to copy, as it comes.
    let bare = Folder::with("without-images", &format!("{BASE}{DERIVED}"))?;
    for folder in [bare.0.clone(), project().join("templates/overlay")] {
        let said = refused(&folder)?;
        ensure!(said.contains("spec.template.spec.containers[0].image: Required value"), "{said}");
        assert_eq!(there("deployments")?, "");
    }

    // Who looks before reads why.
    let rendered = plane.kubectl(&["kustomize", &bare.0.display().to_string()])?;
    for (variable, part) in [("CONTROLLER", "controller"), ("MOVER", "mover")] {
        let sentence =
            format!("name: BACKUP_{variable}_IMAGE\n          value: 'NO IMAGE of the {part}: add backup-{part} to");
        ensure!(rendered.contains(&sentence), "{rendered}");
    }

    // Whole: no tag is a tag too, and everything follows.
    let whole = Folder::with("whole", &format!("{BASE}{IMAGES}{DERIVED}"))?;
    apply(&plane, &whole.0)?;
    let deployment = plane.kubectl_tool().json(&["get", "-n", "keep", "deployment", "backup-controller"])?;
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example/backup-controller:1.2.3");
    let mover = json!({"name": "BACKUP_MOVER_IMAGE", "value": "registry.example/backup-mover"});
    ensure!(container["env"].as_array().is_some_and(|all| all.contains(&mover)), "{container}");
    let guard = plane.kubectl_tool().json(&["get", "validatingadmissionpolicy", "backup-controller"])?;
    ensure!(guard.to_string().contains("'keep'") && !guard.to_string().contains("'backup', "), "{guard}");
    Ok(())
}
