//! The modules of a crate, and which file a path leads to.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::graph::Imports;
use super::source::{self, Module, Said};

/// The text of each file, by its path below the folder.
pub(super) type Files = BTreeMap<String, String>;

/// A module at its place.
struct Node {
    module: Module,
    file: String,
    parent: usize,
    children: BTreeMap<String, usize>,
}

/// All modules; the first is the root.
pub(super) struct Tree {
    nodes: Vec<Node>,
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Module(usize),
    /// Something that this module defines.
    Item(usize),
    /// Another crate.
    Elsewhere,
}

/// Longer chains of names that stand for others are taken for names of other crates: they may lead nowhere.
const LONGEST: usize = 16;

impl Tree {
    /// Reads all modules that the root leads to.
    pub(super) fn read(files: &Files, root: &str) -> Result<Self> {
        let mut tree = Self { nodes: Vec::new() };
        let mut open = vec![(source::read(&files[root]), root.to_owned(), String::new(), None)];
        while let Some((mut module, file, folder, above)) = open.pop() {
            let at = tree.nodes.len();
            let (inline, declared) = (std::mem::take(&mut module.inline), std::mem::take(&mut module.declared));
            let parent = above.as_ref().map_or(0, |(parent, _)| *parent);
            if let Some((parent, name)) = above {
                tree.nodes[parent].children.insert(name, at);
            }
            for (name, inner) in inline {
                open.push((inner, file.clone(), format!("{folder}{name}/"), Some((at, name))));
            }
            for name in declared {
                let below = format!("{folder}{name}/");
                let candidates = [format!("{folder}{name}.rs"), format!("{below}mod.rs")];
                let Some((path, text)) = candidates.iter().find_map(|path| files.get_key_value(path)) else {
                    bail!("{file} declares the module {name}, which has no file");
                };
                open.push((source::read(text), path.clone(), below, Some((at, name))));
            }
            tree.nodes.push(Node { module, file, parent, children: BTreeMap::new() });
        }
        Ok(tree)
    }

    /// Which file imports from which, and where it says so.
    pub(super) fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (at, node) in self.nodes.iter().enumerate() {
            let mut add = |target: &str, line: usize, path: String| {
                if target != node.file {
                    let of = imports.entry(node.file.clone()).or_default();
                    of.entry(target.to_owned()).or_insert((line, path));
                }
            };
            let module = &node.module;
            for Said { path, line } in module.imports.iter().map(|i| &i.from).chain(&module.paths) {
                if let Some(Found::Item(item)) = self.resolve(at, path, LONGEST) {
                    add(&self.nodes[item].file, *line, path.join("::"));
                }
            }
            for import in module.imports.iter().filter(|i| i.name.is_none()) {
                let Some(Found::Module(from)) = self.resolve(at, &import.from.path, LONGEST) else { continue };
                for (name, line) in &module.names {
                    if let Some(Found::Item(item)) = self.look_up(from, name, LONGEST) {
                        add(&self.nodes[item].file, *line, name.clone());
                    }
                }
            }
        }
        imports
    }

    /// What a path means in a module. Nothing where its first name is not known there: another crate, or a local name.
    fn resolve(&self, at: usize, path: &[String], left: usize) -> Option<Found> {
        let (first, mut rest) = path.split_first()?;
        let mut found = match first.as_str() {
            "crate" => Found::Module(0),
            "self" => Found::Module(at),
            "super" => Found::Module(self.nodes[at].parent),
            name => self.look_up(at, name, left)?,
        };
        while let (Found::Module(module), Some((name, further))) = (&found, rest.split_first()) {
            found = match name.as_str() {
                "super" => Found::Module(self.nodes[*module].parent),
                // What a macro defines is not known by name.
                name => self.look_up(*module, name, left).unwrap_or(Found::Item(*module)),
            };
            rest = further;
        }
        Some(found)
    }

    /// What a single name means in a module.
    fn look_up(&self, at: usize, name: &str, left: usize) -> Option<Found> {
        let left = left.checked_sub(1)?;
        let node = &self.nodes[at];
        if let Some(child) = node.children.get(name) {
            return Some(Found::Module(*child));
        }
        if node.module.items.contains(name) {
            return Some(Found::Item(at));
        }
        let imports = &node.module.imports;
        if let Some(import) = imports.iter().find(|i| i.name.as_deref() == Some(name)) {
            // `use serde;` and the like would ask for themselves.
            let own = import.from.path.len() == 1;
            let found = if own { None } else { self.resolve(at, &import.from.path, left) };
            return Some(found.unwrap_or(Found::Elsewhere));
        }
        imports.iter().filter(|i| i.name.is_none()).find_map(|import| {
            match self.resolve(at, &import.from.path, left)? {
                Found::Module(from) if from != at => self.look_up(from, name, left),
                Found::Module(_) | Found::Item(_) | Found::Elsewhere => None,
            }
        })
    }
}
