//! The mounted Secret: what it gives to restic, and what the address takes from it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use model::reason::{Problem, Reason};
use model::restic_environment;

use super::address::Address;
use super::args::is_variable;
use crate::outcome::Failure;
use crate::redact::Struck;

/// The key of the repository's password.
const PASSWORD: &str = "RESTIC_PASSWORD";
/// The key of its address, or of what addresses begin with.
const REPOSITORY: &str = "RESTIC_REPOSITORY";
/// The keys of a user of an HTTP server and his password.
const USER: &str = "RESTIC_REST_USERNAME";
const WORD: &str = "RESTIC_REST_PASSWORD";
/// The keys that only a Secret may set.
const OWN: [&str; 3] = [PASSWORD, USER, WORD];
/// The keys whose values are names of places and people, without which a message helps nobody. All others are secrets.
const NAMES: [&str; 23] = [
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AZURE_ACCOUNT_NAME",
    "AZURE_AUTHORITY_HOST",
    "AZURE_ENDPOINT_SUFFIX",
    "GOGC",
    "GOMAXPROCS",
    "GOMEMLIMIT",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_PROJECT_ID",
    "MINIO_ROOT_USER",
    "OS_PROJECT_DOMAIN_NAME",
    "OS_PROJECT_NAME",
    "OS_REGION_NAME",
    "OS_TENANT_NAME",
    "OS_USERNAME",
    "OS_USER_DOMAIN_NAME",
    "RESTIC_AWS_ASSUME_ROLE_REGION",
    "RESTIC_COMPRESSION",
    "RESTIC_PACK_SIZE",
    "RESTIC_READ_CONCURRENCY",
    "ST_USER",
    USER,
];
/// The kubelet's link to the folder with the Secret's keys as they are now.
const VERSION: &str = "..data";
/// The key of a user on an SFTP server, as in Secrets of the type `kubernetes.io/ssh-auth`.
pub(super) const KEY: &str = "ssh-privatekey";
/// The key with the server's own public keys, as `ssh-keyscan` prints them.
pub(super) const HOSTS: &str = "known_hosts";
/// The fewest characters of a new repository's password.
const SHORTEST: usize = 12;
/// Passwords of that length that everybody tries.
const WELL_KNOWN: [&str; 16] = [
    "123456789012",
    "1234567890123",
    "12345678901234567890",
    "administrator",
    "backup-password",
    "changemechangeme",
    "changeme1234",
    "correct horse battery staple",
    "correcthorsebatterystaple",
    "letmeinletmein",
    "my-super-secret-password",
    "passw0rd1234",
    "password1234",
    "passwordpassword",
    "qwertyuiop123",
    "restic-password",
];

/// The keys of a Secret that are names of environment variables, with their values.
#[derive(Clone)]
pub(crate) struct Secret {
    /// Its namespace and name, for words.
    name: String,
    keys: BTreeMap<String, String>,
    /// Those that are files and no variables: [`KEY`] and [`HOSTS`].
    files: BTreeMap<String, String>,
    /// The contents of the other keys, which variables may name.
    named: Vec<String>,
}

/// The shortest string of a JSON file that is taken for a secret.
const TELLING: usize = 16;

/// What nobody may see of a file that a variable may name: itself, and in JSON, as accounts' keys are, its longer strings
/// but for addresses.
fn values(text: &str) -> Vec<String> {
    let mut found = vec![text.to_owned()];
    if let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(text) {
        let strings = fields.values().filter_map(|value| value.as_str());
        let telling = strings.filter(|value| value.len() >= TELLING && !value.contains("://"));
        found.extend(telling.map(str::to_owned));
    }
    found
}

impl Secret {
    /// Reads the files of a mounted Secret. One that is not there has no keys.
    ///
    /// S9: the Secret may be changed meanwhile. The kubelet then lets its link lead to another folder. So the link is
    /// followed once: the address of one Secret with the password of another would begin a repository that nobody opens.
    pub(crate) fn read(folder: &Path, name: &str) -> Result<Self, Failure> {
        let unreadable = |error: io::Error| {
            Failure::again(Problem::new(Reason::SecretIncomplete, format!("cannot read the Secret {name}: {error}")))
        };
        let (mut keys, mut files, mut named) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let version = fs::read_link(folder.join(VERSION)).map(|to| folder.join(to));
        let entries = match fs::read_dir(version.as_deref().unwrap_or(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries.map_err(unreadable)?),
        };
        for entry in entries.into_iter().flatten() {
            let entry = entry.map_err(unreadable)?;
            let is_file = |key: &str| [KEY, HOSTS].contains(&key);
            let Ok(key) = entry.file_name().into_string() else { continue };
            // The kubelet's own folders and links begin with two dots; what else is no file is none of its keys.
            if !fs::metadata(entry.path()).is_ok_and(|meta| meta.is_file()) {
                continue;
            }
            let bytes = fs::read(entry.path()).map_err(unreadable)?;
            // A variable may name it, and restic read it: an account's key, or a certificate.
            if !is_variable(&key) && !is_file(&key) {
                named.extend(String::from_utf8(bytes).ok());
                continue;
            }
            let Ok(text) = String::from_utf8(bytes) else {
                return Err(Failure::last(Problem::new(
                    Reason::SecretIncomplete,
                    format!("the key {key} of the Secret {name} is not UTF-8 text"),
                )));
            };
            if is_file(&key) {
                files.insert(key, text);
                continue;
            }
            // `echo secret | base64` is how many are made.
            keys.insert(key, text.trim_end_matches(['\n', '\r']).to_owned());
        }
        Ok(Self { name: name.to_owned(), keys, files, named })
    }

    /// Its namespace and name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A key that is a file.
    pub(super) fn file(&self, key: &str) -> Result<&str, Failure> {
        self.value(&self.files, key)
    }

    fn get(&self, key: &str) -> Result<&str, Failure> {
        self.value(&self.keys, key)
    }

    fn value<'a>(&self, keys: &'a BTreeMap<String, String>, key: &str) -> Result<&'a str, Failure> {
        let value = keys.get(key).map(String::as_str).filter(|value| !value.trim().is_empty());
        value.ok_or_else(|| {
            let name = &self.name;
            let text = if self.keys.is_empty() && self.files.is_empty() {
                format!("the Secret {name} does not exist or is empty: create it with the key {key}")
            } else {
                format!("the Secret {name} has no key {key}, or the key is empty")
            };
            Failure::last(Problem::new(Reason::SecretIncomplete, text))
        })
    }

    /// An address with its variables filled in, as restic understands it: with no slash too many.
    pub(crate) fn address(&self, pattern: &str) -> Result<Address, Failure> {
        let mut address = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((key, after)) = after.split_once('}') else { break };
            address.push_str(before);
            address.push_str(self.get(key)?.trim());
            rest = after;
        }
        address.push_str(rest);
        Address::parse(&without_double_slashes(&address), &self.name)
    }

    /// All that nobody may see: its values, but for those that an address is made of, of which some parts are, and those
    /// that are no more than names.
    pub(crate) fn struck(&self, pattern: &str, address: &Address, environment: &BTreeMap<String, String>) -> Struck {
        let is_secret = |key: &str| !NAMES.contains(&key) && !pattern.contains(&format!("{{{key}}}"));
        let of_keys = self.keys.iter().filter(|(key, _)| is_secret(key)).map(|(_, value)| value.as_str());
        let of_files = self.files.iter().filter(|(key, _)| *key != HOSTS).map(|(_, value)| value.as_str());
        let told = [self.keys.get(USER), self.keys.get(WORD)].map(|value| value.map_or("", String::as_str));
        // As HTTP sends it.
        let basic = told.iter().all(|value| !value.is_empty()).then(|| told.join(":"));
        // An address beside: of a proxy, or of a service.
        let beside = environment.values().filter_map(|value| {
            let (user, _) = value.split_once("://")?.1.rsplit_once('@')?;
            user.split_once(':').map(|(_, word)| word)
        });
        let of_named: Vec<String> = self.named.iter().flat_map(|text| values(text)).collect();
        let of_files = of_files.chain(of_named.iter().map(String::as_str));
        Struck::new(of_keys.chain(of_files).chain(address.hidden()).chain(beside).chain(basic.as_deref()))
    }

    /// What restic's environment gets from it, and from what the administrator or the source's owner says beside.
    /// Only known variables are handed on, and a file that one names is the Secret's. With `ssh` only those are that do
    /// not reach it, or are nothing to it.
    pub(crate) fn environment(
        &self,
        folder: &Path,
        more: &[(String, String)],
        ssh: bool,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let more = more.iter().map(|(key, value)| (key, value, false));
        let mut environment = BTreeMap::new();
        for (key, value, own) in self.keys.iter().map(|(key, value)| (key, value, true)).chain(more) {
            if !(restic_environment::is_known(key) || own && OWN.contains(&key.as_str())) {
                // In the Secret it may stand for a part of the address.
                if !own || key != REPOSITORY {
                    tracing::info!("ignoring {key}: restic may not get this environment variable");
                }
                continue;
            }
            if restic_environment::is_file(key) && !is_inside(folder, value) {
                let (name, folder) = (&self.name, folder.display());
                // Its value is not repeated: it may be what should stand in the file.
                let text = format!("{key} must be the path of a key of the Secret {name}: {folder}/KEY");
                return Err(Failure::last(Problem::new(Reason::SecretIncomplete, text)));
            }
            if !ssh || restic_environment::is_of_the_program(key) {
                environment.insert(key.clone(), value.clone());
            }
        }
        Ok(environment)
    }

    /// Without a password restic would ask a terminal for one.
    pub(crate) fn check_password(&self) -> Result<(), Failure> {
        self.get(PASSWORD).map(drop)
    }

    /// What a new repository asks of its password. It cannot be asked later: a password is not changed by a Secret.
    pub(crate) fn check_new_password(&self) -> Result<(), Failure> {
        let password = self.get(PASSWORD)?;
        let name = &self.name;
        let weak = |why: &str| {
            let text = format!("cannot create the repository: {PASSWORD} of the Secret {name} {why}");
            Err(Failure::last(Problem::new(Reason::WeakPassword, text)))
        };
        let length = password.chars().count();
        if length < SHORTEST {
            return weak(&format!("has {length} characters but needs at least {SHORTEST}"));
        }
        let lower = password.to_lowercase();
        let mut characters = lower.chars();
        let first = characters.next();
        if characters.all(|c| Some(c) == first) || WELL_KNOWN.contains(&lower.as_str()) {
            return weak("is a well-known password");
        }
        Ok(())
    }
}

/// Whether a path is that of a key of the Secret in this folder.
fn is_inside(folder: &Path, path: &str) -> bool {
    let path = Path::new(path);
    let is_key = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| !name.starts_with(".."));
    // No other way of writing it: `Path` takes `folder/../x/key` apart in more pieces.
    is_key && path.parent() == Some(folder)
}

/// `s3:https://host//bucket/` is no bucket to restic: the slash that somebody's address ends in, and ours. But
/// `sftp://host//srv` is another folder than `sftp://host/srv`, which is below the user's own.
fn without_double_slashes(address: &str) -> String {
    let (scheme, path) = match address.find("://") {
        Some(at) => address.split_at(at + 3),
        None => ("", address),
    };
    let (host, path) = path.split_at(path.find('/').unwrap_or(path.len()));
    let mut text = format!("{scheme}{host}");
    if scheme == "sftp://" && path.starts_with("//") {
        text.push_str("//");
    }
    let shortest = text.len().max(scheme.len() + 1);
    for c in path.chars() {
        if c != '/' || !text.ends_with('/') {
            text.push(c);
        }
    }
    while text.len() > shortest && text.ends_with('/') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(keys: &[(&str, &str)]) -> Secret {
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Secret { name: "shop/backup-s3".to_owned(), keys, files: BTreeMap::new(), named: Vec::new() }
    }

    /// S9: as the kubelet mounts a Secret, at the moment at which it changes.
    #[test]
    fn a_secret_that_is_swapped_is_read_as_one_of_the_two() {
        let folder = std::env::temp_dir().join(format!("secret-swapped-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        for version in ["old", "new"] {
            fs::create_dir_all(folder.join(format!("..{version}"))).unwrap();
            for key in [PASSWORD, REPOSITORY] {
                fs::write(folder.join(format!("..{version}")).join(key), version).unwrap();
            }
        }
        let link = |to: String, name: &str| std::os::unix::fs::symlink(to, folder.join(name)).unwrap();
        link("..new".to_owned(), VERSION);
        link(format!("..old/{PASSWORD}"), PASSWORD);
        link(format!("{VERSION}/{REPOSITORY}"), REPOSITORY);
        let read = Secret::read(&folder, "shop/backup-s3").unwrap_or_else(|failure| panic!("{}", failure.problem));
        assert_eq!(read.keys.values().collect::<Vec<_>>(), ["new", "new"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    /// S3: a variable may name a key such as `gcs.json`, and restic's words contain what stands in that.
    #[test]
    fn keys_that_are_no_variables_are_struck_from_text_too() {
        let folder = std::env::temp_dir().join(format!("secret-named-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let account = r#"{"private_key_id": "0a1b2c3d4e5f60718293", "token_uri": "https://oauth.example.org/token"}"#;
        fs::write(folder.join("gcs.json"), account).unwrap();
        fs::write(folder.join("client-cert.pem"), "-----BEGIN KEY-----\nb3BlbnNzaC1rZXk\n-----END KEY-----\n").unwrap();
        fs::write(folder.join(REPOSITORY), "gs:bucket:/").unwrap();
        let read = Secret::read(&folder, "shop/backup-s3").unwrap_or_else(|failure| panic!("{}", failure.problem));
        let pattern = "{RESTIC_REPOSITORY}/u";
        let struck = read.struck(pattern, &read.address(pattern).unwrap(), &BTreeMap::new());
        let said =
            format!("no key 0a1b2c3d4e5f60718293 in {account}, at https://oauth.example.org/token: b3BlbnNzaC1rZXk");
        assert_eq!(struck.text(&said), "no key *** in ***, at https://oauth.example.org/token: ***");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_address_has_no_slash_too_many() {
        for (repository, wanted) in [
            ("s3:https://s3.example.org/bucket", "s3:https://s3.example.org/bucket/shop/data/u"),
            ("s3:https://s3.example.org/bucket/", "s3:https://s3.example.org/bucket/shop/data/u"),
            ("s3:https://s3.example.org//bucket//\n", "s3:https://s3.example.org/bucket/shop/data/u"),
            ("s3:s3.amazonaws.com/bucket/", "s3:s3.amazonaws.com/bucket/shop/data/u"),
            ("rest:http://user:word@host:8000/", "rest:http://user:word@host:8000/shop/data/u"),
            ("/mnt/backups/", "/mnt/backups/shop/data/u"),
            ("sftp:user@host:/srv", "sftp:user@host:/srv/shop/data/u"),
            ("sftp://user@host:22//srv//backup/", "sftp://user@host:22//srv/backup/shop/data/u"),
            ("sftp://user@host/backup", "sftp://user@host/backup/shop/data/u"),
        ] {
            let secret = secret(&[("RESTIC_REPOSITORY", repository)]);
            assert_eq!(secret.address("{RESTIC_REPOSITORY}/shop/data/u").unwrap().as_str(), wanted);
        }
        assert_eq!(secret(&[("A", "x"), ("B", "y")]).address("s3:{A}/{B}/u/").unwrap().as_str(), "s3:x/y/u");
    }

    #[test]
    fn what_is_missing_is_named() {
        let failure = secret(&[("A", "x")]).address("{RESTIC_REPOSITORY}/u").err().unwrap();
        assert_eq!(failure.problem.reason, Reason::SecretIncomplete);
        assert_eq!(
            failure.problem.message,
            "the Secret shop/backup-s3 has no key RESTIC_REPOSITORY, or the key is empty"
        );
        let failure = secret(&[]).check_password().unwrap_err();
        let text = "the Secret shop/backup-s3 does not exist or is empty: create it with the key RESTIC_PASSWORD";
        assert_eq!(failure.problem.message, text);
        assert!(secret(&[("RESTIC_PASSWORD", " ")]).check_password().is_err());
    }

    #[test]
    fn a_weak_password_makes_no_repository() {
        for weak in ["short", "elevenchars", "Password1234", "aaaaaaaaaaaaaaaa", "éééééé"] {
            let failure = secret(&[("RESTIC_PASSWORD", weak)]).check_new_password().unwrap_err();
            assert_eq!(failure.problem.reason, Reason::WeakPassword, "{weak}");
            assert!(!failure.problem.message.contains(weak), "a password is never repeated");
        }
        assert!(secret(&[("RESTIC_PASSWORD", "hf83-kd92-ab1")]).check_new_password().is_ok());
    }

    #[test]
    fn restic_is_given_known_variables_and_nothing_that_leads_it_astray() {
        let keys = [
            ("AWS_ACCESS_KEY_ID", "a"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/secret/x"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/secret/gcs.json"),
            ("LD_PRELOAD", "x"),
            ("OPENSSL_CONF", "x"),
            ("PATH", "x"),
            ("RESTIC_PASSWORD", "p"),
            ("RESTIC_PASSWORD_COMMAND", "x"),
            ("RESTIC_REPOSITORY", "x"),
            ("SSH_SK_HELPER", "x"),
        ];
        let more = [("GOGC", "50"), ("OPENSSL_CONF", "y"), ("RESTIC_PASSWORD", "y"), ("RESTIC_PACK_SIZE", "64")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let secret = secret(&keys);
        let given = |ssh| {
            let given = secret.environment(Path::new("/secret"), &more, ssh).unwrap();
            given.into_iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>()
        };
        let wanted = [
            "AWS_ACCESS_KEY_ID=a",
            "GOGC=50",
            "GOOGLE_APPLICATION_CREDENTIALS=/secret/gcs.json",
            "RESTIC_PACK_SIZE=64",
            "RESTIC_PASSWORD=p",
        ];
        assert_eq!(given(false), wanted);
        assert_eq!(given(true), ["GOGC=50", "RESTIC_PACK_SIZE=64", "RESTIC_PASSWORD=p"]);
    }

    /// A file of the volume is its owner's to write.
    #[test]
    fn a_file_that_is_none_of_the_secret_is_refused() {
        for file in
            ["/source/x", "x", "/secret/../source/x", "/secret/..", "/secret/..data", "/secret/a/b", "/secret", ""]
        {
            let secret = secret(&[("GOOGLE_APPLICATION_CREDENTIALS", file)]);
            let failure = secret.environment(Path::new("/secret"), &[], false).expect_err(file);
            assert_eq!(failure.problem.reason, Reason::SecretIncomplete, "{file}");
            assert!(failure.problem.message.contains("a key of the Secret shop/backup-s3: /secret/KEY"));
        }
    }

    #[test]
    fn the_files_of_a_mounted_secret_are_its_keys() {
        let folder = std::env::temp_dir().join(format!("secret-{}", std::process::id()));
        fs::create_dir_all(folder.join("..data")).unwrap();
        let files = [("RESTIC_PASSWORD", "word\n"), ("not-a-variable", "x"), (KEY, "key\n"), (HOSTS, "host\n")];
        for (key, value) in files {
            fs::write(folder.join(key), value).unwrap();
        }
        let secret = Secret::read(&folder, "shop/s").unwrap();
        // `known_hosts` could be the name of a variable.
        let given = secret.environment(&folder, &[], false).unwrap();
        assert_eq!(given.into_keys().collect::<Vec<_>>(), ["RESTIC_PASSWORD"]);
        assert_eq!((secret.file(KEY).unwrap(), secret.file(HOSTS).unwrap()), ("key\n", "host\n"));
        assert_eq!(secret.keys.into_iter().collect::<Vec<_>>(), [("RESTIC_PASSWORD".to_owned(), "word".to_owned())]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(Secret::read(&folder, "shop/s").unwrap().keys.is_empty());
    }
}
