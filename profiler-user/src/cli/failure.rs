//! How pyebpf fails: one `error:` that says what, one `hint:` with the next command, one exit status.

use std::fmt;

use crate::escape::printable;

/// Exit statuses besides 0.
pub mod exit_code {
    /// The work could not be done.
    pub const FAILURE: u8 = 1;
    /// The command line was wrong (clap's own choice).
    pub const USAGE: u8 = 2;
    /// `diff --fail-above`: something grew by more than that.
    pub const GREW: u8 = 3;
    /// The command to record is there, but cannot be executed (as in a shell).
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The command to record was not found (as in a shell).
    pub const NOT_FOUND: u8 = 127;
    /// Ctrl-C came before the command was started.
    pub const INTERRUPTED: u8 = 130;
    /// Added to the number of a signal that ended the command.
    pub const SIGNAL: i32 = 128;
}

/// Why pyebpf stops.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong; one sentence without a full stop, in one line unless it is clap's. Foreign text in it is escaped.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Exit status.
    pub code: u8,
}

impl Failure {
    /// A failure with exit status 1.
    pub fn new(message: impl fmt::Display) -> Self {
        Self {
            message: printable(&message.to_string()),
            hint: None,
            code: exit_code::FAILURE,
        }
    }

    /// A failure with exit status 2.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self {
            code: exit_code::USAGE,
            ..Self::new(message)
        }
    }

    /// A failure with exit status 2, in the words of clap: several lines.
    pub(super) fn usage_lines(message: String) -> Self {
        Self {
            message,
            ..Self::usage("")
        }
    }

    /// Changes the exit status.
    #[must_use]
    pub(super) fn with_code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Mentions it on stderr, in a case in which it does not make pyebpf fail.
    pub(super) fn mention(&self) {
        super::terminal::status(&self.message);
        if let Some(hint) = &self.hint {
            super::terminal::status(&format!("  hint: {hint}"));
        }
    }

    /// Prints it to stderr.
    pub fn print(&self) {
        super::terminal::print_error(&self.message, self.hint.as_deref());
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(format_args!("{error:#}"))
    }
}
