//! The program as a person calls it, where it needs no cluster.

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-backup"))
        .args(args)
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()
        .unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn help_names_the_verbs_the_flags_and_the_exit_codes() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).contains("Usage: kubectl backup [OPTIONS] <COMMAND>"), "{}", out(&output));
    for verb in ["status", "why", "plan", "list", "run", "hold", "template", "new-app", "completion"] {
        assert!(out(&output).contains(&format!("\n  {verb} ")), "{verb}: {}", out(&output));
    }

    let output = run(&["status", "--help"]);
    let text = out(&output);
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("Usage: kubectl backup status [OPTIONS] [PVC]..."), "{text}");
    for word in [
        "-n, --namespace",
        "-A, --all-namespaces",
        "-l, --selector",
        "-o, --output",
        "--no-headers",
        "--kubeconfig",
        "--context",
        "--backup-namespace",
        "BACKUP_NAMESPACE",
        "--instance",
        "--missed",
        "Exit codes:",
        "  3  ",
        "Unscheduled",
        "Vanished",
        "OUTSIDE",
    ] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}

#[test]
fn help_of_restore_says_what_it_does_and_how_it_ends() {
    let text = out(&run(&["restore", "--help"]));
    assert!(text.contains("Usage: kubectl backup restore [OPTIONS] <PVC> [PATH]..."), "{text}");
    for word in [
        "--to",
        "--date",
        "--snapshot",
        "--from",
        "--scale",
        "--dry-run",
        "--delete",
        "-y, --yes",
        "--uid",
        "Exit codes:",
        "  130, 143",
    ] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    let text = out(&run(&["browse", "--help"]));
    assert!(text.contains("Usage: kubectl backup browse [OPTIONS] <PVC>"), "{text}");
}

/// Nothing is asked of a cluster that has nobody to answer.
#[test]
fn without_a_terminal_a_restore_needs_a_yes_and_browse_ends() {
    for (args, part) in [
        (&["restore", "data", "--date=20181202"][..], "add --yes"),
        (&["restore", "data", "--date=20181202", "-o", "json"], "add --yes"),
        (&["browse", "data", "--date=20181202"], "kubectl exec"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", err(&output));
        assert!(err(&output).contains(part), "{args:?}: {}", err(&output));
    }
}

#[test]
fn the_version_is_the_workspaces() {
    assert_eq!(out(&run(&["--version"])), format!("kubectl-backup {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_2_and_says_what_is_wrong() {
    for (args, part) in [
        (&[][..], "Usage: kubectl backup"),
        (&["state"], "unrecognized subcommand 'state'"),
        (&["status", "-A", "data"], "cannot be used with"),
        (&["status", "data", "-l", "a=b"], "cannot be used with"),
        (&["status", "-o", "xml"], "[possible values: table, wide, json, yaml, name]"),
        (&["status", "--missed=0"], "0 is not in 1..=100"),
        (&["list", "data", "--from", "tape/s3"], "snapshot, disk, restic or the name of a destination"),
        (&["hold", "data", "--date", "yesterday"], "date=yesterday"),
        (&["hold", "p", "--for", "7"], "'7' for '--for <TIME>'"),
        (&["hold", "p", "--for", "7d", "--release"], "cannot be used with"),
        (&["run"], "required arguments were not provided"),
        (&["run", "data", "--timeout", "1h"], "--wait"),
        (&["why"], "required arguments were not provided"),
        (&["completion", "csh"], "[possible values: bash, zsh, fish, kubectl]"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(err(&output).contains(part), "{args:?}: {}", err(&output));
        assert_eq!(out(&output), "", "{args:?}");
    }
}

#[test]
fn without_a_cluster_it_is_1_and_says_where_it_looked() {
    let output = run(&["status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("KUBECONFIG") && err(&output).contains("this is not a pod"), "{}", err(&output));

    let output = run(&["status", "--kubeconfig", "/nonexistent/config"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("--kubeconfig") && err(&output).contains("/nonexistent/config"), "{}", err(&output));

    let output = run(&["status", "--context", "prod"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("--context"), "{}", err(&output));
}

#[test]
fn every_verb_teaches_with_examples_and_fits_a_terminal() {
    for verb in [
        &["list"][..],
        &["plan"],
        &["config", "check"],
        &["run"],
        &["hold"],
        &["why"],
        &["template", "process"],
        &["new-app"],
        &["completion"],
    ] {
        let text = out(&run(&[verb, &["--help"]].concat()));
        assert!(text.contains("kubectl backup "), "{verb:?}: {text}");
        assert!(text.contains("Examples:") || verb == ["completion"], "{verb:?}: {text}");
        assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    }
}

/// The origin's words: the objects of a restore, for `kubectl apply -f -` and the same for `kubectl delete -f -`.
#[test]
fn a_template_is_processed_without_a_cluster() {
    let args = ["-p", "NAME=mypvc", "-p", "DATE=20181202"];
    let verbs: [&[&str]; 4] = [
        &["template", "process", "backup/restore"],
        &["process", "restore"],
        &["process", "restore", "-o", "json"],
        &["new-app", "--template=backup/restore", "-o", "yaml"],
    ];
    for verb in verbs {
        let output = run(&[verb, &args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let list: serde_json::Value = serde_yaml::from_str(&out(&output)).unwrap();
        assert_eq!((list["apiVersion"].as_str(), list["kind"].as_str()), (Some("v1"), Some("List")));
        assert_eq!(list["items"][1]["metadata"]["name"], "restore-mypvc");
    }
    let output = run(&["process", "restore", "-p", "NAME=x", "-p", "WHEN=now"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("no parameter WHEN: it has NAME, DATE, "), "{}", err(&output));
    assert!(out(&run(&["process", "restore", "--parameters"])).starts_with("NAME         REQUIRED"));
}

#[test]
fn there_are_scripts_for_shells_and_for_kubectl() {
    for (shell, part) in [
        ("bash", "kubectl-backup"),
        ("zsh", "#compdef kubectl-backup"),
        ("fish", "complete -c kubectl-backup"),
        ("kubectl", "exec kubectl-backup __complete -- \"$@\""),
    ] {
        let output = run(&["completion", shell]);
        assert!(out(&output).contains(part), "{shell}: {}", out(&output));
    }
    // As kubectl asks, with flags among the words; without a cluster there are no names.
    let output = run(&["__complete", "--", "-n", "shop", "li"]);
    assert_eq!(out(&output), "list\tList the restore points of a PVC\n:4\n");
    assert_eq!(out(&run(&["__complete", "--", "list", ""])), ":4\n");
}

/// What is wrong with the file is told before a cluster is asked.
#[test]
fn a_plan_reads_its_file_first() {
    let output = run(&["plan", "-f", "/nonexistent/config.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("cannot read /nonexistent/config.yaml"), "{}", err(&output));
    // Standard input is empty here.
    let output = run(&["plan", "-f", "-"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("standard input: it is empty: give a config.yaml"), "{}", err(&output));
    for wrong in [&["plan", "-A", "data"][..], &["plan", "-l", "a=b", "data"], &["plan", "-o", "xml"]] {
        assert_eq!(run(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

/// U10: the controller's own code says it, before anything is applied, and without a cluster.
#[test]
fn a_configuration_is_checked_without_a_cluster() {
    let folder = std::env::temp_dir().join(format!("config-check-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config.yaml");
    let checked = |text: &str| {
        std::fs::write(&file, text).unwrap();
        run(&["config", "check", file.to_str().unwrap()])
    };
    let good = checked("defaults: {schedule: '@daily'}\n");
    assert_eq!((good.status.code(), err(&good)), (Some(0), String::new()));
    assert!(out(&good).ends_with("config.yaml: the configuration is valid\n"), "{}", out(&good));
    let map = |config: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: backup-controller}}\ndata: {{config.yaml: '{config}'}}\n"
        )
    };
    assert_eq!(checked(&map("limits: {cluster: 3}")).status.code(), Some(0));
    for (text, word) in [
        ("defaults: {schedul: '@daily'}\n".to_owned(), "schedul"),
        ("defaults: {schedule: never}\n".to_owned(), "never"),
        (map("limits: {clustr: 3}"), "clustr"),
        (String::new(), "it is empty"),
    ] {
        let refused = checked(&text);
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(err(&refused).contains(word) && err(&refused).contains("config.yaml"), "{}", err(&refused));
        assert_eq!(out(&refused), "");
    }
    std::fs::remove_dir_all(folder).unwrap();
}
