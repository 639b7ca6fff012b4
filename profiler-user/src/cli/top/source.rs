//! The source of a function, as far as it could be read.

/// What is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SourceText {
    /// Nobody wants to see it.
    None,
    /// It is being read.
    Asked,
    /// Its lines, escaped.
    Lines {
        /// Number of the first one.
        first: u32,
        lines: Vec<String>,
    },
    /// Why there is nothing.
    Missing(String),
}
