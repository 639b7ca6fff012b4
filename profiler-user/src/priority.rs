//! On a crowded host the event loop has priority over other work, if the system allows it: while it waits for a CPU, rings
//! fill. What may come late has lower priority.

use rustix::process::{getpriority_process, setpriority_process};

/// The nice value of the event loop. Its own CPU time is small, so others do not feel it.
const RAISED: i32 = -15;
/// That of threads and processes whose work may come late.
const LOWERED: i32 = 5;

/// Whether the event loop could be given priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// The event loop has priority over others.
    Raised,
    /// It could not be raised: that takes `CAP_SYS_NICE` or a higher `RLIMIT_NICE`. On a crowded host samples may be lost;
    /// they are counted.
    Ordinary,
}

/// Raises the calling thread. What it starts from now on inherits that, so a command to be recorded is started before.
pub fn raise() -> Priority {
    // On Linux a nice value belongs to a thread, and no process id means the calling one.
    match getpriority_process(None) {
        Ok(now) if now <= RAISED => Priority::Raised,
        Ok(_) if setpriority_process(None, RAISED).is_ok() => Priority::Raised,
        _ => Priority::Ordinary,
    }
}

/// Lowers the calling thread, and what it starts from now on.
pub fn lower() {
    if let Err(error) = setpriority_process(None, LOWERED) {
        log::debug!("lowering the priority of a thread: {error}");
    }
}
