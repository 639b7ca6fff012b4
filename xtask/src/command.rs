//! Running other programs: one place for exit codes, missing programs and privilege.
//!
//! Children inherit the terminal unless their output is the result. Nothing here decides what to run.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use crate::hint::hinted;

/// Runs to the end; a non-zero exit is an error that names the command.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Runs to the end and returns stdout; on failure the error ends with the last lines of stderr.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", line(command)))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "{} failed ({}): {}",
            line(command),
            output.status,
            last_lines(&stderr, 3)
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed something not UTF-8", line(command)))
}

/// The command as one would type it (without its environment).
pub(crate) fn line(command: &Command) -> String {
    let words: Vec<_> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .collect();
    format!("`{}`", words.join(OsStr::new(" ")).to_string_lossy())
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(count)..].join("; ")
}

/// The first executable of this name on `PATH`.
pub(crate) fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|candidate| {
            candidate
                .metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// `PATH` with `dir` in front.
pub(crate) fn path_with(dir: PathBuf) -> anyhow::Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    let rest = env::split_paths(&path)
        .filter(|existing| *existing != dir)
        .collect::<Vec<_>>();
    env::join_paths([dir].into_iter().chain(rest)).context("PATH holds a directory with a `:` in its name")
}

/// Whether this process has root's user id: the owner of its own entry in `/proc` (proc(5)).
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// `program` as root: directly when already root, else through `sudo`.
pub(crate) fn as_root(program: &OsStr) -> anyhow::Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    if find_on_path("sudo").is_none() {
        let program = program.to_string_lossy();
        return Err(hinted(
            format!("`{program}` needs root, and there is no `sudo`"),
            "run the same command as root",
        ));
    }
    let mut command = Command::new("sudo");
    command.arg("--").arg(program);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_what_it_said_last() {
        let error = output(Command::new("sh").args(["-c", "echo one >&2; echo two >&2; exit 3"]))
            .expect_err("the shell exits with 3");
        let text = format!("{error:#}");
        assert!(text.contains("exit 3") && text.ends_with("one; two"), "{text}");
    }

    #[test]
    fn a_directory_put_in_front_of_the_path_is_there_once() {
        let path = path_with(PathBuf::from("/usr/bin")).expect("no `:` in it");
        let dirs: Vec<_> = env::split_paths(&path).collect();
        assert_eq!(dirs[0], PathBuf::from("/usr/bin"));
        assert_eq!(dirs.iter().filter(|dir| *dir == &dirs[0]).count(), 1);
    }
}
