//! A repository on a real SFTP server: the Secret's key and the host keys that it names, and nothing else.

use std::fs;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::place::{RUNS, wait_until, which};
use crate::restic::scene::{PASSWORD, Scene, done, failed};
use crate::restic::server::free_port;

/// OpenSSH's server over a folder, for whoever runs the test. It ends with the test.
struct Sshd {
    child: Child,
    port: u16,
    folder: PathBuf,
}

impl Sshd {
    fn start(name: &str) -> Self {
        let sshd = which("sshd").or_else(|| Some("/usr/sbin/sshd".into()).filter(|path: &PathBuf| path.exists()));
        let sshd = sshd.expect("these tests need sshd: make mover-tools");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sftp-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("srv")).unwrap();
        for key in ["host", "user", "other"] {
            keygen(&folder.join(key));
        }
        let port = free_port();
        let at = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM no\n\
             StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nSubsystem sftp internal-sftp\n",
            at("host"),
            at("user.pub"),
        );
        fs::write(folder.join("config"), config).unwrap();
        let mut command = if rustix::process::geteuid().is_root() {
            // It wants an empty folder that is there where it is a service; here it gets one of its own.
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", "mount -t tmpfs tmpfs /run && mkdir /run/sshd && exec \"$@\"", "sh"]);
            command.arg(&sshd);
            command
        } else {
            Command::new(&sshd)
        };
        command.args(["-D", "-e", "-f"]).arg(folder.join("config")).process_group(0);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("the SFTP server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, port, folder }
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    /// What `known_hosts` says if this public key is the server's.
    fn known(&self, public: &str) -> String {
        format!("[127.0.0.1]:{} {}", self.port, self.file(public))
    }

    /// A volume, and a Secret with all that is needed.
    fn scene(&self, name: &str) -> Scene {
        // Whoever runs the test has no name in some containers: ssh takes it from the system, as in a pod.
        let scene = Scene::at(name, &format!("sftp://127.0.0.1:{}/{}", self.port, self.folder.join("srv").display()));
        scene.secret("ssh-privatekey", &self.file("user"));
        scene.secret("known_hosts", &self.known("host.pub"));
        scene.write("file", b"x");
        scene
    }

    fn holds_nothing(&self) -> bool {
        fs::read_dir(self.folder.join("srv")).unwrap().next().is_none()
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn keygen(file: &Path) {
    let made =
        Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(file).output();
    let made = made.expect("these tests need ssh-keygen: make mover-tools");
    assert!(made.status.success(), "{made:?}");
}

/// Where the program keeps what it gives to ssh.
fn left_over(scene: &Scene) -> Vec<PathBuf> {
    let names = fs::read_dir(scene.place.path.join("tmp")).unwrap().map(|entry| entry.unwrap().path());
    names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("ssh-")).collect()
}

/// Copies, and one after another what a repository needs.
#[test]
fn a_repository_on_an_sftp_server_is_as_any() {
    let server = Sshd::start("any");
    let scene = server.scene("sftp");
    let tmp = scene.place.path.join("tmp");
    fs::create_dir(&tmp).unwrap();
    let first = scene.copy(RUNS[0]).env("TMPDIR", tmp.to_str().unwrap()).run().complete();
    // The second slash of the address counts: it is no folder of the user's own.
    assert!(server.folder.join("srv/shop/data/uid-1/config").exists());
    assert_eq!(left_over(&scene), [] as [PathBuf; 0], "no key stays behind");
    scene.write_noise("noise", 1 << 20);
    let second = scene.copy(RUNS[1]).run().complete();
    assert_eq!(second.kept.len(), 2);
    assert_ne!(first.snapshot, second.snapshot);

    // What lies there is a repository like any other.
    let there = server.folder.join("srv/shop/data/uid-1");
    let local = |args: &[&str]| {
        let mut restic = Command::new("restic");
        restic.args(["--no-cache", "-r"]).arg(&there).args(args).env("RESTIC_PASSWORD", PASSWORD).output().unwrap()
    };
    let back = scene.place.path.join("back");
    let point = format!("latest:{}", scene.seen().display());
    let out = local(&["restore", &point, "--target", back.to_str().unwrap()]);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(fs::read(back.join("noise")).unwrap(), fs::read(scene.source().join("noise")).unwrap());

    assert_eq!(done(&scene.prune("last=1").run()).pruned.len(), 1);
    done(&scene.verify("1/1").run());
}

#[test]
fn a_restore_comes_from_an_sftp_server_too() {
    let server = Sshd::start("restore");
    let scene = server.scene("sftp-restore");
    scene.copy(RUNS[0]).run().complete();
    let target = scene.place.path.join("target");
    fs::create_dir(&target).unwrap();
    let restored = scene.restore(RUNS[0], &target).run();
    assert_eq!(restored.code, Some(0), "{restored:?}");
    assert_eq!(fs::read(target.join("file")).unwrap(), b"x");
}

/// F44 of this kind of server. Each says whose fault it is, at once, and nothing is made anywhere.
#[test]
fn a_key_that_the_server_does_not_take_is_told() {
    let server = Sshd::start("key");
    let scene = server.scene("sftp-key");
    scene.secret("ssh-privatekey", &server.file("other"));
    let message = scene.copy(RUNS[0]).run().failed(3, "CredentialsRefused");
    assert!(message.contains("the Secret shop/backup-s3: ") && message.contains("Permission denied"), "{message}");
    scene.secret("ssh-privatekey", "no key at all");
    let message = scene.copy(RUNS[0]).run().failed(3, "CredentialsRefused");
    assert!(message.contains("Load key \"ssh-privatekey\""), "{message}");
    assert!(server.holds_nothing());

    // Pasted on another system, and without its last line's end.
    scene.secret("ssh-privatekey", server.file("user").replace('\n', "\r\n").trim_end());
    scene.copy(RUNS[0]).run().complete();
    scene.secret("ssh-privatekey", &server.file("other"));
    failed(&scene.prune("last=1").run(), 3, "CredentialsRefused");
    failed(&scene.verify("1/30").run(), 3, "CredentialsRefused");
}

/// An unknown host is never trusted: it may be anybody, and would get the data.
#[test]
fn a_host_that_is_not_known_is_not_talked_to() {
    let server = Sshd::start("host");
    let scene = server.scene("sftp-host");
    let elsewhere = format!("backup.example.org {}", server.file("host.pub"));
    for (known, words) in [(elsewhere, "host key is known for"), (server.known("other.pub"), "has changed")] {
        scene.secret("known_hosts", &known);
        let message = scene.copy(RUNS[0]).run().failed(3, "HostKeyRefused");
        assert!(message.contains("`known_hosts` of the Secret shop/backup-s3") && message.contains(words), "{message}");
    }
    assert!(server.holds_nothing());
}

#[test]
fn a_secret_without_a_key_or_without_hosts_is_told_which() {
    let server = Sshd::start("lacks");
    let scene = server.scene("sftp-lacks");
    for key in ["ssh-privatekey", "known_hosts"] {
        let value = fs::read_to_string(scene.place.path.join("secret").join(key)).unwrap();
        scene.no_secret(key);
        let message = scene.copy(RUNS[0]).run().failed(3, "SecretIncomplete");
        assert_eq!(message, format!("the Secret shop/backup-s3 has no key {key}, or the key is empty"));
        scene.secret(key, &value);
    }
    assert!(server.holds_nothing());
}

/// A server that is started anew, or a firewall that forgets: nothing is damaged, and the next verify may be clean.
/// restic starts ssh but once, so what it has not read then, it does not read at all.
#[test]
fn a_connection_that_is_lost_in_a_verify_is_no_damage() {
    let server = Sshd::start("lost");
    let scene = server.scene("sftp-lost");
    scene.write_noise("noise", 24 << 20);
    scene.copy(RUNS[0]).run().complete();
    let (pid, real) = (scene.place.path.join("pid"), which("ssh").unwrap());
    scene.program("ssh", &format!("echo $$ > {}; exec {} \"$@\"", pid.display(), real.display()));
    // As soon as it reads packs, and it reads slowly.
    scene.fake_restic(&format!(
        "[ \"$3\" = unlock ] || (sleep 4; kill -9 $(cat {})) & exec $RESTIC \"$@\"",
        pid.display()
    ));
    let verify = || scene.verify("1/1").arg("--limit-download=2048");
    let message = failed(&verify().run(), 1, "DestinationUnreachable");
    assert!(
        ["connection lost", "ssh command exited", "circuit breaker"].iter().any(|w| message.contains(w)),
        "{message}"
    );
    scene.real_restic();
    done(&scene.verify("1/1").run());
}

#[test]
fn a_server_that_does_not_answer_may_do_so_later_and_an_option_is_no_host() {
    let server = Sshd::start("down");
    let scene = server.scene("sftp-down");
    let down = format!("sftp://127.0.0.1:{}//srv", free_port());
    for address in [down.as_str(), "sftp:no-such-host.invalid:/srv"] {
        scene.secret("RESTIC_REPOSITORY", address);
        let message = scene.copy(RUNS[0]).run().failed(1, "DestinationUnreachable");
        assert!(message.contains("ssh: "), "{message}");
    }
    // Whoever calls ssh with such a host calls this program, and with what it was called.
    let ran = scene.place.path.join("ran");
    scene.program("ssh", &format!("echo \"$@\" >> {}; exit 1", ran.display()));
    for host in [
        "sftp:-oProxyCommand=x:/x",
        "sftp://u@-oProxyCommand=x//srv",
        "sftp:-lx@host:/x",
        "sftp:a@b@-oProxyCommand=x:/srv",
        "sftp://a@b@-oProxyCommand=x/srv",
        "sftp:a@-b@host:/srv",
    ] {
        scene.secret("RESTIC_REPOSITORY", host);
        scene.copy(RUNS[0]).run().failed(3, "InvalidAddress");
        assert!(!ran.exists(), "{host}: {:?}", fs::read_to_string(&ran));
    }
    // It would have been seen.
    scene.secret("RESTIC_REPOSITORY", "sftp:a@host:/srv");
    scene.copy(RUNS[0]).run();
    assert!(fs::read_to_string(&ran).unwrap().contains("host"));
}

/// ssh is a program that root runs, beside a volume that is its owner's: a variable must not lead it to a file there.
/// It is seen by ssh itself, which gets all of restic's environment but `RESTIC_*`.
#[test]
fn no_variable_of_a_secret_or_of_a_sources_owner_reaches_ssh() {
    let server = Sshd::start("variables");
    let scene = server.scene("sftp-variables");
    let seen = scene.place.path.join("seen");
    let real = which("ssh").unwrap();
    scene.program("ssh", &format!("env >> {}; exec {} \"$@\"", seen.display(), real.display()));
    for key in ["OPENSSL_CONF", "SSH_SK_HELPER", "LD_AUDIT", "GCONV_PATH", "AWS_ACCESS_KEY_ID"] {
        scene.secret(key, "/source/x");
    }
    let mut job = scene.copy(RUNS[0]);
    for word in ["OPENSSL_CONF=/source/o", "GCONV_PATH=/source", "LD_PRELOAD=/source/x.so", "HTTPS_PROXY=http://a"] {
        job = job.arg("--env").arg(word);
    }
    job.run().complete();
    let seen = fs::read_to_string(seen).unwrap();
    let mut names: Vec<&str> = seen.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    names.dedup();
    // A shell adds two of its own.
    names.retain(|name| !["PWD", "SHLVL", "_", "OLDPWD"].contains(name));
    assert!(names.contains(&"PATH"), "{seen}");
    assert!(names.iter().all(|name| ["LC_ALL", "PATH", "TMPDIR"].contains(name)), "{names:?}");
}

/// `known_hosts` could be the name of a variable.
#[test]
fn neither_key_is_in_the_environment_of_restic() {
    let server = Sshd::start("environment");
    let scene = server.scene("sftp-environment");
    let seen = scene.place.path.join("seen");
    scene.fake_restic(&format!("env > {}; exec $RESTIC \"$@\"", seen.display()));
    scene.copy(RUNS[0]).run().complete();
    let seen = fs::read_to_string(seen).unwrap();
    assert!(
        seen.contains("RESTIC_PASSWORD=") && !seen.contains("known_hosts=") && !seen.contains("PRIVATE KEY"),
        "{seen}"
    );
}
