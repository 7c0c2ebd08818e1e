//! The pages for users cannot drift from the code.
//!
//! Metrics are compared in `controller/src/metrics.rs`, links and words in `tests/tests/suites/documents`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use model::config::{Config, EXAMPLE};
use model::names;
use model::reason::Reason;
use serde::Deserialize as _;
use serde_yaml::Value;

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn page(name: &str) -> String {
    let path = project().join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The READMEs and everything in docs/.
fn pages() -> Vec<(String, String)> {
    let mut names = vec!["README.md".to_owned(), "ansible/README.md".to_owned()];
    for entry in fs::read_dir(project().join("docs")).unwrap() {
        names.push(format!("docs/{}", entry.unwrap().file_name().to_str().unwrap()));
    }
    names.sort();
    names.into_iter().map(|name| (name.clone(), page(&name))).collect()
}

/// The row of a table that begins with this in code.
fn row<'a>(page: &'a str, first: &str) -> Option<&'a str> {
    page.lines().find(|line| line.starts_with(&format!("| `{first}` |")))
}

#[test]
fn every_reason_is_explained_with_its_help() {
    let page = page("docs/troubleshooting.md");
    for reason in Reason::ALL {
        let row =
            row(&page, reason.as_str()).unwrap_or_else(|| panic!("docs/troubleshooting.md has no row for {reason}"));
        // In Markdown a < is an element of HTML and a | ends a cell, unless they are escaped.
        let plain = row.replace("\\<", "<").replace("\\|", "|");
        assert!(plain.ends_with(&format!(" | {} |", reason.help())), "{reason} is not told to: {}", reason.help());
    }
    let known: BTreeSet<&str> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    let ours = ["Overdue", "NoCronJob", "Suspended", "NothingLeft", "NotRecorded"];
    let states = [
        "Protected",
        "Pending",
        "Failing",
        "Degraded",
        "Unscheduled",
        "Unprotected",
        "Excluded",
        "Vanished",
        "Unknown",
    ];
    for line in page.lines().filter(|l| l.starts_with("| `")) {
        let word = line.split('`').nth(1).unwrap();
        let there = known.contains(word) || ours.contains(&word) || states.contains(&word);
        assert!(there, "docs/troubleshooting.md explains {word}, which does not exist");
    }
}

/// The keys of the example, with what is variable in angle brackets, and their values if they are defaults.
fn keys(path: &str, value: &Value, found: &mut Vec<(String, Option<String>)>) {
    let scalar = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        _ => None,
    };
    match value {
        // Maps whose keys are somebody else's.
        Value::Mapping(_)
            if [
                ".annotations",
                ".environment",
                ".backendOptions",
                "Labels",
                ".secrets",
                ".nodeSelector",
                ".requests",
                ".limits",
            ]
            .iter()
            .any(|end| path.ends_with(end)) =>
        {
            found.push((path.to_owned(), None));
        }
        Value::Mapping(map) => {
            for (key, value) in map {
                let key = key.as_str().unwrap();
                let key = if path == "classes" { "<class>" } else { key };
                let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                keys(&path, value, found);
            }
        }
        Value::Sequence(items) if items.iter().any(Value::is_mapping) => {
            for item in items {
                keys(&format!("{path}[]"), item, found);
            }
        }
        value => {
            let example =
                ["groups", "classes", "destinations", "restores.grants"].iter().any(|list| path.starts_with(list));
            found.push((path.to_owned(), scalar(value).filter(|_| !example)));
        }
    }
}

#[test]
fn every_key_of_the_configuration_is_explained_with_its_default() {
    let page = page("docs/configure.md");
    let example: Value = serde_yaml::from_str(EXAMPLE).unwrap();
    let mut found = Vec::new();
    keys("", &example, &mut found);
    assert!(found.len() > 40, "{found:?}");
    for (key, default) in &found {
        let row = row(&page, key).unwrap_or_else(|| panic!("docs/configure.md has no row for {key}"));
        if let Some(default) = default {
            let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            // An empty name is none.
            let said = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
            assert!(last.contains(&said), "the default of {key} is {default}; the page says: {last}");
        }
    }
    let known: BTreeSet<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    let sections = [
        "selection",
        "defaults",
        "groups",
        "bounds",
        "classes",
        "destinations",
        "limits",
        "restores",
        "deadlines",
        "retries",
        "resources",
        "metrics",
    ];
    for line in page.lines().filter(|l| l.starts_with("| `")) {
        let key = line.split('`').nth(1).unwrap();
        let of_ours = sections.iter().any(|s| key.starts_with(&format!("{s}.")) || key.starts_with(&format!("{s}[")));
        let above = known.iter().any(|k| k.starts_with(&format!("{key}.")));
        // One without a default of its own stands in the example as a comment.
        let is_comment = EXAMPLE.contains(&format!("# {}: ", key.rsplit('.').next().unwrap()));
        let is_known = above || is_comment || known.contains(key);
        assert!(!of_ours || is_known, "docs/configure.md explains {key}, which does not exist");
    }
}

#[test]
fn every_annotation_of_users_is_explained() {
    let page = page("docs/configure.md");
    for key in [
        names::ENABLED,
        names::SCHEDULE,
        names::TIME_ZONE,
        names::RETENTION,
        names::DESTINATION_SETTING,
        names::SNAPSHOT_CLASS,
        names::RUN_NOW,
        names::DRILL_NOW,
        names::ACCEPT_EMPTY,
        names::ACCEPT_FINDING,
        names::ACCEPT_MISSING,
        names::HOLD,
    ] {
        assert!(row(&page, key).is_some(), "docs/configure.md has no row for {key}");
    }
    // And what the pages say about our keys exists.
    let source = page_of_keys();
    for (name, text) in pages() {
        for rest in text.split(names::PREFIX).skip(1) {
            let key: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let key = key.trim_end_matches('-');
            let exists = key.is_empty() || source.contains(&format!("\"{}{key}", names::PREFIX));
            assert!(exists, "{name} names {}{key}, which does not exist", names::PREFIX);
        }
    }
}

/// All source files of the crates that speak to people.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> =
        ["api", "cli", "controller", "jobs", "model", "templates"].map(|name| project().join(name).join("src")).into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Earlier names are there to be replaced.
            let is_left_out = path.file_stem().is_some_and(|name| name == "tests" || name == "renamed");
            if path.is_dir() && !is_left_out {
                folders.push(path);
            } else if !is_left_out && path.extension().is_some_and(|end| end == "rs") {
                found.push((path.clone(), fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// U12: a remedy that names a setting which does not exist cannot be followed.
#[test]
fn each_setting_that_a_message_names_exists() {
    let page = page("docs/configure.md");
    let source = page_of_keys();
    let sections = ["bounds", "classes", "deadlines", "defaults", "limits", "restores", "retries", "selection"];
    let exists = |key: &str| {
        let below = |key: &str| ['.', '['].iter().any(|end| page.contains(&format!("\n| `{key}{end}")));
        let sure = |key: &str| row(&page, key).is_some() || below(key);
        // A key below one whose own keys are somebody else's, or are written together.
        sure(key) || key.rsplit_once('.').is_some_and(|(above, _)| above.contains('.') && sure(above))
    };
    let mut settings = 0;
    for (path, text) in sources() {
        let shown = path.display();
        // What stands in quotes, on one line.
        for text in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for words in text.split('"').skip(1).step_by(2) {
                let is_end = |c: char| !(c.is_ascii_alphanumeric() || ".<>_-/[]".contains(c));
                for word in words.split(is_end).map(|word| word.trim_matches(['.', '-'])) {
                    if let Some(key) = word.strip_prefix(names::PREFIX).filter(|key| !key.is_empty()) {
                        let is_key = source.contains(&format!("\"{}{key}", names::PREFIX));
                        assert!(is_key, "{shown} names {word}, which does not exist");
                        continue;
                    }
                    let Some((section, rest)) = word.split_once('.') else { continue };
                    if sections.contains(&section) && rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '<') {
                        assert!(exists(word), "{shown} names {word}, which does not exist");
                        settings += 1;
                    }
                }
            }
        }
    }
    assert!(settings > 40, "{settings}");
}

fn page_of_keys() -> String {
    page("model/src/names.rs")
}

fn yaml(name: &str) -> Value {
    serde_yaml::from_str(&page(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// The variables of the playbooks: one table, one file of defaults, one of types.
#[test]
fn every_variable_of_the_playbooks_is_explained_and_has_a_type() {
    let role = "ansible/roles/backup_controller";
    let defaults = yaml(&format!("{role}/defaults/main.yml"));
    let defaults = defaults.as_mapping().unwrap();
    let page = page("ansible/README.md");
    for (name, default) in defaults {
        let name = name.as_str().unwrap();
        let row = row(&page, name).unwrap_or_else(|| panic!("ansible/README.md has no row for {name}"));
        let told = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let default = match default {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(bool) => bool.to_string(),
            _ => String::new(),
        };
        // An empty one is told by what it comes to.
        assert!(default.is_empty() || told == format!("`{default}`"), "{name} is {default}; the page says: {told}");
    }
    let known: BTreeSet<&str> = defaults.keys().map(|k| k.as_str().unwrap()).collect();
    for line in page.lines().filter(|l| l.starts_with("| `")) {
        let name = line.split('`').nth(1).unwrap();
        assert!(known.contains(name), "ansible/README.md explains {name}, which does not exist");
    }

    let specs = yaml(&format!("{role}/meta/argument_specs.yml"));
    let playbooks = specs["argument_specs"].as_mapping().unwrap();
    let typed: BTreeSet<&str> = playbooks
        .values()
        .flat_map(|spec| spec["options"].as_mapping().unwrap().keys())
        .map(|name| name.as_str().unwrap())
        .collect();
    assert_eq!(typed, known, "meta/argument_specs.yml and defaults/main.yml");

    // Files for -e @ in the pages.
    let mut files = 0;
    for (name, text) in pages() {
        let blocks = blocks(&text, "yaml");
        for block in blocks.iter().filter(|b| b.starts_with("# backup.yaml\n") || b.starts_with("# volume.yaml\n")) {
            files += 1;
            let variables: Value = serde_yaml::from_str(block).unwrap();
            for key in variables.as_mapping().unwrap().keys() {
                assert!(known.contains(key.as_str().unwrap()), "{name}: {key:?}");
            }
            if let Some(config) = variables.get("CONFIG") {
                Config::parse(&serde_yaml::to_string(config).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
            }
        }
    }
    assert!(files >= 2, "{files}");
}

/// The text between fences of that language.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for line in page.lines() {
        let text: &'a str = line.trim_start();
        let indent = line.len() - text.len();
        match &mut block {
            None if text.strip_prefix("```") == Some(language) => block = Some((indent, String::new())),
            None => {}
            Some(_) if text == "```" => blocks.extend(block.take().map(|(_, text)| text)),
            Some((indent, inner)) => {
                inner.push_str(line.get(*indent..).unwrap_or_default());
                inner.push('\n');
            }
        }
    }
    blocks
}

#[test]
fn every_example_can_be_read() {
    let (mut configs, mut objects) = (0, 0);
    for (name, page) in pages() {
        for block in blocks(&page, "yaml") {
            for document in serde_yaml::Deserializer::from_str(&block) {
                let value = Value::deserialize(document).unwrap_or_else(|e| panic!("{name}: {e}\n{block}"));
                objects += 1;
                // A ConfigMap with the configuration in it.
                if let Some(text) = value.get("data").and_then(|d| d.get("config.yaml")).and_then(Value::as_str) {
                    Config::parse(text).unwrap_or_else(|e| panic!("{name}: {e}\n{text}"));
                    configs += 1;
                }
            }
            if block.starts_with("# config.yaml\n") {
                Config::parse(&block).unwrap_or_else(|e| panic!("{name}: {e}\n{block}"));
                configs += 1;
            }
        }
    }
    assert!(configs >= 3 && objects >= 8, "{configs} {objects}");
}

/// What stands in the tables of schedules and retentions is what the parsers take.
#[test]
fn the_grammars_of_the_pages_are_those_of_the_code() {
    let page = page("docs/configure.md");
    let (_, rest) = page.split_once("## Schedules").unwrap();
    let (schedules, rest) = rest.split_once("## Retention").unwrap();
    let (retentions, _) = rest.split_once("## Other objects").unwrap();
    let written = |text: &str| -> Vec<String> {
        let rows = text.lines().filter(|l| l.starts_with("| `"));
        rows.map(|l| l.split('`').nth(1).unwrap().to_owned()).collect()
    };
    let (schedules, retentions) = (written(schedules), written(retentions));
    assert!(schedules.len() > 5 && retentions.len() > 5);
    for text in schedules {
        model::schedule::Due::parse(&text, "seed").unwrap_or_else(|e| panic!("{e}"));
    }
    for text in retentions {
        text.parse::<model::retention::Retention>().unwrap_or_else(|e| panic!("{e}"));
    }
}

/// What `kubectl backup` says of itself.
fn help(words: &[&str]) -> String {
    let output =
        std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-backup")).args(words).arg("--help").output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The verbs below these words.
fn verbs(words: &[&str]) -> Vec<String> {
    let help = help(words);
    let Some((_, rest)) = help.split_once("\nCommands:\n") else { return Vec::new() };
    let lines = rest.lines().take_while(|line| line.starts_with("  "));
    lines.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn every_verb_of_kubectl_backup_is_explained_and_no_other() {
    let page = page("docs/kubectl-backup.md");
    let verbs = verbs(&[]);
    assert!(verbs.len() >= 8, "{verbs:?}");
    for verb in &verbs {
        assert!(
            row(&page, &format!("kubectl backup {verb}")).is_some(),
            "docs/kubectl-backup.md has no row for {verb}"
        );
    }
    for (name, text) in pages() {
        for rest in text.split("kubectl backup ").skip(1) {
            let verb: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let is_verb = verbs.contains(&verb) || ["", "process"].contains(&verb.as_str());
            // In a sentence another word may follow.
            let in_code =
                text.contains(&format!("`kubectl backup {verb}")) || text.contains(&format!("\nkubectl backup {verb}"));
            assert!(is_verb || !in_code, "{name}: kubectl backup {verb} does not exist");
        }
    }
}

/// The commands of the pages are those that there are.
#[test]
fn make_targets_and_files_exist() {
    let makefile = page("Makefile");
    for (name, text) in pages() {
        for rest in text.split("make ").skip(1) {
            let target: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            let before_is_code =
                text.contains(&format!("`make {target}`")) || text.contains(&format!("\nmake {target}"));
            let exists = makefile.lines().any(|l| l.starts_with(&format!("{target}:")));
            assert!(!before_is_code || exists, "{name}: make {target}");
        }
        for place in [
            "templates/install",
            "templates/install/derived",
            "templates/install/host-disks",
            "templates/install/openshift",
        ] {
            assert!(
                !text.contains(place) || project().join(place).join("kustomization.yaml").exists(),
                "{name}: {place}"
            );
        }
        for private in ["/work/", "shared/", "seeds/", "#66"] {
            assert!(!text.contains(private), "{name} has {private}");
        }
    }
}
