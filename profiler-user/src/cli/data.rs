//! What verbs write to stdout: tables and JSON.

use std::io::{self, Write as _};

use super::failure::Failure;
use crate::host::stdout;

/// Writes a table or JSON to stdout. A reader who has seen enough (`| head`) is not a failure.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    let written = if stdout::was_closed() {
        Err(io::Error::other("standard output is closed"))
    } else {
        let mut out = io::stdout();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format_args!("writing to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
