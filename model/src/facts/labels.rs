//! Labels as they are held of ten thousand PVCs: one piece of text.

use std::collections::BTreeMap;

/// The labels of an object. A label has no line break and no `=` in it, so one text holds them all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels(Box<str>);

impl Labels {
    /// Each label.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.lines().filter_map(|line| line.split_once('='))
    }

    /// Whether there is a label of that key and value.
    #[must_use]
    pub fn has(&self, key: &str, value: &str) -> bool {
        self.0.lines().any(|line| line.split_once('=') == Some((key, value)))
    }

    /// Whether all of these are there.
    #[must_use]
    pub fn have(&self, wanted: &BTreeMap<String, String>) -> bool {
        wanted.iter().all(|(key, value)| self.has(key, value))
    }
}

impl From<&BTreeMap<String, String>> for Labels {
    fn from(labels: &BTreeMap<String, String>) -> Self {
        let lines: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Self(lines.join("\n").into_boxed_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_found_by_its_whole_key_and_value() {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let labels = Labels::from(&map(&[("example.com/tier", "gold"), ("tier", ""), ("team", "a")]));
        assert!(labels.has("example.com/tier", "gold") && labels.has("tier", "") && labels.has("team", "a"));
        for (key, value) in [("tier", "gold"), ("example.com/tier", "gol"), ("team", ""), ("eam", "a"), ("", "")] {
            assert!(!labels.has(key, value), "{key}={value}");
        }
        assert!(labels.have(&map(&[])) && labels.have(&map(&[("team", "a"), ("tier", "")])));
        assert!(!labels.have(&map(&[("team", "a"), ("tier", "x")])));
        assert!(!Labels::default().has("", ""));
    }
}
