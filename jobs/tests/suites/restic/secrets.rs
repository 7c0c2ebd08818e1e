//! S3: whatever restic, ssh or an endpoint says, no value of the Secret leaves the pod: not in the result that everybody
//! reads, not in the log.
//!
//! Each value has a token in its middle that no way of writing changes, so that a piece of it is found too.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::place::{Ended, RUNS};
use crate::restic::scene::Scene;
use crate::restic::server::free_port;

/// What tears words apart.
const ODD: [&str; 24] = [
    "/", "\"", "'", "%", "%2F", " ", "  ", "\\", "\\n", "\n", "\t", "@", ":", "?", "#", "&", "<", ">", "+", "=",
    "{KEY}", "ü", "🦀", "***",
];

/// A source of odd values, the same in each run.
struct Odd(u64);

impl Odd {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn part(&mut self) -> String {
        let count = self.next(6);
        (0..count).map(|_| ODD[self.next(ODD.len())]).collect()
    }

    /// A value, and the token in it.
    fn secret(&mut self) -> (String, String) {
        let token = format!("q{:05}Zx{:05}", self.next(100_000), self.next(100_000));
        let long = if self.next(20) == 0 { "x".repeat(4096) } else { String::new() };
        (format!("{}{token}{}{long}", self.part(), self.part()), token)
    }
}

/// What may be said of a value.
fn said(value: &str) -> Vec<String> {
    let percent = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
    let json = serde_json::to_string(value).unwrap();
    let message =
        |text: &str| serde_json::to_string(&serde_json::json!({"message_type": "error", "message": text})).unwrap();
    vec![
        value.to_owned(),
        format!("Fatal: parse {json}: invalid"),
        percent.clone(),
        percent.replace("%20", "+").replace("%2F", "%2f").replace("%3D", "%3d"),
        format!("Authorization: Basic {}", STANDARD_NO_PAD.encode(value)),
        message(&format!("unexpected answer 403 {value} from the server")),
        message(&format!("Stat(<config/>) returned error, retrying after 1s: {json}")),
        message(&percent),
        serde_json::to_string(&serde_json::json!({"message_type": "exit_error", "code": 1, "message": value})).unwrap(),
    ]
}

#[track_caller]
fn has_none(ended: &Ended, values: &[(String, String)], of: &str) {
    for (value, token) in values {
        for form in [token.clone(), STANDARD_NO_PAD.encode(value)] {
            for told in [&ended.message, &ended.output] {
                let line = told.lines().find(|line| line.contains(&form));
                assert_eq!(line, None, "{of}: {form} of {value:?}");
            }
        }
    }
}

#[test]
fn no_value_of_a_secret_leaves_the_pod_whatever_restic_says() {
    let scene = Scene::new("odd-secrets");
    scene.write("file", b"x");
    let words = scene.place.path.join("words");
    scene.fake_restic(&format!("cat {0} >&2; cat {0}; exit $(cat {0}.code)", words.display()));
    let mut odd = Odd(0x9e37_79b9_7f4a_7c15);
    for number in 0..200 {
        let keys = ["RESTIC_PASSWORD", "AWS_SECRET_ACCESS_KEY", "RESTIC_REST_PASSWORD", "AZURE_ACCOUNT_SAS"];
        let values: Vec<(String, String)> = keys.iter().map(|_| odd.secret()).collect();
        for (key, (value, _)) in keys.iter().zip(&values) {
            scene.secret(key, value);
        }
        // As it is in the environment: without blank lines at its end.
        let lines: Vec<String> =
            values.iter().flat_map(|(value, _)| said(value.trim_end_matches(['\n', '\r']))).collect();
        fs::write(&words, lines.join("\n")).unwrap();
        let code = [1, 3, 10, 11, 12, 130][number % 6];
        fs::write(words.with_extension("code"), code.to_string()).unwrap();
        let (verb, ended) = match number % 3 {
            0 => ("copy", scene.copy(RUNS[0]).run()),
            1 => ("prune", scene.prune("last=1").run()),
            _ => ("verify", scene.verify("1/1").run()),
        };
        assert_ne!(ended.code, Some(0), "{ended:?}");
        has_none(&ended, &values, &format!("{verb} {number}, exit code {code}"));
    }
}

/// With restic itself: addresses that it cannot parse, that nobody answers at, and servers that repeat what they heard.
#[test]
fn no_password_of_an_address_leaves_the_pod() {
    let scene = Scene::new("odd-addresses");
    scene.write("file", b"x");
    let mut odd = Odd(0x0123_4567_89ab_cdef);
    for number in 0..60 {
        let (value, token) = odd.secret();
        let value = value.replace('\n', "");
        scene.secret("RESTIC_REPOSITORY", &format!("rest:https://backup:{value}@127.0.0.1:{}/", free_port()));
        let ended = scene.copy(RUNS[0]).instead("--patience-seconds=0").run();
        assert!(ended.message.contains("shop/backup-s3") || ended.message.contains("127.0.0.1"), "{ended:?}");
        has_none(&ended, &[(value, token)], &format!("address {number}"));
    }
}

#[test]
fn no_password_leaves_the_pod_by_a_servers_answer() {
    let scene = Scene::new("odd-answers");
    scene.write("file", b"x");
    let mut odd = Odd(0xfedc_ba98_7654_3210);
    for number in 0..6 {
        let (value, token) = odd.secret();
        let value = value.trim_end().to_owned();
        let text = said(&value).join(" ").replace('<', "&lt;").replace('&', "&amp;");
        let port = answering(format!(
            "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>{text}</Message></Error>"
        ));
        let encoded = utf8_percent_encode(&value, NON_ALPHANUMERIC);
        let address = match number % 2 {
            0 => format!("rest:http://backup:{encoded}@127.0.0.1:{port}/"),
            _ => format!("s3:http://127.0.0.1:{port}/bucket"),
        };
        scene.secret("RESTIC_REPOSITORY", &address);
        scene.secret("AWS_ACCESS_KEY_ID", "an-access-key");
        scene.secret("AWS_SECRET_ACCESS_KEY", &value);
        let ended = scene.copy(RUNS[0]).run();
        assert_ne!(ended.code, Some(0), "{ended:?}");
        has_none(&ended, &[(value, token)], &address);
    }
}

/// A server that refuses each request with these words.
fn answering(body: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((mut client, _)) = listener.accept() {
            let mut request = [0; 8192];
            let _ = client.read(&mut request);
            let head = format!(
                "HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = client.write_all(head.as_bytes()).and_then(|()| client.write_all(body.as_bytes()));
        }
    });
    port
}

/// ssh tells in its log what it likes.
#[test]
fn no_key_leaves_the_pod_by_what_ssh_says() {
    let scene = Scene::at("odd-ssh", "sftp:user@127.0.0.1:/srv");
    scene.write("file", b"x");
    let words = scene.place.path.join("words");
    let script = format!(
        "while [ $# -gt 0 ]; do [ \"$1\" = -E ] && log=$2; shift; done\ncat {} | tee -a \"$log\" >&2\nexit 255",
        words.display()
    );
    scene.program("ssh", &script);
    scene.secret("known_hosts", "127.0.0.1 ssh-ed25519 AAAA");
    let mut odd = Odd(0x5555_aaaa_1234_5678);
    for number in 0..6 {
        let (value, token) = odd.secret();
        let key = format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{value}\n-----END OPENSSH PRIVATE KEY-----\n");
        scene.secret("ssh-privatekey", &key);
        fs::write(&words, format!("{key}Permission denied ({value})\n")).unwrap();
        let ended = scene.copy(RUNS[0]).run();
        assert_ne!(ended.code, Some(0), "{ended:?}");
        has_none(&ended, &[(value, token)], &format!("ssh {number}"));
    }
}

/// S9: the Secret is changed while a copy runs. The copy ends where it began, and the next one tells the other repository.
#[test]
fn a_copy_that_has_begun_ends_in_the_repository_in_which_it_began() {
    let scene = Scene::new("swapped");
    scene.write("file", b"x");
    let (other, secret) = (scene.place.path.join("other"), scene.place.path.join("secret"));
    scene.fake_restic(&format!(
        "case \"$*\" in *backup*) printf %s '{}' > '{1}/RESTIC_REPOSITORY'; printf another-long-word > '{1}/RESTIC_PASSWORD';; \
         esac; exec \"$RESTIC\" \"$@\"",
        other.display(),
        secret.display()
    ));
    let copied = scene.copy(RUNS[0]).run().complete();
    scene.real_restic();
    scene.holds(&RUNS[..1]);
    assert!(!other.exists(), "nothing of it is anywhere else");
    let expect = format!("--expect-repository={}", copied.repository.unwrap());
    let told = scene.copy(RUNS[1]).arg(&expect).run().failed(3, "RepositoryMissing");
    assert!(!other.exists(), "no repository is begun: {told}");
}
