//! What a file says: its modules, its items, its imports and the paths in its code. What is compiled for tests alone is
//! passed over.

use std::collections::BTreeSet;

use super::tokens::{Token, tokens};

/// A path and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

/// A name that a `use` makes known.
#[derive(Debug, Clone)]
pub(super) struct Import {
    pub(super) from: Said,
    /// By which name; none for all names of a module.
    pub(super) name: Option<String>,
}

/// One module: a file, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Module {
    pub(super) imports: Vec<Import>,
    /// Modules with their content in this file.
    pub(super) inline: Vec<(String, Module)>,
    /// Modules in files of their own.
    pub(super) declared: Vec<String>,
    /// What it defines.
    pub(super) items: BTreeSet<String>,
    /// Paths of several names in its code.
    pub(super) paths: Vec<Said>,
    /// All names in it, for what comes by a `*`.
    pub(super) names: Vec<(String, usize)>,
}

pub(super) fn read(text: &str) -> Module {
    let mut reader = Reader { tokens: tokens(text), at: 0 };
    let mut module = Module::default();
    while reader.at < reader.tokens.len() {
        reader.content(&mut module);
        // A brace too many: no Rust, but no reason to stop.
        reader.at += 1;
    }
    module
}

struct Reader {
    tokens: Vec<(Token, usize)>,
    at: usize,
}

impl Reader {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead).map(|(token, _)| token)
    }

    fn is(&self, ahead: usize, sign: char) -> bool {
        self.peek(ahead) == Some(&Token::Sign(sign))
    }

    fn name(&self, ahead: usize) -> Option<&str> {
        match self.peek(ahead)? {
            Token::Name(name) => Some(name),
            Token::Path | Token::Sign(_) | Token::Other => None,
        }
    }

    fn line(&self) -> usize {
        self.tokens.get(self.at).map_or(0, |(_, line)| *line)
    }

    /// Reads until the brace that closes the module. Items count where they are the module's own.
    fn content(&mut self, module: &mut Module) {
        let mut depth = 0;
        while let Some(token) = self.peek(0).cloned() {
            match token {
                Token::Sign('}') if depth == 0 => return,
                Token::Sign('{' | '(' | '[') => depth += 1,
                Token::Sign('}' | ')' | ']') => depth -= 1,
                Token::Sign('#') if self.is(1, '[') => {
                    if self.attribute() {
                        self.skip();
                    }
                    continue;
                }
                Token::Sign(_) | Token::Path | Token::Other => {}
                Token::Name(name) => {
                    self.named(&name, depth == 0, module);
                    continue;
                }
            }
            self.at += 1;
        }
    }

    fn named(&mut self, name: &str, own: bool, module: &mut Module) {
        match name {
            "use" => {
                self.at += 1;
                self.tree(&mut Vec::new(), &mut module.imports);
                return;
            }
            "mod" if own => {
                let Some(child) = self.name(1).map(str::to_owned) else { return self.at += 1 };
                self.at += 2;
                if self.is(0, '{') {
                    self.at += 1;
                    let mut inline = Module::default();
                    self.content(&mut inline);
                    module.inline.push((child, inline));
                } else {
                    module.declared.push(child);
                }
                self.at += 1;
                return;
            }
            "macro_rules" if own => module.items.extend(self.name(2).map(str::to_owned)),
            "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static" if own => {
                let ahead = if self.name(1) == Some("mut") { 2 } else { 1 };
                module.items.extend(self.name(ahead).map(str::to_owned));
            }
            _ => {}
        }
        let (mut path, line) = (vec![name.to_owned()], self.line());
        module.names.push((name.to_owned(), line));
        self.at += 1;
        while self.peek(0) == Some(&Token::Path) {
            let Some(next) = self.name(1).map(str::to_owned) else { break };
            path.push(next);
            self.at += 2;
        }
        if path.len() > 1 {
            module.paths.push(Said { path, line });
        }
    }

    /// What follows `use`, up to its `;`.
    fn tree(&mut self, before: &mut Vec<String>, imports: &mut Vec<Import>) {
        let (deep, line) = (before.len(), self.line());
        while let Some(token) = self.peek(0).cloned() {
            self.at += 1;
            match token {
                Token::Name(name) if name == "as" => {
                    let alias = self.name(0).unwrap_or_default().to_owned();
                    self.at += 1;
                    imports.push(import(before, line, Some(alias)));
                    before.clear();
                }
                Token::Name(name) => before.push(name),
                Token::Sign('*') => {
                    imports.push(import(before, line, None));
                    before.clear();
                }
                Token::Sign('{') => {
                    loop {
                        self.tree(&mut before.clone(), imports);
                        if self.is(0, ',') {
                            self.at += 1;
                        } else {
                            self.at += 1;
                            break;
                        }
                    }
                    before.clear();
                }
                Token::Sign(',' | '}') => {
                    self.at -= 1;
                    break;
                }
                Token::Sign(';') => break,
                Token::Path | Token::Sign(_) | Token::Other => {}
            }
        }
        if before.len() > deep {
            imports.push(import(before, line, before.last().cloned()));
        }
    }

    /// Passes an attribute over; says whether what follows is for tests alone.
    fn attribute(&mut self) -> bool {
        let (is_cfg, from) = (self.name(2) == Some("cfg"), self.at);
        self.at += 1;
        self.group();
        let has = |word: &str| self.tokens[from..self.at].iter().any(|(t, _)| *t == Token::Name(word.to_owned()));
        is_cfg && has("test") && !has("not")
    }

    /// Passes over what an open bracket has in it.
    fn group(&mut self) {
        let mut depth = 0;
        while let Some(token) = self.peek(0) {
            match token {
                Token::Sign('{' | '(' | '[') => depth += 1,
                Token::Sign('}' | ')' | ']') => depth -= 1,
                Token::Name(_) | Token::Path | Token::Sign(_) | Token::Other => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Passes over an item or a statement.
    fn skip(&mut self) {
        let mut by_semicolon = false;
        while let Some(token) = self.peek(0).cloned() {
            match token {
                Token::Sign('}') => return,
                Token::Sign(';') => return self.at += 1,
                Token::Sign('{') => {
                    self.group();
                    if !by_semicolon {
                        return;
                    }
                }
                Token::Sign('(' | '[') => self.group(),
                Token::Name(name) => {
                    by_semicolon |= matches!(name.as_str(), "use" | "static" | "let" | "type");
                    // `const fn` ends as a function does.
                    by_semicolon |= name == "const" && self.name(1) != Some("fn");
                    self.at += 1;
                }
                Token::Path | Token::Sign(_) | Token::Other => self.at += 1,
            }
        }
    }
}

/// `self` at the end of a path is the module before it.
fn import(path: &[String], line: usize, name: Option<String>) -> Import {
    let ends_in_self = path.len() > 1 && path.last().is_some_and(|last| last == "self");
    let path = if ends_in_self { &path[..path.len() - 1] } else { path };
    let name = if name.as_deref() == Some("self") { path.last().cloned() } else { name };
    Import { from: Said { path: path.to_vec(), line }, name }
}
