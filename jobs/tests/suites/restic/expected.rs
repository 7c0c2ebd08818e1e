//! Law 12: a repository that had copies is expected to be there, and to be the same one.

use std::fs;

use crate::place::RUNS;
use crate::restic::scene::{Scene, done, failed};
use crate::restic::server::{KEY, SECRET, Server};

/// A repository with one copy, and its id as the copy reports it.
fn copied(scene: &Scene) -> String {
    scene.write("file", b"x");
    let id = scene.copy(RUNS[0]).run().complete().repository.unwrap();
    assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    id
}

fn expect(id: &str) -> String {
    format!("--expect-repository={id}")
}

/// The id of a repository, as stock restic knows it.
fn id(scene: &Scene) -> String {
    let out = scene.restic(&["cat", "config"]);
    assert!(out.status.success(), "{out:?}");
    serde_json::from_slice::<serde_json::Value>(&out.stdout).unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn every_copy_reports_the_repository_that_it_went_to() {
    let scene = Scene::new("reported");
    let first = copied(&scene);
    assert!(id(&scene).starts_with(&first));
    // Changed, unchanged, and with whatever is expected of it.
    for (run, expected) in
        [(RUNS[1], "any"), (RUNS[2], &first), (RUNS[3], &id(&scene)), (RUNS[4], &first.to_uppercase())]
    {
        scene.write("new", run.as_bytes());
        assert_eq!(scene.copy(run).arg(&expect(expected)).run().complete().repository, Some(first.clone()));
    }
}

/// L5: an emptied prefix looks like one that nobody has used yet.
#[test]
fn an_emptied_repository_is_told_and_none_is_begun_until_somebody_accepts_it() {
    let scene = Scene::new("emptied");
    let first = copied(&scene);
    fs::remove_dir_all(scene.inside("")).unwrap();
    for expected in ["any", &first] {
        let message = scene.copy(RUNS[1]).arg(&expect(expected)).run().failed(3, "RepositoryMissing");
        assert_eq!(
            message,
            format!("there is no repository at {}, but copies of this volume were in one there", scene.repository())
        );
        assert!(!scene.inside("").exists(), "nothing is made");
    }
    // The folder that a node makes for a pod is nothing either.
    fs::create_dir_all(scene.inside("")).unwrap();
    scene.copy(RUNS[1]).arg(&expect("any")).run().failed(3, "RepositoryMissing");
    assert_eq!(fs::read_dir(scene.inside("")).unwrap().count(), 0);
    failed(&scene.prune("last=1").run(), 3, "RepositoryMissing");
    failed(&scene.verify("1/30").run(), 3, "RepositoryMissing");
    assert_eq!(fs::read_dir(scene.inside("")).unwrap().count(), 0);
    // Once the loss is accepted the controller expects nothing.
    let second = scene.copy(RUNS[2]).run().complete().repository.unwrap();
    assert_ne!(second, first);
    scene.holds(&[RUNS[2]]);
    scene.copy(RUNS[3]).arg(&expect(&second)).run().complete();
}

/// L5: the same address, the same password, and another bucket behind it.
#[test]
fn another_repository_at_the_same_address_is_told_and_not_written_to() {
    let scene = Scene::new("another");
    let first = copied(&scene);
    fs::rename(scene.inside(""), scene.place.path.join("aside")).unwrap();
    assert!(scene.restic(&["init"]).status.success());
    let other = id(&scene);
    let message = scene.copy(RUNS[1]).arg(&expect(&first)).run().failed(3, "RepositoryMissing");
    assert!(message.contains(&first) && message.contains(&other[..16]), "{message}");
    scene.holds(&[]);
    let data = scene.inside("data");
    let packs = fs::read_dir(data).unwrap().flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
    assert_eq!(packs.count(), 0, "nothing was written");
    // Where no copy has told which it was, any will do.
    scene.copy(RUNS[1]).arg(&expect("any")).run().complete();
    fs::remove_dir_all(scene.inside("")).unwrap();
    fs::rename(scene.place.path.join("aside"), scene.inside("")).unwrap();
    scene.copy(RUNS[2]).arg(&expect(&first)).run().complete();
    scene.holds(&RUNS[..1]);
}

#[test]
fn an_emptied_bucket_is_told_as_such_and_a_missing_one_as_missing() {
    let server = Server::start("emptied", None);
    let scene = Scene::at("s3-emptied", &server.address("http", "backups"));
    scene.secret("AWS_ACCESS_KEY_ID", KEY);
    scene.secret("AWS_SECRET_ACCESS_KEY", SECRET);
    let first = copied(&scene);
    fs::remove_dir_all(server.folder.join("backups/shop")).unwrap();
    scene.copy(RUNS[1]).arg(&expect(&first)).run().failed(3, "RepositoryMissing");
    assert!(!server.folder.join("backups/shop").exists());
    fs::remove_dir_all(server.folder.join("backups")).unwrap();
    scene.copy(RUNS[1]).arg(&expect(&first)).run().failed(3, "BucketMissing");
}

/// L6: a new destination has no copy of its own to compare the volume with.
#[test]
fn an_empty_volume_that_another_destination_knows_as_filled_is_not_copied() {
    let scene = Scene::new("filled");
    let filled = format!("--filled={}", RUNS[0]);
    let message = scene.copy(RUNS[1]).arg(&filled).run().failed(3, "SourceEmpty");
    assert_eq!(message, format!("the volume is empty, but the copy of run {} to another destination is not", RUNS[0]));
    assert!(!scene.inside("").exists());
    scene.copy(RUNS[1]).args(&[&filled, "--accept-empty"]).run().complete();
    scene.write("file", b"x");
    scene.copy(RUNS[2]).arg(&filled).run().complete();
}

/// L6. Also the first copy, and one after a good one.
#[test]
fn patterns_that_leave_nothing_of_a_volume_make_no_good_copy() {
    let scene = Scene::new("everything");
    scene.write("folder/file", b"x");
    let message = scene.copy(RUNS[0]).args(&["--exclude=*", "--exclude=b"]).run().failed(3, "EverythingExcluded");
    assert_eq!(message, "exclude leaves nothing of the volume: *, b");
    scene.copy(RUNS[1]).arg("--exclude=/folder").run().failed(3, "EverythingExcluded");
    let marked = scene.snapshots();
    assert!(!marked.is_empty() && marked.iter().all(|s| s["tags"].as_array().unwrap().contains(&"incomplete".into())));
    scene.copy(RUNS[2]).arg("--exclude=/folder/other").run().complete();
    scene.copy(RUNS[3]).arg("--exclude=*").run().failed(3, "EverythingExcluded");
    // The good one stays, whatever was made since.
    assert!(!done(&scene.prune("last=1").run()).pruned.iter().any(|run| run.as_str() == RUNS[2]));
    scene.copy(RUNS[4]).args(&["--exclude=*", "--exclude=!folder"]).run().complete();
}

#[test]
fn patterns_of_an_empty_volume_leave_no_less_than_it_has() {
    let scene = Scene::new("nothing");
    fs::create_dir(scene.source().join("lost+found")).unwrap();
    assert_eq!(scene.copy(RUNS[0]).arg("--exclude=*").run().complete().files, 0);
}

#[test]
fn what_is_no_id_is_refused() {
    let scene = Scene::new("no-id");
    for bad in ["", "x", "any other", &"a".repeat(65)] {
        assert_eq!(scene.copy(RUNS[0]).arg(&expect(bad)).run().code, Some(2), "{bad}");
    }
}
