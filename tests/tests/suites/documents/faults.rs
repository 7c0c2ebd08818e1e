//! The list of fault numbers, and the comments that name them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{files, page, project};

/// The numbers of faults in a line of comment: `F77`, and `S`, `L`, `A`, `U` likewise. S3 is a kind of storage.
fn numbers(line: &str) -> impl Iterator<Item = &str> {
    let comment = line.find("//").map_or("", |at| &line[at..]);
    let words = comment.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| {
        let digits = word.strip_prefix(['F', 'S', 'L', 'A', 'U']).unwrap_or_default();
        let digits = digits.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(digits);
        *word != "S3" && (1..=2).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit())
    })
}

#[test]
fn every_fault_that_a_comment_names_is_listed_and_no_other() {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for file in files().iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
        let name = file.strip_prefix(project()).unwrap().display().to_string();
        if name.starts_with("tests/tests/suites/documents/") {
            continue;
        }
        for (at, line) in fs::read_to_string(file).unwrap().lines().enumerate() {
            named.extend(numbers(line).map(|number| (number.to_owned(), format!("{name}:{}", at + 1))));
        }
    }
    let page = page("docs/faults.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |")).map(|(number, _)| number);
    let listed: BTreeSet<&str> = rows.filter(|cell| *cell != "number").collect();
    let lacking = named.iter().filter(|(number, _)| !listed.contains(number.as_str()));
    let lacking: Vec<String> = lacking.map(|(number, place)| format!("{number}, which {place} names")).collect();
    assert!(lacking.is_empty(), "docs/faults.md has no row for:\n{}", lacking.join("\n"));
    let idle: Vec<_> = listed.iter().filter(|number| !named.contains_key(**number)).collect();
    assert!(idle.is_empty(), "docs/faults.md lists faults that no comment names: {idle:?}");
    assert!(named.len() > 40, "{} are too few: they are not found any more", named.len());
}

#[test]
fn numbers_of_faults_are_told_from_other_words() {
    let found = |line| numbers(line).collect::<Vec<_>>().join(" ");
    assert_eq!(found("let x = 1; // F77, S2b: of (L4)."), "F77 S2b L4");
    assert_eq!(found("// S3, F100, FA1, U, A4x2, and `F` 12"), "");
    assert_eq!(found("let F77 = 1;"), "");
}
