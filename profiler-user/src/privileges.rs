//! Capabilities of this process, given up when they are no longer needed.

use rustix::io;
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Gives up every capability of the calling thread, and of threads that it starts from now on, but these. What it executes
/// from now on is not restricted: a command that root starts has what root's commands have.
///
/// # Errors
/// As `capset(2)`.
pub fn keep_only(kept: CapabilitySet) -> io::Result<()> {
    let held = capabilities(None)?;
    set_capabilities(
        None,
        CapabilitySets {
            effective: held.effective & kept,
            permitted: held.permitted & kept,
            inheritable: held.inheritable,
        },
    )
}

/// Does something as the calling thread could do it with these capabilities alone.
///
/// # Errors
/// As `capset(2)`.
pub fn with_only<T>(kept: CapabilitySet, work: impl FnOnce() -> T) -> io::Result<T> {
    let held = capabilities(None)?;
    let lowered = CapabilitySets {
        effective: held.effective & kept,
        ..held
    };
    set_capabilities(None, lowered)?;
    let done = work();
    set_capabilities(None, held)?;
    Ok(done)
}

/// What the calling thread may do now.
#[must_use]
pub fn held() -> CapabilitySet {
    capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lowered_for_a_moment_comes_back() {
        let before = held();
        let meanwhile = with_only(CapabilitySet::KILL, held).expect("lowering is always allowed");
        assert_eq!(meanwhile, before & CapabilitySet::KILL);
        assert_eq!(held(), before);
    }

    #[test]
    fn what_is_not_kept_is_gone_and_the_rest_is_there() {
        // A thread of its own: it does not get them back.
        let check = || {
            let before = held();
            let kept = before & (CapabilitySet::KILL | CapabilitySet::BPF);
            keep_only(CapabilitySet::KILL | CapabilitySet::BPF).expect("giving up is always allowed");
            assert_eq!(held(), kept);
            keep_only(CapabilitySet::all()).expect("nothing changes");
            assert_eq!(held(), kept);
        };
        std::thread::spawn(check).join().expect("it holds");
    }
}
