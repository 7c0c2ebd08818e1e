//! From keys to a destination, and back.

use super::raw::{CHECKSUM_EVERY, Raw, Type};
use super::{Destination, Restic, Store, Times, Trees};

impl TryFrom<Raw> for Destination {
    type Error = String;

    fn try_from(mut raw: Raw) -> Result<Destination, String> {
        if let Some((key, of)) = raw.given().find(|(_, of)| *of != raw.r#type) {
            let (this, other) = (raw.r#type.as_str(), of.as_str());
            return Err(format!("{} has type {this}, but `{key}` is a key of type {other}; remove it", raw.name));
        }
        let disk = raw.disk()?;
        if disk.is_some()
            && let Some((key, why)) = raw.no_key_of_a_disk()
        {
            return Err(format!("{} is on a disk; remove `{key}`: {why}", raw.name));
        }
        let name = raw.name;
        let store = match raw.r#type {
            Type::Disk => {
                let disk = disk.ok_or_else(|| format!("{name} has neither `claim` nor `hostPath`; set one"))?;
                let accept = raw.accept.unwrap_or_default().into_iter().collect();
                Store::Disk(Trees { disk, checksum_every: raw.checksum_every.unwrap_or(CHECKSUM_EVERY), accept })
            }
            Type::Restic => {
                let secret = raw.secret.ok_or_else(|| {
                    format!("{name} has no `secret`; name a Secret with RESTIC_PASSWORD and the backend's credentials")
                })?;
                let by_default = if disk.is_some() { Restic::ON_DISK } else { Restic::REPOSITORY };
                Store::Restic(Box::new(Restic {
                    disk,
                    repository: raw.repository.unwrap_or_else(|| by_default.to_owned()),
                    secret,
                    run_in: raw.run_in.unwrap_or_default(),
                    ca: raw.ca,
                    compression: raw.compression.unwrap_or_default(),
                    pack_size: raw.pack_size,
                    limit_upload: raw.limit_upload,
                    limit_download: raw.limit_download,
                    exclude: raw.exclude.unwrap_or_default(),
                    environment: raw.environment.unwrap_or_default(),
                    backend_options: raw.backend_options.unwrap_or_default(),
                    cache: raw.cache,
                    skip_unchanged: raw.skip_unchanged.unwrap_or(true),
                    prune: raw.prune.unwrap_or_else(Times::prune),
                    verify: raw.verify.unwrap_or_else(Times::verify),
                }))
            }
        };
        Ok(Destination {
            name,
            store,
            retention: raw.retention,
            drill: raw.drill,
            orphans: raw.orphans.unwrap_or_default(),
        })
    }
}

impl From<Destination> for Raw {
    fn from(destination: Destination) -> Raw {
        let Destination { name, store, retention, drill, orphans } = destination;
        let raw = |r#type, disk| Raw { retention, drill, orphans: Some(orphans), ..Raw::named(name, r#type, disk) };
        match store {
            Store::Disk(Trees { disk, checksum_every, accept }) => Raw {
                checksum_every: Some(checksum_every),
                accept: Some(accept.iter().collect()),
                ..raw(Type::Disk, Some(disk))
            },
            Store::Restic(restic) => Raw {
                repository: Some(restic.repository).filter(|_| restic.disk.is_none()),
                secret: Some(restic.secret),
                run_in: Some(restic.run_in),
                ca: restic.ca,
                compression: Some(restic.compression),
                pack_size: restic.pack_size,
                limit_upload: restic.limit_upload,
                limit_download: restic.limit_download,
                exclude: Some(restic.exclude),
                environment: Some(restic.environment),
                backend_options: Some(restic.backend_options),
                cache: restic.cache,
                skip_unchanged: Some(restic.skip_unchanged),
                prune: Some(restic.prune),
                verify: Some(restic.verify),
                ..raw(Type::Restic, restic.disk)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::names::SourceId;

    fn with(more: &str) -> String {
        format!("destinations: [{{name: crypt, type: restic, {more}}}]")
    }

    fn refused(more: &str) -> String {
        Config::parse(&with(more)).expect_err(more).to_string()
    }

    #[test]
    fn a_repository_may_lie_on_each_kind_of_disk() {
        let host = "hostPath: {path: /srv/b, size: 1Ti, nodeSelector: {a: b}}";
        let source = SourceId { namespace: "shop".into(), name: "data".into(), uid: "u-1".into() };
        for (disk, claim) in [("claim: {size: 1Gi}", "backup-disk"), (host, "backup-disk-crypt")] {
            let config = Config::parse(&with(&format!("secret: s, runIn: tenant, {disk}"))).unwrap();
            let destination = config.destination("crypt").unwrap();
            assert_eq!(destination.disk_claim().as_deref(), Some(claim));
            let Store::Restic(restic) = &destination.store else { panic!("{destination:?}") };
            assert_eq!(restic.address(&source), Restic::ON_DISK);
            assert!(!destination.is_central());
            let written = serde_yaml::to_string(&config).unwrap();
            assert_eq!(Config::parse(&written).unwrap(), config, "{written}");
        }
    }

    #[test]
    fn what_a_repository_on_a_disk_has_no_use_for_is_told() {
        for (more, told) in [
            ("claim: {size: 1Gi}", "crypt has no `secret`; name a Secret with RESTIC_PASSWORD"),
            ("secret: s, claim: {size: 1Gi}, repository: \"s3:x/{uid}\"", "remove `repository`: each PVC"),
            ("secret: s, claim: {size: 1Gi}, ca: x", "remove `ca`: a disk is not reached over the network"),
            ("secret: s, claim: {size: 1Gi}, runIn: controller", "remove `runIn: controller`: the disk, and"),
            ("secret: s, claim: {size: 1Gi}, checksumEvery: 2", "`checksumEvery` is a key of type disk"),
            ("secret: s, claim: {size: 0}", "destinations[0].claim.size: must be more than 0"),
            ("secret: s, hostPath: {path: x, size: 1, nodeSelector: {a: b}}", "is not a valid folder path"),
            ("secret: s, claim: {size: 1}, hostPath: {path: /x, size: 1, nodeSelector: {a: b}}", "crypt has both"),
        ] {
            let found = refused(more);
            assert!(found.contains(told), "{more}: {found}");
        }
    }

    /// F43: two destinations on one disk would write at the same time.
    #[test]
    fn a_disk_is_one_destinations_alone_whatever_lies_on_it() {
        let both = |one: &str, other: &str| {
            let text = format!(
                "destinations: [{{name: a, type: disk, {one}}}, {{name: b, type: restic, secret: s, {other}}}]"
            );
            Config::parse(&text).expect_err(&text).to_string()
        };
        let claim = "claim: {size: 1Gi}";
        assert!(both(claim, claim).contains("destination a has the same PVC backup-disk"));
        let host = |path: &str| format!("hostPath: {{path: {path}, size: 1Ti, nodeSelector: {{a: b}}}}");
        assert!(both(&host("/srv"), &host("/srv/b")).contains("overlaps with the folder of destination a"));
    }
}
