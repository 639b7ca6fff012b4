//! What a worker gives up before it reads what strangers wrote: its user, its capabilities, its files, and all system calls
//! but those that its libraries make. Whoever takes over such a worker has what it was given to read, and nothing else.

use std::io;

use landlock::{ABI, Access as _, AccessFs, Ruleset, RulesetAttr as _};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::{self, CapabilitySet, CapabilitySets, Gid, Uid};

use super::limits::limit_this_process;
use super::own_user;
use super::system_calls::{self, FilterError};

/// Bytes of a file that such a worker may write, all in memory.
const MAX_FILE: u64 = 1 << 30;
/// Files that it may have open.
const MAX_FILES: u64 = 2048;

/// Why a worker is not confined, and so must not read anything.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// No unused user id was found.
    #[error("no user id is free")]
    NoUser,
    /// A step was refused.
    #[error("{what}: {source}")]
    Refused {
        /// Which.
        what: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// System calls cannot be restricted.
    #[error(transparent)]
    SystemCalls(#[from] FilterError),
}

impl From<ConfineError> for io::Error {
    fn from(error: ConfineError) -> Self {
        Self::other(error)
    }
}

/// Confines the calling process, which has one thread: it has `heap_bytes` of heap and `address_bytes` of addresses at most,
/// and from now on can only compute, and use the descriptors that it has or is sent.
///
/// Its user is one that nobody else has, so nobody but root can end it, trace it or change its limits. (Without the right to
/// change users it keeps the user who started pyebpf, and who can end pyebpf itself too.)
///
/// # Errors
/// [`ConfineError`]. It is not an error that old kernels lack Landlock.
pub fn confine_this_process(heap_bytes: u64, address_bytes: u64) -> Result<(), ConfineError> {
    let limits = [
        (Resource::As, address_bytes),
        (Resource::Fsize, MAX_FILE),
        (Resource::Nofile, MAX_FILES),
        (Resource::Nproc, 0),
    ];
    for (resource, most) in limits {
        limit(resource, most).map_err(refused("a limit"))?;
    }
    let held = thread::capabilities(None)
        .map_err(refused("capabilities"))?
        .permitted;
    if held.contains(CapabilitySet::SETUID | CapabilitySet::SETGID) {
        change_user(held)?;
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // Not known before Linux 4.3; it is empty unless somebody filled it.
    let _ = thread::clear_ambient_capability_set();
    thread::set_capabilities(None, none).map_err(refused("giving up capabilities"))?;
    // After the change of user, which cancels the signal at the death of the parent.
    limit_this_process(heap_bytes);
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(refused("closing the process to tracers"))?;
    thread::set_no_new_privs(true).map_err(refused("no new privileges"))?;
    close_file_systems();
    Ok(system_calls::restrict()?)
}

fn refused(what: &'static str) -> impl Fn(Errno) -> ConfineError {
    move |source| ConfineError::Refused { what, source }
}

fn limit(resource: Resource, most: u64) -> Result<(), Errno> {
    let maximum = rustix::process::getrlimit(resource).maximum;
    let most = Some(maximum.map_or(most, |maximum| maximum.min(most)));
    setrlimit(
        resource,
        Rlimit {
            current: most,
            maximum: most,
        },
    )
}

/// Takes on a user and a group of its own, without other groups. Correct only while this process has one thread: to the
/// kernel they belong to a thread.
fn change_user(held: CapabilitySet) -> Result<(), ConfineError> {
    // While it may still write there: it is the first to be killed when memory runs out.
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        log::debug!("worker: oom_score_adj: {error}");
    }
    if held.contains(CapabilitySet::SETPCAP) {
        // Up to the last that this kernel knows.
        let all = (0..u64::BITS).map(|bit| CapabilitySet::from_bits_retain(1 << bit));
        let _ = all
            .map(thread::remove_capability_from_bounding_set)
            .take_while(Result::is_ok)
            .count();
    }
    let id = own_user::draw().ok_or(ConfineError::NoUser)?;
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    thread::set_thread_groups(&[]).map_err(refused("giving up groups"))?;
    thread::set_thread_res_gid(group, group, group).map_err(refused("changing the group"))?;
    thread::set_thread_res_uid(user, user, user).map_err(refused("changing the user"))
}

/// From now on no file can be opened by its path, if the kernel can do that (5.13 and newer). Files in memory can still be
/// opened through `/proc/self/fd`: that is how blazesym is given files.
fn close_file_systems() {
    let closed = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    if let Err(error) = closed {
        log::debug!("worker: file systems: {error}");
    }
}
