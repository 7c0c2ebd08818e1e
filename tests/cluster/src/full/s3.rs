//! An S3 server: one process without TLS and one with it, over the same data.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::host::run;
use super::network;
use super::settings::{Bins, Settings};
use crate::plane::{Launch, random_hex};
use crate::s3::S3;

const BUCKET: &str = "backups";

impl Settings {
    /// The ports without TLS and with it.
    pub(super) fn s3_ports(&self) -> [u16; 2] {
        [self.port_base + 3, self.port_base + 4]
    }
}

fn dir(settings: &Settings) -> PathBuf {
    settings.nodes_dir().join("s3")
}

/// Makes the bucket, the keys and the certificate, and writes down where the server will be.
pub(super) fn prepare(settings: &Settings) -> Result<S3> {
    let dir = dir(settings);
    // To the server, a folder is a bucket.
    fs::create_dir_all(dir.join("data").join(BUCKET))?;
    let address = network::node_address(1);
    let [plain, tls] = settings.s3_ports();
    let s3 = S3 {
        endpoint: format!("http://{address}:{plain}"),
        tls_endpoint: format!("https://{address}:{tls}"),
        ca: dir.join("ca.crt"),
        bucket: BUCKET.to_owned(),
        access_key: random_hex(10)?,
        secret_key: random_hex(20)?,
        folder: dir.join("data"),
    };
    make_certificate(settings).context("cannot make the certificate of the S3 server")?;
    s3.write(&settings.dir)?;
    Ok(s3)
}

/// A new authority, and the server's certificate signed by it.
fn make_certificate(settings: &Settings) -> Result<()> {
    let path = |name: &str| dir(settings).join(name).display().to_string();
    let (ca, ca_key) = (path("ca.crt"), path("ca.key"));
    let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365"];
    let authority = ["-subj", "/CN=dev-cluster S3", "-keyout", &ca_key, "-out", &ca];
    run("openssl", &[request.as_slice(), &authority].concat())?;
    let (key, certificate) = (path("server.key"), path("server.crt"));
    let name = format!("subjectAltName=IP:{}", network::node_address(1));
    let server = [
        "-subj",
        "/CN=s3",
        "-addext",
        &name,
        "-addext",
        "basicConstraints=critical,CA:FALSE",
        "-CA",
        &ca,
        "-CAkey",
        &ca_key,
        "-keyout",
        &key,
        "-out",
        &certificate,
    ];
    run("openssl", &[request.as_slice(), &server].concat())?;
    Ok(())
}

/// The two processes.
pub(super) fn servers(settings: &Settings, bins: &Bins, s3: &S3) -> [Launch; 2] {
    let path = |name: &str| dir(settings).join(name).display().to_string();
    let launch = |name: &'static str, port: u16, more: &[String]| {
        let address = format!("--port={}:{port}", network::node_address(1));
        let mut launch =
            Launch::new(name, bins.s3.join("s3-server"), &[[address].as_slice(), more, &[path("data")]].concat());
        // Not arguments: those are for everybody to read.
        launch.env = vec![
            ("ROOT_ACCESS_KEY".to_owned(), s3.access_key.clone()),
            ("ROOT_SECRET_KEY".to_owned(), s3.secret_key.clone()),
        ];
        launch
    };
    let [plain, tls] = settings.s3_ports();
    let certificate = [format!("--cert={}", path("server.crt")), format!("--key={}", path("server.key"))];
    [launch("s3", plain, &[]), launch("s3-tls", tls, &certificate)]
}
