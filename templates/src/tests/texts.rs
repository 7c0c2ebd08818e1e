//! A tenant's texts stay texts, in every object (law 9), and names that are made of them fit.

use std::collections::BTreeMap;

use model::config::{Config, Destination, Disk, Sample, Scratch, Store, Trees};
use model::copy_options::Options;
use model::facts::{Journal, VolumeMode};
use model::maintain::Part;
use model::names::{self, Run, SourceId};
use model::plan::{Copy, Drill, Expected, Left, Maintain, Prune, Work};
use model::promoter::PromoterShape;
use model::schedule::Zone;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{Install, Promoter, RunSnapshot, Templates, args, samples, sweep_name};

/// All objects of one source, by what they are.
fn everything(
    templates: &Templates,
    install: &Install,
    source: &SourceId,
    word: &str,
) -> BTreeMap<&'static str, Value> {
    let config = Config::default();
    let run: Run = "20181202T0000Z".parse().unwrap();
    let mut protection = samples::protection(&config);
    protection.snapshot_class.0 = word.to_owned();
    protection.promoter.shape.storage_class = word.to_owned();
    protection.promoter.shape.annotations = BTreeMap::from([(format!("k{word}"), word.to_owned())]);
    let (mut claim, mut host, mut restic) = (samples::claim(), samples::host(), samples::restic());
    for destination in [&mut claim, &mut host, &mut restic] {
        destination.name = word.to_owned();
    }
    if let Store::Disk(Trees { disk: Disk::Claim(claim), .. }) = &mut claim.store {
        claim.name = word.to_owned();
        claim.storage_class = Some(word.to_owned());
        claim.size = word.to_owned();
    }
    if let Store::Disk(Trees { disk: Disk::HostPath(host), .. }) = &mut host.store {
        host.path = format!("/{word}");
        host.size = word.to_owned();
        host.node_selector = BTreeMap::from([(format!("k{word}"), word.to_owned())]);
    }
    if let Store::Restic(restic) = &mut restic.store {
        restic.repository = format!("{word}/{{uid}}");
        restic.ca = Some(word.to_owned());
        restic.cache = Some(word.to_owned());
    }
    let options = Options { exclude: vec![word.to_owned()], ..Options::default() };
    // Another PVC than the disk's: a copy onto itself is refused.
    let copied = format!("p{word}");
    // A pod in a tenant's namespace reports the id.
    let expected = Expected { filled: None, left: Left::Repository(Some(word.to_owned())) };
    let copy = |destination| Copy {
        source: source.clone(),
        promoter: copied.clone(),
        retention: None,
        accept_empty: true,
        expected: expected.clone(),
        after_finding: None,
        options: options.clone(),
        secret: Some(word.to_owned()),
        ..samples::copy(&config, destination)
    };
    let copy_job = |destination| templates.copy_job(install, &config, destination, &copy(destination)).unwrap();
    let point = RunSnapshot {
        instance: &install.instance,
        source,
        run: &run,
        name: word,
        class: word,
        mode: VolumeMode::Block,
    };
    let shape = PromoterShape {
        read_only: false,
        journal: Journal::Replayed,
        mode: VolumeMode::Block,
        ..protection.promoter.shape.clone()
    };
    let spec = shape.sized(1);
    let promoter = Promoter { instance: &install.instance, source, run: &run, snapshot: word, spec: &spec };
    let device = Copy { mode: VolumeMode::Block, ..copy(&claim) };
    let cronjob = templates.snapshot_cronjob(install, &config, source, &protection, false).unwrap();
    let mut all = BTreeMap::from([
        ("run-now", templates.run_job(&cronjob, word, &names::run_now_job(source, word)).unwrap()),
        ("cronjob", cronjob),
        ("sweep", templates.sweep_cronjob(install, &config).unwrap()),
        ("copy", copy_job(&claim)),
        ("copy-host", copy_job(&host)),
        ("copy-restic", copy_job(&restic)),
        ("disk-claim", templates.disk_claim(install, &claim, &source.namespace).unwrap()),
        ("keeper", templates.keeper_job(install, &config, &host, &source.namespace).unwrap()),
        ("disk-volume", templates.disk_volume(install, &host, &source.namespace).unwrap()),
        ("host-disk-claim", templates.host_disk_claim(install, &host, &source.namespace).unwrap()),
        ("snapshot", templates.volume_snapshot(&point).unwrap()),
        ("promoter", templates.promoter(&promoter).unwrap()),
        ("copy-block", templates.copy_job(install, &config, &claim, &device).unwrap()),
    ]);
    for (name, destination, work) in tasks(&copied, word) {
        let destination = if destination == "disk" { &claim } else { &restic };
        let task = Maintain { work, ..task(source, destination, &options, word) };
        all.insert(name, templates.maintain_job(install, &config, destination, &task).unwrap());
    }
    all
}

fn task(source: &SourceId, destination: &Destination, options: &Options, word: &str) -> Maintain {
    Maintain {
        source: source.clone(),
        destination: destination.name.clone(),
        due: "20181209T0427Z".parse().unwrap(),
        work: Work::Verify(Part { number: 1, of: 30 }),
        options: options.clone(),
        secret: Some(word.to_owned()),
        isolate: false,
    }
}

/// Every task, and the type of its destination.
fn tasks(promoter: &str, word: &str) -> [(&'static str, &'static str, Work); 5] {
    let run: Run = "20181202T0000Z".parse().unwrap();
    let drill = Drill {
        run: run.clone(),
        snapshot: Some(word.to_owned()),
        promoter: promoter.to_owned(),
        mode: VolumeMode::Filesystem,
        sample: Sample::Files(1),
        scratch: Scratch { size: word.to_owned(), storage_class: Some(word.to_owned()) },
        accept_empty: true,
        spc_no_relabeling: true,
    };
    let prune = Prune {
        retention: Config::default().defaults.retention,
        zone: Zone::utc(),
        since: None,
        holds: vec![run],
        hold_snapshots: vec![word.to_owned()],
        incomplete: vec![],
        complete_snapshots: vec![word.to_owned()],
    };
    [
        ("prune", "restic", Work::Prune(prune)),
        ("verify", "restic", Work::Verify(Part { number: 1, of: 30 })),
        ("drill", "restic", Work::Drill(drill.clone())),
        ("drill-disk", "disk", Work::Drill(drill.clone())),
        ("drill-block", "disk", Work::Drill(Drill { mode: VolumeMode::Block, ..drill })),
    ]
}

fn all_of(word: &str) -> (Install, SourceId) {
    let word = || word.to_owned();
    let install = Install {
        instance: word().into(),
        namespace: word(),
        job_service_account: word(),
        controller_image: word(),
        mover_image: word(),
        image_pull_policy: word(),
        templates_config_map: Some(word()),
    };
    (install, SourceId { namespace: word(), name: word(), uid: word() })
}

/// Law 9. That the objects carry exactly these texts is what the check after rendering says too; here it
/// is said again for what the check does not pin.
fn carries(word: &str) {
    let (install, source) = all_of(word);
    let objects = everything(&Templates::embedded(), &install, &source, word);
    let text = |object: &str, pointer: &str| objects[object].pointer(pointer).and_then(Value::as_str);
    for (object, pointer) in [
        ("cronjob", "/metadata/namespace"),
        ("cronjob", "/metadata/annotations/backup-controller.io~1source-name"),
        ("cronjob", "/spec/jobTemplate/metadata/annotations/backup-controller.io~1source-namespace"),
        ("cronjob", "/spec/jobTemplate/spec/template/spec/serviceAccountName"),
        ("cronjob", "/spec/jobTemplate/spec/template/spec/containers/0/image"),
        ("cronjob", "/spec/jobTemplate/spec/template/spec/containers/0/imagePullPolicy"),
        ("run-now", "/metadata/ownerReferences/0/uid"),
        ("sweep", "/metadata/labels/backup-controller.io~1instance"),
        ("promoter", "/spec/storageClassName"),
        ("copy", "/metadata/labels/backup-controller.io~1source-uid"),
        ("copy", "/spec/template/spec/volumes/1/persistentVolumeClaim/claimName"),
        ("copy-restic", "/spec/template/spec/volumes/1/secret/secretName"),
        ("copy-restic", "/spec/template/spec/volumes/2/configMap/name"),
        ("copy-restic", "/spec/template/spec/volumes/3/emptyDir/sizeLimit"),
        ("copy-block", "/spec/template/spec/volumes/1/persistentVolumeClaim/claimName"),
        ("prune", "/spec/template/spec/volumes/0/secret/secretName"),
        ("verify", "/spec/template/spec/volumes/1/configMap/name"),
        ("drill", "/metadata/labels/backup-controller.io~1source-uid"),
        ("drill", "/spec/template/metadata/annotations/backup-controller.io~1source-name"),
        ("drill-disk", "/spec/template/spec/volumes/0/persistentVolumeClaim/claimName"),
        ("drill-disk", "/spec/template/spec/volumes/3/ephemeral/volumeClaimTemplate/spec/storageClassName"),
        ("drill-block", "/spec/template/spec/volumes/3/emptyDir/sizeLimit"),
        ("disk-claim", "/spec/resources/requests/storage"),
        ("disk-volume", "/spec/nodeAffinity/required/nodeSelectorTerms/0/matchExpressions/0/values/0"),
        ("keeper", "/metadata/annotations/backup-controller.io~1source-namespace"),
    ] {
        assert_eq!(text(object, pointer), Some(word), "{object} {pointer}");
    }
    if !word.is_empty() {
        let volume = text("cronjob", "/spec/jobTemplate/spec/template/spec/volumes/0/configMap/name");
        assert_eq!(volume, Some(word));
    }
    assert_eq!(objects["promoter"]["metadata"]["annotations"][format!("k{word}")], word);
    assert_eq!(
        text("copy", "/spec/template/spec/containers/0/volumeMounts/1/subPath"),
        Some(&*format!("{word}/{word}/{word}"))
    );
    assert_eq!(
        text("copy-host", "/spec/template/spec/containers/0/volumeMounts/1/subPath"),
        Some(&*format!("{word}/{word}"))
    );
    for (object, volume) in [("copy-block", 0), ("drill-disk", 2), ("drill-block", 2)] {
        let claim = format!("/spec/template/spec/volumes/{volume}/persistentVolumeClaim/claimName");
        assert_eq!(text(object, &claim), Some(&*format!("p{word}")), "{object}");
    }
    // What the program gets, after Kubernetes has expanded variables.
    let given = |object: &str, option: String| {
        let args = objects[object].pointer("/spec/template/spec/containers/0/args").unwrap().as_array().unwrap();
        assert!(args.iter().any(|a| expand(a.as_str().unwrap()) == option), "{object} {option:?}: {args:?}");
    };
    given("prune", format!("--hold-snapshot={word}"));
    given("prune", format!("--complete-snapshot={word}"));
    given("copy-restic", format!("--expect-repository={word}"));
    given("verify", format!("--name={word}"));
    given("drill", format!("--exclude={word}"));
    given("drill", format!("--snapshot={word}"));
    let config = Config::default();
    let mut protection = samples::protection(&config);
    protection.snapshot_class.0 = word.to_owned();
    protection.promoter.shape.storage_class = word.to_owned();
    protection.promoter.shape.annotations = BTreeMap::from([(format!("k{word}"), word.to_owned())]);
    let rendered = objects["cronjob"].pointer("/spec/jobTemplate/spec/template/spec/containers/0/args").unwrap();
    let got: Vec<String> = rendered.as_array().unwrap().iter().map(|a| expand(a.as_str().unwrap())).collect();
    assert_eq!(got, args::snapshot_args(&install, &config, &source, &protection, false));
    assert!(got.contains(&format!("--pvc={word}")));
}

/// What Kubernetes makes of an argument when each variable that is named exists.
fn expand(arg: &str) -> String {
    let mut out = String::new();
    let mut rest = arg.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('$', Some('$')) => {
                rest.next();
                out.push('$');
            }
            ('$', Some('(')) => {
                out.push_str("EXPANDED");
                rest.by_ref().take_while(|c| *c != ')').for_each(drop);
            }
            _ => out.push(c),
        }
    }
    out
}

#[test]
fn hostile_texts_stay_texts() {
    for word in [
        "\": \n- {{",
        "$(POD_UID) $$(POD_UID) $",
        "}}{{json namespace}}",
        "x\n---\nkind: ClusterRoleBinding",
        "naïve-🐘-\u{202e}\u{0}\u{85}\u{2028}",
        "&a *a !!binary <<: {} [] # | > %",
        "true",
        "0644",
        "~",
        "--no-rotate",
        "a=b,c=d",
        &"x".repeat(253),
    ] {
        carries(word);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_text_is_carried_exactly(word in "\\PC{0,20}|[\\x00-\\x7f]{1,30}|.{1,12}") {
        carries(&word);
    }
}

/// F58, F59.
#[test]
fn names_fit_the_api_and_long_ones_do_not_meet() {
    let (install, templates) = (samples::install(), Templates::embedded());
    let long = |end: &str| SourceId { name: format!("{}{end}", "a".repeat(250)), ..samples::source() };
    let (one, two) = (long(".aa"), long(".ab"));
    let objects = [everything(&templates, &install, &one, "word"), everything(&templates, &install, &two, "word")];
    for (kind, most) in [("cronjob", 52), ("sweep", 52), ("run-now", 63), ("copy", 63), ("keeper", 63), ("drill", 63)] {
        for objects in &objects {
            let name = objects[kind].pointer("/metadata/name").unwrap().as_str().unwrap();
            assert!(name.len() <= most, "{kind} {name}");
        }
    }
    for kind in ["cronjob", "run-now", "copy", "drill"] {
        assert_ne!(objects[0][kind]["metadata"]["name"], objects[1][kind]["metadata"]["name"]);
    }
    for object in objects[0].values() {
        for (key, value) in object.pointer("/metadata/labels").unwrap().as_object().unwrap() {
            assert!(value.as_str().unwrap().len() <= 63, "{key}");
        }
    }
    assert!(sweep_name(&"i".repeat(63).into()).len() <= 52);
    assert_ne!(objects[0]["copy"]["metadata"]["labels"], objects[1]["copy"]["metadata"]["labels"]);
    let full = &objects[0]["copy"]["metadata"]["annotations"][names::SOURCE_NAME];
    assert_eq!(full, &json!(one.name));
}
