//! Images without a registry: built here, and imported into each node.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::daemon::Daemons;
use super::host::{self, run, run_long};
use super::leftovers::unmount_below;
use super::node::{Node, PAUSE_IMAGE};
use super::settings::{Bins, Settings};
use crate::building::{ensure_built, lines_of};
use crate::parts::{Part, cache_dir, source_dir};
use crate::progress::{Step, say};

/// The release of Debian below the images.
const SUITE: &str = "trixie";
/// The programs that the images hold; each is a package of the workspace.
const PROGRAMS: [&str; 2] = ["backup-controller", "backup-job"];
/// What the mover runs, in the version that is pinned with it.
const RESTIC: &str = "restic";
/// Of the programs for tests, the one that is run from here.
const DEMO: &str = "demo";
/// In no image, but beside them: what people run.
const PLUGIN: &str = "kubectl-backup";

/// The pause image as an archive. It is one file, so no tool for images is needed.
pub(super) fn pause_archive(bins: &Bins) -> Result<PathBuf> {
    let name = bins.driver.file_name().map(|name| name.display().to_string()).unwrap_or_default();
    let archive = cache_dir()?.join("images").join(format!("pause-of-{name}.tar"));
    if archive.exists() {
        return Ok(archive);
    }
    let work = archive.with_extension("partial");
    fs::create_dir_all(&work)?;
    let path = |name: &str| work.join(name).display().to_string();
    let tar = |output: &str, from: &str, members: &[&str]| {
        let options =
            ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "-cf", output, "-C", from];
        run("tar", &[&options, members].concat())
    };
    tar(&path("layer.tar"), &bins.driver.display().to_string(), &["pause"])?;
    let sum = run("sha256sum", &[&path("layer.tar")])?;
    let sum = sum.split(' ').next().unwrap_or_default();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = serde_json::json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{sum}")]},
    });
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]);
    fs::write(work.join("config.json"), config.to_string())?;
    fs::write(work.join("manifest.json"), manifest.to_string())?;
    let partial = path("image.tar");
    tar(&partial, &work.display().to_string(), &["manifest.json", "config.json", "layer.tar"])?;
    fs::rename(partial, &archive)?;
    fs::remove_dir_all(&work)?;
    Ok(archive)
}

/// The Debian that all images are built from: it takes a minute to make, so there is one. The mover needs the first line
/// (the Containerfile installs these itself where a registry is at hand), applications of the demo and of tests the
/// second, and what these back up are its own files, so nothing is left out.
#[rustfmt::skip]
const PACKAGES: [&str; 8] = [
    "rsync", "ca-certificates", "openssh-client",
    "acl", "attr", "libcap2-bin", "perl", "tzdata",
];

/// The Debian below the images, made on this machine.
struct Base;

impl Base {
    fn key() -> String {
        let mut hash = DefaultHasher::new();
        (SUITE, PACKAGES).hash(&mut hash);
        format!("{:016x}", hash.finish())
    }

    fn image() -> String {
        format!("localhost/debian:{}", Self::key())
    }

    /// Makes the file tree with Debian's own tool, from the mirror that this machine uses.
    fn archive() -> Result<PathBuf> {
        let archive = cache_dir()?.join("images").join(format!("debian-{}.tar", Self::key()));
        if archive.exists() {
            return Ok(archive);
        }
        fs::create_dir_all(archive.parent().context("no folder")?)?;
        let mut step = Step::begin(format!("making a Debian {SUITE} with {}", PACKAGES.join(" ")));
        let partial = archive.with_extension("partial.tar").display().to_string();
        let include = format!("--include={}", PACKAGES.join(","));
        let mirror = mirror()?;
        // A tree that is broken off is made anew: it need not reach the disk file by file.
        let args = ["--variant=essential", "--dpkgopt=force-unsafe-io", &include, SUITE, &partial, &mirror];
        run_long(&mut step, "mmdebstrap", &args)?;
        fs::rename(partial, &archive)?;
        step.done();
        Ok(archive)
    }
}

/// The Debian mirror of this machine's own package sources.
fn mirror() -> Result<String> {
    if let Ok(mirror) = std::env::var("DEV_CLUSTER_DEBIAN_MIRROR") {
        return Ok(mirror);
    }
    let targets =
        run("apt-get", &["indextargets", "--format", "$(ORIGIN) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"])?;
    let found =
        targets.lines().find_map(|line| line.strip_prefix("Debian main ").filter(|uri| !uri.contains("security")));
    found
        .map(str::to_owned)
        .context("this machine's apt sources name no Debian mirror; set DEV_CLUSTER_DEBIAN_MIRROR to one")
}

/// buildah with a store of its own in the cache.
struct Store {
    options: Vec<String>,
    dir: PathBuf,
}

impl Store {
    fn open() -> Result<Self> {
        let dir = cache_dir()?.join("buildah");
        fs::create_dir_all(&dir)?;
        // Overlay does not work on overlay, as in a container.
        let on_overlay = run("stat", &["-f", "-c", "%T", &dir.display().to_string()])?.trim() == "overlayfs";
        let options = vec![
            format!("--root={}", dir.join("root").display()),
            format!("--runroot={}", dir.join("run").display()),
            format!("--storage-driver={}", if on_overlay { "vfs" } else { "overlay" }),
        ];
        Ok(Self { options, dir })
    }

    fn run(&self, args: &[&str]) -> Result<String> {
        let options = self.options.iter().map(String::as_str);
        let args: Vec<&str> = options.chain(args.iter().copied()).collect();
        run("buildah", &args)
    }

    fn has(&self, image: &str) -> bool {
        self.run(&["inspect", "--type=image", "--format={{.FromImageID}}", image]).is_ok()
    }

    /// Makes an image of the Debian, once.
    fn import_base(&self) -> Result<()> {
        if self.has(&Base::image()) {
            return Ok(());
        }
        let archive = Base::archive()?.display().to_string();
        let step = Step::begin("importing the Debian");
        let container = self.run(&["from", "scratch"])?;
        let container = container.trim();
        self.run(&["add", "--quiet", container, &archive, "/"])?;
        self.run(&["config", "--cmd", "[\"/bin/bash\"]", "--env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", container])?;
        self.run(&["commit", "--quiet", "--rm", container, &Base::image()])?;
        step.done();
        Ok(())
    }

    /// Builds one target of the Containerfile. Steps that did not change are not repeated.
    fn build(&self, target: &str, context: &Path) -> Result<()> {
        let (base, tag) = (format!("--build-arg=DEBIAN={}", Base::image()), format!("--tag={}", project_image(target)));
        let context = context.display().to_string();
        let file = format!("--file={context}/Containerfile");
        let target = format!("--target={target}");
        self.run(&[
            "build",
            "--isolation=chroot",
            "--layers",
            "--pull=never",
            "--quiet",
            &base,
            &tag,
            &target,
            &file,
            &context,
        ])?;
        Ok(())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // buildah leaves its folder mounted on itself.
        if let Err(error) = unmount_below(&self.dir) {
            say(&format!("{error:#}"));
        }
    }
}

fn project_image(target: &str) -> String {
    format!("localhost/backup-{target}:dev")
}

/// Makes the Debian below the images, which takes longest of all that they need.
pub(super) fn import_base() -> Result<()> {
    Store::open()?.import_base()
}

/// Builds the project's images from its Containerfile with the static binaries in a folder, and imports
/// them, and an image with tools for demo applications, on every node.
pub fn load_images(settings: &Settings, binaries: &Path) -> Result<()> {
    host::require_root()?;
    if !settings.is_ours() {
        bail!("no cluster in {}; start it first: dev-cluster up", settings.dir.display());
    }
    Daemons::new(&settings.dir).check()?;
    let store = build_images(binaries)?;
    let step = Step::begin("importing the images");
    let images = [project_image("controller"), project_image("mover"), "localhost/dev-tools:dev".to_owned()];
    // While the nodes import one, the next one is written.
    std::thread::scope(|scope| {
        let mut imports = Vec::new();
        for image in &images {
            if let Some(new) = export(settings, &store, image)? {
                imports.push(scope.spawn(move || import_on_nodes(settings, image, &new)));
            }
        }
        imports
            .into_iter()
            .try_for_each(|import| import.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })?;
    step.done();
    Ok(())
}

/// Builds the images, which needs no cluster; steps that did not change are not repeated.
pub fn images(binaries: &Path) -> Result<()> {
    host::require_root()?;
    build_images(binaries).map(drop)
}

fn build_images(binaries: &Path) -> Result<Store> {
    for program in PROGRAMS.iter().chain([&RESTIC]) {
        if !binaries.join(program).is_file() {
            bail!("{} has no {program}; build it first: dev-cluster binaries", binaries.display());
        }
    }
    host::install_image_programs()?;
    let step = Step::begin("building the images");
    let store = Store::open()?;
    store.import_base()?;
    let context = cache_dir()?.join(format!("image-context-{}", std::process::id()));
    write_context(&context, binaries)?;
    let built = store.build("controller", &context).and_then(|()| store.build("mover", &context));
    fs::remove_dir_all(&context)?;
    built?;
    store.run(&["tag", &Base::image(), "localhost/dev-tools:dev"])?;
    step.done();
    Ok(store)
}

/// Lays out what the Containerfile takes from the work tree, and nothing else.
fn write_context(context: &Path, binaries: &Path) -> Result<()> {
    if context.exists() {
        fs::remove_dir_all(context)?;
    }
    fs::create_dir_all(context.join("target/image"))?;
    fs::copy(workspace().join("Containerfile"), context.join("Containerfile"))?;
    for program in PROGRAMS.iter().chain([&RESTIC]) {
        fs::copy(binaries.join(program), context.join("target/image").join(program))?;
    }
    Ok(())
}

/// An image that the nodes do not have yet.
struct Exported {
    id: String,
    archive: PathBuf,
    /// Holds the id of the image that the nodes have.
    mark: PathBuf,
}

/// Writes an image as one file, unless the nodes have it.
fn export(settings: &Settings, store: &Store, image: &str) -> Result<Option<Exported>> {
    let id = store.run(&["inspect", "--type=image", "--format={{.FromImageID}}", image])?;
    let marks = settings.dir.join("images");
    let mark = marks.join(image.replace(['/', ':'], "_"));
    if fs::read_to_string(&mark).is_ok_and(|imported| imported == id) {
        return Ok(None);
    }
    fs::create_dir_all(&marks)?;
    let archive = mark.with_added_extension("tar");
    if archive.exists() {
        fs::remove_file(&archive)?;
    }
    store.run(&["push", "--quiet", image, &format!("docker-archive:{}:{image}", archive.display())])?;
    Ok(Some(Exported { id, archive, mark }))
}

fn import_on_nodes(settings: &Settings, image: &str, new: &Exported) -> Result<()> {
    std::thread::scope(|scope| {
        let archive = new.archive.display().to_string();
        let imports: Vec<_> = Node::all(settings)
            .map(|node| {
                let archive = archive.clone();
                scope.spawn(move || {
                    node.ctr(&["images", "import", &archive])
                        .with_context(|| format!("cannot import {image} on {}", node.name()))
                })
            })
            .collect();
        imports.into_iter().try_for_each(|import| match import.join() {
            Ok(result) => result.map(drop),
            Err(_) => bail!("the import of {image} failed"),
        })
    })?;
    fs::remove_file(&new.archive)?;
    fs::write(&new.mark, &new.id)?;
    say(&format!("{image} is on every node"));
    Ok(())
}

/// The folder of the whole project.
fn workspace() -> PathBuf {
    source_dir().join("../..")
}

/// Builds the static binaries that the images hold (`.cargo/config.toml` makes them so), and puts them into a folder.
/// Those of the profile `dev` are the ones that tests run; they are built with the features of the whole workspace, as
/// these are, so that nothing is compiled twice.
pub fn binaries(profile: &str, into: &Path) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["build", "--quiet", "--message-format=json-render-diagnostics", "--profile", profile]);
    if profile == "dev" {
        command.arg("--workspace").args(PROGRAMS.iter().chain([&PLUGIN, &DEMO]).flat_map(|program| ["--bin", program]));
    } else {
        command.args(PROGRAMS.iter().chain([&PLUGIN]).flat_map(|program| ["-p", program]));
    }
    // The first build has nothing to go on from, and what it would note for later ones is a part of its time.
    let state = std::env::current_exe()?.with_file_name("incremental");
    let is_first = !fs::read_dir(state)
        .is_ok_and(|mut of| of.any(|entry| entry.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("model-"))));
    if is_first {
        command.env("CARGO_INCREMENTAL", "0");
    }
    let built = run_cargo(command.current_dir(workspace()).env_remove("RUSTFLAGS"), profile)?;
    fs::create_dir_all(into)?;
    let mut copied = 0;
    for executable in &built {
        let name = executable.file_name().context("a program without a name")?;
        if PROGRAMS.iter().chain([&PLUGIN]).any(|program| name == *program) {
            place_stripped(executable, &into.join(name))?;
            copied += 1;
        }
    }
    if copied != PROGRAMS.len() + 1 {
        bail!("cargo built {copied} of the {} programs", PROGRAMS.len() + 1);
    }
    let restic = into.join(RESTIC);
    replace(&ensure_built(Part::Restic)?.join(RESTIC), &restic)?;
    let version = run(&restic.display().to_string(), &["version"])?;
    say(&format!("static binaries are in {}, with {}", into.display(), version.trim()));
    Ok(())
}

/// Runs cargo, tells now and then how far it is, and gives the programs that it built or found built.
fn run_cargo(command: &mut Command, profile: &str) -> Result<Vec<PathBuf>> {
    let mut step = Step::begin(format!("building our programs (profile {profile})"));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start cargo")?;
    let lines = lines_of(child.stdout.take().context("no stdout")?);
    let (mut crates, mut last, mut programs) = (0_usize, String::new(), Vec::new());
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                let message: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if message["reason"] == "compiler-artifact" {
                    crates += 1;
                    message["target"]["name"].as_str().unwrap_or_default().clone_into(&mut last);
                }
                programs.extend(message["executable"].as_str().map(PathBuf::from));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        step.tick(|| format!("{crates} crates done, the last one {last}"));
    }
    if !child.wait()?.success() {
        bail!("cargo could not build the binaries");
    }
    step.done();
    Ok(programs)
}

/// Copies a program without its debug information, which is most of it and of no use in an image.
fn place_stripped(from: &Path, to: &Path) -> Result<()> {
    let partial = to.with_added_extension("new");
    run("strip", &["-o", &partial.display().to_string(), &from.display().to_string()])?;
    fs::rename(partial, to)?;
    Ok(())
}

/// Copies by a new name first: the old file may be in use.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let partial = to.with_added_extension("new");
    fs::copy(from, &partial).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::rename(partial, to)?;
    Ok(())
}
