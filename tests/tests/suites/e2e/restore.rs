//! A tenant restores what he lost, with the rights of his own namespace.

use std::path::Path;
use std::time::Duration;

use backup_controller_tests::nodes::{App, Comparison, Files, Said, Tenant, Tree, restore_template, wait::wait_for};

use crate::e2e::{cluster, prepare_vault};

/// More than the application has: ten thousand small files, and some large ones.
const MORE: &str = "mkdir /data/many /data/large; cd /data/many
    for n in {1..10000}; do echo file $n > f-$n; done
    for n in {1..12}; do head -c 10M /dev/urandom > /data/large/$n; done";

/// What happens to files: they are lost, changed, and new ones come.
const DAMAGE: &str = "cd /data; rm -rf owned acl sparse debian/usr/bin locked many/f-5000
    setcap -r capable; echo x >> debian/etc/passwd; chown 1:1 setuid; chmod 0 many; touch -d 2001-01-01 old
    echo new > added; mkdir -p newer/folder; echo new > many/added; sync -f /data";

/// All but what the application writes all the time has an unchanged inode.
const INODES: &str = "find /data ! -name ticker -printf '%C@ %i %p\\0' | sha256sum";

/// The names of what differs, but of these.
/// What was found, but of these. Of a file that differs its lines follow.
fn differing(found: &Comparison, but: &[&str]) -> Vec<String> {
    let (mut others, mut passed_over) = (Vec::new(), false);
    for line in found.differences.lines() {
        let of_file =
            line.starts_with(['<', '>', '\\']) || line == "---" || line.starts_with(|c: char| c.is_ascii_digit());
        passed_over = but.iter().any(|name| line.contains(name)) || passed_over && of_file;
        if !passed_over {
            others.push(line.to_owned());
        }
    }
    others
}

#[track_caller]
fn ends(said: &Said, code: i32, words: &str) {
    assert!(said.code == code && said.text.contains(words), "not {code} with {words:?}, but {said:?}");
}

/// A volume with everything in it, backed up once.
struct Shop {
    app: App,
    tenant: Tenant,
    run: String,
    point: String,
    truth: Tree,
}

impl Shop {
    fn open() -> Self {
        prepare_vault();
        let app = App::create_quiet(cluster(), "e2e-restore", "shared", Files::Many).unwrap();
        app.sh(MORE).unwrap();
        let run = app.back_up(&["disk", "vault"]).unwrap();
        let point = app.restore_point(&run).unwrap();
        let truth = app.truth(&point).unwrap();
        let tenant = app.tenant(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        Self { app, tenant, run, point, truth }
    }

    /// What differs from the truth in a PVC, but these.
    fn differs(&self, claim: &str, but: &[&str]) -> Vec<String> {
        let found = self.app.compare("compare", &self.truth, &Tree::volume(claim)).unwrap();
        assert!(found.entries > 15_000, "{} entries", found.entries);
        differing(&found, but)
    }

    fn restore(&self, words: &[&str]) -> Said {
        let all: Vec<&str> = ["restore", "data", "--yes"].iter().chain(words).copied().collect();
        self.tenant.backup(&all).unwrap()
    }

    fn replicas(&self) -> String {
        self.app.kubectl(&["get", "deployment/app", "-o", "jsonpath={.spec.replicas}"]).unwrap()
    }

    /// Nothing that a restore made for itself is left.
    fn is_tidy(&self) {
        let left =
            self.app.kubectl(&["get", "deployments,configmaps", "-l", "template=restore", "-o", "name"]).unwrap();
        assert_eq!(left, "");
    }
}

#[test]
#[ignore = "needs the two-node cluster: make e2e"]
fn a_tenant_gets_back_what_he_lost() {
    let shop = Shop::open();
    the_origins_way(&shop);
    in_place_from_a_snapshot_whose_promoter_is_gone(&shop);
    one_file_one_folder_and_all_from_a_disk(&shop);
    into_new_volumes(&shop);
    shop.app.delete().unwrap();
}

/// The Template, `restore.sh` in its pod, and the Template again to take all away.
fn the_origins_way(shop: &Shop) {
    let Shop { app, tenant, run, .. } = shop;
    let date = run.split('T').next().unwrap();
    let template = restore_template(&["NAME=data", &format!("DATE={date}")]).unwrap();
    ends(&tenant.kubectl(&["apply", "-f", "-"], &template).unwrap(), 0, "deployment.apps/restore-data created");
    app.restore_status("deployment/restore-data", &["Ready"]).unwrap();
    ends(&tenant.kubectl(&["rollout", "status", "deploy/restore-data", "--timeout=60s"], "").unwrap(), 0, "");
    let exec = |words: &[&str]| {
        let all: Vec<&str> =
            ["exec", "deploy/restore-data", "--", "restore.sh", "--yes"].iter().chain(words).copied().collect();
        tenant.kubectl(&all, "").unwrap()
    };

    // The application still runs.
    let before = app.sh(INODES).unwrap();
    ends(&exec(&["--delete"]), 3, "TargetInUse");
    assert_eq!(app.sh(INODES).unwrap(), before, "a refused restore changed something");

    app.sh(DAMAGE).unwrap();
    app.scale(0).unwrap();
    ends(&exec(&[]), 0, "");
    let look = "cd /source; cat many/f-5000 owned many/added; ls -d added newer/folder";
    let said = tenant.kubectl(&["exec", "deploy/restore-data", "--", "bash", "-c", look], "").unwrap();
    ends(&said, 0, "file 5000\nmine\nnew\nadded\nnewer/folder\n");
    ends(&exec(&["--delete"]), 0, "");

    ends(&tenant.kubectl(&["delete", "-f", "-"], &template).unwrap(), 0, "deployment.apps \"restore-data\" deleted");
    shop.is_tidy();
    assert_eq!(shop.differs("data", &[]), [""; 0], "with --delete it is as it was");
}

fn in_place_from_a_snapshot_whose_promoter_is_gone(shop: &Shop) {
    let Shop { app, run, point, .. } = shop;
    app.scale(1).unwrap();
    app.sh(DAMAGE).unwrap();
    app.kubectl(&["delete", "pvc", point, "--wait=true", "--timeout=60s"]).unwrap();

    ends(&shop.restore(&["--date", run, "--delete"]), 3, "TargetInUse");
    ends(&shop.restore(&["--date=latest", "--scale", "no/such/file"]), 3, "PathNotFound");
    assert_eq!(shop.replicas(), "1", "a refused restore gives the replicas back");

    ends(
        &shop.restore(&["--date", run, "--from=snapshot", "--delete", "--scale"]),
        0,
        "scaled deployment/app back to 1",
    );
    assert_eq!(shop.replicas(), "1");
    app.kubectl(&["get", "pvc", point]).expect("the promoter is made again");
    app.scale(0).unwrap();
    assert_eq!(shop.differs("data", &["ticker"]), [""; 0]);
    shop.is_tidy();
}

fn one_file_one_folder_and_all_from_a_disk(shop: &Shop) {
    let Shop { app, run, .. } = shop;
    app.scale(1).unwrap();
    app.sh(DAMAGE).unwrap();
    app.sh("rm /data/many/f-77; chmod 755 /data/many").unwrap();

    let disk = ["--date", run.as_str(), "--from=disk/disk", "--scale"];
    let with = |words: &[&str]| shop.restore(&disk.iter().chain(words).copied().collect::<Vec<_>>());
    ends(&with(&["many/f-5000"]), 0, "");
    let seen = "cd /data; cat many/f-5000; [ ! -e many/f-77 ] && [ ! -e owned ] && [ -e many/added ] && echo alone";
    app.kubectl(&["rollout", "status", "deployment/app", "--timeout=60s"]).unwrap();
    assert_eq!(app.sh(seen).unwrap(), "file 5000\nalone\n", "one file and nothing else");

    ends(&with(&["--delete", "many"]), 0, "");
    let seen = "cd /data; ls many | wc -l; [ ! -e many/added ] && [ -e added ] && [ ! -e owned ] && echo alone";
    app.kubectl(&["rollout", "status", "deployment/app", "--timeout=60s"]).unwrap();
    assert_eq!(app.sh(seen).unwrap(), "10000\nalone\n", "one folder, and what was new in it is gone");

    app.scale(0).unwrap();
    ends(&shop.restore(&["--date", run, "--from=disk/disk", "--delete"]), 0, "");
    assert_eq!(shop.differs("data", &[]), [""; 0]);
    shop.is_tidy();
}

/// One made by the storage, and one filled from a host's disk, in two goes.
fn into_new_volumes(shop: &Shop) {
    let Shop { app, tenant, run, .. } = shop;
    ends(&shop.restore(&["--date=latest", "--to=made"]), 0, "PVC made contains the data of the restore point");
    assert_eq!(shop.differs("made", &[]), [""; 0]);

    let words = ["restore", "data", "--yes", "--date", run, "--from=disk/vault", "--to=filled"];
    let broken = tenant.start(&words).unwrap();
    let pod = || app.kubectl(&["get", "pods", "-l", "template=restore", "-o", "jsonpath={.items[*].metadata.name}"]);
    let deadline = Duration::from_mins(1);
    let seen = || format!("{}\n{}", broken.output(), app.seen());
    let pod = wait_for("the restore is under way", deadline, seen, || {
        let pod = pod()?;
        let under_way = app.kubectl(&["exec", &pod, "--", "test", "-e", "/source/large"]);
        Ok(under_way.is_ok().then_some(pod))
    })
    .unwrap();
    app.kubectl(&["delete", "pod", &pod, "--grace-period=0", "--force"]).unwrap();
    wait_for("the command ends", deadline, seen, || Ok((!broken.runs()).then_some(()))).unwrap();
    assert!(broken.output().contains("the same command continues"), "{}", broken.output());
    assert_ne!(shop.differs("filled", &[]), [""; 0], "it was broken off");
    shop.is_tidy();

    ends(&tenant.backup(&words).unwrap(), 0, "");
    assert_eq!(shop.differs("filled", &[]), [""; 0], "the same command went on with it");
}
