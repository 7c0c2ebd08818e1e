//! YAML that kubectl reads as it was meant.
//!
//! kubectl takes `yes`, `on`, `1_000` and `12:30` for something else than text. Here a string is quoted unless
//! it is plainly a word.

use std::fmt::Write as _;

use serde_json::Value;

/// Words that a YAML reader may take for something else.
const TAKEN: [&str; 11] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"];

/// The value as a YAML document.
pub(crate) fn text(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                let _ = write!(out, "{pad}{}:", scalar(key));
                nested(value, indent + 1, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                block(item, indent + 1, &mut inner);
                // The first line stands behind the dash.
                let _ = write!(out, "{pad}- {}", inner.trim_start_matches(' '));
            }
        }
        other => {
            let _ = writeln!(out, "{pad}{}", flat(other));
        }
    }
}

fn nested(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            block(value, indent, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            block(value, indent, out);
        }
        Value::String(text) if is_literal(text) => {
            let pad = "  ".repeat(indent);
            out.push_str(" |\n");
            for line in text.lines() {
                let _ = writeln!(out, "{}", if line.is_empty() { String::new() } else { format!("{pad}{line}") });
            }
        }
        other => {
            let _ = writeln!(out, " {}", flat(other));
        }
    }
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// Whether a text of several lines can stand as it is.
fn is_literal(text: &str) -> bool {
    let plain = |c: char| c == '\n' || (!c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}'));
    let ends_once = text.ends_with('\n') && !text.ends_with("\n\n");
    // The first line tells a reader how far all are indented.
    ends_once && text.chars().all(plain) && !text.starts_with(['\n', ' '])
}

fn scalar(text: &str) -> String {
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '/' | '_'))
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str());
    if word {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in Value::from(text).to_string().chars() {
        // What JSON lets stand and YAML takes for a break, or refuses.
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}
