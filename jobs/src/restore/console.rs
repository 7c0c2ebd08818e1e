//! What people read.

use std::io::{self, IsTerminal as _, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::args::Output;
use crate::redact::struck;

/// Where text goes. A reader that went away stops no restore.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Console {
    output: Output,
}

impl Console {
    /// The console of a call.
    pub(crate) fn new(output: Output) -> Self {
        Self { output }
    }

    /// One line for people.
    pub(crate) fn say(self, line: &str) {
        match self.output {
            Output::Text => put(&mut io::stdout().lock(), line),
            Output::Json => put(&mut io::stderr().lock(), line),
        }
    }

    /// One line about how far it is.
    pub(crate) fn progress(line: &str) {
        put(&mut io::stderr().lock(), line);
    }

    /// The last line, for programs.
    pub(crate) fn result(self, json: &str) {
        if self.output == Output::Json {
            put(&mut io::stdout().lock(), json);
        }
    }

    /// Whether somebody can answer.
    pub(crate) fn can_ask() -> bool {
        io::stdin().is_terminal()
    }

    /// Whether somebody looks at progress.
    pub(crate) fn is_watched() -> bool {
        io::stderr().is_terminal()
    }

    /// Asks for a yes. While it waits, a signal ends the program: nothing was written.
    pub(crate) fn ask(question: &str, asking: &Arc<AtomicBool>) -> bool {
        let mut terminal = io::stderr().lock();
        let _ = write!(terminal, "{} [y/N] ", struck(question)).and_then(|()| terminal.flush());
        asking.store(true, Ordering::SeqCst);
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        asking.store(false, Ordering::SeqCst);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }
}

fn put(to: &mut impl Write, line: &str) {
    let _ = writeln!(to, "{}", struck(line)).and_then(|()| to.flush());
}

/// A name as a terminal may show it: no control characters, nothing that turns the writing direction, and nothing
/// that two names would share.
pub(crate) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() || is_invisible(c) {
                text.extend(c.escape_default());
            } else {
                text.push(c);
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// Marks that change how what follows is read.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn a_name_cannot_write_to_the_terminal() {
        let name = |bytes: &[u8]| shown(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(name(b"plain \xc3\xa9"), "plain é");
        assert_eq!(name(b"a\nb\x1b[2J\\"), "a\\nb\\u{1b}[2J\\\\");
        assert_eq!(name(b"\xff\xfe"), "\\xff\\xfe");
        assert_eq!(name("\u{202e}txt.exe".as_bytes()), "\\u{202e}txt.exe");
    }
}
