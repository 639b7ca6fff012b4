//! How pyebpf was started, and how it is started again: every command that a hint shows is made here, so that it works when
//! it is pasted.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::path::base_name;
use crate::shell;

/// Where sudo looks for programs on every distribution.
const SUDO_PATH: &[&str] = &["/usr/bin", "/usr/sbin", "/bin", "/sbin"];

/// What is known of the call.
#[derive(Debug)]
struct Call {
    /// As it was typed.
    program: OsString,
    /// The file that runs.
    executable: Option<PathBuf>,
    is_root: bool,
    /// The command that sudo ran, if it was called: a path and arguments.
    of_sudo: Option<String>,
}

impl Call {
    fn now() -> Self {
        let program = std::env::args_os().next().filter(|program| !program.is_empty());
        let command = std::env::var_os("SUDO_COMMAND").unwrap_or_default();
        Self {
            program: program.unwrap_or_else(|| "pyebpf".into()),
            executable: std::env::current_exe().ok(),
            is_root: rustix::process::geteuid().is_root(),
            of_sudo: std::env::var_os("SUDO_UID").map(|_| command.to_string_lossy().into_owned()),
        }
    }

    /// Whether its user has to say `sudo`. Root need not, and may not even have it, as in a container.
    fn needs_sudo(&self) -> bool {
        !self.is_root || self.of_sudo.is_some()
    }

    /// As its user types it.
    fn program(&self) -> String {
        shell::word(&self.program)
    }

    /// The same for root: sudo does not look where its user does.
    fn program_for_root(&self) -> String {
        let is_path = self.program.as_encoded_bytes().contains(&b'/');
        if is_path || !self.needs_sudo() || self.was_found_by_sudo() {
            return self.program();
        }
        match &self.executable {
            Some(path)
                if !SUDO_PATH
                    .iter()
                    .any(|folder| path.parent() == Some(Path::new(folder))) =>
            {
                shell::word(path)
            }
            _ => self.program(),
        }
    }

    /// Whether sudo was told this very name, and found it.
    fn was_found_by_sudo(&self) -> bool {
        let command = self.of_sudo.as_deref().unwrap_or_default();
        let path = command.split(' ').next().unwrap_or_default();
        OsStr::new(base_name(path)) == self.program
    }

    fn with_rights(&self, before: &str, arguments: &str) -> String {
        let sudo = if self.needs_sudo() { "sudo " } else { "" };
        let words = [&format!("{sudo}{before}{}", self.program_for_root()), arguments];
        words.join(" ").trim_end().to_owned()
    }
}

/// `pyebpf ARGUMENTS`, for what needs no rights.
pub(super) fn plain(arguments: &str) -> String {
    format!("{} {arguments}", Call::now().program())
}

/// `sudo pyebpf ARGUMENTS`, as it works for the user who called: root needs no sudo.
pub(super) fn with_rights(arguments: &str) -> String {
    Call::now().with_rights("", arguments)
}

/// The same of arguments that have yet to be quoted.
pub(super) fn with_words(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    with_rights(&shell::line(words))
}

/// This very call, with rights.
pub(super) fn again() -> String {
    with_words(arguments())
}

/// The same, run by another command: `prlimit --nofile=64`.
pub(super) fn again_by(command: &str) -> String {
    Call::now().with_rights(&format!("{command} "), &shell::line(arguments()))
}

/// This very call, which prints all that the verifier says.
pub(super) fn again_in_detail() -> String {
    let call = Call::now();
    let sudo = if call.needs_sudo() { "sudo -E " } else { "" };
    let program = call.program_for_root();
    format!("RUST_LOG=debug {sudo}{program} {}", shell::line(arguments()))
}

/// `sudo `, if it takes that to become root.
pub(super) fn sudo() -> &'static str {
    if Call::now().needs_sudo() { "sudo " } else { "" }
}

/// Its arguments.
pub(super) fn arguments() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}

#[cfg(test)]
mod tests {
    use super::Call;

    fn call(program: &str, executable: &str, is_root: bool, of_sudo: Option<&str>) -> String {
        let call = Call {
            program: program.into(),
            executable: Some(executable.into()),
            is_root,
            of_sudo: of_sudo.map(str::to_owned),
        };
        call.with_rights("", "ps")
    }

    #[test]
    fn a_hint_names_the_program_by_a_path_where_sudo_would_not_find_it() {
        let built = "/home/me/pyebpf/target/release/pyebpf";
        for (program, executable, expected) in [
            ("pyebpf", "/usr/bin/pyebpf", "sudo pyebpf ps"),
            (
                "pyebpf",
                "/home/me/.cargo/bin/pyebpf",
                "sudo /home/me/.cargo/bin/pyebpf ps",
            ),
            ("pyebpf", "/opt/a b/pyebpf", "sudo '/opt/a b/pyebpf' ps"),
            ("target/release/pyebpf", built, "sudo target/release/pyebpf ps"),
            ("./pyebpf", built, "sudo ./pyebpf ps"),
        ] {
            assert_eq!(call(program, executable, false, None), expected);
        }
    }

    #[test]
    fn root_needs_no_sudo_unless_it_is_somebody_who_called_sudo() {
        let elsewhere = "/opt/tools/pyebpf";
        assert_eq!(call("pyebpf", elsewhere, true, None), "pyebpf ps");
        let command = "/opt/tools/pyebpf record -a";
        assert_eq!(call("pyebpf", elsewhere, true, Some(command)), "sudo pyebpf ps");
        // A shell of root's that sudo started.
        assert_eq!(
            call("pyebpf", elsewhere, true, Some("/bin/bash")),
            "sudo /opt/tools/pyebpf ps"
        );
    }

    #[test]
    fn another_command_goes_between_sudo_and_the_program() {
        let call = Call {
            program: "./pyebpf".into(),
            executable: None,
            is_root: false,
            of_sudo: None,
        };
        assert_eq!(
            call.with_rights("prlimit --nofile=64 ", "ps"),
            "sudo prlimit --nofile=64 ./pyebpf ps"
        );
    }
}
