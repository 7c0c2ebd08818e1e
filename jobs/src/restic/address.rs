//! A repository's address: as restic takes it, and what of it may be shown.
//!
//! What is shown is put together from the parts that were understood. An address that cannot be taken apart is refused, or
//! nothing of it is shown.

use model::reason::{Problem, Reason};

use crate::outcome::Failure;

/// What restic takes after the scheme as it is: the name of a bucket or container, and a path.
const PLAIN: [&str; 6] = ["azure:", "b2:", "gs:", "local:", "s3:", "swift:"];
/// The schemes before a URL.
const OF_URLS: [&str; 2] = ["rest:", "s3:"];

/// A repository's address.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    text: String,
    shown: String,
    /// The parts that nobody may see.
    hidden: Vec<String>,
}

impl Address {
    /// Takes an address apart. `secret` is where it comes from, in words.
    pub(crate) fn parse(text: &str, secret: &str) -> Result<Self, Failure> {
        // restic would start a program that is not in the image, with a configuration that no pod has.
        if text.starts_with("rclone:") {
            let text =
                format!("the address in the Secret {secret} begins with rclone:, and rclone is not in the image");
            return Err(Failure::last(Problem::new(Reason::InvalidAddress, text)));
        }
        let whole = |shown: &str| Self { text: text.to_owned(), shown: shown.to_owned(), hidden: Vec::new() };
        let url = OF_URLS.iter().find_map(|scheme| {
            let rest = text.strip_prefix(scheme)?;
            let kind = ["http://", "https://"].into_iter().find(|kind| rest.starts_with(kind))?;
            Some((format!("{scheme}{kind}"), &rest[kind.len()..]))
        });
        let url = url.or_else(|| Some(("sftp://".to_owned(), text.strip_prefix("sftp://")?)));
        if let Some((scheme, rest)) = url {
            return Self::url(text, &scheme, rest).map_err(|what| {
                let text = format!(
                    "cannot read the repository's address, which is not shown, with the keys of the Secret {secret}: \
                     {what}"
                );
                Failure::last(Problem::new(Reason::InvalidAddress, text))
            });
        }
        // A user of SSH is no secret; behind a colon there would be a password.
        let is_ssh = text.strip_prefix("sftp:").is_some_and(|rest| {
            let whom = rest.split('/').next().unwrap_or_default();
            whom.matches('@').count() <= 1 && !whom.split('@').next().unwrap_or_default().contains(':')
                || !whom.contains('@')
        });
        let is_plain = PLAIN.iter().any(|scheme| text.starts_with(scheme)) && !text.contains(['@', '?']);
        if text.starts_with('/') || is_ssh || is_plain {
            return Ok(whole(text));
        }
        let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
        let is_word = !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric());
        let shown = if is_word { format!("the {scheme} repository") } else { "the repository".to_owned() };
        Ok(Self { hidden: vec![text.to_owned()], ..whole(&shown) })
    }

    /// `scheme` with two slashes, and what follows them.
    fn url(text: &str, scheme: &str, rest: &str) -> Result<Self, &'static str> {
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        if !is_address(host) {
            return Err("it has no valid host and port");
        }
        if user.is_some_and(|user| !is_user(user)) {
            return Err("its user or password has a character that an address cannot have");
        }
        // A slash in a password, where a number stands before it, looks like a port and a path.
        if user.is_none() && host.contains(':') && path.contains('@') {
            return Err("it has an @ behind its host");
        }
        let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
        let password = user.and_then(|user| user.split_once(':')).map(|(_, password)| password);
        let hidden = password.into_iter().chain(query.get(1..)).chain(user.filter(|u| u.contains(':')));
        Ok(Self {
            text: text.to_owned(),
            shown: format!("{scheme}{host}{path}"),
            hidden: hidden.filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        })
    }

    /// As restic takes it.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a path of this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.text.starts_with("local:") || self.text.starts_with('/') || !self.text.contains(':')
    }

    /// As a person may see it.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// What nobody may see.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = &str> {
        self.hidden.iter().map(String::as_str)
    }
}

/// Whether this is a host, with a port or without.
fn is_address(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').map(|inner| inner.split_once(']')) {
        Some(Some((name, rest))) => (name, rest.strip_prefix(':').or(rest.is_empty().then_some("0"))),
        Some(None) => return false,
        None => host.split_once(':').map_or((host, Some("0")), |(name, port)| (name, Some(port))),
    };
    let is_name = |c: char| c.is_alphanumeric() || "-._:%".contains(c);
    !name.is_empty() && name.chars().all(is_name) && port.is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Whether a user and password are written as a URL has them.
fn is_user(user: &str) -> bool {
    let mut rest = user.bytes();
    while let Some(byte) = rest.next() {
        let fits = match byte {
            b'%' => {
                let mut digit = || rest.next().is_some_and(|b| b.is_ascii_hexdigit());
                digit() && digit()
            }
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !fits {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Address {
        Address::parse(text, "shop/backup-s3").unwrap_or_else(|failure| panic!("{text}: {}", failure.problem))
    }

    #[test]
    fn what_is_shown_of_an_address_has_no_password() {
        for (text, shown, hidden) in [
            ("rest:https://backup:Zk3%2F9fQ+Jw==@10.97.0.1:9/x", "rest:https://10.97.0.1:9/x", "Zk3%2F9fQ+Jw=="),
            ("s3:https://s3.example.org/bucket/shop", "s3:https://s3.example.org/bucket/shop", ""),
            ("s3:https://h:9000/b?X-Amz-Signature=abcdef", "s3:https://h:9000/b", "X-Amz-Signature=abcdef"),
            ("s3:s3.amazonaws.com/bucket/x", "s3:s3.amazonaws.com/bucket/x", ""),
            ("rest:http://user:p@ss@host/x", "rest:http://host/x", "p@ss"),
            ("sftp://user@host:22//srv", "sftp://host:22//srv", ""),
            ("sftp:user@host:/srv/a@b", "sftp:user@host:/srv/a@b", ""),
            ("azure:container:/path", "azure:container:/path", ""),
            ("/repository", "/repository", ""),
            ("https://user:word@host/", "the https repository", "https://user:word@host/"),
            ("s3:user:word@host/bucket", "the s3 repository", "s3:user:word@host/bucket"),
            ("word", "the repository", "word"),
        ] {
            let address = parsed(text);
            assert_eq!((address.as_str(), address.shown()), (text, shown));
            assert!(hidden.is_empty() || address.hidden().any(|part| part == hidden), "{text}");
        }
    }

    /// A7: each form that docs/configure.md names, with what the default pattern appends. Those below were tried with a
    /// server by other tests, or only their form is known: that table says which.
    #[test]
    fn each_form_of_an_address_is_taken_as_it_is_or_refused_in_words() {
        for text in [
            "s3:https://s3.example.com/bucket",
            "s3:s3.amazonaws.com/bucket",
            "rest:https://user:word@rest.example.com:8000",
            "sftp://user@sftp.example.com//srv/restic",
            "azure:container:/",
            "gs:bucket:/",
            "b2:bucket:",
            "swift:container:/",
        ] {
            let whole = format!("{text}/shop/data/u1");
            assert_eq!(parsed(&whole).as_str(), whole);
            assert!(parsed(&whole).shown().ends_with("/shop/data/u1"), "{text}");
        }
        let failure = Address::parse("rclone:remote,pass=word:path", "shop/backup-s3").err().unwrap();
        let Problem { reason, message, .. } = failure.problem;
        assert_eq!(reason, Reason::InvalidAddress);
        assert!(message.contains("rclone is not in the image") && !message.contains("word"), "{message}");
    }

    /// S3: of an address that cannot be read, restic would repeat pieces.
    #[test]
    fn an_address_that_cannot_be_read_is_refused_without_a_word_of_it() {
        for text in [
            "rest:https://backup:Zk3/9fQ+Jw==@10.97.0.1:9/",
            "rest:https://backup:123/9fQ+Jw==@10.97.0.1:9/",
            "rest:https://backup:Zk3#9fQ@10.97.0.1:9/",
            "rest:https://backup:Zk3?9fQ@10.97.0.1:9/",
            "rest:https://backup:Zk 39fQ@host/",
            "rest:https://backup:Zk%39fQ%zz@host/",
            "s3:https://Zk3 9fQ/bucket",
            "sftp://backup:Zk3/9fQ@host/srv",
        ] {
            let failure = Address::parse(text, "shop/backup-s3").err().unwrap_or_else(|| panic!("{text}"));
            let message = failure.problem.message;
            assert!(!message.contains("Zk3") && !message.contains("9fQ"), "{message}");
            assert!(message.contains("shop/backup-s3"), "{message}");
        }
    }
}
