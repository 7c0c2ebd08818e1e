//! The crates and the table of floors in `ARCHITECTURE.md`: a crate depends on crates of lower floors, and on those alone
//! that its row names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    floor: u32,
    /// What its crates may use; none: all of lower floors.
    uses: Option<BTreeSet<String>>,
}

/// The folders of the workspace's crates.
pub(super) fn crates(project: &Path) -> Result<Vec<String>> {
    Ok(members(&read(project, "Cargo.toml")?))
}

fn read(project: &Path, path: &str) -> Result<String> {
    fs::read_to_string(project.join(path)).with_context(|| format!("cannot read {path}"))
}

/// What is wrong, one line each.
pub(super) fn wrong(project: &Path) -> Result<Vec<String>> {
    let read = |path: &str| read(project, path);
    let root = read("Cargo.toml")?;
    let mut crates = BTreeMap::new();
    for folder in members(&root) {
        crates.insert(folder.clone(), read(&format!("{folder}/Cargo.toml"))?);
    }
    Ok(compare(&read("ARCHITECTURE.md")?, &root, &crates))
}

/// `crates`: by folder, its Cargo.toml.
fn compare(page: &str, root: &str, crates: &BTreeMap<String, String>) -> Vec<String> {
    let (rows, paths) = (rows(page), paths(root));
    let mut wrong = Vec::new();
    for folder in rows.keys().filter(|folder| !crates.contains_key(*folder)) {
        wrong.push(format!("ARCHITECTURE.md has a floor for {folder}, which is no crate of the workspace"));
    }
    for (folder, manifest) in crates {
        let Some(row) = rows.get(folder) else {
            wrong.push(format!("ARCHITECTURE.md has no floor for the crate {folder}"));
            continue;
        };
        for used in dependencies(manifest).filter_map(|name| paths.get(name)) {
            let Some(below) = rows.get(used) else { continue };
            if below.floor >= row.floor {
                wrong.push(format!(
                    "{folder}/Cargo.toml: {folder} (floor {}) depends on {used} (floor {})",
                    row.floor, below.floor
                ));
            } else if row.uses.as_ref().is_some_and(|uses| !uses.contains(used)) {
                wrong.push(format!(
                    "{folder}/Cargo.toml: {folder} depends on {used}, which its row in ARCHITECTURE.md does not name"
                ));
            }
        }
    }
    wrong
}

/// `| 3 | `jobs` | what it is | `templates`, `model` |`, by crate.
fn rows(page: &str) -> BTreeMap<String, Row> {
    let mut rows = BTreeMap::new();
    let table = page.lines().skip_while(|line| !line.trim_start().starts_with("| floor |"));
    for line in table.take_while(|line| line.trim_start().starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [floor, crates, _, uses] = cells[..] else { continue };
        let Ok(floor) = floor.parse::<u32>() else { continue };
        for folder in quoted(crates) {
            let uses = (uses != "everything below").then(|| quoted(uses).map(str::to_owned).collect());
            rows.insert(folder.to_owned(), Row { floor, uses });
        }
    }
    rows
}

/// What stands between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Those that the root's Cargo.toml lists.
fn members(root: &str) -> Vec<String> {
    let list = root.lines().find_map(|line| line.strip_prefix("members = ["));
    list.into_iter().flat_map(|list| list.split('"').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The folders of our own crates, by the names under which they are depended on: `model = { path = "model" }`.
fn paths(root: &str) -> BTreeMap<&str, String> {
    let named = |line: &'_ str| line.split_once(" = { path = \"").map(|(name, rest)| (name.len(), rest.to_owned()));
    root.lines()
        .filter_map(|line| {
            let (end, rest) = named(line)?;
            Some((&line[..end], rest.split('"').next()?.to_owned()))
        })
        .collect()
}

/// What a Cargo.toml depends on, also for tests.
fn dependencies(manifest: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    manifest.lines().filter_map(move |line| {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
            return None;
        }
        let name = line.split(['=', '.']).next().filter(|_| inside && !line.starts_with('#'))?.trim();
        (!name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "\
        | floor | crate | content | may use |\n|---|---|---|---|\n\
        | 3 | `tests`, `tests/tools` | suites | everything below |\n| 2 | `jobs` | pods | `model` |\n\
        | 2 | `cli` | a terminal | `model`, `api` |\n| 1 | `model`, `api` | decisions | types of `k8s-openapi` |\n\n\
        | law | rule | kept by | today |\n|---|---|---|---|\n| 1 | `minKeep` are left | `rotate` | holds |\n";
    const ROOT: &str = "[workspace.dependencies]\nmodel = { path = \"model\" }\napi = { path = \"api\" }\n\
        tools = { path = \"tests/tools\" }\nserde = { version = \"1\" }\n";

    fn found(manifests: &[(&str, &str)]) -> Vec<String> {
        let mut crates: BTreeMap<String, String> =
            ["tests", "tests/tools", "jobs", "cli", "model", "api"].map(|f| (f.to_owned(), String::new())).into();
        for (folder, names) in manifests {
            let lines: String = names.split_whitespace().flat_map(|n| [n, " = { workspace = true }\n"]).collect();
            crates.insert((*folder).to_owned(), format!("[package]\nname = \"x\"\n\n[dependencies]\n{lines}"));
        }
        compare(PAGE, ROOT, &crates)
    }

    #[test]
    fn crates_that_keep_to_their_floors_are_well() {
        assert_eq!(
            found(&[("cli", "model serde api"), ("tests", "api model"), ("model", "serde")]),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_crate_that_reaches_up_or_aside_is_refused() {
        assert_eq!(found(&[("api", "model")]), ["api/Cargo.toml: api (floor 1) depends on model (floor 1)"]);
        assert_eq!(found(&[("jobs", "tools")]), ["jobs/Cargo.toml: jobs (floor 2) depends on tests/tools (floor 3)"]);
        assert_eq!(
            found(&[("jobs", "api")]),
            ["jobs/Cargo.toml: jobs depends on api, which its row in ARCHITECTURE.md does not name"]
        );
        let crates = BTreeMap::from([("api".to_owned(), "[dev-dependencies]\nmodel.workspace = true\n".to_owned())]);
        assert!(compare(PAGE, ROOT, &crates).iter().any(|line| line.contains("depends on model")));
    }

    #[test]
    fn a_crate_without_a_floor_and_a_floor_without_a_crate_are_refused() {
        assert_eq!(found(&[("new", "")]), ["ARCHITECTURE.md has no floor for the crate new"]);
        let gone = compare(PAGE, ROOT, &BTreeMap::new());
        // Other tables have numbers too.
        assert!(gone.len() == 6 && gone[0].contains("has a floor for api"), "{gone:?}");
    }
}
