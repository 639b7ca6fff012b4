//! What this machine shall do: the kernel command line says how, a file of the initramfs says with which Pythons.
//!
//! `xtask/src/vm/initramfs.rs` writes the file.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// Lines of `LABEL PATH`.
const PYTHONS_FILE: &str = "/vm-test/pythons";

/// What to do after mounting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing: the host only wants to know whether its virtualisation works.
    Probe,
    /// Every check.
    Checks,
    /// An interactive shell.
    Shell,
}

/// An interpreter of the initramfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Python {
    /// `3.8`, as shown in results.
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

/// What to run, how, and on which interpreters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) mode: Mode,
    /// Names of checks that must pass on this kernel.
    pub(crate) promises: Vec<String>,
    pub(crate) pythons: Vec<Python>,
}

impl Plan {
    /// Reads both sources; `/proc` must be mounted.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let command_line = std::fs::read_to_string("/proc/cmdline").context("cannot read /proc/cmdline")?;
        let mut plan = parse_command_line(&command_line)?;
        if plan.mode != Mode::Probe {
            let text = std::fs::read_to_string(PYTHONS_FILE)
                .with_context(|| format!("cannot read {PYTHONS_FILE}"))?;
            plan.pythons = parse_pythons(&text)?;
        }
        Ok(plan)
    }
}

fn parse_command_line(text: &str) -> anyhow::Result<Plan> {
    let value = |name| text.split_whitespace().find_map(|word| word.strip_prefix(name));
    let mode = match value("vm_test.mode=") {
        Some("probe") => Mode::Probe,
        Some("checks") => Mode::Checks,
        Some("shell") => Mode::Shell,
        other => bail!(
            "vm_test.mode={} on the kernel command line is unknown",
            other.unwrap_or("(missing)")
        ),
    };
    let promises = value("vm_test.promises=").unwrap_or_default();
    let promises = promises
        .split(',')
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    Ok(Plan {
        mode,
        promises,
        pythons: Vec::new(),
    })
}

fn parse_pythons(text: &str) -> anyhow::Result<Vec<Python>> {
    let python = |line: &str| {
        let (version, path) = line
            .split_once(' ')
            .with_context(|| format!("not `LABEL PATH`: {line}"))?;
        Ok(Python {
            version: version.to_owned(),
            path: PathBuf::from(path),
        })
    };
    text.lines().map(python).collect()
}

/// The environment of everything started here.
pub(crate) fn environment() -> Vec<(&'static str, &'static str)> {
    vec![
        ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/"),
        ("TERM", "dumb"),
        ("LANG", "C.UTF-8"),
        // The guest gathers little entropy, and nothing here needs any.
        ("PYTHONHASHSEED", "0"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_says_mode_and_promises() {
        let plan = parse_command_line(
            "console=ttyS0 vm_test.mode=checks vm_test.promises=btf,record-pid panic=-1\n",
        )
        .expect("both are there");
        assert_eq!(
            (plan.mode, plan.promises),
            (Mode::Checks, vec!["btf".to_owned(), "record-pid".to_owned()])
        );
        assert!(parse_command_line("console=ttyS0").is_err());
    }

    #[test]
    fn a_python_is_a_label_and_a_path() {
        let pythons = parse_pythons("3.8 /root/my pythons/bin/python3.8\n").expect("one line");
        assert_eq!(pythons[0].path, PathBuf::from("/root/my pythons/bin/python3.8"));
        assert!(parse_pythons("3.8\n").is_err());
    }
}
