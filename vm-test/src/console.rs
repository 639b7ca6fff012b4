//! What the guest tells the host: lines on the serial console, all with one prefix.
//!
//! `xtask/src/vm/protocol.rs` reads them; nothing else does.

use std::fmt;
use std::time::Duration;

/// A remark for the log.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    println!("vm-test: {text}");
}

/// The result of one check: `vm-test: check NAME ok (1.2 s)` or `vm-test: check NAME FAILED: reason`.
pub(crate) fn check(name: &str, took: Duration, result: &anyhow::Result<()>) {
    match result {
        Ok(()) => say(format_args!("check {name} ok ({:.1} s)", took.as_secs_f64())),
        Err(error) => say(format_args!(
            "check {name} FAILED: {}",
            one_line(&format!("{error:#}"))
        )),
    }
}

/// The last line of every run.
pub(crate) fn verdict(success: bool) {
    // An empty line first: the kernel may have left one unfinished.
    println!();
    say(format_args!("{}", if success { "success" } else { "failure" }));
}

/// A reason must not look like another result.
fn one_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_of_several_lines_becomes_one() {
        assert_eq!(one_line("error: no\n\n  hint: yes\n"), "error: no | hint: yes");
    }
}
