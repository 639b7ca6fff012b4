//! The command after `--`: run as the user who called sudo, ended with the recording.

use std::ffi::OsString;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, Command};

use super::failure::Failure;

/// How long the command may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running command.
pub(super) struct Launched {
    child: Child,
    pid: u32,
}

impl Launched {
    /// Starts the command.
    pub(super) fn start(command: &[OsString]) -> Result<Self, Failure> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Failure::usage("no command given"));
        };
        let mut builder = Command::new(program);
        builder.args(arguments).kill_on_drop(true);
        if let Some((uid, gid)) = sudo_user() {
            builder.uid(uid).gid(gid);
        }
        let child = builder.spawn().map_err(|error| {
            Failure::new(format_args!(
                "cannot run '{}': {error}",
                program.to_string_lossy()
            ))
            .hint("give the command's full path after `--`; sudo may have another PATH")
        })?;
        let pid = child
            .id()
            .ok_or_else(|| Failure::new("the command ended at once"))?;
        Ok(Self { child, pid })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends the command if it still runs, and returns its exit status as a shell would show it.
    pub(super) async fn finish(mut self) -> Result<u8, Failure> {
        let waiting = |error| Failure::new(format_args!("waiting for the command: {error}"));
        if let Some(status) = self.child.try_wait().map_err(waiting)? {
            return Ok(shell_status(status));
        }
        if let Some(pid) = i32::try_from(self.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
        {
            // It may just have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        match tokio::time::timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => Ok(shell_status(status.map_err(waiting)?)),
            Err(_) => {
                self.child.kill().await.map_err(waiting)?;
                Ok(137)
            }
        }
    }
}

/// Who called sudo, when this process is root.
fn sudo_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let id = |name| std::env::var(name).ok()?.parse().ok();
    Some((id("SUDO_UID")?, id("SUDO_GID")?))
}

/// Exit code, or 128 + signal.
fn shell_status(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
