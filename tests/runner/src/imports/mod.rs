//! Whether imports run one way: which file of a crate imports from which, without its tests, and every circle among them.
//!
//! [`tokens`] reads text, [`source`] what a file says, [`tree`] finds the files of a crate and resolves paths, [`graph`]
//! finds circles. [`floors`] compares the crates with the table in `ARCHITECTURE.md`.
//!
//! An import counts for the file that defines the name, however it is reached: a file that declares modules and names
//! their content again is a map and not a floor. What has no name is not seen: methods, and what a macro makes.

mod floors;
mod graph;
mod source;
mod tokens;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use self::tree::{Files, Tree};

/// Everything that is wrong, one line each; nothing if all is well.
pub(crate) fn check(project: &Path) -> Result<Vec<String>> {
    let mut wrong = floors::wrong(project)?;
    for folder in floors::crates(project)? {
        for root in roots(&project.join(&folder))? {
            let (Some(below), Some(name)) = (root.parent(), root.file_name()) else { continue };
            let shown = root.strip_prefix(project).unwrap_or(&root).display();
            let found = circles(&files(below)?, &name.to_string_lossy()).with_context(|| format!("in {shown}"))?;
            wrong.extend(found.into_iter().map(|circle| format!("{shown}: a circle of imports:{circle}")));
        }
    }
    Ok(wrong)
}

/// The files in which the library, the programs and the suites of a crate begin.
fn roots(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut roots: Vec<PathBuf> =
        ["src/lib.rs", "src/main.rs", "tests/suites/main.rs"].iter().map(|root| folder.join(root)).collect();
    let programs = folder.join("src/bin");
    if programs.is_dir() {
        for entry in fs::read_dir(&programs).with_context(|| format!("cannot list {}", programs.display()))? {
            let path = entry?.path();
            roots.push(if path.is_dir() { path.join("main.rs") } else { path });
        }
    }
    roots.retain(|root| root.is_file());
    roots.sort();
    Ok(roots)
}

/// The circles below the file in which a crate begins. Each names its files and where they import each other.
fn circles(files: &Files, root: &str) -> Result<Vec<String>> {
    Ok(graph::circles(&Tree::read(files, root)?.imports()))
}

fn files(folder: &Path) -> Result<Files> {
    let mut found = Files::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot list {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|x| x == "rs") {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                found.insert(name, text);
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<Files>();
        let root = if files.contains_key("lib.rs") { "lib.rs" } else { "main.rs" };
        circles(&files, root).unwrap()
    }

    /// The files of the only circle.
    fn circle(files: &[(&str, &str)]) -> String {
        let found = found(files);
        assert_eq!(found.len(), 1, "{found:?}");
        let steps = found[0].lines().skip(1).map(|line| line.trim().split(':').next().unwrap_or_default().to_owned());
        steps.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn two_files_that_import_each_other_are_refused_with_the_lines() {
        let found = found(&[
            ("lib.rs", "mod a;\nmod b;\n"),
            ("a.rs", "use crate::b::B;\npub struct A(B);"),
            ("b.rs", "\n\npub struct B(crate::a::A);"),
        ]);
        assert_eq!(found, ["\n    a.rs:1: crate::b::B is in b.rs\n    b.rs:3: crate::a::A is in a.rs"]);
    }

    #[test]
    fn imports_that_run_one_way_are_none() {
        let files = [
            ("main.rs", "mod a;\nmod b;\nfn main() { a::run(); }"),
            ("a.rs", "use crate::b::{self, B};\nuse std::fmt::{self, Debug};\npub fn run() -> B { b::make() }"),
            ("b.rs", "pub struct B;\npub fn make() -> B { B }"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn a_circle_of_three_is_named_file_by_file() {
        let files = [
            ("lib.rs", "mod a; mod b; mod c; mod d;"),
            ("a.rs", "use crate::{b::{deep::X as Y, B}, d::D};\npub struct A;"),
            ("b.rs", "pub mod deep { pub struct X; }\npub struct B;\nuse crate::c;\nfn f() { c::g() }"),
            ("c.rs", "pub fn g() { crate::a::A; }"),
            ("d.rs", "pub struct D;"),
        ];
        assert_eq!(circle(&files), "a.rs b.rs c.rs");
    }

    #[test]
    fn a_circle_through_super_super_is_one() {
        let files = [
            ("lib.rs", "mod plan;"),
            ("plan/mod.rs", "mod restore;\nmod hold;"),
            ("plan/hold.rs", "use super::restore::claim::Claim;\npub struct Hold(Claim);"),
            ("plan/restore/mod.rs", "pub mod claim;"),
            ("plan/restore/claim.rs", "use super::super::hold;\npub struct Claim(Option<Box<hold::Hold>>);"),
        ];
        assert_eq!(circle(&files), "plan/hold.rs plan/restore/claim.rs");
    }

    /// A file that only names things again is not imported from: the files that define them are.
    #[test]
    fn a_name_counts_for_the_file_that_defines_it() {
        let map = "mod low;\nmod high;\npub use low::Low;\npub use high::*;";
        let files = [
            ("lib.rs", "mod plan;"),
            ("plan/mod.rs", map),
            ("plan/low.rs", "pub struct Low;"),
            ("plan/high.rs", "use super::Low;\nuse crate::plan;\npub struct High(Low, plan::Low);"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());

        let files = [
            ("lib.rs", "mod plan;"),
            ("plan/mod.rs", map),
            ("plan/low.rs", "use super::High;\npub struct Low(High);"),
            ("plan/high.rs", "use crate::plan::Low;\npub struct High(Low);"),
        ];
        assert_eq!(circle(&files), "plan/high.rs plan/low.rs");
    }

    #[test]
    fn a_parent_that_defines_what_its_child_imports_is_a_circle_if_it_uses_the_child() {
        let files = [
            ("lib.rs", "mod plan;"),
            ("plan.rs", "mod child;\npub struct Plan;\nimpl Plan { fn f() { child::g(Self) } }"),
            ("plan/child.rs", "use super::Plan;\npub fn g(_: Plan) {}"),
        ];
        assert_eq!(circle(&files), "plan.rs plan/child.rs");
        // To declare it is no use of it.
        let files = [
            ("lib.rs", "mod plan;"),
            ("plan.rs", "mod child;\npub struct Plan;"),
            ("plan/child.rs", "use super::Plan;\npub fn g(_: Plan) {}"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn names_that_come_by_a_star_count_where_they_are_used() {
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::*;\npub struct A;\nfn f(_: B) {}"),
            ("b.rs", "use crate::a::A;\npub struct B(A);"),
        ];
        assert_eq!(circle(&files), "a.rs b.rs");
    }

    #[test]
    fn tests_comments_and_texts_import_nothing() {
        let files = [
            ("lib.rs", "mod a; mod b; #[cfg(test)] mod tests;"),
            (
                "a.rs",
                "// use crate::b::B;\n/* crate::b::B /* */ */\npub struct A;\nconst T: &str = \"crate::b::B\";\n\
                 const R: &str = r#\"\" crate::b::B\"#;\nconst C: char = '\"';\nfn f<'a>(_: &'a str) {}\n\
                 #[cfg(test)]\nfn g() { crate::b::h() }\n#[cfg(test)]\nmod tests { use crate::b::B; }",
            ),
            ("b.rs", "use crate::a::A;\npub struct B(A);\npub fn h() {}"),
            ("tests.rs", "use crate::a::A;"),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
        // What follows a test is read again.
        let files = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "#[cfg(test)]\nuse crate::b::{B};\npub struct A;\nfn f() { #[cfg(test)] g(); crate::b::h() }"),
            ("b.rs", "use crate::a::A;\npub fn h() {}"),
        ];
        assert_eq!(circle(&files), "a.rs b.rs");
    }

    #[test]
    fn a_module_without_a_file_is_an_error() {
        let files = Files::from([("lib.rs".to_owned(), "mod gone;".to_owned())]);
        assert!(circles(&files, "lib.rs").unwrap_err().to_string().contains("gone"));
    }

    #[test]
    fn programs_and_suites_are_looked_at_too() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let named = |folder: &str| {
            let roots = roots(&project.join(folder)).unwrap();
            let name = |root: &PathBuf| root.strip_prefix(project).unwrap().display().to_string();
            roots.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(named("model"), ["model/src/lib.rs", "model/tests/suites/main.rs"]);
        let tests = named("tests");
        for root in
            ["tests/src/lib.rs", "tests/src/bin/chart.rs", "tests/src/bin/demo/main.rs", "tests/tests/suites/main.rs"]
        {
            assert!(tests.iter().any(|found| found == root), "{root}: {tests:?}");
        }
    }

    /// What `make check` runs.
    #[test]
    fn this_project_has_none() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        assert_eq!(check(project).unwrap(), Vec::<String>::new());
    }
}
