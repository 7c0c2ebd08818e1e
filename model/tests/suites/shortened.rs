//! A tenant who shortens a retention deletes nothing for a day, and is told (L4).

use std::sync::Arc;

use crate::fixtures::{cases, namespace, put_claim, storage, write_ledger, written};
use model::Timestamp;
use model::config::Config;
use model::duration::Span;
use model::plan::{self, Action};
use model::reason::Reason;
use model::retention::Retention;
use model::select::Protection;
use model::world::{Change, Seen, World};
use proptest::prelude::*;

const CONFIG: &str = "
destinations: [{name: far, type: restic, secret: s, runIn: controller}]
defaults: {schedule: 0 3 * * *, retention: 30d, destinations: [far]}
bounds: {minRetention: last=1}
";

fn at(hours: u64) -> Timestamp {
    Span::hours(hours).after("2026-11-20T00:10:00Z".parse().unwrap())
}

/// A source, and a controller that looks after it.
struct Scene {
    world: World,
    events: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let mut world = World::new("night".into(), "keepers", Arc::new(Config::parse(CONFIG).unwrap()));
        storage(&mut world);
        let mut scene = Self { world, events: Vec::new() };
        scene.claim("", "");
        scene.look(0);
        scene
    }

    /// The PVC, with such a retention, and such labels.
    fn claim(&mut self, retention: &str, labels: &str) {
        let retention =
            if retention.is_empty() { String::new() } else { format!("backup-controller.io/retention: '{retention}'") };
        let text = format!(
            "metadata: {{name: data, namespace: shop, uid: u1, labels: {{{labels}}}, annotations: {{{retention}}}}}\n\
             spec: {{storageClassName: fast, volumeName: pv}}\nstatus: {{phase: Bound}}"
        );
        put_claim(&mut self.world, &text);
    }

    fn configure(&mut self, text: &str) {
        self.world.apply(Change::Config(Arc::new(Config::parse(text).unwrap())));
    }

    /// Plans, and does what the plan says, until nothing is left to write down. Gives what deletions go by: every
    /// CronJob that was applied has to say the same as the last one.
    fn look(&mut self, hours: u64) -> Protection {
        for _ in 0..4 {
            let plan = plan::plan(&self.world, "u1", at(hours), &mut |_, _, _| false);
            let Some(write) = written(&plan) else { break };
            self.events.extend(write.notes.iter().map(|note| note.reason.to_owned()));
            for action in &plan.actions {
                if let Action::ApplyCronJob { protection, .. } = action {
                    let now = self.protection();
                    assert_eq!(
                        (&protection.retention, &protection.central_retention),
                        (&now.retention, &now.central_retention)
                    );
                }
            }
            write_ledger(&mut self.world, &plan);
        }
        self.protection()
    }

    fn protection(&self) -> Protection {
        let claim = self.world.claim_of("u1").unwrap();
        match plan::verdict(&self.world, claim) {
            model::select::Verdict::Protected(protection, _) => *protection,
            other @ model::select::Verdict::Unprotected(..) => panic!("{other:?}"),
        }
    }

    fn kept(&mut self, hours: u64) -> [String; 2] {
        let protection = self.look(hours);
        [protection.retention, protection.central_retention].map(|r| r.to_string())
    }

    fn told(&self) -> Vec<String> {
        let warnings = &self.world.status("u1").unwrap().warnings;
        warnings.iter().filter(|p| p.reason == Reason::RetentionShortened).map(|p| p.message.clone()).collect()
    }
}

/// L4.
#[test]
fn what_an_annotation_shortens_stays_for_a_day_and_is_told_once() {
    let mut scene = Scene::new();
    assert_eq!((scene.kept(1), scene.told()), (["30d"; 2].map(str::to_owned), vec![]));
    scene.claim("last=1", "");
    // Also before anything of it is written down.
    assert_eq!(scene.protection().retention.to_string(), "last=1 within=30d");
    for hours in [2, 3, 25] {
        assert_eq!(scene.kept(hours), ["last=1 within=30d"; 2].map(str::to_owned), "{hours}");
        let told = scene.told().concat();
        assert!(told.contains("changes the retention to 'last=1'. Until 2026-11-21T02:10:00Z nothing"), "{told}");
    }
    let wake = plan::plan(&scene.world, "u1", at(25), &mut |_, _, _| false).wake;
    assert!(wake.is_some_and(|wake| wake <= at(26)), "{wake:?}");
    assert_eq!((scene.kept(26), scene.told()), (["last=1"; 2].map(str::to_owned), vec![]));
    let told = scene.events.iter().filter(|reason| *reason == "RetentionShortened").count();
    assert_eq!(told, 1, "{:?}", scene.events);
    // And what lengthens it holds at once.
    scene.claim("last=2 within=60d", "");
    assert_eq!((scene.kept(27), scene.told()), (["last=2 within=60d"; 2].map(str::to_owned), vec![]));
}

/// L4: the annotation that goes is a change as well, and the Namespace has one too.
/// The schedule is the tenant's too: a rule of days, seen by runs that are months apart, keeps longer than the
/// administrator's bound, and that bound is not the tenant's to call upon.
#[test]
fn a_schedule_that_is_changed_with_the_retention_shortens_nothing_sooner() {
    let mut scene = Scene::new();
    scene.configure(&CONFIG.replace("retention: 30d", "retention: daily=7 weekly=5"));
    scene.look(0);
    let text = "metadata: {name: data, namespace: shop, uid: u1, annotations: {backup-controller.io/retention: last=1, \
                backup-controller.io/schedule: '@after 100d'}}\nspec: {storageClassName: fast, volumeName: pv}\n\
                status: {phase: Bound}";
    put_claim(&mut scene.world, text);
    let kept: Retention = "daily=7 weekly=5".parse().unwrap();
    assert!(scene.look(1).retention.covers(&kept));
    assert!(scene.look(24).retention.covers(&kept));
    assert!(!scene.look(26).retention.covers(&kept));
}

#[test]
fn an_annotation_that_goes_or_stands_on_the_namespace_shortens_as_well() {
    let mut scene = Scene::new();
    scene.claim("60d", "");
    assert_eq!(scene.kept(1)[0], "60d");
    scene.claim("", "");
    assert_eq!(scene.kept(2)[0], "60d");
    assert_eq!(scene.kept(26)[0], "30d");
    let shop = "metadata: {name: shop, annotations: {backup-controller.io/retention: 2d}}";
    scene.world.apply(Change::Namespace(Seen::Put(namespace(shop))));
    assert_eq!(scene.kept(30)[0], "30d");
    assert_eq!(scene.kept(54)[0], "2d");
}

/// L4: who takes it back in time has lost nothing, and who shortens it step by step waits for each.
#[test]
fn the_day_ends_with_the_change_and_begins_anew_with_the_next_one() {
    let mut scene = Scene::new();
    scene.claim("10d", "");
    assert_eq!(scene.kept(1)[0], "30d");
    scene.claim("", "");
    assert_eq!((scene.kept(2)[0].as_str(), scene.told()), ("30d", vec![]));
    scene.claim("10d", "");
    assert_eq!(scene.kept(10)[0], "30d");
    scene.claim("1d", "");
    assert_eq!(scene.kept(20)[0], "30d");
    assert_eq!(scene.kept(43)[0], "30d");
    assert_eq!(scene.kept(44)[0], "1d");
}

/// L4: what the administrator says is no tenant's whim.
#[test]
fn what_the_administrator_shortens_holds_at_once() {
    let mut scene = Scene::new();
    scene.configure(&CONFIG.replace("30d", "3d"));
    assert_eq!((scene.kept(1), scene.told()), (["3d"; 2].map(str::to_owned), vec![]));
    // Also where a tenant changes something with it.
    scene.claim("2d", "");
    scene.configure(&CONFIG.replace("30d", "2d"));
    assert_eq!(scene.kept(2)[0], "2d");
    // And where it bounds what a tenant chose.
    scene.claim("60d", "");
    assert_eq!(scene.kept(3)[0], "60d");
    scene.claim("", "");
    assert_eq!(scene.kept(4)[0], "60d");
    scene.configure(&CONFIG.replace("bounds: {", "bounds: {maxRetention: 40d, "));
    assert_eq!(scene.kept(5)[0], "30d");
}

/// L4: a tenant may label his PVC, too.
#[test]
fn a_label_that_selects_another_group_shortens_as_an_annotation_does() {
    let groups = format!(
        "{CONFIG}groups: [{{name: scratch, pvcLabels: {{kind: scratch}}, retention: 1d}}, \
         {{name: rest, namespaces: ['*'], retention: 20d}}]"
    );
    let mut scene = Scene::new();
    scene.configure(&groups);
    assert_eq!(scene.kept(1)[0], "20d", "the group is the administrator's");
    scene.claim("", "kind: scratch");
    assert_eq!(scene.kept(2)[0], "20d");
    assert_eq!(scene.kept(26)[0], "1d");
    scene.configure(&groups.replace("retention: 1d", "retention: 10d"));
    assert_eq!(scene.kept(27)[0], "10d");
    scene.configure(&groups.replace("retention: 1d", "retention: 2d"));
    assert_eq!(scene.kept(28)[0], "2d");
}

/// Law 4: what cannot be read shortens nothing.
#[test]
fn a_setting_that_cannot_be_read_changes_nothing() {
    let mut scene = Scene::new();
    scene.claim("60d", "");
    scene.look(1);
    scene.claim("soon", "");
    let protection = scene.look(2);
    assert!(protection.unreadable && scene.told().is_empty());
    assert_eq!(scene.world.status("u1").unwrap().shortened, None);
    scene.claim("60d", "");
    assert_eq!((scene.kept(3)[0].as_str(), scene.told()), ("60d", vec![]));
}

const CHOICES: [&str; 7] = ["", "1d", "10d", "60d", "last=1", "last=3 daily=7", "weekly=5"];

proptest! {
    #![proptest_config(cases(200))]

    /// L4: whatever a tenant writes, and whenever: nothing that was kept within the last day is deleted.
    #[test]
    fn nothing_that_an_annotation_shortened_goes_within_a_day(
        steps in prop::collection::vec((prop::option::of(0_usize..CHOICES.len()), 0_u64..30), 1..25)
    ) {
        let mut scene = Scene::new();
        let (mut now, mut wanted): (u64, Vec<(u64, Retention)>) = (0, Vec::new());
        for (choice, hours) in steps {
            // What was in force until the change is in force at the change.
            let before = scene.protection().wanted.retention;
            now += hours;
            wanted.push((now, before));
            if let Some(choice) = choice {
                scene.claim(CHOICES[choice], "");
            }
            let protection = scene.look(now);
            for (at, retention) in wanted.iter().filter(|(at, _)| now - at < 24) {
                prop_assert!(protection.retention.covers(retention), "{at} {now}: {retention} {protection:?}");
                prop_assert!(protection.central_retention.covers(retention), "{at} {now}: {retention}");
            }
        }
        // And a day after the last change it holds.
        let protection = scene.look(now + 24);
        prop_assert_eq!(&protection.retention, &protection.wanted.retention);
    }
}
