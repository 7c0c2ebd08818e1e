//! Old spellings of settings. Each is an error that names the new spelling.

use serde_yaml::Value;

use super::path::Path;

/// Section, old key, new key.
const KEYS: [(&str, &str, &str); 3] = [
    ("bounds", "maxUnproven", "maxUnconfirmed"),
    ("deadlines", "job", "snapshotJob"),
    ("resources", "job", "snapshotJob"),
];

/// Each old spelling in a configuration, with a message that names the new one.
pub(super) fn renamed(config: &Value) -> Vec<(Path, String)> {
    let mut found = Vec::new();
    for (section, old, new) in KEYS {
        if config.get(section).and_then(|keys| keys.get(old)).is_some() {
            let section = Path::default().key(section);
            let (old, new) = (section.key(old), section.key(new));
            found.push((old.clone(), format!("{old} is now {new}")));
        }
    }
    let destinations = config.get("destinations").and_then(Value::as_sequence);
    for (number, destination) in destinations.into_iter().flatten().enumerate() {
        if destination.get("runIn").and_then(Value::as_str) == Some("source") {
            let path = Path::default().key("destinations").item(number).key("runIn");
            found.push((path.clone(), format!("{path}: `source` is now `tenant`")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn an_old_spelling_is_an_error_that_names_the_new_one() {
        let run_in = "destinations:\n- name: s3\n  type: restic\n  secret: s\n  runIn: source\n";
        for (text, told) in [
            ("bounds:\n  maxUnproven: 3\n", "line 2 column 16: bounds.maxUnproven is now bounds.maxUnconfirmed"),
            ("deadlines:\n  job: 30m\n", "line 2 column 8: deadlines.job is now deadlines.snapshotJob"),
            ("resources:\n  job: {}\n", "line 2 column 8: resources.job is now resources.snapshotJob"),
            // Beside the new spelling, the old one is not ignored either.
            ("deadlines: {job: 30m, snapshotJob: 40m}", "line 1 column 18: deadlines.job is now deadlines.snapshotJob"),
            (run_in, "line 5 column 10: destinations[0].runIn: `source` is now `tenant`"),
        ] {
            assert_eq!(Config::parse(text).expect_err(text).to_string(), told);
        }
    }

    #[test]
    fn all_old_spellings_are_named_at_once_in_the_order_of_the_file() {
        let text = "resources:\n  job: {}\nbounds:\n  maxUnproven: 3\n";
        let told = "line 2 column 8: resources.job is now resources.snapshotJob\n\
                    line 4 column 16: bounds.maxUnproven is now bounds.maxUnconfirmed";
        assert_eq!(Config::parse(text).expect_err(text).to_string(), told);
    }
}
