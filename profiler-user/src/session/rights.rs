//! What the main process may still do once the kernel half is loaded.

use rustix::thread::CapabilitySet;

use super::settings::NativeFrames;
use crate::host;
use crate::kernel::sampling_is_forbidden;
use crate::privileges::{held, keep_only, with_only};

/// For every recording: CPUs come online (`PERFMON`, `BPF`), maps are written (`BPF`), the event loop gets its priority
/// (`SYS_NICE`), a command that runs as somebody else is ended (`KILL`), and the output is written where its user wants it
/// (`CHOWN`, `DAC_OVERRIDE`, `FOWNER`).
const ALWAYS: CapabilitySet = CapabilitySet::BPF
    .union(CapabilitySet::PERFMON)
    .union(CapabilitySet::SYS_NICE)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::CHOWN)
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER);
/// For names of the kernel's functions: `/proc/kallsyms` hides addresses from others.
const FOR_KERNEL_NAMES: CapabilitySet = CapabilitySet::SYSLOG;
/// For native frames: the rings that tell of new mappings.
const FOR_NATIVE: CapabilitySet = CapabilitySet::IPC_LOCK;

/// Gives up what is not needed any more. Workers are not affected: the forker was started before.
pub(super) fn give_up(native: Option<NativeFrames>) {
    // Held from now on, because it cannot be opened again.
    let _ = host::root::root();
    let mut kept = needed(native, held());
    if host::hides_processes() {
        // Otherwise processes of others would look as if they had ended.
        kept |= CapabilitySet::SYS_PTRACE;
    }
    // Debian's 5.10 asks for it where later kernels ask for PERFMON, if `perf_event_paranoid` is 3.
    if with_only(kept, sampling_is_forbidden).unwrap_or(true) {
        kept |= CapabilitySet::SYS_ADMIN;
    }
    if let Err(error) = keep_only(kept) {
        log::warn!("giving up capabilities: {error}");
    }
}

fn needed(native: Option<NativeFrames>, held: CapabilitySet) -> CapabilitySet {
    let mut needed = ALWAYS;
    if native.is_some() {
        needed |= FOR_KERNEL_NAMES;
    }
    if matches!(native, Some(NativeFrames::Relevant | NativeFrames::All)) {
        needed |= FOR_NATIVE;
    }
    // The old capability stands in for those that were split off from it, if it was given in their place.
    let split_off = needed & (CapabilitySet::BPF | CapabilitySet::PERFMON);
    if !held.contains(split_off) {
        needed |= CapabilitySet::SYS_ADMIN;
    }
    needed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_must_not_get_hold_of_is_not_kept() {
        let all = CapabilitySet::all();
        let plain = needed(None, all);
        for given_up in [
            CapabilitySet::SYS_ADMIN,
            CapabilitySet::SYS_PTRACE,
            CapabilitySet::SYS_MODULE,
            CapabilitySet::SYS_RAWIO,
            CapabilitySet::SETUID,
            CapabilitySet::NET_ADMIN,
            CapabilitySet::SYSLOG,
        ] {
            assert!(!plain.intersects(given_up), "{given_up:?}");
        }
        let native = needed(Some(NativeFrames::Relevant), all);
        assert!(!native.intersects(CapabilitySet::SYS_PTRACE | CapabilitySet::SYS_ADMIN));
    }

    #[test]
    fn the_old_right_to_do_everything_is_kept_where_it_was_given_alone() {
        let old = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_PTRACE;
        assert!(needed(None, old).contains(CapabilitySet::SYS_ADMIN));
        let new = CapabilitySet::BPF | CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN;
        assert!(!needed(None, new).contains(CapabilitySet::SYS_ADMIN));
        assert!(!needed(Some(NativeFrames::All), new).contains(CapabilitySet::SYS_ADMIN));
    }
}
