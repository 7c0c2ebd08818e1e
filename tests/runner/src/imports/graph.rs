//! Circles in a graph of files.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// By file: the files that it imports from, with the line and the path that say so.
pub(super) type Imports = BTreeMap<String, BTreeMap<String, (usize, String)>>;

/// For each file that is part of a circle the shortest one through it; the same circle once. One line for each step.
pub(super) fn circles(imports: &Imports) -> Vec<String> {
    let mut known: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    let mut told = Vec::new();
    for file in imports.keys() {
        let Some(circle) = shortest(imports, file) else { continue };
        if known.insert(circle.iter().copied().collect()) {
            let next = circle.iter().cycle().skip(1);
            told.push(circle.iter().zip(next).map(|(from, to)| step(imports, from, to)).collect());
        }
    }
    told
}

fn step(imports: &Imports, from: &str, to: &str) -> String {
    let said = imports.get(from).and_then(|of| of.get(to));
    said.map(|(line, path)| format!("\n    {from}:{line}: {path} is in {to}")).unwrap_or_default()
}

/// The shortest way from a file back to itself.
fn shortest<'a>(imports: &'a Imports, start: &'a str) -> Option<Vec<&'a str>> {
    let next = |file: &str| imports.get(file).into_iter().flat_map(|of| of.keys().map(String::as_str));
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut open = VecDeque::from([start]);
    while let Some(file) = open.pop_front() {
        for to in next(file) {
            if to == start {
                let mut way = vec![file];
                while let Some(from) = before.get(way[way.len() - 1]) {
                    way.push(from);
                }
                way.reverse();
                return Some(way);
            }
            if !before.contains_key(to) {
                before.insert(to, file);
                open.push_back(to);
            }
        }
    }
    None
}
