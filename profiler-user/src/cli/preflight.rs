//! What must be true before a recording, and what to do when it is not.

use super::failure::Failure;
use crate::host::{Host, OLDEST_KERNEL};
use crate::kernel::LoadError;
use crate::kernel::btf::BtfError;
use crate::proc;
use crate::session::{Session, SessionError};
use crate::shell;

/// Fails when this host cannot run the kernel half.
pub(super) fn check_host() -> Result<(), Failure> {
    let host = Host::inspect();
    if !host.privileged() {
        let missing = host.missing_capabilities.join(", ");
        return Err(Failure::new(format_args!(
            "no permission to sample: this process lacks {missing}"
        ))
        .hint(format_args!("sudo {}", command_line())));
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
    Ok(())
}

/// Fails when a process that was asked for does not exist.
pub(super) fn check_processes(pids: &[u32]) -> Result<(), Failure> {
    match pids.iter().find(|pid| !proc::exists(**pid)) {
        Some(pid) => Err(Failure::new(format_args!("there is no process {pid}"))
            .hint("sudo pyebpf doctor   (lists the interpreters that run here)")),
        None => Ok(()),
    }
}

/// Fails when none of the processes asked for can be profiled.
pub(super) fn check_interpreters(pids: &[u32], session: &Session) -> Result<(), Failure> {
    if session.processes() > 0 {
        return Ok(());
    }
    let doctor = "sudo pyebpf doctor   (lists the interpreters that run here, and which are supported)";
    if let Some(refusal) = session.refusals().next() {
        return Err(Failure::new(format_args!("process {}: {}", refusal.pid, refusal.text)).hint(doctor));
    }
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    Err(Failure::new(format_args!(
        "no Python interpreter found in process {}",
        pids.join(", ")
    ))
    .hint(doctor))
}

/// A failed recording, with the next step where there is one.
#[expect(clippy::needless_pass_by_value, reason = "made for `map_err`")]
pub(super) fn explain(error: SessionError) -> Failure {
    let failure = Failure::new(&error);
    match &error {
        SessionError::Load(LoadError::Btf(BtfError::Unreadable { .. })) => {
            failure.hint("a kernel with CONFIG_DEBUG_INFO_BTF=y is needed (every distribution's since 2021)")
        }
        SessionError::Load(load) if load.is_permission() => failure.hint(format_args!(
            "sudo {}   (and see `sudo pyebpf doctor`)",
            command_line()
        )),
        SessionError::Load(_) => failure.hint(format_args!("RUST_LOG=debug sudo -E {}", command_line())),
        SessionError::NoCpu(_) | SessionError::Io { .. } => failure,
    }
}

/// This command line, quoted for a shell where needed.
fn command_line() -> String {
    let words = std::env::args_os().map(|argument| shell::word(&argument.to_string_lossy()).into_owned());
    words.collect::<Vec<_>>().join(" ")
}
