//! A real S3 server on this machine.

use std::ffi::OsStr;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::place::{wait_until, which};

pub(crate) const KEY: &str = "test-key";
pub(crate) const SECRET: &str = "test-secret-of-some-length";

/// An S3 server over a folder. It ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    pub(crate) folder: PathBuf,
}

impl Server {
    /// Starts one with a bucket `backups`; with TLS, if there is a certificate with its key.
    pub(crate) fn start(name: &str, tls: Option<(&Path, &Path)>) -> Self {
        assert!(which("s3-server").is_some(), "these tests need s3-server: make mover-tools");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("s3-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("backups")).unwrap();
        let port = free_port();
        let mut command = Command::new("s3-server");
        command.arg("--port").arg(format!("127.0.0.1:{port}"));
        if let Some((certificate, key)) = tls {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        command.arg(&folder).env("ROOT_ACCESS_KEY", KEY).env("ROOT_SECRET_KEY", SECRET);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the S3 server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, port, folder }
    }

    /// An address on it.
    pub(crate) fn address(&self, scheme: &str, path: &str) -> String {
        format!("s3:{scheme}://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A certificate for this machine, and its key; valid for so many days from now.
pub(crate) fn certificate(folder: &Path, name: &str, days: i32) -> (PathBuf, PathBuf) {
    let [certificate, key, request] = ["pem", "key", "csr"].map(|end| folder.join(format!("{name}.{end}")));
    let days = days.to_string();
    openssl(&[
        &["req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"].map(OsStr::new),
        &["-addext", "subjectAltName=IP:127.0.0.1", "-keyout"].map(OsStr::new),
        &[key.as_os_str(), "-out".as_ref(), request.as_os_str()],
    ]);
    openssl(&[
        &["x509", "-req", "-copy_extensions", "copy", "-days", &days].map(OsStr::new),
        &["-in".as_ref(), request.as_os_str(), "-signkey".as_ref(), key.as_os_str()],
        &["-out".as_ref(), certificate.as_os_str()],
    ]);
    (certificate, key)
}

fn openssl(args: &[&[&OsStr]]) {
    let out = Command::new("openssl").args(args.concat()).output().expect("these tests need openssl");
    assert!(out.status.success(), "{out:?}");
}
