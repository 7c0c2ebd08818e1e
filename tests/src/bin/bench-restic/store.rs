//! Where repositories lie: in a folder, and in a bucket of a real S3 server on this machine.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use backup_controller_tests::Process;

use crate::side::Side;

const PASSWORD: &str = "hf83-kd92-ab17";
const KEY: &str = "bench-key";
const SECRET: &str = "bench-secret-of-some-length";
/// The repository that all others are copies of.
const FIRST: &str = "first";

/// A place for repositories, one for each side.
pub(crate) struct Store {
    /// What it is called in the table.
    pub(crate) name: &'static str,
    /// The folder that holds the repositories, here or behind the server.
    folder: PathBuf,
    address: String,
    _server: Option<Process>,
}

impl Store {
    /// All of them.
    pub(crate) fn all(dir: &Path) -> Result<[Self; 2]> {
        let local = dir.join("repositories");
        fs::create_dir_all(&local)?;
        let local = Self { name: "local", address: local.display().to_string(), folder: local, _server: None };
        Ok([local, Self::s3(dir)?])
    }

    fn s3(dir: &Path) -> Result<Self> {
        let root = dir.join("s3");
        let folder = root.join("backups");
        fs::create_dir_all(&folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let args = ["--port", &address.to_string(), &root.display().to_string()].map(str::to_owned);
        let env = [("ROOT_ACCESS_KEY", KEY), ("ROOT_SECRET_KEY", SECRET)];
        let server = Process::start(&program("s3-server")?, &args, &env, &dir.join("s3.log"))?;
        let end = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(address).is_err() {
            anyhow::ensure!(server.runs() && Instant::now() < end, "no S3 server listens: {}", server.output());
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { name: "S3", folder, address: format!("s3:http://{address}/backups"), _server: Some(server) })
    }

    /// The keys of the Secret, which are restic's environment too.
    pub(crate) fn secret(&self, side: Side) -> [(&'static str, String); 4] {
        self.environment(side.name())
    }

    fn environment(&self, repository: &str) -> [(&'static str, String); 4] {
        [
            ("RESTIC_REPOSITORY", format!("{}/{repository}", self.address)),
            ("RESTIC_PASSWORD", PASSWORD.to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET.to_owned()),
        ]
    }

    /// Makes the repository of a side; an old one goes before. Both are copies of one: `restic init` picks how much
    /// work a key costs by how busy the machine is just then, and every call of restic does that work.
    pub(crate) fn fresh(&self, side: Side) -> Result<()> {
        self.remove(side)?;
        let first = self.folder.join(FIRST);
        if !first.exists() {
            let mut init = Command::new(program("restic")?);
            said(init.args(["--no-cache", "init"]).envs(self.environment(FIRST)))?;
        }
        // With the extended attributes, in which the S3 server keeps an object's metadata.
        said(Command::new("cp").arg("--archive").arg(&first).arg(self.folder.join(side.name())))
    }

    /// Removes the repository of a side.
    pub(crate) fn remove(&self, side: Side) -> Result<()> {
        let folder = self.folder.join(side.name());
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        Ok(())
    }

    /// Removes both repositories.
    pub(crate) fn clear(&self) -> Result<()> {
        Side::BOTH.into_iter().try_for_each(|side| self.remove(side))
    }
}

/// Runs a program that is not measured.
fn said(command: &mut Command) -> Result<()> {
    let program = command.get_program().display().to_string();
    let ended = command.output().with_context(|| format!("cannot run {program}"))?;
    anyhow::ensure!(ended.status.success(), "{program}: {}", String::from_utf8_lossy(&ended.stderr));
    Ok(())
}

/// The folders of programs: of ours and what is shipped with them, then those that everybody has.
pub(crate) fn path() -> String {
    let everybody = std::env::var("PATH").unwrap_or_default();
    match std::env::var("BACKUP_BINARIES") {
        Ok(folder) => format!("{folder}:{everybody}"),
        Err(_) => everybody,
    }
}

/// A program on [`path`].
pub(crate) fn program(name: &str) -> Result<PathBuf> {
    let found = std::env::split_paths(&path()).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| format!("there is no {name}: `make mover-tools` gets it"))
}
