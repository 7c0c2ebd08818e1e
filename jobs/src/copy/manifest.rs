//! The manifest: what is written down beside a tree, `<run>.json`.
//!
//! It is the copy's result, as the termination message has it, and what the next copy needs to know.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use model::facts::VolumeMode;
use model::names::Run;
use model::record::{CopyResult, CopyState};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

/// More than this is not ours.
const MAX_BYTES: u64 = 64 * 1024;

/// A tree's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) run: Run,
    pub(crate) destination: String,
    /// Whose it is: `<namespace>/<pvc>/<uid>`. Programs of old wrote it nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<String>,
    /// What the volume is: of a raw block volume, the tree is the image of the device.
    #[serde(default, skip_serializing_if = "is_filesystem")]
    pub(crate) volume_mode: VolumeMode,
    /// Trees made since contents were last compared by checksum.
    #[serde(default)]
    pub(crate) since_checksum: u32,
    /// The tree whose unchanged files this one shares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) linked: Option<Run>,
    /// Names in the tree that are not the only ones of their file; `None`: nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hard_links: Option<u64>,
    /// A12: whether the result tells what the disk does not keep. Programs of old did not ask.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) probed: bool,
    /// How the copy ended.
    #[serde(flatten)]
    pub(crate) result: CopyResult,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
fn is_filesystem(mode: &VolumeMode) -> bool {
    *mode == VolumeMode::Filesystem
}

impl Manifest {
    /// Whether every entry is in the tree.
    pub(crate) fn is_good(&self) -> bool {
        self.result.state == CopyState::Complete
    }

    /// Reads a manifest. `None`: it is not one of ours, or not of this run.
    ///
    /// Tenants can write to their disk. So nothing is followed, waited for or read without end.
    pub(crate) fn read(path: &Path, run: &Run) -> io::Result<Option<Self>> {
        if !fs::symlink_metadata(path)?.is_file() {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text)?;
        let manifest = serde_json::from_slice::<Self>(&text).ok();
        Ok(manifest.filter(|m| m.run == *run && matches!(m.result.state, CopyState::Complete | CopyState::Incomplete)))
    }

    /// Writes a new file, down to the disk.
    pub(crate) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        let mut file = File::create_new(path)?;
        file.write_all(&text)?;
        file.sync_all()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use model::reason::{Problem, Reason};

    pub(crate) fn manifest(run: &str, state: CopyState) -> Manifest {
        let problem = Problem::new(Reason::Unreadable, "");
        let mut result = CopyResult::without_data(state, &problem, "2018-12-02T00:10:00Z".parse().unwrap());
        result.reason = (state != CopyState::Complete).then_some(Reason::Unreadable);
        result.files = 7;
        Manifest {
            run: run.parse().unwrap(),
            destination: "disk".into(),
            of: None,
            volume_mode: VolumeMode::Filesystem,
            since_checksum: 0,
            linked: None,
            hard_links: Some(0),
            probed: true,
            result,
        }
    }

    #[test]
    fn a_manifest_is_the_result_and_more() {
        let manifest = manifest("20181202T0000Z", CopyState::Incomplete);
        let text = serde_json::to_string(&manifest).unwrap();
        assert_eq!(serde_json::from_str::<Manifest>(&text).unwrap(), manifest);
        assert_eq!(serde_json::from_str::<CopyResult>(&text).unwrap(), manifest.result);
    }

    #[test]
    fn what_is_not_a_manifest_of_that_run_is_none() {
        let path = std::env::temp_dir().join(format!("manifest-{}.json", std::process::id()));
        let run: Run = "20181202T0000Z".parse().unwrap();
        let other = serde_json::to_string(&manifest("20181203T0000Z", CopyState::Complete)).unwrap();
        let failed = serde_json::to_string(&manifest("20181202T0000Z", CopyState::Failed)).unwrap();
        for text in ["", "{}", "[]", "yes", &other, &failed] {
            fs::write(&path, text).unwrap();
            assert_eq!(Manifest::read(&path, &run).unwrap(), None, "{text}");
        }
        fs::remove_file(&path).unwrap();
        // A link to a manifest is not one, nor is a pipe that nobody writes to.
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert_eq!(Manifest::read(&path, &run).unwrap(), None);
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        assert_eq!(Manifest::read(&path, &run).unwrap(), None);
        fs::remove_file(&path).unwrap();
    }
}
