//! Storage: file systems in files, and the processes that make volumes and snapshots on one of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::host::run;
use super::node::DRIVER;
use super::settings::{Bins, Settings};
use crate::building::free_gib;
use crate::plane::Launch;

/// Classes and the driver's object.
pub(crate) const MANIFESTS: &str = include_str!("../../manifests/storage.yaml");

/// Where the file system is mounted.
pub(crate) fn pool(settings: &Settings) -> PathBuf {
    settings.dir.join("pool")
}

/// Makes the volumes' file system, and one for the nodes: tens of thousands of files of images then go
/// with one file, and a test that fills the storage does not fill the nodes.
pub(crate) fn create_file_systems(settings: &Settings) -> Result<()> {
    let room = free_gib(&settings.dir)?.saturating_sub(2).max(1);
    create_file_system(&pool(settings), settings.pool_gib.min(room), &["mkfs.btrfs", "-q"])?;
    create_file_system(&settings.nodes_dir(), room.min(40), &["mkfs.ext4", "-q", "-O", "^has_journal"])
}

/// Makes a sparse file, which takes room as it is filled, and mounts it.
fn create_file_system(at: &Path, gib: u64, make: &[&str]) -> Result<()> {
    let image = at.with_extension("img");
    File::create(&image)?.set_len(gib << 30)?;
    let (image, mount) = (image.display().to_string(), at.display().to_string());
    run(make[0], &[&make[1..], &[&image]].concat()).context("cannot make a file system")?;
    fs::create_dir_all(at)?;
    // The loop device of `mount -o loop` goes by itself when the file system is unmounted.
    run("mount", &["-o", "loop,noatime", &image, &mount])
        .with_context(|| format!("cannot mount what {} made; does this kernel have it?", make[0]))?;
    Ok(())
}

/// The processes beside the nodes, with the user that each one is for the API server.
pub(crate) const SIDECARS: [&str; 4] = ["csi-provisioner", "csi-attacher", "csi-snapshotter", "snapshot-controller"];

/// The driver's controller service.
pub(crate) fn controller(settings: &Settings, bins: &Bins) -> Launch {
    Launch::new(
        "csi-controller",
        bins.driver.join("csi-driver"),
        &[
            format!("--name={DRIVER}"),
            format!("--pool={}", pool(settings).display()),
            format!("--endpoint={}", socket(settings).display()),
        ],
    )
}

/// One of [`SIDECARS`].
pub(crate) fn sidecar(settings: &Settings, bins: &Bins, name: &'static str) -> Launch {
    let mut args = vec![
        format!("--kubeconfig={}", settings.kubeconfig_of(name).display()),
        "--kube-api-qps=100".to_owned(),
        "--kube-api-burst=200".to_owned(),
    ];
    if name != "snapshot-controller" {
        args.push(format!("--csi-address={}", socket(settings).display()));
    }
    // Storage that answers late is asked again soon: tests wait for it.
    args.push("--retry-interval-start=500ms".to_owned());
    args.push("--retry-interval-max=5s".to_owned());
    if name == "csi-provisioner" {
        args.extend(["--default-fstype=btrfs", "--strict-topology", "--extra-create-metadata"].map(str::to_owned));
    }
    Launch::new(name, bins.kubernetes.join(name), &args)
}

fn socket(settings: &Settings) -> PathBuf {
    settings.dir.join("csi.sock")
}
