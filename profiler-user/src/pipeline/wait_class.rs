//! What a thread waits for, by the system call that it is in: a frame after those of what it was doing.

use libc::c_long;

use crate::language::python::Interpreter;
use crate::wire::decode::Wait;

/// The same, with the GIL told from other locks.
#[must_use]
pub fn of_process(wait: Wait, interpreter: Option<&Interpreter>) -> Wait {
    match wait {
        Wait::Call { number, argument }
            if c_long::from(number) == libc::SYS_futex
                && interpreter.is_some_and(|interpreter| interpreter.is_gil(argument)) =>
        {
            Wait::Gil
        }
        _ => wait,
    }
}

/// Text of the frame, if it is known.
#[must_use]
pub fn text(wait: Wait) -> Option<&'static str> {
    match wait {
        Wait::Unknown => None,
        Wait::Cpu => Some("<waiting for a CPU>"),
        Wait::Gil => Some("<waiting for the GIL>"),
        Wait::GilOf { .. } => Some("<waiting for the GIL, held by>"),
        Wait::Page => Some("<waiting for memory>"),
        Wait::Call { number, argument } => Some(of_call(number, argument)),
    }
}

fn of_call(number: u32, argument: u64) -> &'static str {
    let number = c_long::from(number);
    // `time.sleep` up to 3.10: a `select` without files.
    let is_sleep = SELECT.contains(&number) && argument == 0;
    let class = CLASSES.iter().find(|(numbers, _)| numbers.contains(&number));
    match class {
        _ if is_sleep => SLEEPING,
        Some((_, text)) => text,
        None => "<waiting>",
    }
}

const SLEEPING: &str = "<sleeping>";

#[cfg(target_arch = "x86_64")]
const SELECT: &[c_long] = &[libc::SYS_select, libc::SYS_pselect6];
#[cfg(not(target_arch = "x86_64"))]
const SELECT: &[c_long] = &[libc::SYS_pselect6];

/// Calls that only x86-64 has beside their newer kin.
#[cfg(target_arch = "x86_64")]
const OLD: [&[c_long]; 2] = [
    &[libc::SYS_poll, libc::SYS_select, libc::SYS_epoll_wait],
    &[libc::SYS_vfork],
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: [&[c_long]; 2] = [&[], &[]];

const CLASSES: &[(&[c_long], &str)] = &[
    (&[libc::SYS_nanosleep, libc::SYS_clock_nanosleep], SLEEPING),
    (&[libc::SYS_futex], "<waiting for a lock>"),
    (
        &[
            libc::SYS_recvfrom,
            libc::SYS_recvmsg,
            libc::SYS_recvmmsg,
            libc::SYS_sendto,
            libc::SYS_sendmsg,
            libc::SYS_sendmmsg,
            libc::SYS_accept,
            libc::SYS_accept4,
            libc::SYS_connect,
        ],
        "<waiting for a socket>",
    ),
    (
        &[
            libc::SYS_ppoll,
            libc::SYS_pselect6,
            libc::SYS_epoll_pwait,
            libc::SYS_epoll_pwait2,
        ],
        EVENTS,
    ),
    (OLD[0], EVENTS),
    (
        &[
            libc::SYS_pread64,
            libc::SYS_preadv,
            libc::SYS_pwrite64,
            libc::SYS_pwritev,
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_openat,
            libc::SYS_newfstatat,
            libc::SYS_statx,
            libc::SYS_getdents64,
            libc::SYS_unlinkat,
            libc::SYS_renameat2,
            libc::SYS_mkdirat,
            libc::SYS_ftruncate,
            libc::SYS_fallocate,
            libc::SYS_sendfile,
            libc::SYS_copy_file_range,
        ],
        "<waiting for a file>",
    ),
    // Of a pipe, a terminal, a file, or a socket (OpenSSL): the number of a descriptor does not say.
    (&[libc::SYS_read, libc::SYS_readv], "<waiting to read>"),
    (&[libc::SYS_write, libc::SYS_writev], "<waiting to write>"),
    (&[libc::SYS_wait4, libc::SYS_waitid], CHILD),
    (OLD[1], CHILD),
];

const EVENTS: &str = "<waiting for events>";
const CHILD: &str = "<waiting for a child>";

#[cfg(test)]
mod tests {
    use super::{Wait, text};

    fn of(number: libc::c_long, argument: u64) -> &'static str {
        let number = u32::try_from(number).expect("small");
        text(Wait::Call { number, argument }).expect("every call has a text")
    }

    #[test]
    fn what_a_thread_waits_for_is_told_by_its_system_call() {
        assert_eq!(of(libc::SYS_clock_nanosleep, 1), "<sleeping>");
        assert_eq!(of(libc::SYS_futex, 0x7f00), "<waiting for a lock>");
        assert_eq!(of(libc::SYS_recvfrom, 5), "<waiting for a socket>");
        assert_eq!(of(libc::SYS_fsync, 5), "<waiting for a file>");
        assert_eq!(of(libc::SYS_read, 5), "<waiting to read>");
        assert_eq!(of(libc::SYS_writev, 5), "<waiting to write>");
        assert_eq!(of(libc::SYS_wait4, 5), "<waiting for a child>");
        assert_eq!(of(libc::SYS_mincore, 5), "<waiting>");
        assert_eq!(text(Wait::Page), Some("<waiting for memory>"));
        assert_eq!(text(Wait::Cpu), Some("<waiting for a CPU>"));
        assert_eq!(text(Wait::Unknown), None);
    }

    #[test]
    fn a_select_without_files_is_a_sleep() {
        assert_eq!(of(libc::SYS_pselect6, 0), "<sleeping>");
        assert_eq!(of(libc::SYS_pselect6, 7), "<waiting for events>");
    }
}
