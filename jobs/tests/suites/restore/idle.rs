//! `backup-job idle`: the main process of a restore pod.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{PROGRAM, root};

fn ends(mut command: Command, pid: impl Fn(&std::process::Child) -> Pid, signal: Signal) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("/volume") && line.contains("restore.sh"), "{line}");
    kill_process(pid(&child), signal).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn it_says_how_the_pod_is_used_and_ends_when_it_is_told() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut command = Command::new(PROGRAM);
        command.arg("idle");
        ends(command, Pid::from_child, signal);
    }
}

/// As process 1 of a container no signal ends it by itself.
#[test]
fn as_process_1_it_ends_too() {
    let claim = "as process 1 it ends when it is told";
    if !root(claim) || !crate::place::has("unshare", claim) {
        return;
    }
    for signal in [Signal::TERM, Signal::INT] {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]).arg(PROGRAM).arg("idle");
        ends(command, inner, signal);
    }
}

/// The process in the new name space.
fn inner(outer: &std::process::Child) -> Pid {
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", outer.id())).unwrap();
    Pid::from_raw(children.split_whitespace().next().unwrap().parse().unwrap()).unwrap()
}
