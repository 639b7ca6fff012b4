//! What the guest's console says: results of checks, the verdict, or signs that the kernel died.
//!
//! The other side is `vm-test/src/console.rs`.

use std::collections::BTreeMap;

/// Lines after which nothing good follows.
const DEATH_MARKERS: &[&str] = &[
    "Kernel panic - not syncing",
    "BUG: soft lockup",
    "BUG: unable to handle",
    "watchdog: BUG:",
    "Unable to mount root fs",
    "general protection fault",
];

/// What one line means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// `vm-test: check NAME ok` or `... FAILED: reason`; the reason, if it failed.
    Check { name: String, failure: Option<String> },
    /// The last line of a run.
    Verdict { success: bool },
    /// Anything else the guest says.
    Remark(String),
    /// The kernel is beyond help.
    Death(String),
    /// Kernel messages.
    Noise,
}

/// Reads one line of the console.
pub(super) fn read(line: &str) -> Event {
    let line = line.trim();
    if let Some(text) = line.strip_prefix("vm-test: ") {
        return said(text);
    }
    match DEATH_MARKERS.iter().any(|marker| line.contains(marker)) {
        true => Event::Death(line.to_owned()),
        false => Event::Noise,
    }
}

fn said(text: &str) -> Event {
    match text {
        "success" => return Event::Verdict { success: true },
        "failure" => return Event::Verdict { success: false },
        _ => {}
    }
    let result = text.strip_prefix("check ").and_then(|rest| rest.split_once(' '));
    match result {
        Some((name, result)) if result == "ok" || result.starts_with("ok ") => Event::Check {
            name: name.to_owned(),
            failure: None,
        },
        Some((name, result)) => {
            let reason = result.strip_prefix("FAILED: ").unwrap_or(result);
            Event::Check {
                name: name.to_owned(),
                failure: Some(reason.to_owned()),
            }
        }
        None => Event::Remark(text.to_owned()),
    }
}

/// Results by name.
pub(super) type Results = BTreeMap<String, Option<String>>;

/// The checks that must be among the results: each promise, once per Python where it is about Pythons.
/// A guest that forgets a check must not pass.
pub(super) fn missing(results: &Results, promises: &[String], pythons: &[&str]) -> Vec<String> {
    let mut missing = Vec::new();
    for promise in promises {
        let prefix = format!("{promise}/");
        if results.contains_key(promise) {
            continue;
        }
        if !results.keys().any(|name| name.starts_with(&prefix)) {
            missing.push(promise.clone());
            continue;
        }
        let names = pythons.iter().map(|version| format!("{prefix}{version}"));
        missing.extend(names.filter(|name| !results.contains_key(name)));
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_lines_are_told_from_the_kernels() {
        assert_eq!(
            read("vm-test: check record-pid/3.8 ok (6.1 s)\r"),
            Event::Check {
                name: "record-pid/3.8".to_owned(),
                failure: None
            }
        );
        assert_eq!(
            read("vm-test: check doctor FAILED: not found | hint: x"),
            Event::Check {
                name: "doctor".to_owned(),
                failure: Some("not found | hint: x".to_owned())
            }
        );
        assert_eq!(read("vm-test: success"), Event::Verdict { success: true });
        assert_eq!(read("[    0.5] Freeing unused kernel memory"), Event::Noise);
        assert!(matches!(
            read("[    2.0] Kernel panic - not syncing: Attempted to kill init!"),
            Event::Death(_)
        ));
        assert_eq!(
            read("vm-test: kernel 5.10"),
            Event::Remark("kernel 5.10".to_owned())
        );
    }

    #[test]
    fn a_check_that_never_reported_is_missing() {
        let results: Results = [("btf", None), ("record-pid/3.8", None)]
            .into_iter()
            .map(|(name, failure)| (name.to_owned(), failure))
            .collect();
        let promises = ["btf", "record-pid", "doctor"].map(str::to_owned);
        assert_eq!(
            missing(&results, &promises, &["3.8", "3.13"]),
            ["record-pid/3.13", "doctor"]
        );
    }
}
