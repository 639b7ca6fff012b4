//! A real terminal without a screen: tmux, in which `pyebpf top` is started, gets keys, and is looked at.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

/// How long something may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Written before the command, to be seen again after it.
pub const BEFORE: &str = "what was there before";

/// A terminal in which a shell runs one command. Ended when dropped.
#[derive(Debug)]
pub struct Terminal {
    folder: TempDir,
}

impl Terminal {
    /// Opens a terminal of this size and runs a command of the shell in it.
    ///
    /// # Errors
    /// When tmux does not start.
    pub fn run((width, height): (u16, u16), command: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let terminal = Self { folder };
        let script = format!(
            "stty -g > before\necho {BEFORE}\n{command}\necho $? > status\nstty -g > after\necho done > ended\nread forever\n"
        );
        std::fs::write(terminal.path("script"), script)?;
        let (width, height) = (width.to_string(), height.to_string());
        terminal.tmux(&["new-session", "-d", "-x", &width, "-y", &height, "sh script"])?;
        Ok(terminal)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its folder, in which the command runs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn tmux(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new("tmux")
            .args(["-u", "-f", "/dev/null", "-S"])
            .arg(self.path("socket"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env_remove("TMUX")
            .env_remove("SUDO_UID")
            .env_remove("NO_COLOR")
            .output()
            .context("starting tmux")?;
        ensure!(
            output.status.success(),
            "tmux {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Presses keys, by tmux's names.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn press(&self, keys: &[&str]) -> anyhow::Result<()> {
        self.tmux(&[&["send-keys"], keys].concat()).map(drop)
    }

    /// Changes its size.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&self, width: u16, height: u16) -> anyhow::Result<()> {
        let (width, height) = (width.to_string(), height.to_string());
        self.tmux(&["resize-window", "-x", &width, "-y", &height])
            .map(drop)
    }

    /// What is on it.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn text(&self) -> anyhow::Result<String> {
        self.tmux(&["capture-pane", "-p"])
    }

    /// The same with the sequences that colour it.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn coloured_text(&self) -> anyhow::Result<String> {
        self.tmux(&["capture-pane", "-p", "-e"])
    }

    /// Waits until it shows something.
    ///
    /// # Errors
    /// When that does not happen; what it shows instead.
    pub fn wait(&self, what: &str, is_there: impl Fn(&str) -> bool) -> anyhow::Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text()?;
            if is_there(&text) {
                return Ok(text);
            }
            if Instant::now() >= deadline {
                bail!("{what} did not appear:\n{text}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until it shows a text.
    ///
    /// # Errors
    /// As [`Self::wait`].
    pub fn wait_for(&self, text: &str) -> anyhow::Result<String> {
        self.wait(text, |shown| shown.contains(text))
    }

    /// Waits until the command has ended; its exit status and what is on the terminal then. The terminal must be as it was
    /// before.
    ///
    /// # Errors
    /// When it does not end, or leaves the terminal otherwise.
    pub fn end(&self) -> anyhow::Result<(i32, String)> {
        let deadline = Instant::now() + PATIENCE;
        while !self.path("ended").exists() {
            if Instant::now() >= deadline {
                bail!("it did not end:\n{}", self.text()?);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let read = |name: &str| std::fs::read_to_string(self.path(name));
        let (before, after) = (read("before")?, read("after")?);
        ensure!(
            before == after,
            "settings of the terminal: {before} before, {after} after"
        );
        let modes = self.tmux(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"])?;
        ensure!(modes.trim() == "0 1", "alternate screen and cursor: {modes}");
        let text = self.tmux(&["capture-pane", "-p", "-S", "-200"])?;
        ensure!(text.contains(BEFORE), "what was there before is gone:\n{text}");
        Ok((read("status")?.trim().parse()?, text))
    }

    /// The process id of the command that runs now, by the name of its program.
    ///
    /// # Errors
    /// When it is not there.
    pub fn child(&self, program: &str) -> anyhow::Result<u32> {
        let shell = self.tmux(&["display-message", "-p", "#{pane_pid}"])?;
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.trim()))?;
        for pid in children.split_whitespace() {
            let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"))?;
            if comm.trim() == program {
                return Ok(pid.parse()?);
            }
        }
        bail!("the shell has no child {program}")
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.tmux(&["kill-server"]);
    }
}
