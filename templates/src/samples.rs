//! One of each object, with data as it comes: a template that cannot render these is refused when it is
//! loaded.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::CSIPersistentVolumeSource;
use model::Timestamp;
use model::alias::Original;
use model::config::{
    AccessMode, All, Claim, Compression, Config, Destination, Disk, HostPath, Orphans, Restic, RunIn, Sample, Scratch,
    Store, Trees,
};
use model::copy_options::Options;
use model::duration::Span;
use model::facts::{Identity, Journal, VolumeMode};
use model::handle::Handle;
use model::maintain::{self, PARTS};
use model::names::{self, GrantClaim, Run, SourceId};
use model::plan::{
    Asker, Central, CentralPart, Copy, Drill, Expected, GrantedDisk, Maintain, Origin, Prune, Remove, Restore, Work,
};
use model::promoter::PromoterShape;
use model::record::{Choice, Holders};
use model::restore::{From, Place, Request, RestorePoint, When};
use model::schedule::{Due, Zone};
use model::select::{ClassChoice, PromoterRules, Protection, Wanted};
use serde_json::Value;

use crate::engine::Templates;
use crate::error::RenderError;
use crate::{Alias, Grant, Install, Medium, Promoter, RunSnapshot};

/// Renders every template with samples. An administrator's templates are tried with them, so no two names are alike: one
/// in another's place is an error.
pub(crate) fn render_all(templates: &Templates) -> Result<Vec<(&'static str, Value)>, RenderError> {
    render_for(templates, &install())
}

/// The same for another installation.
pub(crate) fn render_for(templates: &Templates, install: &Install) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let mut all = render_usual(templates, install)?;
    all.extend(render_central(templates, install)?);
    all.extend(render_alias(templates, install)?);
    Ok(all)
}

fn render_usual(templates: &Templates, install: &Install) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let config = Config::default();
    let source = source();
    let protection = protection(&config);
    let run = Run::at("2018-12-02T00:00:00Z".parse().unwrap_or_default());
    let (claim, host, restic) = (claim(), host(), restic());
    let (crypt, crypt_host) = (crypt(), crypt_host());
    let spec = protection.promoter.shape.clone().sized(10 << 30);
    let copy = |destination: &Destination, spc_no_relabeling| Copy { spc_no_relabeling, ..copy(&config, destination) };
    let copied = |destination, spc_no_relabeling| {
        templates.copy_job(install, &config, destination, &copy(destination, spc_no_relabeling))
    };
    let name = "mypvc-20181202";
    let promoter = Promoter { instance: &install.instance, source: &source, run: &run, snapshot: name, spec: &spec };
    let point = RunSnapshot {
        instance: &install.instance,
        source: &source,
        run: &run,
        name,
        class: &protection.snapshot_class.0,
        mode: VolumeMode::Filesystem,
    };
    let affinity = serde_json::Value::Null;
    let csi = serde_json::json!({"driver": "csi.example.com", "volumeHandle": "42"});
    let Some(host_path) = host.host_path() else { return Ok(Vec::new()) };
    let grant = |medium| Grant {
        instance: &install.instance,
        claim: GrantClaim { namespace: "shop-test", name: "restore-mypvc-0123456789abcdef" },
        source: &source,
        size: "2Ti",
        medium,
    };
    let on_host = grant(Medium::Host(host_path));
    let on_csi = grant(Medium::Csi { source: &csi, node_affinity: &affinity });
    let mut all = restores(templates, install, &config)?;
    all.extend(disks(templates, install, &config)?);
    all.extend(tasks(templates, install, &config)?);
    all.extend([
        ("network-policy", templates.network_policy(install, &source.namespace)?),
        ("grant-volume-host", templates.grant_volume(&on_host)?),
        ("grant-volume", templates.grant_volume(&on_csi)?),
        ("grant-claim", templates.grant_claim(&on_csi)?),
        ("cronjob", templates.snapshot_cronjob(install, &config, &source, &protection, true)?),
        ("sweep", templates.sweep_cronjob(install, &config)?),
        ("snapshot", templates.volume_snapshot(&point)?),
        ("promoter", templates.promoter(&promoter)?),
        ("copy", copied(&claim, false)?),
        ("copy-host", copied(&host, true)?),
        ("copy-restic", copied(&restic, false)?),
        ("copy-restic-disk", copied(&crypt, false)?),
        ("copy-restic-host", copied(&crypt_host, false)?),
    ]);
    // The same of a raw block volume.
    let mode = VolumeMode::Block;
    let device = PromoterShape { mode, ..spec.shape.clone() }.sized(spec.bytes);
    let copied = |destination| {
        let copy = Copy { mode, journal: Journal::Replayed, ..copy(destination, false) };
        templates.copy_job(install, &config, destination, &copy)
    };
    all.extend([
        ("snapshot-block", templates.volume_snapshot(&RunSnapshot { mode, ..point })?),
        ("promoter-block", templates.promoter(&Promoter { spec: &device, ..promoter })?),
        ("copy-block", copied(&claim)?),
        ("copy-restic-block", copied(&restic)?),
    ]);
    Ok(all)
}

/// The pods that restore, from each kind of restore point.
fn restores(
    templates: &Templates,
    install: &Install,
    config: &Config,
) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let (restic, crypt) = (restic(), crypt());
    let source = source();
    let options = protection(config).options;
    let name = "mypvc-20181202".to_owned();
    let place = Place::Snapshot { name: name.clone(), promoter: Some(name.clone()) };
    let snapshot = restore("pvc=mypvc date=20181202", place, Origin::Claim { name, folder: None });
    let folder = model::restore::tree_path(false, &source, &run());
    let tree = Restore {
        node: Some("node-2".to_owned()),
        ..restore(
            "pvc=mypvc date=20181202 from=disk delete=true path=etc",
            Place::Tree { destination: "disk".to_owned() },
            Origin::Claim { name: "backup-disk".to_owned(), folder: Some(folder) },
        )
    };
    let repository = |text: &str, destination: &Destination, snapshot: Option<&str>| {
        let place = Place::Repository { destination: destination.name.clone(), snapshot: snapshot.map(str::to_owned) };
        restore(text, place, Origin::Repository { options: Box::new(options.clone()), secret: None, granted: None })
    };
    let in_restic = repository("pvc=mypvc date=20181202 from=s3", &restic, None);
    let file = repository("pvc=mypvc snapshot=0123abcd from=s3 path=etc", &restic, Some("0123abcd"));
    let on_disk = repository("pvc=mypvc date=20181202 from=crypt", &crypt, None);
    let deployment = |at, restore: &Restore| templates.restore_deployment(install, config, at, restore);
    let job = |at, restore: &Restore| templates.restore_job(install, config, at, restore);
    // All of a device is restored.
    let block = |restore: &Restore| {
        let request = Request { path: None, ..restore.request.clone() };
        Restore { mode: VolumeMode::Block, request, ..restore.clone() }
    };
    Ok(vec![
        ("restore", deployment(None, &snapshot)?),
        ("restore-block", deployment(None, &block(&snapshot))?),
        ("restore-block-job", job(None, &block(&tree))?),
        ("restore-block-restic-job", job(Some(&restic), &block(&file))?),
        ("restore-job", job(None, &tree)?),
        ("restore-restic", deployment(Some(&restic), &in_restic)?),
        ("restore-restic-job", job(Some(&restic), &file)?),
        ("restore-restic-disk", job(Some(&crypt), &on_disk)?),
    ])
}

fn run() -> Run {
    Run::at("2018-12-02T00:00:00Z".parse().unwrap_or_default())
}

/// A restore that somebody asked for with this text.
fn restore(text: &str, place: Place, origin: Origin) -> Restore {
    let source = source();
    let all = Request {
        namespace: None,
        pvc: source.name.clone(),
        uid: None,
        when: When::Latest,
        from: From::Any,
        target: None,
        delete: false,
        path: None,
    };
    Restore {
        asker: Asker::Claim(Identity { name: "restore-mypvc".to_owned(), ..Identity::default() }),
        namespace: source.namespace.clone(),
        request: text.parse().unwrap_or(all),
        text: text.to_owned(),
        mode: VolumeMode::Filesystem,
        point: RestorePoint {
            uid: source.uid.clone(),
            run: run(),
            place,
            incomplete: false,
            finding: None,
            passed_over: None,
        },
        origin,
        holders: Holders { at: Timestamp::UNIX_EPOCH, pods: Vec::new() },
        node: None,
        spc_no_relabeling: false,
        target: source,
    }
}

/// A central copy, and what it is made from.
fn render_central(templates: &Templates, install: &Install) -> Result<[(&'static str, Value); 4], RenderError> {
    let (config, source, destination) = (Config::default(), source(), central());
    let (run, protection) = (Run::at("2018-12-02T00:00:00Z".parse().unwrap_or_default()), protection(&config));
    let name = names::central(&install.instance, &source, &run, &destination.name);
    let copy = Copy { promoter: name.clone(), retention: None, ..copy(&config, &destination) };
    let central = Central {
        part: CentralPart::Content,
        name,
        source,
        run,
        destination: destination.name.clone(),
        task: None,
        snapshot: Identity::default(),
        content: String::new(),
        volume: None,
        promoter: protection.promoter.shape.sized(10 << 30),
    };
    let handle = Handle {
        driver: "rbd.csi.example.com".to_owned(),
        snapshot: "0001-pool-42".to_owned(),
        class: Some("rbd-snapshots".to_owned()),
        mode: Some("Filesystem".to_owned()),
    };
    Ok([
        ("copy-central", templates.copy_job(install, &config, &destination, &copy)?),
        ("central-content", templates.central_content(install, &destination, &central, &handle)?),
        ("central-snapshot", templates.central_snapshot(install, &destination, &central)?),
        ("central-promoter", templates.central_promoter(install, &destination, &central)?),
    ])
}

/// A restore from a central destination, and what lends it its target.
fn render_alias(templates: &Templates, install: &Install) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let (config, source, destination) = (Config::default(), source(), central());
    let name = "restore-mypvc-0123456789abcdef";
    let original = Original {
        csi: CSIPersistentVolumeSource {
            driver: "csi.example.com".to_owned(),
            volume_handle: "42".to_owned(),
            ..CSIPersistentVolumeSource::default()
        },
        size: "10Gi".to_owned(),
        access_modes: vec!["ReadWriteOnce".to_owned()],
        mode: VolumeMode::Filesystem,
        mount_options: vec!["noatime".to_owned()],
        node_affinity: None,
    };
    let alias = Alias { install, target: &source, job: name, original: &original };
    let volume = "pvc-42".to_owned();
    let place = Place::Repository { destination: destination.name.clone(), snapshot: None };
    let origin = Origin::Central { options: Box::default(), secret: None, volume: volume.clone() };
    let central = restore("pvc=mypvc date=20181202 from=vault", place, origin);
    let granted = GrantedDisk {
        namespace: "shop".to_owned(),
        destination: "attic".to_owned(),
        volume: "backup-attic-shop".to_owned(),
    };
    let folder = "mypvc/0aa5e1d3-7c3a-4d4e-9d33-0f8f3c9b3a11/20181202T0000Z".to_owned();
    let place = Place::Tree { destination: "attic".to_owned() };
    let granted = restore("pvc=shop/mypvc date=20181202 from=attic", place, Origin::Home { granted, folder, volume });
    Ok(vec![
        ("restore-granted-job", templates.restore_job(install, &config, None, &granted)?),
        ("alias-volume", templates.alias_volume(&alias)?),
        ("alias-claim", templates.alias_claim(&alias)?),
        ("restore-central-job", templates.restore_job(install, &config, Some(&destination), &central)?),
    ])
}

/// What a disk is made of.
fn disks(templates: &Templates, install: &Install, config: &Config) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let (claim, host, namespace) = (claim(), host(), source().namespace);
    Ok(vec![
        ("disk-claim", templates.disk_claim(install, &claim, &namespace)?),
        ("keeper", templates.keeper_job(install, config, &host, &namespace)?),
        ("disk-volume", templates.disk_volume(install, &host, &namespace)?),
        ("host-disk-claim", templates.host_disk_claim(install, &host, &namespace)?),
    ])
}

/// The Jobs of tasks.
fn tasks(templates: &Templates, install: &Install, config: &Config) -> Result<Vec<(&'static str, Value)>, RenderError> {
    let (claim, restic, crypt) = (claim(), restic(), crypt());
    let from_restic = Drill {
        snapshot: Some("0123456789abcdef".to_owned()),
        sample: Sample::All(All::All),
        scratch: Scratch { size: "20Gi".to_owned(), storage_class: Some("fast".to_owned()) },
        spc_no_relabeling: true,
        ..drill()
    };
    let of_device = Drill { mode: VolumeMode::Block, spc_no_relabeling: false, ..from_restic.clone() };
    let verify = Work::Verify(maintain::Part { number: 3, of: PARTS });
    let job = |destination: &Destination, work| {
        templates.maintain_job(install, config, destination, &task(config, destination, work))
    };
    Ok(vec![
        ("maintain-prune", job(&restic, prune(config))?),
        ("maintain-verify", job(&restic, verify)?),
        ("maintain-drill", job(&restic, Work::Drill(from_restic))?),
        ("maintain-drill-disk", job(&claim, Work::Drill(drill()))?),
        ("maintain-drill-block", job(&restic, Work::Drill(of_device))?),
        ("maintain-prune-restic-disk", job(&crypt, prune(config))?),
        ("maintain-drill-restic-disk", job(&crypt, Work::Drill(drill()))?),
        ("maintain-remove", job(&restic, remove())?),
        ("maintain-remove-disk", job(&claim, remove())?),
    ])
}

fn remove() -> Work {
    Work::Remove(Remove { runs: vec![Run::at("2018-12-02T00:00:00Z".parse().unwrap_or_default())], tried: false })
}

/// A copy to a destination.
pub(crate) fn copy(config: &Config, destination: &Destination) -> Copy {
    let protection = protection(config);
    Copy {
        isolate: false,
        source: source(),
        run: Run::at("2018-12-02T00:00:00Z".parse().unwrap_or_default()),
        destination: destination.name.clone(),
        promoter: "mypvc-20181202".to_owned(),
        mode: VolumeMode::Filesystem,
        retention: Some(config.defaults.retention.clone()),
        zone: protection.zone,
        journal: protection.promoter.shape.journal,
        accept_empty: false,
        expected: Expected::default(),
        after_finding: None,
        spc_no_relabeling: false,
        options: protection.options,
        secret: None,
    }
}

/// A task at a destination.
pub(crate) fn task(config: &Config, destination: &Destination, work: Work) -> Maintain {
    Maintain {
        source: source(),
        destination: destination.name.clone(),
        due: Run::at("2018-12-09T04:27:00Z".parse().unwrap_or_default()),
        work,
        options: protection(config).options,
        secret: None,
        isolate: false,
    }
}

pub(crate) fn prune(config: &Config) -> Work {
    let run = |text: &str| Run::at(text.parse().unwrap_or_default());
    Work::Prune(Prune {
        retention: config.defaults.retention.clone(),
        zone: protection(config).zone,
        since: Some(run("2018-12-08T04:27:00Z")),
        holds: vec![run("2018-12-02T00:00:00Z")],
        hold_snapshots: vec!["0123456789abcdef".to_owned()],
        incomplete: vec![run("2018-12-03T00:00:00Z")],
        complete_snapshots: vec!["fedcba9876543210".to_owned()],
    })
}

pub(crate) fn drill() -> Drill {
    Drill {
        run: Run::at("2018-12-02T00:00:00Z".parse().unwrap_or_default()),
        snapshot: None,
        promoter: "mypvc-20181202".to_owned(),
        mode: VolumeMode::Filesystem,
        sample: Sample::Files(100),
        scratch: Scratch::default(),
        accept_empty: false,
        spc_no_relabeling: false,
    }
}

pub(crate) fn install() -> Install {
    Install {
        instance: "night".into(),
        namespace: "keepers".to_owned(),
        job_service_account: "backup-job".to_owned(),
        controller_image: "registry.example/backup-controller:1".to_owned(),
        mover_image: "registry.example/backup-mover:1".to_owned(),
        image_pull_policy: "IfNotPresent".to_owned(),
        templates_config_map: Some("backup-templates".to_owned()),
    }
}

pub(crate) fn source() -> SourceId {
    SourceId {
        namespace: "shop".to_owned(),
        name: "mypvc".to_owned(),
        uid: "0aa5e1d3-7c3a-4d4e-9d33-0f8f3c9b3a11".to_owned(),
    }
}

pub(crate) fn protection(config: &Config) -> Protection {
    Protection {
        due: Due::parse("17 3 * * *", "").unwrap_or(Due::After(Span::days(1))),
        zone: Zone::utc(),
        starting_deadline: Span::hours(1),
        retention: config.defaults.retention.clone(),
        central_retention: config.defaults.retention.clone(),
        wanted: Wanted {
            retention: config.defaults.retention.clone(),
            choice: Choice::Nothing,
            unchosen: config.defaults.retention.clone(),
        },
        destinations: vec!["disk".to_owned(), "attic".to_owned()],
        secrets: BTreeMap::new(),
        options: Options { exclude: vec!["*.tmp".to_owned()], ..Options::default() },
        snapshot_class: ("rbd-snapshots".to_owned(), ClassChoice::Only),
        promoter: PromoterRules {
            shape: PromoterShape {
                storage_class: "rbd-noload".to_owned(),
                read_only: true,
                mode: VolumeMode::Filesystem,
                journal: Journal::Skipped,
                annotations: BTreeMap::from([("example.com/tier".to_owned(), "cheap".to_owned())]),
            },
            waits_for_consumer: false,
            spc_no_relabeling: false,
            retention: config.defaults.promoter_retention,
        },
        accept_empty: false,
        unreadable: false,
    }
}

fn trees(disk: Disk) -> Store {
    Store::Disk(Trees { disk, checksum_every: 30, accept: model::losses::Losses::default() })
}

pub(crate) fn claim() -> Destination {
    Destination {
        name: "disk".to_owned(),
        store: trees(Disk::Claim(Claim {
            storage_class: Some("bulk-retain".to_owned()),
            size: "100Gi".to_owned(),
            access_mode: AccessMode::ReadWriteMany,
            name: "backup-disk".to_owned(),
            allow_delete: false,
        })),
        retention: None,
        drill: None,
        orphans: Orphans::Keep,
    }
}

pub(crate) fn host() -> Destination {
    Destination {
        name: "attic".to_owned(),
        store: trees(Disk::HostPath(HostPath {
            path: "/mnt/attic".to_owned(),
            node_selector: BTreeMap::from([("kubernetes.io/hostname".to_owned(), "node-2".to_owned())]),
            size: "2Ti".to_owned(),
        })),
        retention: None,
        drill: None,
        orphans: Orphans::Keep,
    }
}

/// A restic destination with all that a pod can get.
pub(crate) fn restic() -> Destination {
    let restic = Restic {
        ca: Some("s3-ca".to_owned()),
        compression: Compression::Max,
        pack_size: Some(32),
        limit_upload: Some(1024),
        limit_download: Some(2048),
        environment: BTreeMap::from([("HTTPS_PROXY".to_owned(), "http://proxy:3128".to_owned())]),
        backend_options: BTreeMap::from([("s3.bucket-lookup".to_owned(), "path".to_owned())]),
        cache: Some("1Gi".to_owned()),
        ..Restic::named("backup-s3")
    };
    let store = Store::Restic(Box::new(restic));
    Destination { name: "s3".to_owned(), store, retention: None, drill: None, orphans: Orphans::Keep }
}

/// Repositories on a disk.
pub(crate) fn crypt() -> Destination {
    on_disk("crypt", claim())
}

/// The same on a host's disk.
pub(crate) fn crypt_host() -> Destination {
    on_disk("cellar", host())
}

fn on_disk(name: &str, disk: Destination) -> Destination {
    let restic =
        Restic { disk: disk.disk().cloned(), repository: Restic::ON_DISK.to_owned(), ..Restic::named("backup-restic") };
    Destination { name: name.to_owned(), store: Store::Restic(Box::new(restic)), ..disk }
}

/// A restic destination whose copies run in the controller's namespace.
pub(crate) fn central() -> Destination {
    let mut destination = restic();
    match &mut destination.store {
        Store::Restic(restic) => restic.run_in = RunIn::Controller,
        Store::Disk(_) => {}
    }
    Destination { name: "vault".to_owned(), ..destination }
}
