//! What is created: every object that the project makes comes from a template, and is checked before
//! anybody sends it.
//!
//! The way of an object: a Handlebars template and plain data give a text; the text is read as exactly
//! one YAML document; the document must be the object that was asked for (its kind, name, namespace, our
//! labels, and the fields on which safety rests), have no field that its kind does not have, and hold no
//! pod that may do more than ours may. Only then it is returned, as JSON, ready for strict validation by
//! the API server.
//!
//! A tenant's text never becomes structure (law 9): every value goes through one quoter, whether a
//! template writes `{{json x}}` or `{{x}}`, and raw `{{{x}}}` is refused when templates are loaded.
//!
//! [`Templates`] renders. [`args`] says what the pods are called with, and [`program`] what they find where.

mod alias;
pub mod args;
mod central;
mod check;
mod copy;
mod cronjobs;
mod disks;
mod dress;
mod engine;
mod error;
mod field;
mod grant;
mod install;
mod ledger;
mod maintain;
mod network;
mod order;
mod pods;
mod points;
pub mod program;
mod repository;
mod restore;
mod samples;
#[cfg(test)]
mod tests;
mod yaml;

use std::path::Path;

use model::config::{Config, Destination};
use model::handle::Handle;
use model::ledger::Ledger;
use model::names::{Run, SourceId};
use model::plan::{self, Central, Maintain, Restore};
use model::select::Protection;
use serde_json::Value;

pub use alias::Alias;
pub use cronjobs::{mark, sweep_name};
pub use engine::Templates;
pub use error::{Fault, RenderError, TemplateError};
pub use grant::{Grant, Medium};
pub use install::Install;
pub use points::{Promoter, RunSnapshot};
pub use repository::{Folder, Repository};

/// The ConfigMap that is a source's ledger, in the controller's namespace, to be created or replaced.
#[must_use]
pub fn ledger(install: &Install, ledger: &Ledger) -> Value {
    self::ledger::config_map(&install.instance, &install.namespace, ledger)
}

/// The OpenShift Template of a restore, as YAML: its objects, parameters and message. Parameters are put in
/// by OpenShift's rules (`${NAME}` in any string), wherever it is processed.
pub const RESTORE_TEMPLATE: &str = include_str!("../install/restore/template.yaml");

impl Templates {
    /// The templates that are compiled in.
    #[must_use]
    pub fn embedded() -> Self {
        engine::embedded()
    }

    /// The embedded templates, with the files of a directory in place of those that have the same name.
    ///
    /// Only `*.hbs` files count, and one whose name replaces nothing is an error. Names with a dot in
    /// front are skipped: a mounted `ConfigMap` has some. Each template is rendered once with sample data,
    /// so that a bad one is refused here and not with the first source that needs it.
    pub fn load(dir: Option<&Path>) -> Result<Self, TemplateError> {
        let templates = engine::load(dir)?;
        samples::render_all(&templates)?;
        Ok(templates)
    }

    /// The CronJob of a source, in the controller's namespace, to be applied. It carries a hash of
    /// itself, its [`mark`]. Without `rotate` its pods delete nothing: for
    /// a source whose settings cannot be read.
    pub fn snapshot_cronjob(
        &self,
        install: &Install,
        config: &Config,
        source: &SourceId,
        protection: &Protection,
        rotate: bool,
    ) -> Result<Value, RenderError> {
        cronjobs::snapshot_cronjob(self, install, config, source, protection, rotate)
    }

    /// The Job of that name which starts one run, to be created: made from a source's rendered CronJob as
    /// `kubectl create job --from` makes it.
    pub fn run_job(&self, cronjob: &Value, cronjob_uid: &str, name: &str) -> Result<Value, RenderError> {
        cronjobs::run_job(cronjob, cronjob_uid, name)
    }

    /// The CronJob that rotates what vanished sources left, to be applied. It carries a hash of itself as
    /// a source's does. Its name is [`sweep_name`].
    pub fn sweep_cronjob(&self, install: &Install, config: &Config) -> Result<Value, RenderError> {
        cronjobs::sweep_cronjob(self, install, config)
    }

    /// The Job that copies a promoter to a destination, to be created: in the source's namespace, or in the
    /// controller's if the destination's copies run there.
    pub fn copy_job(
        &self,
        install: &Install,
        config: &Config,
        destination: &Destination,
        copy: &plan::Copy,
    ) -> Result<Value, RenderError> {
        copy::job(self, install, config, destination, copy)
    }

    /// The Job of a task for a source's copies, in the source's namespace or the controller's, to be created.
    pub fn maintain_job(
        &self,
        install: &Install,
        config: &Config,
        destination: &Destination,
        task: &Maintain,
    ) -> Result<Value, RenderError> {
        maintain::job(self, install, config, destination, task)
    }

    /// The PVC of a tenant's namespace at a destination that is a claim, to be created. For a destination
    /// on a host's disk see [`Templates::host_disk_claim`].
    pub fn disk_claim(
        &self,
        install: &Install,
        destination: &Destination,
        namespace: &str,
    ) -> Result<Value, RenderError> {
        disks::disk_claim(self, install, destination, namespace)
    }

    /// The Job, in the controller's namespace, that checks that a host's disk is mounted and makes a
    /// tenant's folder on it, to be created.
    pub fn keeper_job(
        &self,
        install: &Install,
        config: &Config,
        destination: &Destination,
        namespace: &str,
    ) -> Result<Value, RenderError> {
        disks::keeper_job(self, install, config, destination, namespace)
    }

    /// The static `PersistentVolume` of a tenant's folder on a host's disk, to be created.
    pub fn disk_volume(
        &self,
        install: &Install,
        destination: &Destination,
        namespace: &str,
    ) -> Result<Value, RenderError> {
        disks::disk_volume(self, install, destination, namespace)
    }

    /// The PVC through which a tenant's namespace reaches its folder on a host's disk, to be created.
    pub fn host_disk_claim(
        &self,
        install: &Install,
        destination: &Destination,
        namespace: &str,
    ) -> Result<Value, RenderError> {
        disks::host_disk_claim(self, install, destination, namespace)
    }

    /// What a Deployment that asks for a restore pod becomes, to be applied over it. `destination` is where the restore
    /// point is, if that is a repository.
    pub fn restore_deployment(
        &self,
        install: &Install,
        config: &Config,
        destination: Option<&Destination>,
        restore: &Restore,
    ) -> Result<Value, RenderError> {
        restore::deployment(self, install, config, destination, restore)
    }

    /// The Job that restores, in the target's namespace or the one that it is lent to, to be created.
    /// `destination` is as for [`Templates::restore_deployment`].
    pub fn restore_job(
        &self,
        install: &Install,
        config: &Config,
        destination: Option<&Destination>,
        restore: &Restore,
    ) -> Result<Value, RenderError> {
        restore::job(self, install, config, destination, restore)
    }

    /// The volume through which another namespace reads a disk for a restore, to be created.
    pub fn grant_volume(&self, grant: &Grant<'_>) -> Result<Value, RenderError> {
        grant::volume(self, grant)
    }

    /// The claim to that volume, in the namespace that restores, to be created.
    pub fn grant_claim(&self, grant: &Grant<'_>) -> Result<Value, RenderError> {
        grant::claim(self, grant)
    }

    /// The volume of a target once more, for the restore that writes it from the controller's namespace, to be created.
    pub fn alias_volume(&self, alias: &Alias<'_>) -> Result<Value, RenderError> {
        alias.volume(self)
    }

    /// The claim to that volume, in the controller's namespace, to be created.
    pub fn alias_claim(&self, alias: &Alias<'_>) -> Result<Value, RenderError> {
        alias.claim(self)
    }

    /// What keeps the pods of copies and restores in a namespace off the network, to be created.
    pub fn network_policy(&self, install: &Install, namespace: &str) -> Result<Value, RenderError> {
        network::policy(self, install, namespace)
    }

    /// The second content over a run's snapshot, to be created.
    pub fn central_content(
        &self,
        install: &Install,
        destination: &Destination,
        central: &Central,
        handle: &Handle,
    ) -> Result<Value, RenderError> {
        central::content(self, install, destination, central, handle)
    }

    /// The VolumeSnapshot that names it, in the controller's namespace, to be created.
    pub fn central_snapshot(
        &self,
        install: &Install,
        destination: &Destination,
        central: &Central,
    ) -> Result<Value, RenderError> {
        central::snapshot(self, install, destination, central)
    }

    /// The PVC made from that, to be created.
    pub fn central_promoter(
        &self,
        install: &Install,
        destination: &Destination,
        central: &Central,
    ) -> Result<Value, RenderError> {
        central::promoter(self, install, destination, central)
    }

    /// The snapshot of a run, to be created.
    pub fn volume_snapshot(&self, point: &RunSnapshot<'_>) -> Result<Value, RenderError> {
        points::volume_snapshot(self, point)
    }

    /// The PVC made from the snapshot of a run, to be created.
    pub fn promoter(&self, promoter: &Promoter<'_>) -> Result<Value, RenderError> {
        points::promoter(self, promoter)
    }

    /// The same where it is made again for a drill, which it names: until that has its Job, it takes its slot.
    pub fn drill_promoter(
        &self,
        promoter: &Promoter<'_>,
        destination: &Destination,
        due: &Run,
    ) -> Result<Value, RenderError> {
        points::drill_promoter(self, promoter, destination, due)
    }
}
