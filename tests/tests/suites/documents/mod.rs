//! The pages that people read: their words, their links, and the lists that must agree with the code.

mod links;
mod numbers;
mod words;

use std::fs;
use std::path::{Path, PathBuf};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The text of a file of the project.
pub(crate) fn page(name: &str) -> String {
    fs::read_to_string(project().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// All pages: of the project's root, of `docs/`, and of two folders that have one of their own.
pub(crate) fn pages() -> Vec<String> {
    let in_folder = |folder: &str| -> Vec<String> {
        let entries = fs::read_dir(project().join(folder)).unwrap();
        let names = entries.map(|entry| format!("{folder}{}", entry.unwrap().file_name().to_str().unwrap()));
        names.filter(|name| Path::new(name).extension().is_some_and(|end| end == "md")).collect()
    };
    let mut pages = [in_folder(""), in_folder("docs/")].concat();
    pages.extend(["ansible/README.md", "tests/cluster/README.md"].map(str::to_owned));
    pages.sort();
    pages
}

/// All files of the project, but those that are built.
fn files() -> Vec<PathBuf> {
    fn below(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name();
            let hidden = name.to_str().is_none_or(|name| name.starts_with('.') || name == "target");
            match entry.file_type().unwrap() {
                kind if kind.is_dir() && !hidden => below(&entry.path(), found),
                kind if kind.is_file() && !hidden => found.push(entry.path()),
                _ => {}
            }
        }
    }
    let mut found = Vec::new();
    below(&project(), &mut found);
    found
}
