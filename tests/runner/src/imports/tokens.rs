//! The words of a file: without comments, texts and numbers.

/// A word or a sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A name or keyword.
    Name(String),
    /// `::`.
    Path,
    /// Any other sign.
    Sign(char),
    /// A text, a character, a number or a lifetime.
    Other,
}

/// The tokens with their lines.
pub(super) fn tokens(text: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = text.chars().collect();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    while let Some(&c) = chars.get(at) {
        let (token, end) = next(&chars, at, c);
        found.extend(token.map(|token| (token, line)));
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    found
}

/// The token that begins here, if one does, and where the next may begin.
fn next(chars: &[char], at: usize, c: char) -> (Option<Token>, usize) {
    let follows = |text: &str| text.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    if c.is_whitespace() {
        return (None, at + 1);
    }
    if follows("//") {
        return (None, until(chars, at, |c| c == '\n'));
    }
    if follows("/*") {
        return (None, comment(chars, at));
    }
    if let Some(end) = raw(chars, at) {
        return (Some(Token::Other), end);
    }
    match c {
        '"' => (Some(Token::Other), quoted(chars, at + 1, '"')),
        'b' | 'c' if follows("b\"") || follows("c\"") => (Some(Token::Other), quoted(chars, at + 2, '"')),
        'b' if follows("b'") => (Some(Token::Other), quoted(chars, at + 2, '\'')),
        // A lifetime has no second quote.
        '\'' if chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'') => {
            (Some(Token::Other), quoted(chars, at + 1, '\''))
        }
        '\'' => (Some(Token::Other), until(chars, at + 1, |c| !is_word(c))),
        ':' if follows("::") => (Some(Token::Path), at + 2),
        'r' if follows("r#") => {
            let end = until(chars, at + 2, |c| !is_word(c));
            (Some(Token::Name(chars[at + 2..end].iter().collect())), end)
        }
        c if c.is_ascii_digit() => (Some(Token::Other), until(chars, at, |c| !is_word(c))),
        c if is_word(c) => {
            let end = until(chars, at, |c| !is_word(c));
            (Some(Token::Name(chars[at..end].iter().collect())), end)
        }
        c => (Some(Token::Sign(c)), at + 1),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn until(chars: &[char], from: usize, end: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|at| end(chars[*at])).unwrap_or(chars.len())
}

/// The end of a text or character that has begun.
fn quoted(chars: &[char], from: usize, quote: char) -> usize {
    let mut at = from;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

/// The end of a comment; comments may have comments in them.
fn comment(chars: &[char], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(chars.len())
}

/// The end of a raw text, `r"…"` or `br##"…"##`, if one begins here.
fn raw(chars: &[char], from: usize) -> Option<usize> {
    let mut at = from;
    if matches!(chars.get(at), Some('b' | 'c')) {
        at += 1;
    }
    if chars.get(at) != Some(&'r') {
        return None;
    }
    let open = until(chars, at + 1, |c| c != '#');
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let hashes = open - at - 1;
    let closes = |at: usize| (1..=hashes).all(|i| chars.get(at + i) == Some(&'#'));
    let end = (open + 1..chars.len()).find(|at| chars[*at] == '"' && closes(*at));
    Some(end.map_or(chars.len(), |end| end + hashes + 1))
}
