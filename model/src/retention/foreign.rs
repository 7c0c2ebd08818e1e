//! Retentions as other tools write them, in our words. Whether those can be read is for the caller to see.

/// Longer texts are no slip of somebody who is used to another tool.
const LONGEST: usize = 200;

/// What a text that cannot be read may mean; `known` are the names of rules.
pub(super) fn offers(text: &str, known: &[&'static str]) -> Vec<String> {
    let text = text.trim();
    if text.len() > LONGEST {
        return Vec::new();
    }
    if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) {
        return vec![format!("{text}d"), format!("last={text}")];
    }
    age(text).or_else(|| rules(text, known)).into_iter().collect()
}

/// `6M` of k8up and others, `P1Y6M` and `PT36H` of ISO 8601. A day is that of 24 hours, a month has 30 days.
fn age(text: &str) -> Option<String> {
    let (date, time) = match text.strip_prefix('P') {
        Some(iso) => iso.split_once('T').unwrap_or((iso, "")),
        None => (text, ""),
    };
    let mut parts = Vec::new();
    for (part, units) in [(date, ["Y", "M", "W", "D"].as_slice()), (time, &["H", "M", "S"])] {
        let mut rest = part;
        while !rest.is_empty() {
            let number = rest.find(|c: char| !c.is_ascii_digit()).filter(|at| *at > 0)?;
            let (number, unit) = rest.split_at(number);
            let unit = units.iter().find(|its| unit.starts_with(**its))?;
            rest = &rest[number.len() + unit.len()..];
            let word = match (*unit, units.len()) {
                ("M", 4) if number == "1" => "month".to_owned(),
                ("M", 4) => "months".to_owned(),
                _ => unit.to_lowercase(),
            };
            parts.push(format!("{number}{word}"));
        }
    }
    Some(parts.join(" "))
}

/// `daily=7,weekly=5`, `--keep-daily 7` of restic, `keepDaily: 7` of k8up, `daily: 7` of others.
fn rules(text: &str, known: &[&'static str]) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || ",;=:{}\"'".contains(c)).filter(|word| !word.is_empty());
    let words: Vec<&str> = words.collect();
    let rules = words.chunks(2).map(|pair| {
        let [name, value] = pair else { return None };
        let name = name.trim_start_matches("--").to_lowercase();
        let name = name.strip_prefix("keep").map_or(name.as_str(), |rest| rest.trim_start_matches(['-', '_']));
        let rule = known.iter().find(|rule| **rule == name)?;
        Some(format!("{rule}={value}"))
    });
    Some(rules.collect::<Option<Vec<_>>>()?.join(" "))
}
