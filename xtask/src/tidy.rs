//! `cargo xtask tidy`: rules of this repository that no other tool checks.
//!
//! Reads the checkout, changes nothing, reports every breach at once.

use std::fs;

use anyhow::{Context as _, bail};

use crate::{floors, workspace};

/// Longest file of logic, in lines before its unit tests: what fits into one reading.
const LONGEST: usize = 500;
/// The same for the kernel half: what the verifier must understand, people should too.
const LONGEST_BPF: usize = 200;

/// Files that may be longer, and why.
const LONG_FILES: &[(&str, &str)] = &[];

/// Package registries and mirrors: a machine's own configuration names them, this repository does not.
/// In two halves, so that this file does not either.
const REGISTRY_HOSTS: &[(&str, &str)] = &[
    ("crates", ".io"),
    ("rust-lang", ".org"),
    ("deb.debian", ".org"),
    ("ftp.debian", ".org"),
    ("snapshot.debian", ".org"),
    ("archive.ubuntu", ".com"),
    ("pypi", ".org"),
    ("pythonhosted", ".org"),
    ("npmjs", ".org"),
];

/// Checks the rules that no other tool knows
///
/// Every Rust file opens with `//!`; files of logic stay short; no package registry's host name is written down.
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask tidy")]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> anyhow::Result<()> {
    let root = workspace::root();
    let mut breaches = Vec::new();
    let files = workspace::files()?;
    for name in &files {
        let bytes = fs::read(root.join(name)).with_context(|| format!("cannot read {name}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            breaches.extend(
                check(name, &text)
                    .into_iter()
                    .map(|breach| format!("{name}: {breach}")),
            );
        }
    }
    let stale = LONG_FILES
        .iter()
        .filter(|(name, _)| !files.iter().any(|file| file == name));
    breaches.extend(stale.map(|(name, _)| format!("{name}: listed as a long file, and does not exist")));
    breaches.extend(floors::breaches(&root)?);
    for breach in &breaches {
        println!("tidy: {breach}");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the repository's rules", breaches.len());
    }
    println!("tidy: {} files follow the rules", files.len());
    Ok(())
}

fn check(name: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    if name.ends_with(".rs") {
        breaches.extend(check_opening(text));
        breaches.extend(check_length(name, text));
    }
    if !name.ends_with("Cargo.lock") {
        breaches.extend(check_hosts(text));
    }
    breaches
}

fn check_opening(text: &str) -> Option<String> {
    (!text.starts_with("//!"))
        .then(|| "does not open with `//!`: what it is, who uses it, what it never does".to_owned())
}

fn check_length(name: &str, text: &str) -> Option<String> {
    if name.ends_with("/tests.rs") {
        return None;
    }
    let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
    let limit = if name.starts_with("profiler-ebpf/") {
        LONGEST_BPF
    } else {
        LONGEST
    };
    let excused = LONG_FILES.iter().any(|(file, _)| *file == name);
    match (lines > limit, excused) {
        (true, false) => Some(format!("{lines} lines of logic, more than {limit}")),
        (false, true) => Some("listed as a long file, and is not long any more".to_owned()),
        _ => None,
    }
}

fn check_hosts(text: &str) -> Option<String> {
    text.lines().enumerate().find_map(|(index, line)| {
        let (start, end) = REGISTRY_HOSTS
            .iter()
            .find(|(start, end)| line.contains(&format!("{start}{end}")))?;
        Some(format!("line {}: names the registry {start}{end}", index + 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_logic_says_what_it_is_and_ends_in_time() {
        assert!(check("a/src/b.rs", "//! What.\nfn f() {}\n").is_empty());
        assert_eq!(check("a/src/b.rs", "fn f() {}\n").len(), 1);
        let long = format!("//! What.\n{}", "fn f() {}\n".repeat(LONGEST_BPF));
        assert!(check("profiler-user/src/b.rs", &long).is_empty());
        assert_eq!(check("profiler-ebpf/src/b.rs", &long).len(), 1);
    }

    #[test]
    fn unit_tests_do_not_count_as_logic() {
        let tested = format!("//! What.\n#[cfg(test)]\n{}", "fn f() {}\n".repeat(LONGEST));
        assert!(check("profiler-user/src/b.rs", &tested).is_empty());
        let apart = format!("//! What.\n{}", "fn f() {}\n".repeat(LONGEST + 1));
        assert!(check("profiler-user/src/b/tests.rs", &apart).is_empty());
        assert_eq!(check("profiler-user/src/b/mod.rs", &apart).len(), 1);
    }

    #[test]
    fn a_registry_is_found_in_any_text_but_the_lock_file() {
        let text = format!("see https://{}{}/x\n", REGISTRY_HOSTS[0].0, REGISTRY_HOSTS[0].1);
        assert_eq!(check("README.md", &text).len(), 1);
        assert!(check("Cargo.lock", &text).is_empty());
    }
}
