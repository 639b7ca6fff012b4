//! The guest of the kernel matrix: PID 1 of a virtual machine that `cargo xtask test-vm` boots.
//!
//! Mounts what a host has, runs every check, says so on the console, powers off. It never runs outside of such a
//! machine: the host reads its verdict from the lines that `console` writes.

mod checks;
mod console;
mod folded;
mod mounts;
mod plan;
mod workload;

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use plan::{Mode, Plan};
use rustix::system::{RebootCommand, reboot};

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("error: vm-test is the first process of a test machine");
        eprintln!("hint: cargo xtask test-vm");
        return ExitCode::FAILURE;
    }
    let verdict = boot();
    if let Err(error) = &verdict {
        console::say(format_args!("FAILED: {error:#}"));
    }
    console::verdict(matches!(verdict, Ok(true)));
    // On failure there is nobody left to tell: the host's deadline ends the machine.
    let _ = reboot(RebootCommand::PowerOff);
    ExitCode::FAILURE
}

/// Returns whether everything promised holds.
fn boot() -> anyhow::Result<bool> {
    mounts::mount_all()?;
    let plan = Plan::read()?;
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    console::say(format_args!("kernel {release}, {} Pythons", plan.pythons.len()));
    match plan.mode {
        Mode::Probe => Ok(true),
        Mode::Checks => Ok(checks::run_all(&plan)),
        Mode::Shell => Err(shell().into()),
    }
}

/// Becomes an interactive shell; only returns when there is none.
fn shell() -> std::io::Error {
    console::say(format_args!(
        "pyebpf is /usr/bin/pyebpf; leave with `poweroff -f` or Ctrl-a x"
    ));
    Command::new("/bin/bash")
        .arg("-i")
        .current_dir("/")
        .envs(plan::environment())
        .exec()
}
