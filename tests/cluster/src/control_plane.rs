//! A control plane for one test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::audit::{self, AuditedRequest};
use crate::building::ensure_built;
use crate::guard::{Folder, Guarded, tail};
use crate::kubectl::Kubectl;
use crate::parts::Part;
use crate::plane::{Identity, Plane, write_private};
use crate::ports::Ports;

const READY: Duration = Duration::from_secs(90);

/// What a test's control plane is to have.
#[derive(Debug, Clone)]
pub struct Options {
    /// Install the `VolumeSnapshot` CRDs. On by default.
    pub snapshot_crds: bool,
    /// Run kube-controller-manager (`CronJobs`, Jobs, garbage collection, namespaces, service accounts,
    /// binding of volumes). On by default.
    pub controller_manager: bool,
    /// Controllers that are left out, for example `persistentvolume-binder-controller`.
    pub disabled_controllers: Vec<String>,
    /// Record every request; see [`ControlPlane::audit_log`].
    pub audit: bool,
    /// More flags for kube-apiserver.
    pub apiserver_flags: Vec<String>,
    /// More flags for kube-controller-manager.
    pub controller_manager_flags: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            snapshot_crds: true,
            controller_manager: true,
            disabled_controllers: Vec::new(),
            audit: false,
            apiserver_flags: Vec::new(),
            controller_manager_flags: Vec::new(),
        }
    }
}

/// etcd, kube-apiserver and kube-controller-manager of a test. Dropping it ends and removes everything.
/// All methods take `&self`, so that it can be shared between threads.
#[derive(Debug)]
pub struct ControlPlane {
    // In the order in which they end.
    controller_manager: Mutex<Option<Guarded>>,
    apiserver: Mutex<Option<Guarded>>,
    _etcd: Guarded,
    folder: Folder,
    _ports: Ports,
    plane: Plane,
    kubectl: Kubectl,
    token: String,
}

impl ControlPlane {
    /// Starts a control plane with the default options. Builds its parts first where they are missing,
    /// which takes minutes, once, and prints how far it is.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::default())
    }

    /// Starts a control plane as `options` say. On return the API server is ready, the CRDs are served,
    /// and the namespace `default` has its service account.
    pub fn start_with(options: &Options) -> Result<Self> {
        let bin = ensure_built(Part::Kubernetes)?;
        let crds = if options.snapshot_crds { Some(ensure_built(Part::Crds)?) } else { None };
        let ports = Ports::take()?;
        let folder = Folder::create(new_folder())?;
        let plane = Plane {
            bin,
            dir: folder.path().to_owned(),
            address: std::net::Ipv4Addr::LOCALHOST,
            api_port: ports.port(0),
            etcd_port: ports.port(1),
            etcd_peer_port: ports.port(2),
            audit: options.audit,
            disabled_controllers: options.disabled_controllers.clone(),
            apiserver_flags: options.apiserver_flags.clone(),
            controller_manager_flags: options.controller_manager_flags.clone(),
        };
        let administrator = Identity::administrator("admin")?;
        let controllers = Identity::administrator("system:kube-controller-manager")?;
        plane.prepare(&[administrator.clone(), controllers.clone()])?;
        let kubeconfig = folder.path().join("kubeconfig");
        plane.write_kubeconfig(&kubeconfig, &administrator)?;
        plane.write_kubeconfig(&folder.path().join("controller-manager.kubeconfig"), &controllers)?;

        let etcd = Guarded::start(&plane.etcd(), folder.path())?;
        let this = Self {
            controller_manager: Mutex::new(None),
            apiserver: Mutex::new(None),
            _etcd: etcd,
            kubectl: Kubectl::new(plane.bin.join("kubectl"), kubeconfig),
            token: administrator.token,
            folder,
            _ports: ports,
            plane,
        };
        this.launch_apiserver()?;
        if options.controller_manager {
            // It waits by itself until the API server answers, but not for the certificate.
            this.await_certificate()?;
            this.start_controller_manager()?;
        }
        this.wait_ready()?;
        if let Some(crds) = crds {
            let crds = crds.display().to_string();
            this.kubectl(&["create", "-f", &crds])?;
            this.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "-f", &crds])?;
        }
        if options.controller_manager
            && !options.disabled_controllers.iter().any(|name| name.starts_with("serviceaccount"))
        {
            this.kubectl(&["wait", "--for=create", "--timeout=60s", "-n", "default", "serviceaccount/default"])
                .with_context(|| this.logs())?;
        }
        Ok(this)
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig_path(&self) -> &Path {
        self.kubectl.kubeconfig()
    }

    /// The API server's address, `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.plane.url()
    }

    /// etcd's address, `http://127.0.0.1:PORT`; it asks nobody who he is.
    #[must_use]
    pub fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.plane.etcd_port)
    }

    /// The administrator's bearer token (user `admin`, group `system:masters`).
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The certificates (PEM) by which the API server is known.
    #[must_use]
    pub fn ca_path(&self) -> PathBuf {
        self.plane.ca()
    }

    /// A folder for the test's own files; it goes with the control plane.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// Runs kubectl as the administrator and returns what it prints.
    pub fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl.run(args)
    }

    /// `kubectl apply -f -` of YAML or JSON, as one of the administrator's.
    pub fn apply(&self, objects: &str) -> Result<String> {
        self.kubectl.run_with_input(&["apply", "--server-side", "-f", "-"], objects)
    }

    /// kubectl with the administrator's kubeconfig, for more than [`ControlPlane::kubectl`] does.
    #[must_use]
    pub fn kubectl_tool(&self) -> &Kubectl {
        &self.kubectl
    }

    /// A new kubeconfig with a token (one hour) of an existing service account.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.kubectl(&["create", "token", "-n", namespace, name, "--duration=1h"])?;
        let path = self.folder.path().join(format!("{namespace}.{name}.kubeconfig"));
        let config = std::fs::read_to_string(self.kubeconfig_path())?;
        write_private(&path, &config.replace(&self.token, token.trim()))?;
        Ok(path)
    }

    /// Kills the API server. Clients get connection errors until [`ControlPlane::start_apiserver`].
    pub fn stop_apiserver(&self) -> Result<()> {
        lock(&self.apiserver).take().context("the API server does not run").map(drop)
    }

    /// Starts the API server that was stopped, with the same data and address, and waits until it is ready.
    pub fn start_apiserver(&self) -> Result<()> {
        self.launch_apiserver()?;
        self.wait_ready()
    }

    /// Kills the API server, starts it again, and waits until it is ready.
    pub fn restart_apiserver(&self) -> Result<()> {
        self.stop_apiserver()?;
        self.start_apiserver()
    }

    /// Lets the API server hang: connections stay open and nothing answers, until called with `false`.
    pub fn freeze_apiserver(&self, frozen: bool) -> Result<()> {
        lock(&self.apiserver).as_ref().context("the API server does not run")?.freeze(frozen)
    }

    /// Kills the controller manager.
    pub fn stop_controller_manager(&self) -> Result<()> {
        lock(&self.controller_manager).take().context("the controller manager does not run").map(drop)
    }

    /// Starts the controller manager that was stopped or left out.
    pub fn start_controller_manager(&self) -> Result<()> {
        let mut slot = lock(&self.controller_manager);
        if slot.is_some() {
            bail!("the controller manager runs already");
        }
        let launch = self.plane.controller_manager(&self.folder.path().join("controller-manager.kubeconfig"));
        *slot = Some(Guarded::start(&launch, self.folder.path())?);
        Ok(())
    }

    /// Every request since the start, oldest first. Needs [`Options::audit`].
    pub fn audit_log(&self) -> Result<Vec<AuditedRequest>> {
        if !self.plane.audit {
            bail!("this control plane was started without `audit: true`");
        }
        audit::read(&self.plane.audit_log())
    }

    /// The end of each process's log.
    #[must_use]
    pub fn logs(&self) -> String {
        ["etcd", "kube-apiserver", "kube-controller-manager"]
            .map(|name| format!("--- {name}\n{}", tail(&self.folder.path().join(format!("{name}.log")), 40)))
            .join("\n")
    }

    fn launch_apiserver(&self) -> Result<()> {
        let mut slot = lock(&self.apiserver);
        if slot.is_some() {
            bail!("the API server runs already");
        }
        *slot = Some(Guarded::start(&self.plane.apiserver(), self.folder.path())?);
        Ok(())
    }

    fn check_apiserver(&self) -> Result<()> {
        lock(&self.apiserver).as_ref().context("the API server was stopped")?.check()
    }

    fn await_certificate(&self) -> Result<()> {
        let deadline = Instant::now() + READY;
        while !self.plane.ca().exists() {
            self.check_apiserver()?;
            if Instant::now() > deadline {
                bail!("the API server made no certificate:\n{}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn wait_ready(&self) -> Result<()> {
        let address = (self.plane.address, self.plane.api_port);
        let deadline = Instant::now() + READY;
        // Cheaper than a kubectl for each try.
        while std::net::TcpStream::connect(address).is_err() {
            self.check_apiserver()?;
            if Instant::now() > deadline {
                bail!("the API server does not listen:\n{}", self.logs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kubectl.wait_ready(READY, || self.check_apiserver()).with_context(|| self.logs())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let started =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.subsec_nanos());
    std::env::temp_dir().join(format!("control-plane-{}-{number}-{started}", std::process::id()))
}
