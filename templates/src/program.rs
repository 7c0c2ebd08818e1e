//! Our program in pods: where it is, how it is called, and where it finds what is mounted for it.

/// Where the program is in our images.
pub const COMMAND: &str = "/usr/bin/backup-job";
/// Where a copy's pod has the promoter, read-only.
pub const SOURCE_DIR: &str = "/source";
/// Where a copy's pod has the source's own part of the destination.
pub const DESTINATION_DIR: &str = "/destination";
/// Where a restore pod has the volume that it writes. A filesystem is also at [`SOURCE_DIR`], its name of old.
pub const VOLUME_DIR: &str = "/volume";
/// Where a restore pod has the restore point, read-only. A filesystem is also at [`DESTINATION_DIR`], its name of old.
pub const RESTORE_POINT_DIR: &str = "/restore-point";
/// Where a keeper's pod has the root of the host's disk.
pub const KEEPER_DIR: &str = "/disk";
/// Where a restic pod has the Secret: a file for each key.
pub const SECRET_DIR: &str = "/secret";
/// Where a restic pod has the certificate of the authority that signs the endpoint's: the file `ca.crt`.
pub const CA_DIR: &str = "/ca";
/// Where restic has its cache.
pub const CACHE_DIR: &str = "/cache";

/// Where a drill's pod has room to restore to.
pub const SCRATCH_DIR: &str = "/scratch";

/// Kubernetes replaces `$(NAME)` in a container's arguments by the variable's value. Each `$` is doubled,
/// which it makes one again.
#[must_use]
pub fn escape(arg: &str) -> String {
    arg.replace('$', "$$")
}

/// Where a pod that creates objects finds the templates that replace the embedded ones: the mount of
/// [`crate::Install::templates_config_map`].
pub const TEMPLATES_DIR: &str = "/etc/backup-templates";

/// The variable of a restore pod that makes `backup-job restore` there another command: a list of words as JSON.
/// What follows `restore` on the command line follows them.
pub const RESTORE_COMMAND: &str = "BACKUP_RESTORE_COMMAND";
