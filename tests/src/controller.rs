//! A running `backup-controller`.

use std::path::PathBuf;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;

use crate::binaries::{self, CONTROLLER_IMAGE, MOVER_IMAGE};
use crate::http;
use crate::identity::Identity;
use crate::process::Process;
use crate::scene::Scene;
use crate::wait::{DEADLINE, wait_for};

/// How a controller is started.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The configuration, without `selection.namespaces`, which the scene sets.
    pub config: String,
    /// More of `selection`: lines that are indented by two.
    pub selection: String,
    /// A directory of templates.
    pub templates: Option<PathBuf>,
    /// `--instance`.
    pub instance: String,
    /// Who it is.
    pub identity: Identity,
    /// `--log`.
    pub log: String,
}

/// A running controller; dropping it kills it.
#[derive(Debug)]
pub struct Controller {
    process: Option<Process>,
    setup: Setup,
    scene: String,
    home: String,
    dir: PathBuf,
    port: u16,
}

impl Scene {
    /// The usual setup: the scene's namespaces, the roles of the install manifests.
    pub async fn setup(&self, config: &str) -> Result<Setup> {
        let identity = self.identity("backup-controller", "controller-role.yaml", |_| {}).await?;
        Ok(self.setup_as(identity, config))
    }

    /// The usual setup with another identity.
    #[must_use]
    pub fn setup_as(&self, identity: Identity, config: &str) -> Setup {
        Setup {
            config: config.to_owned(),
            selection: String::new(),
            templates: None,
            instance: self.name.clone(),
            identity,
            log: "info,backup_controller=debug".to_owned(),
        }
    }

    /// A controller with a configuration, ready.
    pub async fn controller(&self, config: &str) -> Result<Controller> {
        self.start(self.setup(config).await?).await
    }

    /// A controller, ready.
    pub async fn start(&self, setup: Setup) -> Result<Controller> {
        let controller = self.launch(setup)?;
        controller.ready(self).await?;
        Ok(controller)
    }

    /// A controller that may never get ready.
    pub fn launch(&self, setup: Setup) -> Result<Controller> {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let dir = self.dir.join(format!("controller-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        std::fs::create_dir_all(&dir)?;
        self.logs.lock().unwrap_or_else(PoisonError::into_inner).push(dir.join("log"));
        if setup.instance == self.name {
            self.has_controller.store(true, Ordering::Relaxed);
        }
        let (scene, home) = (self.name.clone(), self.home.clone());
        let mut controller = Controller { process: None, setup, scene, home, dir, port: 0 };
        controller.configure(&controller.setup.config.clone())?;
        controller.start()?;
        Ok(controller)
    }
}

impl Controller {
    /// Starts it again after [`Controller::kill`].
    pub fn start(&mut self) -> Result<()> {
        if self.process.is_some() {
            bail!("the controller runs already");
        }
        self.port = http::free_port()?;
        let mut args = vec![
            format!("--config={}", self.dir.join("config.yaml").display()),
            format!("--kubeconfig={}", self.setup.identity.kubeconfig.display()),
            format!("--listen=127.0.0.1:{}", self.port),
            format!("--instance={}", self.setup.instance),
            format!("--namespace={}", self.home),
            format!("--controller-image={CONTROLLER_IMAGE}"),
            format!("--mover-image={MOVER_IMAGE}"),
            format!("--log={}", self.setup.log),
        ];
        args.extend(self.setup.templates.as_ref().map(|t| format!("--templates={}", t.display())));
        let program = binaries::path("backup-controller")?;
        self.process = Some(Process::start(&program, &args, &[], &self.dir.join("log"))?);
        Ok(())
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    pub async fn terminate(&mut self, scene: &Scene) -> Result<()> {
        let process = self.process.take().context("the controller does not run")?;
        process.signal(Signal::TERM)?;
        scene.wait("the controller ends", async || Ok((!process.runs()).then_some(()))).await
    }

    /// Stops its clock (SIGSTOP), or lets it go on.
    pub fn freeze(&self, frozen: bool) -> Result<()> {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        self.process.as_ref().context("the controller does not run")?.signal(signal)
    }

    /// Who it is to the API server.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.setup.identity.user
    }

    /// The number of its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// Waits until it knows the state of the cluster.
    pub async fn ready(&self, scene: &Scene) -> Result<()> {
        let ask = async || {
            if !self.process.as_ref().is_some_and(Process::runs) {
                bail!("the controller has ended");
            }
            Ok((self.page("/readyz")?.0 == 200).then_some(()))
        };
        wait_for("the controller is ready", DEADLINE, ask, async || scene.seen()).await
    }

    /// A page of its admin port.
    pub fn page(&self, path: &str) -> Result<(u16, String)> {
        http::get(self.port, path)
    }

    /// The value of one metric, by name and labels as they stand on the page.
    pub fn metric(&self, series: &str) -> Result<Option<f64>> {
        let (_, text) = self.page("/metrics")?;
        let found = text.lines().find_map(|l| l.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
        Ok(found)
    }

    /// Writes another configuration, of which the namespaces are the scene's again.
    pub fn configure(&self, config: &str) -> Result<()> {
        let (scene, selection) = (&self.scene, &self.setup.selection);
        let text = format!(
            "selection:\n  namespaces:\n    include: [{scene}-*]\n    exclude: [\"*-left-out\"]\n{selection}\n{config}\n"
        );
        self.write_config(&text)
    }

    /// Writes a whole configuration file, as a mounted ConfigMap changes: at once.
    pub fn write_config(&self, text: &str) -> Result<()> {
        let new = self.dir.join("config.yaml.new");
        std::fs::write(&new, text)?;
        std::fs::rename(new, self.dir.join("config.yaml"))?;
        Ok(())
    }

    /// All that it has logged, over restarts.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("log")).unwrap_or_default()).into_owned()
    }

    /// Waits for a word in its log.
    pub async fn logged(&self, scene: &Scene, word: &str) -> Result<()> {
        scene.wait(&format!("the log says: {word}"), async || Ok(self.log().contains(word).then_some(()))).await
    }
}
