//! One volume through several runs.

use backup_controller_tests::nodes::{App, Files, Tree};

use crate::e2e::cluster;

fn tree(app: &App, run: &str) -> Tree {
    let uid = app.uid().unwrap();
    Tree { claim: "backup-disk".into(), path: format!("{}/data/{uid}/{run}", app.namespace) }
}

/// Backup, compare; what changes afterwards is seen, and what does not is linked; the oldest goes.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn four_runs_save_every_byte_link_what_is_unchanged_and_rotate_the_oldest() {
    let retention = "backup-controller.io/retention=last=2";
    let app = App::create_with(cluster(), "e2e-runs", "shared", Files::Many, &[retention]).unwrap();

    // The first run, on its schedule.
    let first = app.good_run(None).unwrap();
    app.annotate("backup-controller.io/schedule=H H * * *").unwrap();
    let point = app.restore_point(&first).unwrap();
    let truth = app.truth(&point).unwrap();
    for (name, copy) in [("promoter", Tree::volume(&point)), ("disk", tree(&app, &first))] {
        let found = app.compare(&format!("compare-{name}"), &truth, &copy).unwrap();
        assert!(found.equal(), "{name} differs from the snapshot:\n{}", found.differences);
        assert!(found.entries > 5000, "{name} has {} entries", found.entries);
    }

    // A deleted file, a change of an ACL and nothing else, and a rewritten file.
    app.sh("rm /data/owned; setfacl -m u:4321:r /data/acl; echo more >> /data/debian/passwd-copy").unwrap();
    let second = app.run_now("second").unwrap();
    let point = app.restore_point(&second).unwrap();
    let truth = app.truth(&point).unwrap();
    let found = app.compare("compare-second", &truth, &tree(&app, &second)).unwrap();
    assert!(found.equal(), "the second tree differs from its snapshot:\n{}", found.differences);
    let trees = Trees::mount(&app);
    let (old, new) = (trees.path(&first), trees.path(&second));
    let sh = |script: String| trees.sh(&script);
    assert_eq!(sh(format!("stat -c %i {old}/capable {new}/capable | sort -u | wc -l")), "1", "unchanged: one inode");
    assert_eq!(sh(format!("test -e {old}/owned && test ! -e {new}/owned && echo seen")), "seen", "the deleted file");
    assert_eq!(sh(format!("getfacl -pn {old}/acl | grep -c 4321 || true")), "0", "the old tree keeps the old ACL");
    assert_eq!(sh(format!("getfacl -pn {new}/acl | grep -c 4321")), "1", "the ACL-only change is seen");
    drop(trees);

    // The fourth lets the first go everywhere, since two later ones are good: snapshot, promoter, tree.
    app.run_now("third").unwrap();
    let fourth = app.run_now("fourth").unwrap();
    let runs = |kind: &str| {
        let column = "jsonpath={.items[*].metadata.labels.backup-controller\\.io/run}";
        app.kubectl(&["get", kind, "-l", "backup-controller.io/run", "-o", column]).unwrap()
    };
    let left = runs("volumesnapshots");
    assert!(!left.contains(&first) && left.contains(&fourth), "the first snapshot is rotated: {left}");
    assert_eq!(runs("pvc"), left, "a promoter for each snapshot");
    let trees = Trees::mount(&app);
    let there = trees.sh(&format!("ls {}", trees.root()));
    drop(trees);
    assert!(!there.contains(&first) && there.contains(&fourth), "trees: {there}");
    app.delete().unwrap();
}

/// The namespace's BackupDisk in a pod, as an administrator would look at it.
struct Trees<'a> {
    app: &'a App,
    uid: String,
}

impl<'a> Trees<'a> {
    fn mount(app: &'a App) -> Self {
        use backup_controller_tests::nodes::manifest;
        let words = [("NAMESPACE", app.namespace.as_str()), ("NAME", "trees"), ("CLAIM", "backup-disk")];
        app.apply(&manifest("shell.yaml", &words).unwrap()).unwrap();
        app.kubectl(&["wait", "--for=condition=Ready", "pod/trees", "--timeout=90s"]).unwrap();
        Self { app, uid: app.uid().unwrap() }
    }

    fn root(&self) -> String {
        format!("/volume/{}/data/{}", self.app.namespace, self.uid)
    }

    fn path(&self, run: &str) -> String {
        format!("{}/{run}", self.root())
    }

    fn sh(&self, script: &str) -> String {
        self.app.kubectl(&["exec", "trees", "--", "/bin/bash", "-uc", script]).unwrap().trim().to_owned()
    }
}

impl Drop for Trees<'_> {
    fn drop(&mut self) {
        let _ = self.app.kubectl(&["delete", "pod/trees", "--wait=true", "--timeout=60s"]);
    }
}

/// The origin's way back: scale down, mount the promoter, copy.
#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_wiped_source_is_refilled_from_the_promoter() {
    let app = App::create_quiet(cluster(), "e2e-refill", "shared", Files::Some).unwrap();
    let run = app.back_up(&["disk"]).unwrap();
    let point = app.restore_point(&run).unwrap();

    app.kubectl(&["scale", "deployment/app", "--replicas=0"]).unwrap();
    app.kubectl(&["wait", "--for=delete", "pod", "-l", "app=app", "--timeout=60s"]).unwrap();
    let words = [("NAMESPACE", app.namespace.as_str()), ("POINT", point.as_str())];
    app.apply(&backup_controller_tests::nodes::manifest("refill.yaml", &words).unwrap()).unwrap();
    app.kubectl(&["wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/refill", "--timeout=120s"]).unwrap();
    app.kubectl(&["delete", "pod/refill", "--wait=true"]).unwrap();

    let found = app.compare("compare-refilled", &Tree::volume(&point), &Tree::volume("data")).unwrap();
    assert!(found.equal(), "the refilled source differs from the restore point:\n{}", found.differences);
    assert!(found.entries > 300, "{} entries", found.entries);
    app.delete().unwrap();
}
