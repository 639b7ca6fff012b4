//! What must be true before a recording, and what to do when it is not.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;

use rustix::thread::CapabilitySet;

use super::failure::Failure;
use super::words::with_instead;
use super::{accounts, invocation, terminal};
use crate::container::freezer::Frozen;
use crate::host::{Capability, Host, OLDEST_KERNEL};
use crate::kernel::LoadError;
use crate::kernel::btf::BtfError;
use crate::limits;
use crate::proc;
use crate::processes::halt::{Halt, parent_of_zombie};
use crate::session::{Session, SessionError};
use crate::shell;

/// A limit of open files that is enough for every recording.
const ENOUGH_FILES: u32 = 65_536;
/// Loading the kernel half takes fewer.
const LOADING_FILES: u64 = 128;
/// Loading it takes more. Below this limit not even the event loop can be made.
const FEWEST_FILES: u64 = 32;

/// Fails when this host cannot run the kernel half; if it can, says what will be missing and returns the capabilities that
/// this process lacks. To be called before it gives up those that it has. `of_kernel` says that functions of the kernel are
/// wanted.
pub(super) fn check_host(of_kernel: bool) -> Result<Lacking, Failure> {
    let host = Host::inspect();
    let missing = &host.missing_capabilities;
    if !host.privileged() {
        let required = missing.iter().filter(|capability| capability.is_required);
        let names: Vec<&str> = required.map(|capability| capability.name).collect();
        return Err(Failure::new(format_args!(
            "no permission to sample: this process lacks {}",
            names.join(", ")
        ))
        .hint(invocation::again()));
    }
    for capability in missing
        .iter()
        .filter(|one| of_kernel || one.set != CapabilitySet::SYSLOG)
    {
        terminal::status(&lack(capability));
    }
    if host.kernel_too_old() {
        let (major, minor) = OLDEST_KERNEL;
        return Err(Failure::new(format_args!(
            "kernel {} is not supported: pyebpf needs Linux {major}.{minor} or newer",
            host.kernel_release
        ))
        .hint("py-spy (one process at a time) works without BPF"));
    }
    if !host.initial_pid_namespace {
        return Err(Failure::new(
            "pyebpf runs in a pid namespace of its own and would see other pids than the kernel",
        )
        .hint("run it on the host, or in a container started with `--pid=host --privileged`"));
    }
    Ok(Lacking(
        missing.iter().map(|capability| capability.name).collect(),
    ))
}

/// Capabilities that this process was started without.
#[derive(Debug)]
pub(super) struct Lacking(Vec<&'static str>);

/// What does not work without a capability that is not required.
fn lack(capability: &Capability) -> String {
    format!(
        "this process lacks {}, so it may not {}",
        capability.name, capability.why
    )
}

/// Fails when nothing can be loaded within the limit of open files.
pub(super) fn check_files() -> Result<(), Failure> {
    match limits::open_files() {
        Some(limit) if limit < FEWEST_FILES => Err(too_few_files(&"loading the BPF programs takes more")),
        _ => Ok(()),
    }
}

/// Fails when a process that was asked for does not exist.
pub(super) fn check_processes(pids: &[u32]) -> Result<(), Failure> {
    for pid in pids {
        if !proc::exists(*pid) {
            return Err(
                Failure::new(format_args!("there is no process {pid}")).hint(format_args!(
                    "{}   # lists the interpreters that run here",
                    invocation::with_rights("doctor")
                )),
            );
        }
        if let Some(parent) = parent_of_zombie(*pid) {
            return Err(Failure::new(format_args!(
                "process {pid} has ended: it is a zombie, which its parent, process {parent}, has not waited for"
            ))
            .hint(format_args!("{}   # lists what runs", invocation::with_rights("ps"))));
        }
        if let Some(process) = proc::process_of_thread(*pid)
            && process != *pid
        {
            return Err(Failure::new(format_args!(
                "{pid} is a thread of process {process}, and processes are recorded"
            ))
            .hint(invocation::with_words(with_instead(
                &invocation::arguments(),
                &pid.to_string(),
                &process.to_string(),
            ))));
        }
    }
    Ok(())
}

/// Says which of these processes somebody has stopped or frozen: they will not be sampled.
pub(super) fn mention_halted(pids: &[u32]) {
    for text in halted(pids) {
        terminal::status(&text);
    }
}

/// The same, for others to say.
pub(super) fn halted(pids: &[u32]) -> Vec<String> {
    let mut texts = Vec::new();
    for (pid, halt) in pids.iter().filter_map(|pid| Some((*pid, Halt::of(*pid)?))) {
        let mut text = format!(
            "process {pid} {}: it is not sampled until it goes on",
            halt.text()
        );
        if let Some(remedy) = remedy(pid, &halt) {
            text.push_str(&format!(" (hint: {remedy})"));
        }
        texts.push(text);
    }
    texts
}

/// The command that lets a process go on.
pub(super) fn remedy(pid: u32, halt: &Halt) -> Option<String> {
    let sudo = invocation::sudo();
    match halt {
        Halt::Stopped => Some(format!("{sudo}kill -CONT {pid}")),
        Halt::Frozen(Frozen { file, thaw, .. }) => {
            Some(format!("echo {thaw} | {sudo}tee {}", shell::word(file)))
        }
        Halt::Traced => None,
    }
}

/// Fails when the folder that a relative path starts from was removed, or the name is one that no file can have.
pub(super) fn check_output(path: &Path) -> Result<(), Failure> {
    if path.is_relative()
        && let Err(error) = std::env::current_dir()
    {
        return Err(Failure::new(format_args!(
            "the current directory was removed, so nothing can be written there: {error}"
        ))
        .hint("cd /   # or name the whole path: -o /tmp/profile.svg"));
    }
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::InvalidFilename => {
            let bytes = path.file_name().unwrap_or_default().len();
            Err(Failure::new(format_args!(
                "the output's name is too long for a file: {bytes} bytes, where most file systems take 255"
            ))
            .hint("-o profile.svg"))
        }
        _ => Ok(()),
    }
}

/// This command line with `-s`, which records child processes too.
pub(super) fn with_subprocesses() -> String {
    let mut words = invocation::arguments();
    let verb = usize::from(!words.is_empty());
    words.insert(verb, "-s".into());
    invocation::with_words(words)
}

/// The failure of a process that may not open as many files as it must.
fn too_few_files(error: &dyn std::fmt::Display) -> Failure {
    let limit = limits::open_files().map_or("unlimited".to_owned(), |limit| limit.to_string());
    Failure::new(format_args!(
        "the limit of open files (ulimit -n) is too low, {limit}: {error}"
    ))
    .hint(invocation::again_by(&format!("prlimit --nofile={ENOUGH_FILES}")))
}

/// What failed when something could not be opened.
pub(super) fn failure_of(what: &str, error: &(dyn Error + 'static)) -> Failure {
    if limits::is_file_limit(error) {
        too_few_files(&format_args!("{what}: {error}"))
    } else {
        Failure::new(format_args!("{what}: {error}"))
    }
}

/// Fails when none of the processes asked for can be profiled.
pub(super) fn check_interpreters(pids: &[u32], session: &Session, lacking: &Lacking) -> Result<(), Failure> {
    if session.processes() > 0 {
        return Ok(());
    }
    let texts: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let doctor = format!(
        "{}   # says what it finds there",
        invocation::with_rights(&format!("doctor -p {}", texts.join(",")))
    );
    let children = session.unrecorded_children();
    let Lacking(names) = lacking;
    let why = if names.is_empty() {
        String::new()
    } else {
        format!(", and this process lacks {}", names.join(", "))
    };
    if let Some(refusal) = session.refusals().next() {
        return Err(
            Failure::new(format_args!("process {}: {}{why}", refusal.pid, refusal.text)).hint(doctor),
        );
    }
    if children > 0 {
        return Err(Failure::new(format_args!(
            "no Python interpreter found in process {}, but {}",
            texts.join(", "),
            accounts::children(children)
        ))
        .hint(with_subprocesses()));
    }
    Err(Failure::new(format_args!(
        "no Python interpreter found in process {}{why}",
        texts.join(", ")
    ))
    .hint(doctor))
}

/// A failed recording, with the next step where there is one.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub(super) fn explain(error: SessionError) -> Failure {
    // If no descriptor is left for the type information of a program, loading that program fails for another reason.
    let is_too_low = limits::open_files().is_some_and(|limit| limit < LOADING_FILES);
    if limits::is_file_limit(&error) || (is_too_low && matches!(error, SessionError::Load(_))) {
        return too_few_files(&error);
    }
    let failure = Failure::new(&error);
    match &error {
        SessionError::Load(LoadError::Btf(BtfError::Unreadable { .. })) => {
            failure.hint("a kernel with CONFIG_DEBUG_INFO_BTF=y is needed (every distribution's since 2021)")
        }
        SessionError::Load(load) if load.is_permission() => failure.hint(format_args!(
            "{}   # says what this host lacks",
            invocation::with_rights("doctor")
        )),
        SessionError::Load(_) => failure.hint(invocation::again_in_detail()),
        SessionError::NoCpu(_) | SessionError::Io { .. } => failure,
    }
}
