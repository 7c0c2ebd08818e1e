//! Text that has to be short.

/// `text` cut to at most `max` bytes at a character's border.
#[must_use]
pub fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", &text[..end])
}

/// The most bytes of a sentence in a result: it is repeated in ledgers, annotations and Events.
const SENTENCE: usize = 512;

/// A sentence as results have it.
#[must_use]
pub fn sentence(text: &str) -> String {
    clip(text, SENTENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_respects_characters() {
        assert_eq!(clip("ééé", 6), "ééé");
        assert_eq!(clip("éééé", 6), "é…");
    }
}
