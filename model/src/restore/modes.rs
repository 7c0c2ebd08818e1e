//! Raw block volumes go back to raw block volumes, and files to filesystems.

use crate::facts::VolumeMode;
use crate::reason::{Problem, Reason};
use crate::world::World;

/// What the PVC with a UID is, or was. A PVC never changes its mode, so that of any of its snapshots tells it, and its
/// ledger; `None`: it is gone, and neither is there.
#[must_use]
pub fn mode(world: &World, namespace: &str, uid: &str) -> Option<VolumeMode> {
    let live = world.claim_of(uid).filter(|claim| claim.namespace == namespace);
    let taken = || {
        let mut snapshots = world.snapshots.within(namespace);
        snapshots.find(|s| s.ours.as_ref().is_some_and(|o| o.instance == world.instance && o.source_uid == uid))
    };
    let recorded = || world.ledger(uid).filter(|of| of.source.namespace == namespace)?.volume.known();
    let mode = live.map(|claim| claim.mode).or_else(|| taken().map(|snapshot| snapshot.mode));
    mode.or_else(|| recorded().map(|volume| volume.mode))
}

/// Why a restore point of `pvc` does not fit the PVC `target`, or the PATHs that are asked for, as far as both modes are
/// known.
#[must_use]
pub fn misfit(
    pvc: &str,
    point: Option<VolumeMode>,
    target: &str,
    written: Option<VolumeMode>,
    paths: bool,
) -> Option<Problem> {
    let differs = |message| Some(Problem::new(Reason::VolumeModeDiffers, message));
    match (point, written) {
        (Some(VolumeMode::Block), Some(VolumeMode::Filesystem)) => {
            differs(format!("PVC {pvc} is a raw block volume (volumeMode: Block), but PVC {target} has a filesystem"))
        }
        (Some(VolumeMode::Filesystem), Some(VolumeMode::Block)) => {
            differs(format!("PVC {pvc} has a filesystem, but PVC {target} is a raw block volume (volumeMode: Block)"))
        }
        (Some(VolumeMode::Block), _) | (_, Some(VolumeMode::Block)) if paths => {
            differs("a raw block volume has no files; restore it whole, without a path".to_owned())
        }
        _ => None,
    }
}
