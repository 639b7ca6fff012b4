//! What is said of processes that may not be looked at.

use super::invocation;
use crate::host::Host;

/// Processes that are named, at most.
const MAX_NAMED: usize = 3;

/// Why there is no permission, and what helps.
pub(super) fn reason() -> String {
    if !rustix::process::geteuid().is_root() {
        return format!("only root may (hint: {})", invocation::again());
    }
    let host = Host::inspect();
    let missing = host.missing_capabilities.iter().map(|capability| capability.name);
    let missing: Vec<&str> = missing.collect();
    if missing.is_empty() {
        "a security module of the kernel (SELinux, AppArmor, ...) or another user namespace forbids it"
            .to_owned()
    } else {
        format!("this process lacks {}", missing.join(", "))
    }
}

/// `processes 7, 8, 9 and 2 more could not be looked at: ...`; nothing without a process.
pub(super) fn denied_text(denied: &[u32]) -> Option<String> {
    let named: Vec<String> = denied.iter().take(MAX_NAMED).map(ToString::to_string).collect();
    let others = denied.len().saturating_sub(MAX_NAMED);
    let who = match (named.as_slice(), others) {
        ([], _) => return None,
        ([one], _) => format!("process {one}"),
        (some, 0) => format!("processes {}", some.join(", ")),
        (some, others) => format!("processes {} and {others} more", some.join(", ")),
    };
    Some(format!("{who} could not be looked at: {}", reason()))
}

#[cfg(test)]
mod tests {
    use super::denied_text;

    #[test]
    fn some_are_named_and_the_others_counted() {
        assert_eq!(denied_text(&[]), None);
        let start = |denied: &[u32]| {
            let text = denied_text(denied).expect("some");
            text.split(" could").next().unwrap_or_default().to_owned()
        };
        assert_eq!(start(&[7]), "process 7");
        assert_eq!(start(&[7, 8]), "processes 7, 8");
        assert_eq!(start(&[7, 8, 9, 10, 11]), "processes 7, 8, 9 and 2 more");
    }
}
