//! What a source says of its own copies in restic repositories: one annotation, words of `key=value`.
//!
//! A word takes the place of the destination's key of that name; what no word names is the destination's. How a
//! repository of the administrator's is reached, its environment and its authority, is the administrator's to say.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use crate::config::{Compression, Restic, RunIn, restic_fault};
use crate::restic_environment;

/// A source's own options.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `exclude=PATTERN`, any number of times; empty: the destination's.
    pub exclude: Vec<String>,
    /// `compression=WORD`.
    pub compression: Option<Compression>,
    /// `pack-size=MIB`.
    pub pack_size: Option<u32>,
    /// `limit-upload=KIB`, a second.
    pub limit_upload: Option<u32>,
    /// `limit-download=KIB`, a second.
    pub limit_download: Option<u32>,
    /// `cache=QUANTITY`.
    pub cache: Option<String>,
    /// `ca=NAME`: a `ConfigMap` of the source's namespace.
    pub ca: Option<String>,
    /// `env.NAME=VALUE`, any number of times; the names that [`restic_environment::is_for_sources`] knows.
    pub environment: BTreeMap<String, String>,
}

/// A text that says no options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; example: 'exclude=*.tmp compression=off limit-upload=1024'")]
pub struct OptionsError(String);

const KEYS: &str = "exclude, compression, pack-size, limit-upload, limit-download, cache, ca, env.NAME";

impl FromStr for Options {
    type Err = OptionsError;

    /// Words have no blanks in them; an empty value counts as left out.
    fn from_str(text: &str) -> Result<Self, OptionsError> {
        let (mut options, mut seen) = (Self::default(), BTreeSet::new());
        for word in text.split_whitespace() {
            let (key, value) = word.split_once('=').ok_or_else(|| OptionsError(format!("'{word}' has no '='")))?;
            if key != "exclude" && !seen.insert(key) {
                return Err(OptionsError(format!("{key} occurs twice")));
            }
            if !value.is_empty() {
                options.read(key, value)?;
            }
        }
        // What restic and Kubernetes take is said once, by the configuration's own check.
        match restic_fault(&options.over(&Restic::named("any"))) {
            Some((key, fault)) => Err(OptionsError(format!("{key}: {fault}"))),
            None => Ok(options),
        }
    }
}

impl Options {
    fn read(&mut self, key: &str, value: &str) -> Result<(), OptionsError> {
        let number =
            || value.parse::<u32>().map(Some).map_err(|_| OptionsError(format!("{key}={value} is not a whole number")));
        match key {
            "exclude" => self.exclude.push(value.to_owned()),
            "compression" => self.compression = Some(compression(value)?),
            "pack-size" => self.pack_size = number()?,
            "limit-upload" => self.limit_upload = number()?,
            "limit-download" => self.limit_download = number()?,
            "cache" => self.cache = Some(value.to_owned()),
            "ca" => self.ca = Some(value.to_owned()),
            _ => match key.strip_prefix("env.") {
                Some(name) if restic_environment::is_for_sources(name) => {
                    self.environment.insert(name.to_owned(), value.to_owned());
                }
                Some(_) => {
                    let may = restic_environment::for_sources();
                    return Err(OptionsError(format!("{key} cannot be set by an annotation; allowed are {may}")));
                }
                None => return Err(OptionsError(format!("unknown key {key}; use {KEYS}"))),
            },
        }
        Ok(())
    }

    /// A destination as it is for this source.
    #[must_use]
    pub fn over(&self, restic: &Restic) -> Restic {
        let mut restic = restic.clone();
        if !self.exclude.is_empty() {
            restic.exclude.clone_from(&self.exclude);
        }
        match restic.run_in {
            RunIn::Tenant => {
                restic.compression = self.compression.unwrap_or(restic.compression);
                restic.pack_size = self.pack_size.or(restic.pack_size);
                restic.limit_upload = self.limit_upload.or(restic.limit_upload);
                restic.limit_download = self.limit_download.or(restic.limit_download);
                restic.cache = self.cache.clone().or(restic.cache);
                restic.ca = self.ca.clone().or(restic.ca);
                restic.environment.extend(self.environment.clone());
            }
            RunIn::Controller => {}
        }
        restic
    }

    /// The options that have no effect at a central destination, by their keys: they are the administrator's there.
    ///
    /// S8: a copy that is slowed down to 1 KiB a second, or that compresses as much as it can, holds the slots that all
    /// namespaces share for hours. Large packs lie on a node until they are stored, and small ones are many objects in the
    /// administrator's bucket.
    pub fn of_the_administrator(&self) -> impl Iterator<Item = &'static str> {
        [
            ("compression", self.compression.is_some()),
            ("pack-size", self.pack_size.is_some()),
            ("limit-upload", self.limit_upload.is_some()),
            ("limit-download", self.limit_download.is_some()),
            ("cache", self.cache.is_some()),
            ("ca", self.ca.is_some()),
            ("env", !self.environment.is_empty()),
        ]
        .into_iter()
        .filter_map(|(key, is_set)| is_set.then_some(key))
    }
}

fn compression(value: &str) -> Result<Compression, OptionsError> {
    let words = || Compression::ALL.map(Compression::as_str).join(", ");
    let found = Compression::ALL.into_iter().find(|c| c.as_str() == value);
    found.ok_or_else(|| OptionsError(format!("compression={value} is not one of {}", words())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Options {
        text.parse().unwrap()
    }

    fn fault(text: &str) -> String {
        text.parse::<Options>().expect_err(text).to_string()
    }

    #[test]
    fn what_a_source_says_takes_the_place_of_what_the_destination_says_and_no_more() {
        let mut destination = Restic::named("s3");
        destination.exclude = vec!["*.bak".to_owned()];
        destination.limit_upload = Some(7);
        destination.environment =
            BTreeMap::from([("GOGC".to_owned(), "1".to_owned()), ("B2_ACCOUNT_ID".to_owned(), "2".to_owned())]);
        assert_eq!(Options::default().over(&destination), destination);
        let options = read(
            "exclude=*.tmp exclude=/cache compression=off pack-size=64 cache=1Gi ca=own env.GOGC=3 env.NO_PROXY=4=5",
        );
        let restic = options.over(&destination);
        assert_eq!(restic.exclude, ["*.tmp", "/cache"]);
        assert_eq!((restic.compression, restic.pack_size, restic.limit_upload), (Compression::Off, Some(64), Some(7)));
        assert_eq!((restic.cache.as_deref(), restic.ca.as_deref()), (Some("1Gi"), Some("own")));
        let environment =
            [("GOGC", "3"), ("B2_ACCOUNT_ID", "2"), ("NO_PROXY", "4=5")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(restic.environment, BTreeMap::from(environment));
    }

    /// The administrator's credentials go where the administrator says, whatever a tenant writes.
    #[test]
    fn a_tenant_does_not_say_how_the_administrators_repository_is_reached() {
        let mut destination = Restic::named("s3");
        destination.run_in = RunIn::Controller;
        destination.limit_download = Some(7);
        let options = read(
            "ca=own env.HTTPS_PROXY=http://mine exclude=*.tmp cache=900Gi limit-upload=1 limit-download=9 compression=max pack-size=4",
        );
        let restic = options.over(&destination);
        assert_eq!((&restic.ca, restic.environment.len(), &restic.cache), (&None, 0, &None), "nor fill its nodes");
        // S8: slow copies hold the slots of all, and fast ones fill the administrator's line.
        assert_eq!((restic.limit_upload, restic.limit_download), (None, Some(7)));
        // And so do slow compression, and packs that fill a node or a bucket.
        assert_eq!((restic.compression, restic.pack_size), (Compression::Auto, None));
        assert_eq!(restic.exclude, ["*.tmp"]);
        let ignored: Vec<&str> = options.of_the_administrator().collect();
        assert_eq!(ignored, ["compression", "pack-size", "limit-upload", "limit-download", "cache", "ca", "env"]);
    }

    #[test]
    fn what_cannot_be_read_is_shown_with_what_can() {
        for (text, part) in [
            ("off", "'off' has no '='"),
            ("compresion=off", "unknown key compresion; use exclude, compression, "),
            ("compression=gzip", "compression=gzip is not one of auto, off, fastest, better, max"),
            ("pack-size=16 pack-size=16", "pack-size occurs twice"),
            ("pack-size=1Gi", "pack-size=1Gi is not a whole number"),
            ("pack-size=1", "packSize: 1 is not allowed; use 4 to 128"),
            ("limit-upload=0", "limitUpload: "),
            ("cache=viel", "cache: "),
            ("ca=Own", "ca: \"Own\" is not a valid object name"),
            ("env.path=x", "env.path cannot be set by an annotation; allowed are AWS_DEFAULT_REGION, "),
            ("env.RESTIC_REPOSITORY=x", "env.RESTIC_REPOSITORY cannot be set by an annotation"),
            ("env.RESTIC_PASSWORD_COMMAND=x", "env.RESTIC_PASSWORD_COMMAND cannot be set by an annotation"),
            // ssh would load the code that a file of the volume names.
            ("env.OPENSSL_CONF=/source/o.cnf", "env.OPENSSL_CONF cannot be set by an annotation"),
            // A file of the volume would name a program.
            (
                "env.AWS_SHARED_CREDENTIALS_FILE=/source/c",
                "env.AWS_SHARED_CREDENTIALS_FILE cannot be set by an annotation",
            ),
            ("env.AWS_ACCESS_KEY_ID=x", "env.AWS_ACCESS_KEY_ID cannot be set by an annotation"),
        ] {
            let fault = fault(text);
            assert!(fault.starts_with(part), "{text}: {fault}");
            assert!(fault.ends_with("compression=off limit-upload=1024'"), "{fault}");
        }
        assert_eq!(read("  exclude= compression="), Options::default());
    }
}
