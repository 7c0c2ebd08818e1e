//! Links lead to a file and a heading that exist: from page to page, and from messages and manifests to pages.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::{files, page, pages, project};

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let (mut anchors, mut code) = (BTreeSet::new(), false);
    for line in page.lines() {
        code ^= line.trim_start().starts_with("```");
        let Some(heading) = line.strip_prefix('#').filter(|_| !code) else { continue };
        let keep = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let anchor = heading.chars().filter(keep).collect::<String>().replace(' ', "-");
        let again = (1..100).map(|n| format!("{anchor}-{n}")).find(|again| !anchors.contains(again));
        anchors.insert(if anchors.contains(&anchor) { again.unwrap() } else { anchor });
    }
    anchors
}

/// A path without `..`, as a link writes it.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        if part == Component::ParentDir {
            plain.pop();
        } else {
            plain.push(part);
        }
        plain
    })
}

/// What is wrong with a link in a file, if anything.
fn broken(from: &str, target: &str) -> Option<String> {
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = Path::new(from).parent().unwrap();
    let name = if file.is_empty() { PathBuf::from(from) } else { plain(&folder.join(file)) };
    let path = project().join(&name);
    if !path.exists() {
        return Some(format!("{from} links to {target}: there is no {}", name.display()));
    }
    let known = anchor.is_empty() || anchors(&fs::read_to_string(path).unwrap()).contains(anchor);
    (!known).then(|| format!("{from} links to {target}: {} has no such heading", name.display()))
}

/// The links of a page to files of the project. Code blocks have none.
fn links(page: &str) -> Vec<String> {
    let prose: String = page.split("```").step_by(2).collect();
    let targets =
        prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned());
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

#[test]
fn links_of_pages_lead_somewhere() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for name in pages() {
        let links = links(&page(&name));
        count += links.len();
        wrong.extend(links.iter().filter_map(|target| broken(&name, target)));
    }
    assert!(wrong.is_empty(), "{} links lead nowhere:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 60, "{count} links are too few: they are not found any more");
}

/// Messages, comments and manifests name pages by their path in the project, and some with a heading.
#[test]
fn pages_that_code_and_manifests_name_exist() {
    let found = files();
    let (mut count, mut wrong) = (0, Vec::new());
    for file in found.iter().filter(|file| file.extension().is_none_or(|end| end != "md")) {
        let Ok(text) = fs::read_to_string(file) else { continue };
        for (at, _) in text.match_indices("docs/") {
            let end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '#'));
            let target = text[at..].split(end).next().unwrap().trim_end_matches('.');
            let before = text[..at].chars().next_back().unwrap_or(' ');
            if target.contains(".md") && !before.is_alphanumeric() && !matches!(before, '/' | '-') {
                count += 1;
                let name = file.strip_prefix(project()).unwrap().display();
                wrong.extend(broken("README.md", target).map(|why| why.replacen("README.md", &name.to_string(), 1)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} pages or headings do not exist:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 20, "{count} are too few: they are not found any more");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_nowhere_is_told_with_where_it_stands() {
        assert_eq!(broken("docs/metrics.md", "troubleshooting.md"), None);
        assert!(broken("docs/metrics.md", "no.md").unwrap().contains("there is no docs"));
        assert!(broken("docs/metrics.md", "../README.md#no").unwrap().contains("README.md has no such heading"));
        assert_eq!(broken("docs/metrics.md", "#alerts"), None);
    }

    #[test]
    fn anchors_are_those_of_github() {
        let found = anchors("# A `b_c`: d, e-f\n```sh\n# no\n```\n## Again\n## Again\n");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a-b_c-d-e-f", "again", "again-1"]);
    }
}
