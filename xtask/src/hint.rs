//! Errors that tell the reader what to type next.
//!
//! Any verb may attach a hint; only `main` prints. A hint is one command or one fact, never a guess.

use std::error::Error;
use std::fmt;

/// An error and what the reader can do about it: the exact next command where there is one.
#[derive(Debug)]
struct Hinted {
    error: String,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)
    }
}

impl Error for Hinted {}

/// An error with its hint.
pub(crate) fn hinted(error: impl Into<String>, hint: impl Into<String>) -> anyhow::Error {
    Hinted {
        error: error.into(),
        hint: hint.into(),
    }
    .into()
}

/// Adds a hint to a failing result.
pub(crate) trait WithHint<T> {
    /// The error keeps its text; a hint it already carries is the more precise one and stays.
    fn or_hint<H: Into<String>>(self, hint: impl FnOnce() -> H) -> anyhow::Result<T>;
}

impl<T> WithHint<T> for anyhow::Result<T> {
    fn or_hint<H: Into<String>>(self, hint: impl FnOnce() -> H) -> anyhow::Result<T> {
        self.map_err(|error| match find(&error) {
            Some(_) => error,
            None => hinted(format!("{error:#}"), hint()),
        })
    }
}

/// Prints `error:` and, when somebody knew one, `hint:`.
pub(crate) fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
    if let Some(hint) = find(error) {
        eprintln!("hint: {hint}");
    }
}

fn find(error: &anyhow::Error) -> Option<&str> {
    error
        .chain()
        .find_map(|cause| cause.downcast_ref::<Hinted>())
        .map(|hinted| hinted.hint.as_str())
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_innermost_hint_is_the_one_shown() {
        let inner: anyhow::Result<()> = Err(hinted("no disk", "free some space"));
        let error = inner
            .context("building")
            .or_hint(|| "try again")
            .expect_err("it failed");
        assert_eq!(find(&error), Some("free some space"));
        assert_eq!(format!("{error:#}"), "building: no disk");
    }

    #[test]
    fn an_error_without_a_hint_gets_the_callers() {
        let plain: anyhow::Result<()> = Err(anyhow::anyhow!("disk").context("no"));
        let error = plain.or_hint(|| "buy one").expect_err("it failed");
        assert_eq!(
            (find(&error), format!("{error}").as_str()),
            (Some("buy one"), "no: disk")
        );
    }
}
