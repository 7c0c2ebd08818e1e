//! A stranger reads a sentence once: it is short, and its subject has a name.
//!
//! `WORDS="docs/install.md docs/restore.md" make test SUITES=documents` checks these files alone.

use super::{page, pages};

/// The most words of a sentence. Inline code and the text of a link count as they read: code is one word.
const LONGEST: usize = 30;

/// So many words bear two phrases without a noun.
const WORDS_FOR_TWO: usize = 1_000;

/// A sentence begins with a noun, not with one of these.
const OPENINGS: [&str; 9] =
    ["what ", "who ", "whoever ", "whatever ", "of what ", "that which ", "those that ", "one that ", "ones that "];

/// A word of a page, and the line it stands in.
#[derive(Debug, PartialEq)]
struct Word {
    text: String,
    line: usize,
}

/// A page's paragraphs, list items and table cells. Code blocks, headings and the heads of tables are left out.
fn texts(page: &str) -> Vec<Vec<Word>> {
    let lines: Vec<&str> = page.lines().collect();
    let (mut texts, mut open, mut code) = (Vec::new(), Vec::new(), false);
    for (at, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let fence = text.starts_with("```");
        code ^= fence;
        let table = text.starts_with('|');
        let item = ["- ", "* ", "> "].iter().any(|mark| text.starts_with(mark))
            || text.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        if text.is_empty() || fence || code || table || item || text.starts_with(['#', '<']) {
            texts.push(words(&open));
            open.clear();
        }
        if text.is_empty() || fence || code || text.starts_with(['#', '<']) {
            continue;
        }
        if table {
            let head = lines.get(at + 1).is_some_and(|next| next.trim_start().starts_with("|--"));
            if !head && !text.starts_with("|--") {
                let cells = text.replace("\\|", "/");
                texts.extend(cells.split('|').map(|cell| words(&[(at + 1, cell)])));
            }
        } else {
            open.push((at + 1, if item { text.split_once(' ').map_or("", |(_, rest)| rest) } else { text }));
        }
    }
    texts.push(words(&open));
    texts.retain(|text| !text.is_empty());
    texts
}

/// The words of numbered lines: code is one of them, an address of a link is none.
fn words(lines: &[(usize, &str)]) -> Vec<Word> {
    let (mut words, mut word, mut code) = (Vec::new(), String::new(), false);
    for (line, text) in lines {
        let mut rest = *text;
        while let Some(next) = rest.chars().next() {
            rest = &rest[next.len_utf8()..];
            match next {
                '`' => {
                    code = !code;
                    word.push_str(if code { "x" } else { "" });
                }
                _ if code => {}
                ']' if rest.starts_with('(') => rest = rest.split_once(')').map_or("", |(_, rest)| rest),
                '[' | ']' | '*' => {}
                next if next.is_whitespace() => end(&mut word, *line, &mut words),
                next => word.push(next),
            }
        }
        if !code {
            end(&mut word, *line, &mut words);
        }
    }
    words
}

/// A word is over. What is nothing but punctuation is none.
fn end(word: &mut String, line: usize, words: &mut Vec<Word>) {
    if word.chars().any(char::is_alphanumeric) {
        words.push(Word { text: std::mem::take(word), line });
    }
    word.clear();
}

/// Sentences end with a stop, a colon or a semicolon.
fn sentences(text: &[Word]) -> impl Iterator<Item = &[Word]> {
    text.split_inclusive(|word| word.text.trim_end_matches([')', '"', '”', '_']).ends_with(['.', '!', '?', ':', ';']))
}

fn joined(words: &[Word]) -> String {
    words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// Phrases that stand for a noun and have none: "what is kept", "those that wait", "and who reads it".
fn without_a_noun(sentence: &str) -> usize {
    if sentence.ends_with('?') {
        return 0;
    }
    let plain = sentence.to_lowercase().replace(|c: char| !c.is_alphanumeric() && c != ',', " ");
    let words: Vec<&str> = plain.split_whitespace().collect();
    let headless = |at: usize| match (at.checked_sub(1).map_or("", |before| words[before]), words[at]) {
        // "What to do" is one: a question that a noun would not make shorter.
        (_, "what") => words.get(at + 1) != Some(&"to"),
        (_, "whatever" | "whoever") | ("that", "which") | ("those" | "one" | "ones", "that") => true,
        // After a noun, "who" has one.
        (before, "who") => {
            ["", "and", "or", "of", "by", "to", "for", "from", "with", "says", "see", "is"].contains(&before)
                || before.ends_with(',')
        }
        _ => false,
    };
    (0..words.len()).filter(|at| headless(*at)).count()
}

/// What is wrong with a page, and the share of phrases without a noun.
fn check(name: &str, page: &str) -> (Vec<String>, String) {
    let (mut wrong, mut all, mut headless) = (Vec::new(), 0, 0);
    for text in texts(page) {
        for (place, sentence) in sentences(&text).enumerate() {
            let (words, line, count) = (joined(sentence), sentence[0].line, sentence.len());
            let beginning: String = words.chars().take(70).collect();
            let opening = words.chars().next().is_some_and(char::is_uppercase) || place == 0;
            if count > LONGEST {
                wrong.push(format!("{name}:{line}: {count} words, at most {LONGEST}: {beginning}"));
            }
            if opening && !words.ends_with('?') && OPENINGS.iter().any(|o| words.to_lowercase().starts_with(o)) {
                wrong.push(format!("{name}:{line}: {count} words, and no noun at the beginning: {beginning}"));
            }
            all += count;
            headless += without_a_noun(&words);
        }
    }
    let share = format!("{name}: {headless} phrases without a noun (what, who, those that, ...) in {all} words");
    if headless > 2 * all.div_ceil(WORDS_FOR_TWO) {
        wrong.push(format!("{share}: at most 2 in {WORDS_FOR_TWO}"));
    }
    (wrong, share)
}

#[test]
fn sentences_are_short_and_begin_with_a_noun() {
    let only = std::env::var("WORDS").unwrap_or_default();
    let named: Vec<String> = only.split_whitespace().map(str::to_owned).collect();
    let mut wrong = Vec::new();
    for name in if named.is_empty() { pages() } else { named } {
        let (found, share) = check(&name, &page(&name));
        println!("{share}");
        wrong.extend(found);
    }
    assert!(wrong.is_empty(), "{} places read twice:\n{}", wrong.len(), wrong.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(page: &str) -> String {
        check("a.md", page).0.join("\n")
    }

    #[test]
    fn a_sentence_of_31_words_is_too_long_and_is_shown_with_its_line() {
        let long = "word ".repeat(31);
        assert!(
            wrong(&format!("# Head\n\nShort.\nAnother {long}."))
                .starts_with("a.md:4: 32 words, at most 30: Another word")
        );
        assert_eq!(wrong(&format!("{}: {}", "word ".repeat(29).trim(), "word ".repeat(29))), "");
        assert!(wrong(&format!("- short\n- {long}")).starts_with("a.md:2: 31"));
        assert!(wrong(&format!("| a |\n|---|\n| b | {long} |")).starts_with("a.md:3: 31"));
    }

    #[test]
    fn code_is_one_word_and_code_blocks_headings_and_addresses_are_none() {
        let long = "word ".repeat(40);
        assert_eq!(
            wrong(&format!("# {long}\n\n```sh\n{long}\n```\n\n`{long}` is [one](docs/install.md#upgrade) word.\n")),
            ""
        );
        assert_eq!(texts("a `b c\nd` - [e f](g h).")[0].len(), 4);
    }

    #[test]
    fn an_opening_without_a_noun_is_found_and_a_question_is_none() {
        assert!(wrong("What is kept stays.").contains("no noun"));
        assert!(wrong("| a |\n|---|\n| what is kept |").contains("no noun"));
        assert!(wrong("It ends. Whoever asks waits.").contains("no noun"));
        assert_eq!(wrong("What is kept?\n\n| what |\n|---|\n| Whose PVC it is |"), "");
    }

    #[test]
    fn phrases_without_a_noun_are_counted_where_they_stand_for_one() {
        for (sentence, count) in [
            ("It deletes what it made, and those that wait.", 2),
            ("The owner, and who reads it.", 1),
            ("A tenant who asks gets one.", 0),
            ("It is that which it is.", 1),
            ("Who asks?", 0),
        ] {
            assert_eq!(without_a_noun(sentence), count, "{sentence}");
        }
        assert!(wrong("It says what. It says what. It says what.").contains("3 phrases"));
    }
}
