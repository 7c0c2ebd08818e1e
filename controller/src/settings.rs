//! What an administrator gives: the configuration file and the templates, read again when they change.
//!
//! A bad new one is refused whole, with the line; the old one stays in force.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use model::config::Config;
use model::names::SourceId;
use model::select::Protection;
use serde_json::Value;
use templates::{Install, RenderError, Templates};

use crate::args::Args;

/// The settings in force.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    pub(crate) install: Arc<Install>,
    pub(crate) templates: Arc<Templates>,
}

impl Settings {
    /// The CronJob of a source.
    pub(crate) fn snapshot_cronjob(&self, source: &SourceId, protection: &Protection) -> Result<Value, RenderError> {
        let Self { config, install, templates } = self;
        templates.snapshot_cronjob(install, config, source, protection, !protection.unreadable)
    }
}

/// Where the settings come from.
pub(crate) struct SettingsFiles {
    config: PathBuf,
    templates: Option<PathBuf>,
    install: Arc<Install>,
    /// The names of Secrets that the guard lets pods mount; empty: not known.
    secrets: Vec<String>,
    /// The folders of hosts' disks of which the guard allows volumes; nothing: not known.
    host_disks: Option<Vec<String>>,
    stamp: Stamp,
}

type Stamp = Vec<(PathBuf, Option<SystemTime>, u64)>;

impl SettingsFiles {
    /// As the command line says.
    pub(crate) fn new(args: &Args) -> Self {
        Self {
            config: args.config.clone(),
            templates: args.templates.clone(),
            install: Arc::new(Install {
                instance: args.instance.clone(),
                namespace: args.namespace.clone(),
                job_service_account: args.job_service_account.clone(),
                controller_image: args.controller_image.clone(),
                mover_image: args.mover_image.clone(),
                image_pull_policy: args.image_pull_policy.clone(),
                templates_config_map: args.templates_config_map.clone(),
            }),
            secrets: args.secrets.clone(),
            host_disks: args.host_disks.clone(),
            stamp: Vec::new(),
        }
    }

    pub(crate) fn read(&mut self) -> anyhow::Result<Settings> {
        self.stamp = self.look();
        let text = fs::read_to_string(&self.config)
            .map_err(|e| anyhow::anyhow!("cannot read the configuration {}: {e}", self.config.display()))?;
        let config = Config::parse(&text).map_err(|e| anyhow::anyhow!("{}: {e}", self.config.display()))?;
        for (destination, secret) in config.unguarded(&self.secrets) {
            tracing::warn!(
                destination,
                secret,
                "the guard allows no pod to mount this Secret, so every copy will fail; add it to BACKUP_SECRETS of the \
                 controller's Deployment, in the overlay or Helm values of the installation"
            );
        }
        for (destination, folder) in self.host_disks.iter().flat_map(|allowed| config.unguarded_disks(allowed)) {
            tracing::warn!(
                destination,
                folder,
                "the guard allows no volume of this host's disk, so every copy to it will fail; add the folder to \
                 BACKUP_HOST_DISKS of the controller's Deployment, or run the playbook or helm upgrade with the new configuration"
            );
        }
        let templates = Templates::load(self.templates.as_deref())?;
        Ok(Settings { config: Arc::new(config), install: self.install.clone(), templates: Arc::new(templates) })
    }

    /// Reads everything if a file changed since the last time; looks at the files' times, not into them.
    pub(crate) fn read_if_changed(&mut self) -> Option<anyhow::Result<Settings>> {
        (self.look() != self.stamp).then(|| self.read())
    }

    fn look(&self) -> Stamp {
        let mut paths = vec![self.config.clone()];
        if let Some(entries) = self.templates.as_ref().and_then(|d| fs::read_dir(d).ok()) {
            paths.extend(
                entries.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "hbs")),
            );
        }
        paths.sort();
        paths
            .into_iter()
            .map(|path| {
                let meta = fs::metadata(&path).ok();
                let (time, size) = (meta.as_ref().and_then(|m| m.modified().ok()), meta.map_or(0, |m| m.len()));
                (path, time, size)
            })
            .collect()
    }
}
