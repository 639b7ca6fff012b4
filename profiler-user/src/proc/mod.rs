//! What `/proc` says about other processes: who they are, what they map, what their memory holds.
//!
//! Used by the search for interpreters, the tracker, the symbolizer, workers, `ps` and `doctor`. Everything read here was
//! written by the process under observation (its name, its arguments, its paths): every read is bounded, every parser
//! total. Nothing here writes to, signals or stops a process.

pub mod file;
pub mod maps;
pub mod memory;
pub mod root;
pub mod script;
pub mod status;
pub mod switches;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

/// Bytes read of `/proc/PID/cmdline`, at most; the kernel does not bound it.
const COMMAND_LINE_BYTES: u64 = 4096;
/// Bytes read of `/proc/PID/stat` and `/proc/PID/status`, at most; the kernel writes far fewer.
const STATUS_BYTES: u64 = 16 * 1024;
/// Bytes read of `/proc/PID/cgroup`, at most: a line for each hierarchy.
const CGROUP_BYTES: u64 = 64 * 1024;

/// A bit of the flags in `/proc/PID/stat` (`include/linux/sched.h`, the same since 2.6).
const PF_EXITING: u64 = 0x4;

/// Why something could not be learnt about a process.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It exited, or never existed.
    #[error("process {pid} is gone")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// This process may not look at that one.
    #[error("no permission to read {entry} of process {pid}")]
    Denied {
        /// The process.
        pid: u32,
        /// The file below `/proc/PID`.
        entry: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Any other failure.
    #[error("reading /proc/{pid}/{entry}")]
    Io {
        /// The process.
        pid: u32,
        /// The file below `/proc/PID`.
        entry: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel wrote something that this program does not understand.
    #[error("/proc/{pid}/{entry} is not in the documented format")]
    Malformed {
        /// The process.
        pid: u32,
        /// The file below `/proc/PID`.
        entry: &'static str,
    },
}

impl ProcessError {
    /// Sorts a failure to open or read `/proc/PID/entry` into gone, denied and the rest.
    pub(crate) fn new(pid: u32, entry: &str, source: io::Error) -> Self {
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT | Errno::SRCH) => Self::Gone { pid },
            Some(Errno::ACCESS | Errno::PERM) => Self::Denied {
                pid,
                entry: entry.to_owned(),
                source,
            },
            _ => Self::Io {
                pid,
                entry: entry.to_owned(),
                source,
            },
        }
    }

    /// Whether the process no longer exists: for a profiler of a whole host an ordinary event, not a failure.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Gone { .. })
    }
}

/// The processes that exist now, ascending, as this process's pid namespace counts. They may be gone a moment
/// later.
///
/// # Errors
/// When `/proc` cannot be listed.
pub fn pids() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        // An entry that vanishes while the directory is read is a process that exited.
        let Ok(entry) = entry else { continue };
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    Ok(pids)
}

/// The threads of a process, in no order. They may be gone a moment later.
///
/// # Errors
/// When the process is gone.
pub fn threads(pid: u32) -> io::Result<Vec<u32>> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/task"))?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect())
}

/// Part of `/proc/PID/stat` (`proc_pid_stat(5)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The kernel's name of the process, at most 15 bytes (63 for kernel threads); the process chooses it.
    pub name: String,
    /// `R`, `S`, `D`, `Z` (zombie), ...
    pub state: char,
    /// Whether this thread has begun to exit: it will run no more of its program. Before it is a zombie it may take
    /// milliseconds to give its memory back.
    pub is_exiting: bool,
    /// The parent's process id; 0 when it is not visible here.
    pub parent: u32,
    /// Its process group; 0 when that is not visible here.
    pub group: u32,
    /// CPU time of all its threads so far, user and kernel, in clock ticks.
    pub cpu_ticks: u64,
    /// The same of its children that have ended and that it has waited for, and of theirs.
    pub reaped_ticks: u64,
    /// Threads.
    pub threads: u32,
    /// When it started, in clock ticks since boot: with the pid it tells a process from its successors.
    pub start_ticks: u64,
}

/// Reads `/proc/PID/stat`.
///
/// # Errors
/// When the process is gone, or the kernel's text is not understood.
pub fn stat(pid: u32) -> Result<Stat, ProcessError> {
    let text = read_bounded(pid, "stat", STATUS_BYTES)?;
    parse_stat(&text).ok_or(ProcessError::Malformed { pid, entry: "stat" })
}

/// The name is between the first `(` and the last `)`: it may itself hold spaces, parentheses and line breaks.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let open = text.iter().position(|&byte| byte == b'(')?;
    let close = text.iter().rposition(|&byte| byte == b')')?;
    let name = text.get(open + 1..close)?;
    let rest = std::str::from_utf8(text.get(close + 1..)?).ok()?;
    // Numbered as in proc_pid_stat(5): the field after the name is 3.
    let field = |number: usize| rest.split_ascii_whitespace().nth(number - 3);
    let number = |field_number| field(field_number)?.parse::<u64>().ok();
    Some(Stat {
        name: String::from_utf8_lossy(name).into_owned(),
        state: field(3)?.chars().next()?,
        is_exiting: number(9)? & PF_EXITING != 0,
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        cpu_ticks: number(14)?.saturating_add(number(15)?),
        reaped_ticks: number(16)?.saturating_add(number(17)?),
        threads: field(20)?.parse().ok()?,
        start_ticks: number(22)?,
    })
}

impl Stat {
    /// CPU time of all its threads so far, user and kernel.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        of_ticks(self.cpu_ticks)
    }

    /// The same of its children that have ended and that it has waited for, and of theirs.
    #[must_use]
    pub fn reaped_cpu_time(&self) -> Duration {
        of_ticks(self.reaped_ticks)
    }
}

fn of_ticks(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(ticks.saturating_mul(1_000) / per_second)
}

/// The text of `/proc/PID/cgroup`, for [`crate::container::cgroup::Cgroups`].
///
/// # Errors
/// When the process is gone.
pub fn cgroup(pid: u32) -> Result<Vec<u8>, ProcessError> {
    read_bounded(pid, "cgroup", CGROUP_BYTES)
}

/// The working directory, as the process sees it.
///
/// # Errors
/// When the process is gone or may not be looked at.
pub fn directory(pid: u32) -> Result<PathBuf, ProcessError> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).map_err(|error| ProcessError::new(pid, "cwd", error))
}

/// Effective user id, from `/proc/PID/status`.
///
/// # Errors
/// When the process is gone, or the kernel's text is not understood.
pub fn user(pid: u32) -> Result<u32, ProcessError> {
    let text = read_bounded(pid, "status", STATUS_BYTES)?;
    parse_user(&text).ok_or(ProcessError::Malformed { pid, entry: "status" })
}

/// `Uid:\treal\teffective\tsaved\tfilesystem`. The kernel escapes line breaks in `Name:`, so no process can
/// forge it.
fn parse_user(text: &[u8]) -> Option<u32> {
    let line = text
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(line)
        .ok()?
        .split_ascii_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// Every user and group id that a process has, from `/proc/PID/status`: real, effective, saved, of the file system, and
/// supplementary groups.
///
/// # Errors
/// When the process is gone.
pub fn all_ids(pid: u32) -> Result<Vec<u32>, ProcessError> {
    let text = read_bounded(pid, "status", STATUS_BYTES)?;
    Ok(parse_ids(&text))
}

fn parse_ids(text: &[u8]) -> Vec<u32> {
    let ids = |line: &[u8]| -> Vec<u32> {
        let fields = ["Uid:", "Gid:", "Groups:"];
        let rest = fields
            .iter()
            .find_map(|field| line.strip_prefix(field.as_bytes()));
        let text = std::str::from_utf8(rest.unwrap_or_default()).unwrap_or_default();
        text.split_ascii_whitespace()
            .filter_map(|id| id.parse().ok())
            .collect()
    };
    text.split(|&byte| byte == b'\n').flat_map(ids).collect()
}

/// The id of a process or thread in its own pid namespace, from `/proc/PID/status`: what it takes itself for.
///
/// # Errors
/// When the process is gone, or the kernel's text is not understood.
pub fn innermost_id(pid: u32) -> Result<u32, ProcessError> {
    let text = read_bounded(pid, "status", STATUS_BYTES)?;
    parse_innermost_id(&text).ok_or(ProcessError::Malformed { pid, entry: "status" })
}

/// `NSpid:` and an id for each namespace from the reader's inwards (Linux 4.1).
fn parse_innermost_id(text: &[u8]) -> Option<u32> {
    let line = text
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"NSpid:"))?;
    let last = std::str::from_utf8(line)
        .ok()?
        .split_ascii_whitespace()
        .next_back()?;
    last.parse().ok()
}

/// The arguments the process shows, cut off after 4 KiB; empty for kernel threads and zombies. Bytes that are
/// not UTF-8 become U+FFFD.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn command_line(pid: u32) -> Result<Vec<String>, ProcessError> {
    let text = read_bounded(pid, "cmdline", COMMAND_LINE_BYTES)?;
    Ok(split_command_line(&text))
}

fn split_command_line(text: &[u8]) -> Vec<String> {
    // A process may overwrite its arguments and leave many NULs behind (setproctitle).
    let end = text
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    if end == 0 {
        return Vec::new();
    }
    text[..end]
        .split(|&byte| byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned())
        .collect()
}

/// Where `/proc/PID/exe` points, as the kernel prints it (` (deleted)` appended when it was); `None` for kernel
/// threads and zombies. For people and for ordering only: what a path names may have changed since.
///
/// # Errors
/// When the process is gone or may not be read.
pub fn executable(pid: u32) -> Result<Option<PathBuf>, ProcessError> {
    match rustix::fs::readlink(format!("/proc/{pid}/exe"), Vec::new()) {
        Ok(path) => Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(path.as_bytes())))),
        // A process without a program still exists.
        Err(Errno::NOENT) if exists(pid) => Ok(None),
        Err(errno) => Err(ProcessError::new(pid, "exe", errno.into())),
    }
}

/// The id to ask `/proc` with about the memory, files and arguments of a process: its own, or that of another thread when
/// the first one has exited. The kernel then calls the process a zombie and shows nothing of what its threads go on using.
#[must_use]
pub fn visible_id(pid: u32) -> u32 {
    match stat(pid) {
        Ok(stat) if stat.state == 'Z' && stat.threads > 1 => running_thread(pid).unwrap_or(pid),
        _ => pid,
    }
}

/// Whether the process exists and one of its threads goes on running its program. The first one may have exited.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    match stat(pid) {
        Ok(stat) => !stat.is_exiting || running_thread(pid).is_some(),
        // Without a free descriptor nothing is learnt about it.
        Err(error) => !error.is_gone(),
    }
}

/// A thread that has not begun to exit.
fn running_thread(pid: u32) -> Option<u32> {
    let mut ids = threads(pid).unwrap_or_default().into_iter();
    ids.find(|id| stat(*id).is_ok_and(|stat| !stat.is_exiting))
}

/// Whether a process has this thread.
#[must_use]
pub fn has_thread(pid: u32, tid: u32) -> bool {
    rustix::fs::access(format!("/proc/{pid}/task/{tid}"), rustix::fs::Access::EXISTS).is_ok()
}

/// The process that this thread belongs to; `None` when there is no such thread. `/proc/TID` answers for every thread.
#[must_use]
pub fn process_of_thread(tid: u32) -> Option<u32> {
    let text = read_bounded(tid, "status", STATUS_BYTES).ok()?;
    let line = text
        .split(|&byte| byte == b'\n')
        .find_map(|line| line.strip_prefix(b"Tgid:"))?;
    std::str::from_utf8(line).ok()?.trim().parse().ok()
}

/// The system call that a thread is blocked in, and its first argument; `Some(None)` when it is blocked in none, `None` when
/// that is not known.
#[must_use]
pub fn system_call(pid: u32, tid: u32) -> Option<Option<(u32, u64)>> {
    let text = read_bounded(pid, &format!("task/{tid}/syscall"), STATUS_BYTES).ok()?;
    parse_system_call(std::str::from_utf8(&text).ok()?)
}

/// `NUMBER 0xARGUMENT ... 0xSP 0xPC`, `-1 0xSP 0xPC` or `running` (`proc_pid_syscall`, `fs/proc/base.c`).
fn parse_system_call(text: &str) -> Option<Option<(u32, u64)>> {
    let mut words = text.split_ascii_whitespace();
    let number: i64 = words.next()?.parse().ok()?;
    let Ok(number) = u32::try_from(number) else {
        return Some(None);
    };
    let argument = words.next()?.strip_prefix("0x")?;
    Some(Some((number, u64::from_str_radix(argument, 16).ok()?)))
}

/// Whether there is such a process (zombies included).
#[must_use]
pub fn exists(pid: u32) -> bool {
    rustix::fs::access(format!("/proc/{pid}"), rustix::fs::Access::EXISTS).is_ok()
}

/// Bytes asked for first: most files are shorter, and need no second look at what is there.
const AT_ONCE: usize = 4096;

fn read_bounded(pid: u32, entry: &str, limit: u64) -> Result<Vec<u8>, ProcessError> {
    let read = || {
        let file = File::open(format!("/proc/{pid}/{entry}"))?;
        let mut bytes = Vec::with_capacity(AT_ONCE);
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| ProcessError::new(pid, entry, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_named_like_the_end_of_its_own_stat_line_is_parsed() {
        let text = b"42 (a) R 1 (\n) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 123456 10 11\n";
        let stat = parse_stat(text).expect("the documented format");
        assert_eq!(stat.name, "a) R 1 (\n");
        assert!(!stat.is_exiting);
        assert_eq!(
            (
                stat.state,
                stat.parent,
                stat.group,
                stat.cpu_ticks,
                stat.reaped_ticks,
                stat.threads,
                stat.start_ticks
            ),
            ('S', 7, 42, 11, 15, 3, 123_456)
        );
    }

    #[test]
    fn hostile_stat_lines_are_refused() {
        for text in [
            &b""[..],
            b"42",
            b"42 (",
            b") (",
            b"42 (x)",
            b"42 (x) S",
            b"42 (x) S 1 2 3",
            b"()\xff\xfe",
        ] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    #[test]
    fn this_process_is_described_by_its_own_facts() {
        let pid = std::process::id();
        assert!(pids().expect("/proc is mounted").contains(&pid));
        let stat = stat(pid).expect("this process exists");
        assert_eq!(stat.parent, std::os::unix::process::parent_id());
        assert!(stat.threads >= 1 && stat.start_ticks > 0 && is_alive(pid));
        assert_eq!(
            user(pid).expect("this process exists"),
            rustix::process::geteuid().as_raw()
        );
        assert!(innermost_id(pid).expect("this process exists") > 0);
        assert_eq!(parse_innermost_id(b"Name:\tx\nNSpid:\t4711\t12\t1\n"), Some(1));
        assert_eq!(parse_innermost_id(b"Name:\tx\n"), None);
        let text = b"Name:\tUid: 7\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n";
        assert_eq!(parse_ids(text), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!(
            all_ids(pid).expect("this process exists")[1],
            user(pid).expect("this process exists")
        );
        assert_eq!(executable(pid).expect("readable"), std::env::current_exe().ok());
        let arguments: Vec<String> = std::env::args().collect();
        assert_eq!(command_line(pid).expect("readable"), arguments);
    }

    #[test]
    fn a_process_that_exited_is_gone_not_denied() {
        let mut child = std::process::Command::new("true").spawn().expect("`true` exists");
        let pid = child.id();
        child.wait().expect("the child is ours");
        for error in [
            stat(pid).expect_err("it exited"),
            user(pid).expect_err("it exited"),
            command_line(pid).expect_err("it exited"),
            executable(pid).expect_err("it exited"),
        ] {
            assert!(error.is_gone(), "{error:?}");
        }
    }

    #[test]
    fn a_zombie_has_no_program_and_no_arguments() {
        let mut child = std::process::Command::new("true").spawn().expect("`true` exists");
        let pid = child.id();
        while stat(pid).expect("not reaped yet").state != 'Z' {
            std::thread::yield_now();
        }
        assert!(stat(pid).expect("it exists").is_exiting && !is_alive(pid));
        assert_eq!(executable(pid).expect("it exists"), None);
        assert!(command_line(pid).expect("it exists").is_empty());
        child.wait().expect("the child is ours");
    }

    #[test]
    fn denied_is_not_gone() {
        let error = ProcessError::new(1, "maps", io::Error::from(Errno::ACCESS));
        assert!(matches!(error, ProcessError::Denied { .. }) && !error.is_gone());
        assert!(ProcessError::new(1, "maps", io::Error::from(Errno::SRCH)).is_gone());
    }

    #[test]
    fn overwritten_arguments_lose_their_padding_only() {
        assert_eq!(
            split_command_line(b"worker\0\0two\0\0\0\0"),
            ["worker", "", "two"]
        );
        assert!(split_command_line(b"\0\0\0").is_empty());
        assert_eq!(split_command_line(b"caf\xe9"), ["caf\u{fffd}"]);
    }
}
