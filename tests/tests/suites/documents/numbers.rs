//! Numbers and names that pages and code share: of faults, of laws and of tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use super::{files, page, pages, project};

/// The numbers of faults in a line of comment: `F77`, and `S`, `L`, `A`, `U` likewise. S3 is a kind of storage, unless it
/// stands where a number does: `/// S3: …`.
fn numbers(line: &str) -> impl Iterator<Item = &str> {
    let comment = line.find("//").map_or("", |at| &line[at..]);
    let is_fault = ["/// S3: ", "//! S3: "].iter().any(|begin| comment.starts_with(begin));
    let words = comment.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(move |word| {
        let digits = word.strip_prefix(['F', 'S', 'L', 'A', 'U']).unwrap_or_default();
        let digits = digits.strip_suffix(|c: char| c.is_ascii_lowercase()).unwrap_or(digits);
        (*word != "S3" || is_fault) && (1..=2).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit())
    })
}

/// The lines of all Rust files but those of this suite, each with its place.
fn lines() -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for file in files().iter().filter(|file| file.extension().is_some_and(|end| end == "rs")) {
        let name = file.strip_prefix(project()).unwrap().display().to_string();
        if !name.starts_with("tests/tests/suites/documents/") {
            let text = fs::read_to_string(file).unwrap();
            lines.extend(text.lines().enumerate().map(|(at, line)| (format!("{name}:{}", at + 1), line.to_owned())));
        }
    }
    lines
}

#[test]
fn every_fault_that_a_comment_names_is_listed_and_no_other() {
    let mut named: BTreeMap<String, String> = BTreeMap::new();
    for (place, line) in lines() {
        named.extend(numbers(&line).map(|number| (number.to_owned(), place.clone())));
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

/// The laws of a line of comment: "law 4", "laws 1 and 3".
fn laws(line: &str) -> Vec<u32> {
    let comment = line.find("//").map_or("", |at| &line[at..]).to_lowercase();
    let mut laws = Vec::new();
    for rest in comment.split("law").skip(1) {
        let words = rest.trim_start_matches('s').split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
        laws.extend(
            words.take_while(|w| *w == "and" || w.parse::<u32>().is_ok()).filter_map(|w| w.parse::<u32>().ok()),
        );
    }
    laws
}

#[test]
fn every_law_that_a_comment_names_is_one_of_the_pages() {
    let (safety, architecture) = (page("docs/safety.md"), page("ARCHITECTURE.md"));
    let mut count = 0;
    for (place, line) in lines() {
        for law in laws(&line) {
            count += 1;
            let row = format!("| {law} | ");
            let listed = [&safety, &architecture].iter().all(|page| page.lines().any(|line| line.starts_with(&row)));
            assert!(listed, "{place} names law {law}, which docs/safety.md or ARCHITECTURE.md does not list");
        }
    }
    assert!(count > 20, "{count} are too few: they are not found any more");
}

/// A name of a test in a page, such as `law_1_the_last_good_point_is_never_deleted`.
#[test]
fn every_test_that_a_page_names_exists() {
    let functions: BTreeSet<String> = lines()
        .iter()
        .filter_map(|(_, line)| line.split_once("fn ").map(|(_, rest)| rest.split('(').next().unwrap().to_owned()))
        .collect();
    let mut lacking = Vec::new();
    for name in pages() {
        for code in page(&name).split('`').skip(1).step_by(2) {
            let is_test = code.matches('_').count() > 2
                && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            let of_prometheus = code.starts_with("backup_controller_");
            if is_test && !of_prometheus && !functions.contains(code) {
                lacking.push(format!("{name}: {code}"));
            }
        }
    }
    assert!(lacking.is_empty(), "there are no such tests:\n{}", lacking.join("\n"));
}

/// The attackers and their aims. A gap is said, and not left out.
#[test]
fn each_cell_of_the_threat_model_names_a_test_or_says_that_nothing_prevents_it() {
    let page = page("docs/safety.md");
    let section = page.split("\n## The threat model\n").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap();
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    let aims = rows[0].len();
    let mut empty = Vec::new();
    for row in &rows[1..] {
        assert_eq!(row.len(), aims, "{}", row[0]);
        let names_a_test = |cell: &str| cell.split('`').skip(1).step_by(2).any(|code| code.matches('_').count() > 2);
        let told = |cell: &&&str| !names_a_test(cell) && !cell.contains("Not prevented: ");
        empty.extend(row[1..].iter().filter(told).map(|cell| format!("{}: {cell}", row[0])));
    }
    assert!(empty.is_empty(), "these cells of docs/safety.md name no test:\n{}", empty.join("\n"));
    assert!(rows.len() > 8 && aims == 6, "{} rows of {aims} cells", rows.len());
}

#[test]
fn numbers_of_faults_are_told_from_other_words() {
    let found = |line| numbers(line).collect::<Vec<_>>().join(" ");
    assert_eq!(found("let x = 1; // F77, S2b: of (L4)."), "F77 S2b L4");
    assert_eq!(found("// S3, F100, FA1, U, A4x2, and `F` 12"), "");
    assert_eq!(found("let F77 = 1;"), "");
    assert_eq!(laws("/// F77, laws 1 and 3; (law 9), lawful."), [1, 3, 9]);
    assert_eq!(laws("let law = 12;"), [0; 0]);
}
