//! Templates of the administrator's own: followed, or refused with file and reason (F75).

use std::path::Path;

use anyhow::Result;
use backup_controller_tests::{NewClaim, Scene, Setup, binaries};
use kube::ResourceExt;

use crate::controller::fence;

fn embedded(name: &str) -> Result<String> {
    Ok(std::fs::read_to_string(binaries::project().join("templates").join(name))?)
}

fn replace(folder: &Path, name: &str, text: &str) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let new = folder.join(".new");
    std::fs::write(&new, text)?;
    Ok(std::fs::rename(new, folder.join(name))?)
}

#[tokio::test]
async fn a_changed_template_is_followed_once_and_a_bad_one_refused() -> Result<()> {
    let scene = Scene::new().await?;
    let folder = scene.dir.join("templates");
    std::fs::create_dir_all(&folder)?;
    let setup = Setup { templates: Some(folder.clone()), ..scene.setup("").await? };
    let controller = scene.start(setup).await?;
    let claim = scene.bound(&scene.tenant, NewClaim::new("data")).await?;
    let first = scene.cronjob_of(&claim).await?;
    scene.event(&claim, "Protected").await?;

    let text = embedded("cronjob.yaml.hbs")?;
    let before = scene.writes(controller.user())?.len();
    replace(&folder, "cronjob.yaml.hbs", &text.replace("failedJobsHistoryLimit: 1", "failedJobsHistoryLimit: 4"))?;
    let failed =
        |c: &k8s_openapi::api::batch::v1::CronJob| c.spec.as_ref().and_then(|s| s.failed_jobs_history_limit) == Some(4);
    let second = scene.cronjob_that("the template is followed", &claim, failed).await?;
    fence(&scene, "fence").await?;
    let writes = scene.writes(controller.user())?.split_off(before);
    assert_eq!(writes.iter().filter(|r| r.name == first.name_any()).count(), 1, "{writes:?}");

    replace(&folder, "cronjob.yaml.hbs", &text.replace("kind: CronJob", "kind: Deployment"))?;
    controller.logged(&scene, "the previous ones stay in force").await?;
    let log = controller.log();
    let line = log.lines().find(|l| l.contains("the previous ones stay in force")).unwrap_or_default();
    assert!(line.contains("cronjob.yaml.hbs") && line.contains("CronJob"), "{line}");
    assert_eq!(controller.metric("backup_controller_config_valid")?, Some(0.0));
    let marker = scene.bound(&scene.tenant, NewClaim::new("marker")).await?;
    let its = scene.cronjob_of(&marker).await?;
    assert!(failed(&its), "the old template is not in force");
    assert_eq!(scene.cronjob_of(&claim).await?.resource_version(), second.resource_version());
    Ok(())
}

/// Each in its own way not the object that was asked for.
#[tokio::test]
async fn a_template_that_makes_another_object_is_refused_with_file_and_reason() -> Result<()> {
    let text = embedded("copy.yaml.hbs")?;
    let folder = std::env::temp_dir().join(format!("backup-templates-{}", std::process::id()));
    for (what, bad, words) in [
        ("another kind", text.replace("kind: Job", "kind: DaemonSet"), "kind"),
        ("two objects", format!("{text}---\n{text}"), "document"),
        ("an unknown field", text.replace("backoffLimit:", "backofLimit:"), "backofLimit"),
        ("another namespace", text.replace("namespace: {{json namespace}}", "namespace: kube-system"), "namespace"),
        ("no YAML", text.replace("spec:\n", "spec: [\n"), "line"),
        (
            "a privileged pod",
            text.replace("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true"),
            "rivilege",
        ),
        ("an unknown variable", text.replace("{{json promoter}}", "{{json promotor}}"), "promotor"),
    ] {
        assert_ne!(bad, text, "{what}");
        replace(&folder, "copy.yaml.hbs", &bad)?;
        std::fs::write(folder.join("config.yaml"), "")?;
        let ended = std::process::Command::new(binaries::path("backup-controller")?)
            .env_clear()
            .args(["--controller-image=x", "--mover-image=x", "--listen=127.0.0.1:0"])
            .arg(format!("--config={}", folder.join("config.yaml").display()))
            .arg(format!("--templates={}", folder.display()))
            .output()?;
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!ended.status.success(), "{what} was taken");
        assert!(told.contains("copy.yaml.hbs") && told.contains(words), "{what}: {told}");
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
