//! How pyebpf fails: one `error:` that says what, one `hint:` with the next command, one exit status.

use std::fmt;

/// Exit statuses besides 0.
pub mod exit_code {
    /// The work could not be done.
    pub const FAILURE: u8 = 1;
    /// The command line was wrong (as clap has it).
    pub const USAGE: u8 = 2;
}

/// Why pyebpf stops.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong; one sentence without a full stop.
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
            message: message.to_string(),
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

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
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
