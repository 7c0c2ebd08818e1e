//! From keys to a destination, and back.

use super::raw::{CHECKSUM_EVERY, Raw, Type};
use super::{Destination, Disk, Restic, Store, Times};

impl TryFrom<Raw> for Destination {
    type Error = String;

    fn try_from(mut raw: Raw) -> Result<Destination, String> {
        let restic = matches!(raw.r#type, Type::Restic);
        if let Some((key, _)) = raw.given().find(|(_, of)| *of != restic) {
            let (other, this) = if restic { ("disk", "restic") } else { ("restic", "disk") };
            return Err(format!("{} has type {this}, but `{key}` is a key of type {other}; remove it", raw.name));
        }
        let disk = raw.disk()?;
        if restic
            && disk.is_some()
            && let Some((key, why)) = raw.no_key_of_a_disk()
        {
            return Err(format!("{} is on a disk; remove `{key}`: {why}", raw.name));
        }
        let name = raw.name;
        let store = if restic {
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
                cache: raw.cache,
                skip_unchanged: raw.skip_unchanged.unwrap_or(true),
                prune: raw.prune.unwrap_or_else(Times::prune),
                verify: raw.verify.unwrap_or_else(Times::verify),
            }))
        } else {
            let none = || format!("{name} has neither `claim` nor `hostPath`; set one");
            Store::Disk(disk.ok_or_else(none)?)
        };
        let checksum_every = raw.checksum_every.unwrap_or(CHECKSUM_EVERY);
        Ok(Destination { name, store, retention: raw.retention, checksum_every, drill: raw.drill })
    }
}

impl From<Destination> for Raw {
    fn from(destination: Destination) -> Raw {
        let restic = destination.restic().cloned();
        let r#type = if restic.is_some() { Type::Restic } else { Type::Disk };
        let (claim, host_path) = match destination.disk().cloned() {
            Some(Disk::Claim(claim)) => (Some(claim), None),
            Some(Disk::HostPath(path)) => (None, Some(path)),
            None => (None, None),
        };
        let remote = restic.as_ref().filter(|_| destination.is_remote());
        Raw {
            name: destination.name,
            r#type,
            claim,
            host_path,
            repository: remote.map(|r| r.repository.clone()),
            secret: restic.as_ref().map(|r| r.secret.clone()),
            run_in: restic.as_ref().map(|r| r.run_in),
            ca: restic.as_ref().and_then(|r| r.ca.clone()),
            compression: restic.as_ref().map(|r| r.compression),
            pack_size: restic.as_ref().and_then(|r| r.pack_size),
            limit_upload: restic.as_ref().and_then(|r| r.limit_upload),
            limit_download: restic.as_ref().and_then(|r| r.limit_download),
            exclude: restic.as_ref().map(|r| r.exclude.clone()),
            environment: restic.as_ref().map(|r| r.environment.clone()),
            cache: restic.as_ref().and_then(|r| r.cache.clone()),
            skip_unchanged: restic.as_ref().map(|r| r.skip_unchanged),
            prune: restic.as_ref().map(|r| r.prune.clone()),
            verify: restic.as_ref().map(|r| r.verify.clone()),
            retention: destination.retention,
            checksum_every: matches!(r#type, Type::Disk).then_some(destination.checksum_every),
            drill: destination.drill,
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
            assert_eq!(destination.restic().unwrap().address(&source), Restic::ON_DISK);
            assert!(!destination.is_remote() && !destination.is_central());
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
