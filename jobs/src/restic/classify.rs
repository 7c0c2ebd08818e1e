//! What restic's words mean: one table. Pure: a line and an exit code in, a reason and a sentence out.
//!
//! restic tells few causes apart by its exit code, and the endpoints behind it each have words of their own. What is
//! no known cause is repeated as it is, and tried again.

use model::reason::{Problem, Reason};
use model::text::clip;

use crate::outcome::Failure;

/// The longest piece of restic's text that is repeated.
const PIECE: usize = 240;

/// A known cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The endpoint refuses the key, the signature or what they are used for.
    Credentials,
    /// Some are missing.
    NoCredentials,
    /// There is no such bucket.
    Bucket,
    /// It is in another region.
    Region,
    /// The endpoint cannot be trusted.
    Certificate,
    /// It is not the host that is known.
    Host,
    /// It does not answer.
    Unreachable,
    /// There is no room.
    Full,
    /// The disk itself fails.
    Broken,
    /// The file of authorities is none.
    Authority,
    /// restic does not understand the address.
    Address,
    /// What is there is no repository, or none of this restic's.
    Stranger,
    /// What is there does not fit together.
    Damage,
}

/// Words of restic's and of its backends', in lower case. The first row that fits counts: the more special
/// ones stand above.
const WORDS: [(Cause, &[&str]); 14] = [
    (
        Cause::Certificate,
        &["x509: ", "tls: failed to verify certificate", "tls: bad certificate", "remote error: tls: "],
    ),
    (Cause::Host, &["host key verification failed", "host key is known for ", "has changed and you have requested"]),
    (Cause::Authority, &["cannot parse root certificate", "unable to read root certificate"]),
    (
        Cause::Full,
        &[
            "no space left on device",
            "disk quota exceeded",
            "quotaexceeded",
            "quota exceeded",
            "storage backend has reached its minimum free drive threshold",
            "xminiostoragefull",
            "insufficient storage",
            "(507)",
        ],
    ),
    (Cause::Broken, &["read-only file system", "input/output error", "structure needs cleaning"]),
    (
        Cause::Bucket,
        &[
            "the specified bucket does not exist",
            "nosuchbucket",
            "the specified container does not exist",
            "containernotfound",
            "bucket doesn't exist",
        ],
    ),
    (
        Cause::Region,
        &[
            "authorization header is malformed",
            "' is wrong; expecting '",
            "must be addressed using the specified endpoint",
            "301 moved permanently",
            "400 bad request",
        ],
    ),
    (
        Cause::NoCredentials,
        &["no credentials found", ") is empty", "could not find default credentials", "unable to find credentials"],
    ),
    (
        Cause::Credentials,
        &[
            "access denied",
            "accessdenied",
            "access key id you provided does not exist",
            "provided access key id",
            "request signature we calculated does not match",
            "invalidaccesskeyid",
            "signaturedoesnotmatch",
            "the request time and the current time is too large",
            "account is not authorized",
            "authenticationfailed",
            "authorizationfailure",
            "unauthorized",
            "forbidden",
            "permission denied",
        ],
    ),
    (
        Cause::Unreachable,
        &[
            "connection refused",
            "no such host",
            "server misbehaving",
            "temporary failure in name resolution",
            "could not resolve hostname",
            "i/o timeout",
            "request timeout",
            "deadline exceeded",
            "handshake timeout",
            "timed out",
            "no route to host",
            "network is unreachable",
            "connection reset",
            "broken pipe",
            "connection closed",
            "server gave http response to https client",
            "unexpectedly closed connection",
            "unexpected eof",
            "please reduce your request rate",
            "502 bad gateway",
            "503 service unavailable",
            "504 gateway timeout",
            "internal error. please try again",
            "internal server error",
            "stale file handle",
            "transport endpoint is not connected",
            // Of an SSH connection that was lost: restic starts no other, and ssh itself mostly says nothing.
            "connection lost",
            "ssh command exited",
            "closed by remote host",
            "not responding",
            // What restic did not get in a quarter of an hour, it asks for no more.
            "circuit breaker open",
        ],
    ),
    (
        Cause::Address,
        &[
            "parsing repository location failed",
            "bucket name cannot be",
            "bucket name contains invalid characters",
            "invalid backend",
        ],
    ),
    (
        Cause::Stranger,
        &[
            "repository already contains",
            "unsupported repository version",
            "config or key",
            "invalid character",
            "not a directory",
        ],
    ),
    (
        Cause::Damage,
        &["ciphertext verification failed", "does not match id", "invalid data returned", "repository contains errors"],
    ),
    (Cause::Unreachable, &[": eof"]),
];

/// Whether a pack that the index names is cut or gone. Of what is no data, such as a lock, somebody else may have removed it.
fn lacks_a_pack(lower: &str) -> bool {
    let words = ["too short", "too-short", "does not exist", "no such file"];
    lower.contains("<data/") && words.iter().any(|word| lower.contains(word))
}

impl Cause {
    /// The cause that a line of restic's names.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let lower = text.to_lowercase();
        if lacks_a_pack(&lower) {
            return Some(Self::Damage);
        }
        WORDS.iter().find(|(_, words)| words.iter().any(|word| lower.contains(word))).map(|(cause, _)| *cause)
    }

    /// Whether it passes by itself.
    pub(crate) fn passes(self) -> bool {
        matches!(self, Self::Unreachable)
    }

    /// The reason, and whether another try may help.
    fn failure(self, at: &At<'_>, said: &str, failed: Reason) -> Failure {
        let At { repository, secret } = at;
        let said = clip(&shown(said), PIECE);
        if repository.starts_with('/')
            && let Some(failure) = self.of_a_disk(&said, failed)
        {
            return failure;
        }
        let (reason, text) = match self {
            Self::Credentials => {
                (Reason::CredentialsRefused, format!("{repository} refuses the keys of the Secret {secret}: {said}"))
            }
            Self::NoCredentials => {
                (Reason::SecretIncomplete, format!("a key is missing in the Secret {secret}: {said}"))
            }
            Self::Bucket => (Reason::BucketMissing, format!("the bucket of {repository} does not exist: {said}")),
            Self::Region => {
                (Reason::WrongRegion, format!("{repository} is in another region, or rejects the requests: {said}"))
            }
            Self::Certificate => {
                (Reason::CertificateRefused, format!("the certificate of {repository} is not trusted: {said}"))
            }
            Self::Host => (
                Reason::HostKeyRefused,
                format!("the host key of {repository} is not in `known_hosts` of the Secret {secret}: {said}"),
            ),
            Self::Authority => {
                (Reason::CertificateRefused, format!("the file of `ca` contains no certificate: {said}"))
            }
            Self::Unreachable => (Reason::DestinationUnreachable, format!("{repository} does not answer: {said}")),
            Self::Full => (Reason::DestinationFull, format!("no space left at {repository}: {said}")),
            Self::Broken if repository.starts_with("sftp:") || repository.starts_with("local:") => {
                (failed, format!("cannot use the disk of {repository}: {said}"))
            }
            // An object store has no disk that we see: its cache and its temporary files lie on the node.
            Self::Broken => (failed, format!("cannot use the pod's own disk: {said}")),
            Self::Address => {
                (Reason::InvalidAddress, format!("restic does not accept the address {repository}: {said}"))
            }
            Self::Stranger => {
                (Reason::NotARepository, format!("the data at {repository} is not a usable restic repository: {said}"))
            }
            Self::Damage => (Reason::RepositoryDamaged, format!("{repository} is damaged: {said}")),
        };
        let problem = Problem::new(reason, text);
        if self.passes() || self == Self::Broken { Failure::again(problem) } else { Failure::last(problem) }
    }

    /// The same where the repository lies on a disk: no endpoint and no key is at fault.
    fn of_a_disk(self, said: &str, failed: Reason) -> Option<Failure> {
        Some(match self {
            Self::Full => Failure::last(Problem::new(Reason::DiskFull, format!("no space left on the disk: {said}"))),
            Self::Broken | Self::Unreachable => {
                Failure::again(Problem::new(failed, format!("the disk is unavailable, read-only or failing: {said}")))
            }
            Self::Credentials => {
                Failure::last(Problem::new(failed, format!("the disk denies access even to root: {said}")))
            }
            _ => return None,
        })
    }
}

/// What a sentence names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) repository: &'a str,
    /// The Secret's namespace and name.
    pub(crate) secret: &'a str,
}

impl At<'_> {
    /// Why restic ended with `code`, having said `said`. `failed` is the reason of what has no other.
    pub(crate) fn failure(&self, code: Option<i32>, said: &str, failed: Reason) -> Failure {
        let Self { repository, secret } = self;
        let last = |reason, text| Failure::last(Problem::new(reason, text));
        match (code, Cause::of(said)) {
            (Some(10), Some(cause @ Cause::Bucket)) => cause.failure(self, said, failed),
            (Some(10), _) => last(Reason::RepositoryMissing, format!("there is no repository at {repository}")),
            (Some(11), _) => {
                let how = said.split_once("already locked ").map_or(said, |(_, how)| how);
                let how = clip(&one_line(how.split("storage ID").next().unwrap_or(how)), PIECE);
                let text = format!("the repository is locked {how}");
                Failure::again(Problem::new(Reason::RepositoryLocked, text))
            }
            (Some(12), _) => {
                let text = format!("RESTIC_PASSWORD of the Secret {secret} is not the password of {repository}");
                last(Reason::WrongPassword, text)
            }
            (_, Some(cause)) => cause.failure(self, said, failed),
            (None, None) => Failure::again(Problem::new(
                failed,
                "restic was killed; its memory limit (resources.copy.limits) may be too low",
            )),
            (Some(code), None) => {
                let said = if said.is_empty() { "it printed no error" } else { said };
                let text = format!("restic ended with exit code {code}: {}", clip(&shown(said), 2 * PIECE));
                Failure::again(Problem::new(failed, text))
            }
        }
    }
}

/// Text of restic's in one line, without its own preface.
fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.trim_start_matches("Fatal: ").to_owned()
}

/// The same without what may be secret in an address: what stands before an `@`, a user and a password; and what
/// follows a `?`, which may be a signature.
pub(crate) fn shown(text: &str) -> String {
    let text = one_line(text);
    let mut shown = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let (address, after) = after.split_at(after.find([' ', '"']).unwrap_or(after.len()));
        let host = address.find('/').unwrap_or(address.len());
        let address = address[..host].rfind('@').map_or(address, |at| &address[at + 1..]);
        shown.push_str(address.split('?').next().unwrap_or(address));
        rest = after;
    }
    shown + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Exit;

    const AT: At<'static> = At { repository: "s3:https://s3.example.org/bucket/shop/data/u", secret: "shop/backup-s3" };

    fn of(code: i32, said: &str) -> (Reason, Exit, String) {
        let Failure { problem, exit } = AT.failure(Some(code), said, Reason::CopyFailed);
        (problem.reason, exit, problem.message)
    }

    /// U13: the index names a pack that is not there, or not whole. Of a lock, somebody else may have removed it.
    #[test]
    fn a_pack_that_is_cut_off_or_gone_is_damage() {
        for words in ["restic-file-too-short", "file is too short", "The specified key does not exist.", "no such file"]
        {
            let (reason, exit, _) = of(1, &format!("Fatal: cannot dump file: ReadFull(<data/557e240ae6>): {words}"));
            assert_eq!((reason, exit), (Reason::RepositoryDamaged, Exit::Final), "{words}");
        }
        let (reason, ..) = of(1, "Load(<lock/0c86>, 0, 0) failed: The specified key does not exist.");
        assert_eq!(reason, Reason::CopyFailed);
    }

    /// Bad input: each its own reason, which names what to change. The lines are restic 0.19.1's own, before
    /// versitygw, AWS and broken endpoints.
    #[test]
    fn each_cause_has_its_own_reason() {
        let get = "Get \"https://127.0.0.1:7172/backups/?location=\": ";
        for (said, reason, exit) in [
            ("Stat: No user exists with the provided access key ID.", Reason::CredentialsRefused, Exit::Final),
            (
                "Stat: The request signature we calculated does not match the signature you provided. Check your key \
                 and signing method.",
                Reason::CredentialsRefused,
                Exit::Final,
            ),
            ("client.PutObject: Access Denied.", Reason::CredentialsRefused, Exit::Final),
            (
                "Fatal: unable to open config file: unexpected HTTP response (403): 403 Forbidden",
                Reason::CredentialsRefused,
                Exit::Final,
            ),
            ("Stat: The specified bucket does not exist.", Reason::BucketMissing, Exit::Final),
            ("Stat: 400 Bad Request", Reason::WrongRegion, Exit::Final),
            (
                "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
                Reason::WrongRegion,
                Exit::Final,
            ),
            (
                &format!("Stat: {get}dial tcp 127.0.0.1:7999: connect: connection refused"),
                Reason::DestinationUnreachable,
                Exit::Again,
            ),
            (
                &format!("Stat: {get}dial tcp: lookup nosuch.invalid on 10.0.0.53:53: no such host"),
                Reason::DestinationUnreachable,
                Exit::Again,
            ),
            (
                &format!("Stat: {get}http: server gave HTTP response to HTTPS client"),
                Reason::DestinationUnreachable,
                Exit::Again,
            ),
            (
                &format!("Stat: {get}Connection closed by foreign host. Retry again."),
                Reason::DestinationUnreachable,
                Exit::Again,
            ),
            (
                &format!("Stat: {get}tls: failed to verify certificate: x509: certificate signed by unknown authority"),
                Reason::CertificateRefused,
                Exit::Final,
            ),
            (
                &format!(
                    "Stat: {get}tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
                ),
                Reason::CertificateRefused,
                Exit::Final,
            ),
            ("Fatal: cannot parse root certificate from \"/ca/ca.crt\"", Reason::CertificateRefused, Exit::Final),
            (
                "Fatal: unable to save snapshot: write /r/data/38/38e839-tmp-3171: no space left on device",
                Reason::DestinationFull,
                Exit::Final,
            ),
            (
                "Fatal: unable to open repository at s3:http://h/b: s3.getCredentials: no credentials found. Use `-o \
                 s3.unsafe-anonymous-auth=true` for anonymous authentication",
                Reason::SecretIncomplete,
                Exit::Final,
            ),
            (
                "Fatal: unable to open repository at b2:bucket:x: Fatal: unable to open B2 backend: Account ID \
                 ($B2_ACCOUNT_ID) is empty",
                Reason::SecretIncomplete,
                Exit::Final,
            ),
            ("Fatal: parsing repository location failed: invalid backend", Reason::InvalidAddress, Exit::Final),
            (
                "Fatal: create repository at s3:http://h/ failed: client.BucketExists: Bucket name cannot be empty",
                Reason::InvalidAddress,
                Exit::Final,
            ),
            (
                "Host key for [h]:22 has changed and you have requested strict checking.; Host key verification failed.",
                Reason::HostKeyRefused,
                Exit::Final,
            ),
            (
                "Load key \"k\": error in libcrypto; u@h: Permission denied (publickey).",
                Reason::CredentialsRefused,
                Exit::Final,
            ),
            ("ssh: connect to host h port 22: Connection refused", Reason::DestinationUnreachable, Exit::Again),
            ("Fatal: something new", Reason::CopyFailed, Exit::Again),
        ] {
            let (found, ended, text) = of(1, said);
            assert_eq!((found, ended), (reason, exit), "{said}");
            assert!(!text.contains("word@"), "{text}");
        }
    }

    /// F51. An endpoint's reasons would send people to look for keys and proxies.
    #[test]
    fn what_a_disk_refuses_is_told_of_the_disk() {
        let at = At { repository: "/repository", secret: "shop/backup-restic" };
        for (said, reason, exit) in [
            ("write /repository/data/38/38e8-tmp-3171: no space left on device", Reason::DiskFull, Exit::Final),
            ("write /repository/data/38/38e8-tmp-3171: disk quota exceeded", Reason::DiskFull, Exit::Final),
            ("open /repository/locks/0c86-tmp-1: read-only file system", Reason::RestoreFailed, Exit::Again),
            ("read /repository/data/38/38e8: input/output error", Reason::RestoreFailed, Exit::Again),
            ("stat /repository/config: stale file handle", Reason::RestoreFailed, Exit::Again),
            ("open /repository/locks/0c86-tmp-1: permission denied", Reason::RestoreFailed, Exit::Final),
        ] {
            let Failure { problem, exit: ended } = at.failure(Some(1), said, Reason::RestoreFailed);
            assert_eq!((problem.reason, ended), (reason, exit), "{said}");
            assert!(problem.message.contains("the disk") && !problem.message.contains("Secret"), "{problem}");
        }
        let broken = of(1, "open /mnt/x/locks/a: read-only file system");
        assert_eq!((broken.0, broken.1), (Reason::CopyFailed, Exit::Again));
    }

    #[test]
    fn an_exit_code_that_says_enough_is_believed() {
        assert_eq!(of(12, "Fatal: wrong password or no key found").0, Reason::WrongPassword);
        let missing = "Fatal: repository does not exist: unable to open config file: stat /r/config: no such file";
        assert_eq!(of(10, missing).0, Reason::RepositoryMissing);
        assert_eq!(of(10, "repository does not exist: The specified bucket does not exist").0, Reason::BucketMissing);
        let locked = "unable to create lock in backend: repository is already locked by PID 702 on vm by root (UID 0, \
                      GID 0)\nlock was created at 2026-11-21 17:46:40 (3.8s ago)\nstorage ID 0c86190c\nthe `unlock` \
                      command can be used to remove stale locks";
        let (reason, exit, text) = of(11, locked);
        assert_eq!((reason, exit), (Reason::RepositoryLocked, Exit::Again));
        let wanted = "the repository is locked by PID 702 on vm by root (UID 0, GID 0) lock was created at 2026-11-21 \
                      17:46:40 (3.8s ago)";
        assert_eq!(text, wanted);
        let alone = "repository is already locked exclusively by PID 7 on vm";
        assert_eq!(of(11, alone).2, "the repository is locked exclusively by PID 7 on vm");
        assert_eq!(AT.failure(None, "", Reason::CopyFailed).exit, Exit::Again);
    }

    #[test]
    fn a_disk_that_fails_is_the_pods_own_where_the_repository_has_none() {
        let said = "Fatal: unable to save snapshot: write /tmp/restic-temp-pack-1: input/output error";
        let (reason, exit, text) = of(1, said);
        assert_eq!((reason, exit), (Reason::CopyFailed, Exit::Again));
        assert!(text.starts_with("cannot use the pod's own disk: "), "{text}");
        let sftp = At { repository: "sftp:backup@host:/srv", ..AT };
        let text = sftp.failure(Some(1), said, Reason::CopyFailed).problem.message;
        assert!(text.starts_with("cannot use the disk of sftp:backup@host:/srv: "), "{text}");
    }

    #[test]
    fn a_password_or_a_signature_in_an_address_is_not_repeated() {
        assert_eq!(
            shown("Put \"https://a.blob.core.windows.net/c/x?sv=1&sig=s%3D\": eof, why? https://h?sig=s http://i/j"),
            "Put \"https://a.blob.core.windows.net/c/x\": eof, why? https://h http://i/j"
        );
        assert_eq!(shown("https://h/x?sig=\"s://t"), "https://h/x\"s://t");
        assert_eq!(shown("rest:https://user:p@ss@host/x and http://h/y@z"), "rest:https://host/x and http://h/y@z");
        assert_eq!(shown("Fatal: Fatal: two\nlines"), "two lines");
    }
}
