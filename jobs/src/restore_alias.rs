//! What `restore` means in a restore pod.
//!
//! `restore.sh` is the tenant's, as the Template of some day made it, and calls `backup-job restore`. Which command that
//! is, the controller says in the pod's environment when the restore point is in a repository.

use std::ffi::OsString;

/// The command line, with the words of `command` in place of `restore`, if that comes first. What is no list of words
/// is left alone: then the restore point is looked for where it is mounted, and is not there.
pub(crate) fn words(line: impl Iterator<Item = OsString>, command: Option<&str>) -> Vec<OsString> {
    let mut line: Vec<OsString> = line.collect();
    let command = command.and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
    if let (Some(command), Some("restore")) = (command, line.get(1).and_then(|word| word.to_str())) {
        line.splice(1..2, command.into_iter().map(OsString::from));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spoken(line: &[&str], command: Option<&str>) -> Vec<String> {
        let line = line.iter().map(OsString::from);
        words(line, command).into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn restore_is_what_the_pod_says_and_nothing_else_is() {
        let command = Some(r#"["restic","restore","--env=A=b c"]"#);
        let line = ["backup-job", "restore", "--delete", "--", "restore"];
        let wanted = ["backup-job", "restic", "restore", "--env=A=b c", "--delete", "--", "restore"];
        assert_eq!(spoken(&line, command), wanted);
        assert_eq!(spoken(&line, None), line);
        assert_eq!(spoken(&line, Some("restic restore")), line, "no list");
        for other in [&["backup-job"][..], &["backup-job", "idle"], &["backup-job", "copy", "restore"]] {
            assert_eq!(spoken(other, command), other);
        }
    }
}
