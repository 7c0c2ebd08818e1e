//! What others ask of a destination. Each question is answered for every kind of store, so a new kind does not compile
//! until all of them are.

use std::collections::BTreeMap;

use super::{Destination, Disk, HostPath, Restic, RunIn, Store, Times, Trees};
use crate::listed::listed;
use crate::names::{self, Task};
use crate::restore::From;

/// How pods reach a destination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach<'a> {
    /// They mount this disk, by a PVC of the source's namespace ([`Destination::disk_claim`]).
    Disk(&'a Disk),
    /// Over the network.
    Network,
}

/// In which form copies lie at a destination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Format<'a> {
    /// A dated tree for each run.
    Trees(&'a Trees),
    /// A repository for each source, which a tool writes and reads.
    Repository(Tool<'a>),
}

/// A tool that keeps repositories.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tool<'a> {
    /// restic.
    Restic(&'a Restic),
}

/// Where the owners, modes and devices of copied files are kept: each way, pods need root for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    /// By the files at the destination, which a pod has to write as root.
    InFiles,
    /// Inside a repository: root only reads.
    InRepository,
}

listed! {
    /// What the guard and the `NetworkPolicy` tell the pods of destinations apart by: the label [`names::DESTINATION_TYPE`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum PodType {
        /// They mount a disk, and need nothing else.
        Disk,
        /// They need a repository's Secret, and the network.
        Restic,
        /// They need a repository's Secret, and mount a disk.
        ResticOnDisk,
    }
}

impl PodType {
    /// The label's value; pods that get neither a Secret nor the network have no such label.
    #[must_use]
    pub const fn label(self) -> Option<&'static str> {
        match self {
            PodType::Disk => None,
            PodType::Restic => Some(names::RESTIC),
            PodType::ResticOnDisk => Some(names::RESTIC_ON_DISK),
        }
    }

    /// Whether they mount a Secret.
    #[must_use]
    pub const fn has_secret(self) -> bool {
        match self {
            PodType::Disk => false,
            PodType::Restic | PodType::ResticOnDisk => true,
        }
    }

    /// Whether they need the network.
    #[must_use]
    pub const fn needs_network(self) -> bool {
        match self {
            PodType::Disk | PodType::ResticOnDisk => false,
            PodType::Restic => true,
        }
    }

    /// The labels with which the guard lets a pod mount a Secret.
    pub fn with_secret() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(|pods| pods.has_secret()).filter_map(Self::label)
    }

    /// The labels with which the `NetworkPolicy` leaves a pod on the network.
    pub fn on_network() -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(|pods| pods.needs_network()).filter_map(Self::label)
    }
}

impl Restic {
    /// What the pods of its repositories are.
    #[must_use]
    pub fn pods(&self) -> PodType {
        if self.disk.is_some() { PodType::ResticOnDisk } else { PodType::Restic }
    }
}

impl Destination {
    /// The Secret with its credentials, unless a source's group names another one; `None`: it needs none.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        match &self.store {
            Store::Disk(_) => None,
            Store::Restic(restic) => Some(&restic.secret),
        }
    }

    /// The Secret that the pods of a source mount: that of its group, if that names one, or its own. `of_group` is by the
    /// names of destinations.
    #[must_use]
    pub fn secret_for<'a>(&'a self, of_group: &'a BTreeMap<String, String>) -> Option<&'a str> {
        self.secret().map(|own| of_group.get(&self.name).map_or(own, String::as_str))
    }

    /// Where its pods run.
    #[must_use]
    pub fn runs_in(&self) -> RunIn {
        match &self.store {
            Store::Disk(_) => RunIn::Tenant,
            Store::Restic(restic) => restic.run_in,
        }
    }

    /// Whether its pods run in the controller's namespace, out of the tenant's reach.
    #[must_use]
    pub fn is_central(&self) -> bool {
        match self.runs_in() {
            RunIn::Tenant => false,
            RunIn::Controller => true,
        }
    }

    /// How its pods reach it.
    #[must_use]
    pub fn reach(&self) -> Reach<'_> {
        match &self.store {
            Store::Disk(trees) => Reach::Disk(&trees.disk),
            Store::Restic(restic) => restic.disk.as_ref().map_or(Reach::Network, Reach::Disk),
        }
    }

    /// The disk that its pods mount, if they reach it by one.
    #[must_use]
    pub fn disk(&self) -> Option<&Disk> {
        match self.reach() {
            Reach::Disk(disk) => Some(disk),
            Reach::Network => None,
        }
    }

    /// The folder of a node that is this disk, if it is one.
    #[must_use]
    pub fn host_path(&self) -> Option<&HostPath> {
        match self.disk()? {
            Disk::HostPath(host) => Some(host),
            Disk::Claim(_) => None,
        }
    }

    /// The PVC through which a tenant's namespace reaches its disk; without one it is reached over the network.
    #[must_use]
    pub fn disk_claim(&self) -> Option<String> {
        match self.reach() {
            Reach::Disk(Disk::Claim(claim)) => Some(claim.name.clone()),
            Reach::Disk(Disk::HostPath(_)) => Some(names::host_disk_claim(&self.name)),
            Reach::Network => None,
        }
    }

    /// In which form copies lie there: which Job makes them, and how they are restored.
    #[must_use]
    pub fn format(&self) -> Format<'_> {
        match &self.store {
            Store::Disk(trees) => Format::Trees(trees),
            Store::Restic(restic) => Format::Repository(Tool::Restic(restic)),
        }
    }

    /// Whether a restore request names it as the place to restore from, alone or with others.
    #[must_use]
    pub fn is_meant_by(&self, from: &From) -> bool {
        match from {
            From::Any | From::Snapshot => false,
            From::Destination(name) => *name == self.name,
            From::Disk(name) => match self.format() {
                Format::Trees(_) => name.as_ref().is_none_or(|n| *n == self.name),
                Format::Repository(_) => false,
            },
            From::Restic(name) => match self.format() {
                Format::Repository(Tool::Restic(_)) => name.as_ref().is_none_or(|n| *n == self.name),
                Format::Trees(_) => false,
            },
        }
    }

    /// Where copies keep the owners of files.
    #[must_use]
    pub fn keeps(&self) -> Keeps {
        match &self.store {
            Store::Disk(_) => Keeps::InFiles,
            Store::Restic(_) => Keeps::InRepository,
        }
    }

    /// What is done for its copies beside making them, and by which schedule. What is turned off is not in it.
    pub fn maintenance(&self) -> impl Iterator<Item = (Task, &str)> {
        let own = match &self.store {
            // A copy to a disk prunes it, and reads it by checksums in its turn.
            Store::Disk(_) => [None, None],
            Store::Restic(restic) => [Some((Task::Prune, &restic.prune)), Some((Task::Verify, &restic.verify))],
        };
        let own = own.into_iter().flatten().map(|(task, times)| (task, times.schedule.as_str()));
        let drill = self.drill.iter().map(|drill| (Task::Drill, drill.schedule.as_str()));
        own.chain(drill).filter(|(_, schedule)| *schedule != Times::NEVER)
    }

    /// Whether its copies are drilled.
    #[must_use]
    pub fn is_drilled(&self) -> bool {
        self.maintenance().any(|(task, _)| task == Task::Drill)
    }

    /// Who stops copying together when it is down, as it is shown: `s3`, or `s3/shop` where each namespace has its own
    /// credentials. Disks have no breaker: their faults are told in other ways.
    #[must_use]
    pub fn breaker(&self, namespace: &str) -> Option<String> {
        match self.reach() {
            Reach::Disk(_) => None,
            Reach::Network => Some(match self.runs_in() {
                RunIn::Controller => self.name.clone(),
                RunIn::Tenant => format!("{}/{namespace}", self.name),
            }),
        }
    }

    /// What its pods are to the guard and the `NetworkPolicy`.
    #[must_use]
    pub fn pods(&self) -> PodType {
        match &self.store {
            Store::Disk(_) => PodType::Disk,
            Store::Restic(restic) => restic.pods(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn each() -> Vec<Destination> {
        let text = "
            destinations:
            - {name: disk, type: disk, claim: {size: 1Gi}}
            - {name: host, type: disk, hostPath: {path: /srv/a, size: 1Ti, nodeSelector: {a: b}}}
            - {name: crypt, type: restic, secret: a, claim: {size: 1Gi, name: crypt}}
            - {name: own, type: restic, secret: b, drill: {schedule: never}}
            - {name: vault, type: restic, secret: c, runIn: controller, verify: {schedule: never}, drill: {}}
        ";
        Config::parse(text).unwrap().destinations
    }

    #[test]
    fn pods_have_the_secret_and_the_network_that_their_destination_needs() {
        for destination in each() {
            let (name, pods) = (&destination.name, destination.pods());
            assert_eq!(pods.has_secret(), destination.secret().is_some(), "{name}");
            let is_remote = destination.reach() == Reach::Network;
            assert_eq!(pods.needs_network(), is_remote, "{name}");
            assert_eq!(destination.disk_claim().is_some(), !is_remote, "{name}");
        }
        for pods in PodType::ALL {
            assert_eq!(pods.label().is_some(), pods.has_secret() || pods.needs_network(), "{pods:?}");
        }
    }

    #[test]
    fn what_is_turned_off_is_no_maintenance() {
        let tasks = |d: &Destination| d.maintenance().map(|(task, _)| task).collect::<Vec<_>>();
        let [disk, host, crypt, own, vault] = each().try_into().unwrap();
        assert_eq!((tasks(&disk), tasks(&host)), (vec![], vec![]));
        assert_eq!((tasks(&crypt), tasks(&own)), (vec![Task::Prune, Task::Verify], vec![Task::Prune, Task::Verify]));
        assert_eq!(tasks(&vault), [Task::Prune, Task::Drill]);
    }

    /// What a tenant writes into his own Secret stops nobody else.
    #[test]
    fn a_namespace_has_its_own_breaker_where_it_has_its_own_credentials() {
        let keys: Vec<Option<String>> = each().iter().map(|d| d.breaker("shop")).collect();
        assert_eq!(keys, [None, None, None, Some("own/shop".to_owned()), Some("vault".to_owned())]);
    }
}
