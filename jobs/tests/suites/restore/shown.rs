//! What a person sees before and after.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use model::record::{RestoreResult, RestoreState};

use crate::compare::same;
use crate::place::{PROGRAM, has};
use crate::restore::scene::{Restored as _, Scene, put};

fn scene(name: &str) -> Scene {
    let scene = Scene::new(name);
    put(&scene.point("same"), "x", 1_500_000_000);
    put(&scene.point("older"), "as it was", 1_500_000_000);
    put(&scene.point("later"), "as it was", 1_500_000_000);
    put(&scene.point("gone/file"), "as it was", 1_500_000_000);
    put(&scene.volume("same"), "x", 1_500_000_000);
    put(&scene.volume("older"), "before that", 1_400_000_000);
    put(&scene.volume("later"), "spoilt later", 1_600_000_000);
    put(&scene.volume("mine"), "mine", 1_600_000_000);
    crate::place::set_time(&scene.point(""), 1_500_000_000);
    crate::place::set_time(&scene.volume(""), 1_500_000_000);
    scene
}

#[track_caller]
fn says(output: &str, lines: &[&str]) {
    for line in lines {
        assert!(output.lines().any(|l| l.contains(line)), "no {line:?} in\n{output}");
    }
}

#[test]
fn a_dry_run_tells_everything_and_writes_nothing() {
    let scene = scene("dry");
    let before = (scene.list_point(), scene.list_volume());
    let ended = scene.bare(&["--dry-run"]).run();
    assert_eq!((ended.code, ended.restored().state), (Some(0), RestoreState::Ready), "{ended:?}");
    says(
        &ended.stdout,
        &[
            "  new     gone/",
            "  new     gone/file",
            "  change  later (content, time, newer in the volume)",
            "  change  older (content, time)",
            "New: 2. Changed: 2 (1 of them newer in the volume).",
            "Not in the restore point: 1. These entries are kept; --delete removes them.",
            "Nothing was written so far: this is what a restore would change.",
        ],
    );
    assert!(!ended.stdout.contains("same") && !ended.stdout.contains("  delete"), "{}", ended.stdout);
    let ended = scene.bare(&["--dry-run", "--delete"]).run();
    says(&ended.stdout, &["  delete  mine", "DELETED: 1. The restore point does not have these entries."]);
    assert_eq!((ended.restored().changed, ended.restored().deleted, ended.restored().bytes), (4, 1, 27));
    same(&before.0, &scene.list_point());
    same(&before.1, &scene.list_volume());
}

#[test]
fn twenty_entries_are_named_and_all_if_asked() {
    let scene = Scene::new("many");
    (0..30).for_each(|i| put(&scene.point(&format!("file-{i}")), "x", 1_500_000_000));
    let named = |args: &[&str]| {
        let ended = scene.bare(args).run();
        (ended.stdout.lines().filter(|l| l.starts_with("  new ") || l.starts_with("  change ")).count(), ended.stdout)
    };
    let (count, output) = named(&["--dry-run"]);
    assert_eq!(count, 20, "{output}");
    says(&output, &["more; --itemize lists all"]);
    assert_eq!(named(&["--dry-run", "--itemize"]).0, 31, "and the root, whose time is another one");
}

#[test]
fn a_name_cannot_write_to_the_terminal() {
    let scene = Scene::new("escape");
    put(&scene.point("a\x1b[2J\nDone: all is well"), "x", 1);
    let ended = scene.bare(&["--dry-run"]).run();
    assert!(!ended.output.contains('\x1b'), "{ended:?}");
    says(&ended.stdout, &["  new     a\\u{1b}[2J\\nDone: all is well"]);
}

#[test]
fn if_there_is_nothing_to_do_nobody_is_asked() {
    let scene = scene("nothing");
    scene.restore(&["--delete"]).run().whole();
    let ended = scene.bare(&[]).run();
    ended.whole();
    says(&ended.stdout, &["Nothing to do"]);
}

#[test]
fn without_a_terminal_it_needs_a_yes() {
    let scene = scene("no-terminal");
    let before = scene.list_volume();
    let ended = scene.bare(&[]).run();
    assert_eq!((ended.code, ended.restored().state), (Some(2), RestoreState::Refused), "{ended:?}");
    says(&ended.stdout, &["  new     gone/file", "use --yes"]);
    same(&before, &scene.list_volume());
    scene.bare(&["-y"]).run().whole();
}

/// A call in a terminal, with what is typed.
fn typed(scene: &Scene, answer: &str) -> (Option<i32>, String) {
    let command = scene.bare(&[]).command();
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut child = Command::new("script")
        .args(["-qec", &words.join(" "), "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), answer.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn in_a_terminal_only_a_yes_restores() {
    if !has("script", "in a terminal only a yes restores") {
        return;
    }
    let scene = scene("terminal");
    let before = scene.list_volume();
    for no in ["\n", "n\n", "yess\n", "\x04"] {
        let (code, output) = typed(&scene, no);
        assert!(code == Some(3) && output.contains("Restore? [y/N]"), "{no:?} {code:?} {output}");
        same(&before, &scene.list_volume());
    }
    let (code, output) = typed(&scene, "y\n");
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("Done: "), "{output}");
    assert_eq!(fs::read_to_string(scene.volume("later")).unwrap(), "as it was");
}

#[test]
fn for_programs_there_is_one_line_of_json() {
    let scene = scene("json");
    for (args, state) in [
        (&["--dry-run"][..], RestoreState::Ready),
        (&["--yes", "nowhere"], RestoreState::Refused),
        (&["--yes"], RestoreState::Complete),
    ] {
        let ended = scene.bare(args).arg("--output=json").run();
        assert_eq!(ended.stdout.lines().count(), 1, "{ended:?}");
        let result: RestoreResult = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(result.state, state);
        assert_eq!(result, ended.restored());
        assert!(ended.output.lines().count() > 1, "people still read something");
    }
}

/// A pod that is kept for restores has a termination message too; a restore that somebody runs in it has none.
#[test]
fn only_a_main_process_speaks_to_the_kubelet() {
    let scene = scene("message");
    let command = scene.restore(&[]).command();
    let args: Vec<_> =
        command.get_args().filter(|arg| !arg.to_str().unwrap().starts_with("--termination-log")).collect();
    let done = Command::new(PROGRAM).args(args).output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(!scene.place.path.join("termination-log").exists());
}

#[test]
fn what_is_restored_is_called_by_its_name() {
    let scene = scene("headline");
    let status = r#"{"request":"x","state":"Ready","point":"data-20181202","target":"data"}"#;
    fs::write(scene.place.path.join("status"), status).unwrap();
    let ended = scene.bare(&["--dry-run"]).run();
    let first = ended.stdout.lines().next().unwrap().to_owned();
    assert!(first.starts_with("From data-20181202 (") && first.contains(" to data ("), "{first}");
}

/// A link that was a folder, a file that was a link.
#[test]
fn what_stands_in_the_place_of_something_else_is_a_change() {
    let scene = Scene::new("replaced");
    // First what is in the volume: it is not newer than what comes in its place.
    symlink("elsewhere", scene.volume("a")).unwrap();
    put(&scene.volume("b/mine"), "mine", 1);
    put(&scene.point("a/file"), "x", 1_500_000_000);
    symlink("elsewhere", scene.point("b")).unwrap();
    let ended = scene.bare(&["--dry-run"]).run();
    says(&ended.stdout, &["  change  a/ (replaced)", "--delete replaces them: b"]);
}

#[test]
fn progress_is_told_if_it_is_wanted() {
    let scene = Scene::new("progress");
    put(&scene.point("big"), &"x".repeat(3_000_000), 1_500_000_000);
    scene.place.fake_rsync(r#"case "$*" in *--dry-run*) ;; *) set -- --bwlimit=450 "$@" ;; esac; exec "$RSYNC" "$@""#);
    let ended = scene.restore(&["--progress"]).run();
    ended.whole();
    assert!(ended.output.lines().any(|l| l.contains("entries, ") && l.contains('%')), "{ended:?}");
}
