//! Names by patterns.

use serde::{Deserialize, Serialize};

/// Names by patterns, in which `*` stands for any characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase", expecting = "a map of keys")]
pub struct Globs {
    /// At least one of these matches. Default: `["*"]`. It may not be empty.
    pub include: Vec<String>,
    /// None of these matches. Default: none.
    pub exclude: Vec<String>,
}

impl Default for Globs {
    fn default() -> Globs {
        Globs { include: vec!["*".to_owned()], exclude: Vec::new() }
    }
}

impl Globs {
    /// Whether `text` is included and not excluded.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let any = |globs: &[String]| globs.iter().any(|pattern| glob(pattern, text));
        any(&self.include) && !any(&self.exclude)
    }
}

/// Whether a pattern matches the whole of `text`: `*` stands for any characters, none too, and
/// `?` for one; everything else for itself.
#[must_use]
pub fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    // The last star, and where the text that it stands for ends.
    let mut star = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => (p, t) = (p + 1, t + 1),
            _ => match star {
                Some((at, end)) => {
                    star = Some((at, end + 1));
                    (p, t) = (at + 1, end + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}
