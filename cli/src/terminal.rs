//! The terminal: what is written to standard output and how wide that is, and lines for a person.

use std::io::{self, IsTerminal as _, Write as _};

/// Who reads us may stop reading.
pub(crate) fn write(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// A line for a person. Who reads us may stop reading: that must not keep us from tidying up.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "kubectl-backup: {line}");
}

/// The width of the terminal; nothing if the output goes elsewhere.
pub(crate) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = || rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    said.or_else(asked).filter(|width| *width > 0)
}

/// Whether a person sees standard output.
pub(crate) fn is_shown() -> bool {
    io::stdout().is_terminal()
}
