//! Why a session cannot begin, or ends before its time.

use crate::kernel::{LoadError, PerfError};

/// Why a recording failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The kernel half.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// No CPU has an event any more.
    #[error("no CPU can be sampled any more: {0}")]
    NoCpu(#[source] PerfError),
    /// The event loop or a temporary file.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

impl SessionError {
    /// For `map_err`.
    pub(super) fn io(what: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
