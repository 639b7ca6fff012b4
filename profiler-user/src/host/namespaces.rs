//! Namespaces that this process may be in.

use std::fs;

/// The initial pid namespace has this fixed inode number (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
pub(super) fn initial_pid_namespace() -> bool {
    fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link.as_os_str() == "pid:[4026531836]")
}
