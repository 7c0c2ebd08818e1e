//! Builds parts with `go build`, once for each content, and tells how far it is.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::parts::{Part, cache_dir};
use crate::progress::{Step, say};

/// Returns the folder of a built part; builds it first where the cache does not have it. Of several
/// processes that ask at once, one builds and the others wait.
pub fn ensure_built(part: Part) -> Result<PathBuf> {
    let dir = part.dir()?;
    if dir.is_dir() {
        return Ok(dir);
    }
    let parts = cache_dir()?.join("parts");
    fs::create_dir_all(&parts).with_context(|| format!("cannot create {}", parts.display()))?;
    let lock = File::create(parts.join(format!("{}.lock", part.name())))?;
    if lock.try_lock().is_err() {
        say(&format!("another process builds {}; waiting for it", part.name()));
        lock.lock()?;
    }
    if dir.is_dir() {
        return Ok(dir);
    }
    let partial = parts.join(format!("{}.partial", part.name()));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    match part {
        Part::Crds => copy_crds(part, &partial)?,
        Part::CheapRestic => build_cheap_restic(&partial)?,
        _ => build(part, &part.module(), &partial)?,
    }
    fs::rename(&partial, &dir)?;
    prune(&parts, part, &dir)?;
    Ok(dir)
}

/// Keeps the build before the present one (another branch may use it) and removes older ones.
fn prune(parts: &Path, part: Part, present: &Path) -> Result<()> {
    let prefix = format!("{}-", part.name());
    let mut older = Vec::new();
    for entry in fs::read_dir(parts)? {
        let path = entry?.path();
        let ours = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(&prefix));
        if ours && path != present && path.is_dir() {
            older.push((path.metadata()?.modified()?, path));
        }
    }
    older.sort();
    older.pop();
    for (_, path) in older {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

fn check_room(part: Part) -> Result<()> {
    let cache = cache_dir()?;
    let free = free_gib(&cache)?;
    let needed = part.room();
    say(&format!(
        "{} is not built yet. Disk: {free} GiB free for caches, a build from nothing takes about {needed} GiB",
        part.name()
    ));
    if free < needed {
        bail!(
            "not enough room to build {}: {} has {free} GiB free, and about {needed} GiB are needed. These make room, and are \
             only built again: `go clean -cache -modcache`, `cargo clean`. Or let XDG_CACHE_HOME and GOCACHE name a larger disk",
            part.name(),
            cache.display()
        );
    }
    Ok(())
}

/// Free room of a folder's file system, in GiB.
pub(crate) fn free_gib(dir: &Path) -> Result<u64> {
    let stat =
        rustix::fs::statvfs(dir).with_context(|| format!("cannot ask for the free room of {}", dir.display()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize) >> 30)
}

fn build(part: Part, module: &Path, into: &Path) -> Result<()> {
    check_room(part)?;
    let total = list_packages(part, module)?;
    let mut step = Step::begin(format!("building {} ({total} Go packages, those that are not cached)", part.name()));
    let mut compiled = 0_usize;
    let mut last = String::new();
    // Debug information is left out at the link anyway; not to make it saves a tenth of the compiler's time.
    let args: Vec<String> = ["build", "-v", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false", "-ldflags"]
        .into_iter()
        .map(str::to_owned)
        .chain([part.ldflags(), "-o".to_owned(), format!("{}/", into.display())])
        .chain(part.packages().iter().map(|&package| package.to_owned()))
        .collect();
    run_go(part, module, &args, |line| {
        if let Some(line) = line {
            compiled += 1;
            line.clone_into(&mut last);
        }
        step.tick(|| format!("{compiled} of at most {total} packages compiled, now {last}"));
    })?;
    if part == Part::Kubernetes {
        // The package's last element, with which Go names the program, is "server".
        fs::rename(into.join("server"), into.join("etcd"))?;
    }
    step.done();
    Ok(())
}

/// Resolves the packages, which downloads the modules they come from, and counts them.
fn list_packages(part: Part, module: &Path) -> Result<usize> {
    let mut step = Step::begin(format!("resolving the modules of {}", part.name()));
    let mut fetched = 0_usize;
    let args: Vec<String> =
        ["list", "-deps"].iter().chain(part.packages()).map(|&argument| argument.to_owned()).collect();
    let listed = run_go(part, module, &args, |line| {
        fetched += usize::from(line.is_some_and(|line| line.starts_with("go: downloading")));
        step.tick(|| format!("{fetched} modules fetched"));
    })?;
    step.done();
    Ok(listed.lines().count())
}

/// Runs go in a module. `tell` gets each line of stderr, and nothing once a second.
fn run_go(part: Part, module: &Path, args: &[String], mut tell: impl FnMut(Option<&str>)) -> Result<String> {
    let mut child = Command::new("go")
        .args(args)
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        // Compilers live for a second: they need not collect their garbage so often.
        .env("GOGC", std::env::var_os("GOGC").unwrap_or_else(|| "800".into()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start `go`")?;
    let mut stdout = child.stdout.take().context("no stdout")?;
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let mut tail = std::collections::VecDeque::new();
    let lines = lines_of(child.stderr.take().context("no stderr")?);
    loop {
        match lines.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => {
                tell(Some(&line));
                tail.push_back(line);
                if tail.len() > 20 {
                    tail.pop_front();
                }
            }
            Err(RecvTimeoutError::Timeout) => tell(None),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait()?;
    let text = reader.join().map_err(|_| anyhow::anyhow!("the reader of go's output failed"))??;
    if !status.success() {
        let tail = Vec::from(tail).join("\n");
        let hint = if tail.contains("no space left on device") {
            "\nThe disk is full. These make room, and are only built again: `go clean -cache -modcache`, `cargo clean`"
        } else {
            ""
        };
        bail!("`go {}` for {} failed ({status}):\n{tail}{hint}", args[0], part.name());
    }
    Ok(text)
}

/// The lines of a stream, as they come.
pub(crate) fn lines_of(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The CRDs come with a Go module.
fn copy_crds(part: Part, into: &Path) -> Result<()> {
    const MODULE: &str = "github.com/kubernetes-csi/external-snapshotter/client/v8";
    let step = Step::begin("fetching the VolumeSnapshot CRDs");
    let dir = download(part, MODULE)?;
    for kind in ["volumesnapshots", "volumesnapshotclasses", "volumesnapshotcontents"] {
        let name = format!("snapshot.storage.k8s.io_{kind}.yaml");
        let text = fs::read(dir.join("config/crd").join(&name))?;
        fs::write(into.join(name), text)?;
    }
    step.done();
    Ok(())
}

/// Downloads a module that the part's own module names; gives its folder, which is read-only.
fn download(part: Part, module: &str) -> Result<PathBuf> {
    let args = ["mod", "download", "-json", module].map(str::to_owned);
    let json = run_go(part, &part.module(), &args, |_| ())?;
    let json: serde_json::Value = serde_json::from_str(&json).context("`go mod download` gave no JSON")?;
    Ok(json["Dir"].as_str().context("`go mod download` named no folder")?.into())
}

/// restic spends half a second or more of each call on deriving the key from the password, which is most of what the
/// tests of copies would do. How much, it decides when it makes a repository, by a constant. With another constant its
/// repositories are as any other's; the images and all that runs on nodes have restic as it comes.
fn build_cheap_restic(into: &Path) -> Result<()> {
    const MODULE: &str = "github.com/restic/restic";
    const FILE: &str = "internal/repository/key.go";
    const COST: &str = "KDFTimeout = 500 * time.Millisecond";
    let part = Part::CheapRestic;
    let (source, module) = (into.join("source"), into.join("module"));
    copy_tree(&download(part, MODULE)?, &source)?;
    let text = fs::read_to_string(source.join(FILE))?;
    if text.matches(COST).count() != 1 {
        bail!("{FILE} of this restic does not say `{COST}`: look how it decides what a key costs");
    }
    fs::write(source.join(FILE), text.replace(COST, "KDFTimeout = 1 * time.Millisecond"))?;
    fs::create_dir(&module)?;
    fs::copy(part.module().join("go.sum"), module.join("go.sum"))?;
    let pinned = fs::read_to_string(part.module().join("go.mod"))?;
    fs::write(module.join("go.mod"), format!("{pinned}\nreplace {MODULE} => ../source\n"))?;
    build(part, &module, into)?;
    fs::remove_dir_all(source)?;
    fs::remove_dir_all(module)?;
    Ok(())
}

/// Copies files and folders, without the modes of what is read-only.
fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &to)?;
        } else {
            fs::write(&to, fs::read(entry.path())?)?;
        }
    }
    Ok(())
}
