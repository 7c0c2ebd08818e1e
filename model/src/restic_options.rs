//! Which of restic's extended options (`restic options`, `-o`) an administrator may set: a closed list, each with what it
//! takes. Others start programs (`sftp.command`, `sftp.args`, `rclone.program`), or change where data lies (`s3.layout`).

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A whole number, 1 or more.
    Number,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Letters, digits, `-` and `_`: the name of a region or of a storage class.
    Word,
}

const FLAG: Takes = Takes::OneOf(&["true", "false"]);

/// The options of restic 0.19 that may be set.
const OPTIONS: [(&str, Takes); 16] = [
    ("azure.access-tier", Takes::OneOf(&["Hot", "Cool", "Cold", "Archive"])),
    ("azure.connections", Takes::Number),
    ("b2.connections", Takes::Number),
    ("gs.connections", Takes::Number),
    ("gs.region", Takes::Word),
    ("local.connections", Takes::Number),
    ("rest.connections", Takes::Number),
    ("s3.bucket-lookup", Takes::OneOf(&["auto", "dns", "path"])),
    ("s3.connections", Takes::Number),
    ("s3.list-objects-v1", FLAG),
    ("s3.region", Takes::Word),
    ("s3.retries", Takes::Number),
    ("s3.storage-class", Takes::Word),
    ("s3.unsafe-anonymous-auth", FLAG),
    ("sftp.connections", Takes::Number),
    ("swift.connections", Takes::Number),
];

/// Why an option cannot be set so.
#[must_use]
pub fn fault(name: &str, value: &str) -> Option<String> {
    let Some((_, takes)) = OPTIONS.iter().find(|(known, _)| *known == name) else {
        return Some(format!(
            "is not an option that may be set; allowed are {}",
            names().collect::<Vec<_>>().join(", ")
        ));
    };
    let is_word = !value.is_empty() && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    match takes {
        Takes::Number => {
            let fits = value.parse::<u16>().is_ok_and(|n| n > 0);
            (!fits).then(|| "must be a whole number, 1 or more".to_owned())
        }
        Takes::OneOf(words) => (!words.contains(&value)).then(|| format!("must be one of {}", words.join(", "))),
        Takes::Word => (!is_word).then(|| "must be a word of letters, digits, - and _".to_owned()),
    }
}

/// The options that may be set.
pub fn names() -> impl Iterator<Item = &'static str> {
    OPTIONS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A7: stores such as OBS, COS and OSS take one of the two forms of an address alone.
    #[test]
    fn options_of_backends_are_a_closed_list_and_start_no_program() {
        for (name, value) in
            [("s3.bucket-lookup", "path"), ("s3.connections", "20"), ("s3.storage-class", "STANDARD_IA")]
        {
            assert_eq!(fault(name, value), None, "{name}");
        }
        for (name, value) in [
            ("sftp.command", "sh"),
            ("rclone.program", "sh"),
            ("s3.layout", "default"),
            ("s3.bucket-lookup", "dsn"),
            ("s3.connections", "0"),
            ("s3.region", "a b"),
            ("s3.region", ""),
        ] {
            assert!(fault(name, value).is_some(), "{name}={value}");
        }
    }
}
