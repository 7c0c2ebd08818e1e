//! The command lines of the control plane, the same for a test's and for the full cluster.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// The range of service addresses; the first one is the API's.
pub(crate) const SERVICES: &str = "10.96.0.0/16";

/// A command that is to run for long.
#[derive(Debug, Clone, Default)]
pub(crate) struct Launch {
    pub(crate) name: &'static str,
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
}

impl Launch {
    pub(crate) fn new(name: &'static str, program: PathBuf, args: &[String]) -> Self {
        Self { name, program, args: args.to_vec(), env: Vec::new() }
    }
}

/// Someone who may talk to the API server.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) group: &'static str,
    pub(crate) token: String,
}

impl Identity {
    pub(crate) fn new(user: &str, group: &'static str) -> Result<Self> {
        Ok(Self { user: user.to_owned(), group, token: random_hex(24)? })
    }

    pub(crate) fn administrator(user: &str) -> Result<Self> {
        Self::new(user, "system:masters")
    }
}

/// Where a control plane listens and keeps its things.
#[derive(Debug, Clone)]
pub(crate) struct Plane {
    pub(crate) bin: PathBuf,
    pub(crate) dir: PathBuf,
    pub(crate) address: Ipv4Addr,
    pub(crate) api_port: u16,
    pub(crate) etcd_port: u16,
    pub(crate) etcd_peer_port: u16,
    pub(crate) audit: bool,
    pub(crate) disabled_controllers: Vec<String>,
    pub(crate) apiserver_flags: Vec<String>,
    pub(crate) controller_manager_flags: Vec<String>,
}

impl Plane {
    pub(crate) fn url(&self) -> String {
        format!("https://{}:{}", self.address, self.api_port)
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.path("pki/apiserver.crt")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.path("audit.log")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Makes the keys, the tokens and the audit policy.
    pub(crate) fn prepare(&self, identities: &[Identity]) -> Result<()> {
        let keys = Command::new(self.bin.join("make-keys")).arg(self.path("pki")).output()?;
        if !keys.status.success() {
            bail!("make-keys failed: {}", String::from_utf8_lossy(&keys.stderr).trim());
        }
        let tokens: Vec<String> = identities
            .iter()
            .map(|identity| format!("{},{user},{user},\"{}\"\n", identity.token, identity.group, user = identity.user))
            .collect();
        write_private(&self.path("pki/tokens.csv"), &tokens.concat())?;
        let policy =
            "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";
        fs::write(self.path("audit-policy.yaml"), policy)?;
        Ok(())
    }

    /// Writes a kubeconfig for one identity.
    pub(crate) fn write_kubeconfig(&self, path: &Path, identity: &Identity) -> Result<()> {
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "dev-cluster",
            "clusters": [{"name": "dev-cluster", "cluster": {"server": self.url(), "certificate-authority": self.ca()}}],
            "users": [{"name": identity.user, "user": {"token": identity.token}}],
            "contexts": [{"name": "dev-cluster", "context": {"cluster": "dev-cluster", "user": identity.user}}],
        });
        write_private(path, &format!("{config:#}\n"))
    }

    pub(crate) fn etcd(&self) -> Launch {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        Launch::new(
            "etcd",
            self.bin.join("etcd"),
            &[
                "--name=dev".into(),
                format!("--data-dir={}", self.text("etcd")),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster=dev={peer}"),
                "--unsafe-no-fsync".into(),
                // One member: the shortest time after which it may elect itself.
                "--heartbeat-interval=10".into(),
                "--election-timeout=100".into(),
                "--log-level=warn".into(),
            ],
        )
    }

    pub(crate) fn apiserver(&self) -> Launch {
        let key = self.text("pki/service-accounts.key");
        let mut args = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port),
            format!("--bind-address={}", self.address),
            format!("--advertise-address={}", self.address),
            format!("--secure-port={}", self.api_port),
            format!("--cert-dir={}", self.text("pki")),
            format!("--token-auth-file={}", self.text("pki/tokens.csv")),
            "--authorization-mode=Node,RBAC".into(),
            "--enable-admission-plugins=NodeRestriction".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-account-key-file={key}"),
            format!("--service-account-signing-key-file={key}"),
            format!("--service-cluster-ip-range={SERVICES}"),
            format!("--kubelet-client-certificate={}", self.text("pki/kubelet-client.crt")),
            format!("--kubelet-client-key={}", self.text("pki/kubelet-client.key")),
            "--kubelet-preferred-address-types=InternalIP".into(),
            "--allow-privileged".into(),
            "--shutdown-delay-duration=0s".into(),
        ];
        if IpAddr::from(self.address).is_loopback() {
            // The endpoints of the `kubernetes` service must not be loopback addresses.
            args.push("--endpoint-reconciler-type=none".into());
        }
        if self.audit {
            args.push(format!("--audit-policy-file={}", self.text("audit-policy.yaml")));
            args.push(format!("--audit-log-path={}", self.audit_log().display()));
        }
        args.extend(self.apiserver_flags.iter().cloned());
        Launch::new("kube-apiserver", self.bin.join("kube-apiserver"), &args)
    }

    pub(crate) fn controller_manager(&self, kubeconfig: &Path) -> Launch {
        let mut controllers = "--controllers=*,bootstrap-signer-controller,token-cleaner-controller".to_owned();
        for name in &self.disabled_controllers {
            controllers.extend([",-", name]);
        }
        let mut args = vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--root-ca-file={}", self.ca().display()),
            format!("--service-account-private-key-file={}", self.text("pki/service-accounts.key")),
            "--use-service-account-credentials".into(),
            // With the default of 20 requests a second it takes 5 s to make its own service accounts.
            "--kube-api-qps=500".into(),
            "--kube-api-burst=1000".into(),
            "--leader-elect=false".into(),
            "--secure-port=0".into(),
            controllers,
        ];
        args.extend(self.controller_manager_flags.iter().cloned());
        Launch::new("kube-controller-manager", self.bin.join("kube-controller-manager"), &args)
    }

    pub(crate) fn scheduler(&self, kubeconfig: &Path) -> Launch {
        Launch::new(
            "kube-scheduler",
            self.bin.join("kube-scheduler"),
            &[
                format!("--kubeconfig={}", kubeconfig.display()),
                "--leader-elect=false".into(),
                "--secure-port=0".into(),
            ],
        )
    }
}

/// Something that nobody guesses: this many bytes, as hexadecimal digits.
pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0_u8; bytes];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// Writes a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
