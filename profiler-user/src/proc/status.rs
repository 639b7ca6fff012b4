//! Two facts about a process: whether it counts users as the host does, and whether it has been killed.

use std::fs::File;
use std::io::Read as _;

/// Bytes read of a file, at most; the kernel writes far fewer.
const MAX_BYTES: u64 = 16 * 1024;
/// Of a set of signals as `/proc` writes it: signal 9.
const SIGKILL_BIT: u64 = 1 << 8;

/// Whether a process counts user ids as this host does, from `/proc/PID/uid_map`: not in a user namespace of its own.
#[must_use]
pub fn has_initial_ids(pid: u32) -> bool {
    let map = read(pid, "uid_map");
    let fields = map
        .split(u8::is_ascii_whitespace)
        .filter(|field| !field.is_empty());
    fields.eq([&b"0"[..], b"0", b"4294967295"])
}

/// Whether a process has been killed and is still there, because it waits in the kernel, from `/proc/PID/status`.
#[must_use]
pub fn waits_to_die(pid: u32) -> bool {
    let text = read(pid, "status");
    let lines = || text.split(|&byte| byte == b'\n');
    let is_dead = lines().any(|line| line.starts_with(b"State:\tZ") || line.starts_with(b"State:\tX"));
    !is_dead
        && lines().any(|line| {
            let pending = line.strip_prefix(b"SigPnd:").or(line.strip_prefix(b"ShdPnd:"));
            let bits =
                pending.and_then(|bits| u64::from_str_radix(std::str::from_utf8(bits).ok()?.trim(), 16).ok());
            bits.is_some_and(|bits| bits & SIGKILL_BIT != 0)
        })
}

/// A file of a process in `/proc`; empty when the process is gone.
fn read(pid: u32, entry: &str) -> Vec<u8> {
    let mut text = Vec::new();
    if let Ok(file) = File::open(format!("/proc/{pid}/{entry}")) {
        // What was read before an error is of no use without the rest, and then not understood.
        let _ = file.take(MAX_BYTES).read_to_end(&mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{has_initial_ids, waits_to_die};

    #[test]
    fn this_process_counts_ids_as_the_host_does_and_has_not_been_killed() {
        let map = std::fs::read_to_string("/proc/self/uid_map").expect("readable");
        let is_initial = map.split_whitespace().eq(["0", "0", "4294967295"]);
        assert_eq!(has_initial_ids(std::process::id()), is_initial);
        assert!(!waits_to_die(std::process::id()));
        assert!(!has_initial_ids(u32::MAX) && !waits_to_die(u32::MAX));
    }

    #[test]
    fn a_killed_process_that_has_ended_waits_no_longer() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep");
        child.kill().expect("it is ours");
        let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while waits_to_die(child.id()) {
            assert!(std::time::Instant::now() < end, "it can be killed");
        }
        child.wait().expect("it is ours");
    }
}
