//! Text for people, on stderr: errors, hints, status lines and progress. Coloured and animated on a terminal only. Whatever
//! foreign text is in it is escaped here, so that nobody who writes a message has to think of it.

use std::fmt;
use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use crate::escape::{printable, printable_lines};

/// Whether stderr takes colours.
fn colours() -> bool {
    takes_colours(stderr().is_terminal())
}

/// Whether a stream takes colours: `NO_COLOR` and `CLICOLOR_FORCE` decide before the terminal does.
pub(super) fn takes_colours(is_terminal: bool) -> bool {
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return false;
    }
    std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| value != "0") || is_terminal
}

/// `error: ...` and `hint: ...`.
pub(super) fn print_error(message: &str, hint: Option<&str>) {
    let (red, cyan, reset) = if colours() {
        ("\x1b[1;31m", "\x1b[1;36m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(stderr(), "{red}error:{reset} {}", printable_lines(message));
    if let Some(hint) = hint {
        let _ = writeln!(stderr(), "{cyan}hint:{reset} {}", printable(hint));
    }
}

/// `pyebpf> ...`, as py-spy's users know it.
pub(super) fn status(message: &str) {
    let (green, reset) = if colours() {
        ("\x1b[1;32m", "\x1b[0m")
    } else {
        ("", "")
    };
    let _ = writeln!(stderr(), "{green}pyebpf>{reset} {}", printable(message));
}

/// `1 process`, `2 processes`.
pub(super) fn counted<N: Copy + fmt::Display + PartialEq + From<u8>>(
    count: N,
    one: &str,
    several: &str,
) -> String {
    let what = if count == N::from(1) { one } else { several };
    format!("{count} {what}")
}

/// One line that is written over and over, on a terminal only.
#[derive(Debug)]
pub(super) struct ProgressBar {
    enabled: bool,
    total: Option<Duration>,
}

impl ProgressBar {
    /// For a recording of this length, or until Ctrl-C; `is_hidden` where nobody wants to see it.
    pub(super) fn new(total: Option<Duration>, is_hidden: bool) -> Self {
        Self {
            enabled: !is_hidden && stderr().is_terminal(),
            total,
        }
    }

    /// Shows how far the recording is.
    pub(super) fn show(&self, elapsed: Duration, samples: u64, processes: usize) {
        if !self.enabled {
            return;
        }
        let time = match self.total {
            Some(total) => {
                let done = (elapsed.as_secs_f64() / total.as_secs_f64()).clamp(0.0, 1.0);
                let filled = (done * 30.0) as usize;
                let bar = format!("[{}{}]", "#".repeat(filled), "-".repeat(30 - filled));
                format!("{bar} {:.0}/{:.0}s", elapsed.as_secs_f64(), total.as_secs_f64())
            }
            None => format!("{:.0}s", elapsed.as_secs_f64()),
        };
        let samples = counted(samples, "sample", "samples");
        let processes = counted(processes, "Python process", "Python processes");
        let _ = write!(stderr(), "\r\x1b[K{time}  {samples}  {processes}");
        let _ = stderr().flush();
    }

    /// Shows how much of the work after the recording is left.
    pub(super) fn show_naming(&self, addresses: usize) {
        if self.enabled {
            let _ = write!(
                stderr(),
                "\r\x1b[KReading symbols: {} left (Control-C leaves them without names)",
                counted(addresses, "address", "addresses")
            );
            let _ = stderr().flush();
        }
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        if self.enabled {
            let _ = write!(stderr(), "\r\x1b[K");
            let _ = stderr().flush();
        }
    }
}
