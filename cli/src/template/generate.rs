//! Random values: `generate: expression` with a `from` such as `pw-[a-zA-Z0-9]{8}`.

use std::fs::File;
use std::io::Read as _;

use anyhow::{Context as _, bail};

use super::parameter::Parameter;

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const SYMBOLS: &str = "~!@#$%^&*()-_+={}[]\\|<,>.?/\"';:`";
/// The longest that one range may be.
const LONGEST: usize = 255;

/// A random value of what the parameter's `from` describes.
pub(super) fn value(parameter: &Parameter) -> anyhow::Result<String> {
    let Parameter { name, generate, from, .. } = parameter;
    if generate != "expression" {
        bail!("parameter {name}: the generator {generate} does not exist; use expression");
    }
    expression(from).with_context(|| format!("parameter {name}: from: {from}"))
}

/// The text with each `[ranges]{length}` made random, and all else as it stands.
fn expression(text: &str) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('[') {
        out.push_str(&rest[..start]);
        if let Some((ranges, length, after)) = range(&rest[start..]) {
            out.push_str(&random(&alphabet(ranges)?, length)?);
            rest = after;
        } else {
            out.push('[');
            rest = &rest[start + 1..];
        }
    }
    Ok(out + rest)
}

/// `[ranges]{length}` at the beginning of the text, and what follows it.
fn range(text: &str) -> Option<(&str, usize, &str)> {
    let (ranges, rest) = text.strip_prefix('[')?.split_once(']')?;
    let (length, after) = rest.strip_prefix('{')?.split_once('}')?;
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '\\';
    let fits = !ranges.is_empty() && ranges.chars().all(inside);
    fits.then_some((ranges, length.parse().ok()?, after))
}

/// The characters of `a-z0-9_` and of the classes `\w`, `\d`, `\a` and `\A`.
fn alphabet(ranges: &str) -> anyhow::Result<Vec<char>> {
    let mut found = Vec::new();
    let mut chars = ranges.chars().peekable();
    while let Some(first) = chars.next() {
        if first == '\\' {
            let class = match chars.next() {
                Some('w') => format!("{LETTERS}{DIGITS}_"),
                Some('d') => DIGITS.to_owned(),
                Some('a') => LETTERS.to_owned(),
                Some('A') => SYMBOLS.to_owned(),
                _ => bail!("after \\ write one of the classes w, d, a and A"),
            };
            found.extend(class.chars());
        } else if chars.next_if_eq(&'-').is_some() {
            let Some(last) = chars.next() else { bail!("the range {first}- has no end") };
            let all = format!("{LETTERS}{DIGITS}");
            match (all.find(first), all.find(last)) {
                (Some(from), Some(to)) if from <= to => found.extend(all[from..=to].chars()),
                _ => bail!("{first}-{last} is not an ascending range of letters or digits"),
            }
        } else {
            found.push(first);
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn random(alphabet: &[char], length: usize) -> anyhow::Result<String> {
    if !(1..=LONGEST).contains(&length) {
        bail!("a length must be from 1 to {LONGEST}");
    }
    let mut source = File::open("/dev/urandom").context("/dev/urandom")?;
    // Bytes from here on would make some characters likelier than others.
    let fair = 256 / alphabet.len() * alphabet.len();
    let mut out = String::new();
    while out.len() < length {
        let mut byte = [0];
        source.read_exact(&mut byte).context("/dev/urandom")?;
        let index = usize::from(byte[0]);
        if index < fair {
            out.push(alphabet[index % alphabet.len()]);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_values_are_what_the_expression_says() {
        let made = |text: &str| expression(text).unwrap();
        let value = made("pw-[a-c]{20}-[0-1]{3}!");
        let (middle, end) = value.strip_prefix("pw-").unwrap().rsplit_once('-').unwrap();
        assert!(middle.len() == 20 && middle.chars().all(|c| ('a'..='c').contains(&c)), "{value}");
        assert!(end.len() == 4 && end.starts_with(['0', '1']) && end.ends_with('!'), "{value}");
        assert!(made("[\\w]{200}").chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
        assert!(made("[\\d]{9}").chars().all(|c| c.is_ascii_digit()));
        assert!(made("[\\a]{90}").chars().all(|c| c.is_ascii_alphabetic()));
        assert!(made("[\\A]{90}").chars().all(|c| c.is_ascii_punctuation()));
        assert!(made("[a-zA-Z0-9]{255}").chars().any(|c| c.is_ascii_uppercase()));
        assert_eq!(made("plain [x] {3}"), "plain [x] {3}");
        assert_ne!(made("[a-z]{40}"), made("[a-z]{40}"));
    }

    #[test]
    fn an_expression_that_says_nothing_is_refused() {
        for bad in ["[z-a]{3}", "[a-]{3}", "[\\x]{3}", "[a-z]{0}", "[a-z]{256}"] {
            assert!(expression(bad).is_err(), "{bad}");
        }
    }
}
