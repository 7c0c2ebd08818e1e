//! A repository in a bucket, and what is wrong with endpoints: no doomed retries, and each its own reason.

use std::fs;

use crate::place::RUNS;
use crate::restic::scene::{Scene, done, failed};
use crate::restic::server::{KEY, SECRET, Server, certificate, free_port};

fn scene(name: &str, address: &str) -> Scene {
    let scene = Scene::at(name, address);
    scene.secret("AWS_ACCESS_KEY_ID", KEY);
    scene.secret("AWS_SECRET_ACCESS_KEY", &format!("{SECRET}\n"));
    scene.write("file", b"x");
    scene
}

/// Copies, and one after another what a repository needs.
#[test]
fn a_repository_in_a_bucket_is_as_any() {
    let server = Server::start("any", None);
    let scene = scene("s3", &server.address("http", "backups"));
    // F51: people end an address in a slash.
    scene.secret("RESTIC_REPOSITORY", &server.address("http", "backups//\n"));
    scene.copy(RUNS[0]).run().complete();
    assert!(server.folder.join("backups/shop/data/uid-1/config").exists());
    let second = scene.copy(RUNS[1]).run().complete();
    assert!(second.written < 1 << 16, "{second:?}");
    scene.write_noise("noise", 1 << 20);
    scene.copy(RUNS[2]).run().complete();
    assert_eq!(done(&scene.prune("last=1").run()).pruned.len(), 1);
    done(&scene.verify("1/1").run());

    // Once there is a repository, a wrong key harms nothing.
    scene.secret("AWS_SECRET_ACCESS_KEY", "wrong");
    scene.copy(RUNS[3]).run().failed(3, "CredentialsRefused");
    failed(&scene.prune("last=1").run(), 3, "CredentialsRefused");
    failed(&scene.verify("1/30").run(), 3, "CredentialsRefused");
}

#[test]
fn what_is_wrong_with_a_bucket_or_a_key_is_told_and_makes_nothing() {
    let server = Server::start("wrong", None);
    let address = server.address("http", "backups");
    let scene = scene("s3-wrong", &address);
    for (key, value, reason, words) in [
        ("AWS_ACCESS_KEY_ID", "wrong", "CredentialsRefused", "the Secret shop/backup-s3"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "CredentialsRefused", "the Secret shop/backup-s3"),
        ("AWS_DEFAULT_REGION", "eu-wrong-1", "WrongRegion", "400 Bad Request"),
        ("RESTIC_REPOSITORY", &server.address("http", "missing"), "BucketMissing", "/missing/shop/data/uid-1"),
    ] {
        let before = fs::read_to_string(scene.place.path.join("secret").join(key)).ok();
        scene.secret(key, value);
        let message = scene.copy(RUNS[0]).run().failed(3, reason);
        assert!(message.contains(words), "{message}");
        match before {
            Some(before) => scene.secret(key, &before),
            None => scene.no_secret(key),
        }
    }
    // With a region restic asks for no bucket before it makes one.
    scene.secret("AWS_DEFAULT_REGION", "us-east-1");
    scene.secret("RESTIC_REPOSITORY", &server.address("http", "missing"));
    scene.copy(RUNS[0]).run().failed(3, "BucketMissing");
    for key in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        scene.no_secret(key);
    }
    scene.copy(RUNS[0]).run().failed(3, "SecretIncomplete");
    let buckets: Vec<_> = fs::read_dir(&server.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(buckets, ["backups"]);
    assert_eq!(fs::read_dir(server.folder.join("backups")).unwrap().count(), 0);
}

#[test]
fn an_endpoint_that_does_not_answer_may_do_so_later() {
    let nobody = format!("s3:http://127.0.0.1:{}/backups", free_port());
    for address in [nobody.as_str(), "s3:http://no-such-host.invalid/backups"] {
        let scene = scene("s3-down", address);
        let message = scene.copy(RUNS[0]).run().failed(1, "DestinationUnreachable");
        assert!(message.contains("does not answer"), "{message}");
        failed(&scene.prune("last=1").run(), 1, "DestinationUnreachable");
    }
}

#[test]
fn a_certificate_that_nobody_knows_or_that_is_expired_is_told() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let good = certificate(&folder, "good", 2);
    let server = Server::start("tls", Some((&good.0, &good.1)));
    let scene = scene("s3-tls", &server.address("https", "backups"));
    let message = scene.copy(RUNS[0]).run().failed(3, "CertificateRefused");
    assert!(message.contains("unknown authority"), "{message}");
    let ca = format!("--ca={}", good.0.display());
    scene.copy(RUNS[0]).arg(&ca).run().complete();
    // A file that is none, as an empty ConfigMap makes it.
    let none = scene.place.path.join("secret/RESTIC_PASSWORD");
    scene.copy(RUNS[0]).arg(&format!("--ca={}", none.display())).run().failed(3, "CertificateRefused");
    // Plain HTTP to a port that speaks TLS.
    scene.secret("RESTIC_REPOSITORY", &server.address("http", "backups"));
    scene.copy(RUNS[0]).run().failed(1, "DestinationUnreachable");

    // Of yesterday.

    let old = certificate(&folder, "old", -1);
    let server = Server::start("tls-old", Some((&old.0, &old.1)));
    scene.secret("RESTIC_REPOSITORY", &server.address("https", "backups"));
    let message = scene.copy(RUNS[0]).arg(&format!("--ca={}", old.0.display())).run().failed(3, "CertificateRefused");
    assert!(message.contains("expired"), "{message}");
    fs::remove_dir_all(folder).unwrap();
}
