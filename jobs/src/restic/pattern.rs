//! Names as restic's patterns, which match nothing but these very names.

use std::ffi::OsString;
use std::io;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

/// A pattern that matches one entry, and what is in it. The path is relative to the root of what is restored.
pub(crate) fn of(path: &Path) -> OsString {
    let mut pattern = b"/".to_vec();
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b'\\' | b'*' | b'?' | b'[') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
    OsString::from_vec(pattern)
}

/// Writes a pattern as a line of a file of patterns; `false`: it is none, and has to be an argument.
pub(crate) fn write_line(pattern: &OsString, file: &mut impl Write) -> io::Result<bool> {
    let bytes = pattern.as_bytes();
    // A line ends at its end, and restic takes spaces off it.
    let ends_in_space = pattern.to_string_lossy().ends_with(char::is_whitespace);
    if ends_in_space || bytes.contains(&b'\n') || bytes.contains(&b'\r') {
        return Ok(false);
    }
    // Variables of the environment are filled in.
    for part in bytes.split_inclusive(|byte| *byte == b'$') {
        file.write_all(part)?;
        if part.ends_with(b"$") {
            file.write_all(b"$")?;
        }
    }
    file.write_all(b"\n")?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_pattern_means_its_name_only() {
        let name = |bytes: &[u8]| of(Path::new(OsStr::from_bytes(bytes))).into_vec();
        assert_eq!(name(b"a/*?[x]\\!#$\xff"), b"/a/\\*\\?\\[x]\\\\!#$\xff");
    }

    #[test]
    fn what_no_line_can_hold_is_an_argument() {
        let line = |name: &str| {
            let mut file = Vec::new();
            write_line(&OsString::from(name), &mut file).unwrap().then(|| String::from_utf8(file).unwrap())
        };
        assert_eq!(line("/a $HOME b$"), Some("/a $$HOME b$$\n".to_owned()));
        for other in ["/a\nb", "/a ", "/a\r", "/a\u{a0}"] {
            assert_eq!(line(other), None, "{other:?}");
        }
    }
}
