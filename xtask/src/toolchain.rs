//! The pinned Rust toolchain: which one, how to call it, where it lives.
//!
//! Reads `rust-toolchain.toml`; installing is `setup`'s job.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use crate::{command, workspace};

/// The pinned version, `1.95.0`.
pub(crate) fn channel() -> anyhow::Result<String> {
    let path = workspace::root().join("rust-toolchain.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse_channel(&text)
        .with_context(|| format!("{} names no channel", path.display()))
        .map(str::to_owned)
}

/// The one line of that file which is needed before anything is installed.
fn parse_channel(text: &str) -> Option<&str> {
    let value = text.lines().find_map(|line| line.strip_prefix("channel"))?;
    value
        .trim_start()
        .strip_prefix('=')?
        .trim()
        .strip_prefix('"')?
        .strip_suffix('"')
}

/// Whether `rustup` manages the toolchains here.
pub(crate) fn has_rustup() -> bool {
    command::find_on_path("rustup").is_some()
}

/// A program of the pinned toolchain (`cargo`, `rustc`), even when this xtask was started with another one.
pub(crate) fn program(name: &str) -> anyhow::Result<Command> {
    let mut command = Command::new(name);
    if has_rustup() {
        command.env("RUSTUP_TOOLCHAIN", channel()?);
    }
    // Set by the cargo that started this xtask; its child must not take that one's rustc or libraries.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    Ok(command)
}

/// `cargo` of the pinned toolchain, in the checkout, into the target directory this xtask came from.
pub(crate) fn cargo() -> anyhow::Result<Command> {
    let mut command = program("cargo")?;
    command
        .current_dir(workspace::root())
        .env("CARGO_TARGET_DIR", workspace::target_dir()?);
    Ok(command)
}

/// `rustc --print sysroot`: the directory of the pinned toolchain. Fails when it is not installed.
pub(crate) fn sysroot() -> anyhow::Result<PathBuf> {
    let stdout = command::output(program("rustc")?.args(["--print", "sysroot"]))?;
    Ok(PathBuf::from(stdout.trim()))
}

/// The host's target triple, as `rustc -vV` prints it.
pub(crate) fn host_triple() -> anyhow::Result<String> {
    let stdout = command::output(program("rustc")?.arg("-vV"))?;
    let host = stdout.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

/// The version of the `rustc` that `program` finds.
pub(crate) fn rustc_version() -> anyhow::Result<String> {
    let stdout = command::output(program("rustc")?.arg("--version"))?;
    Ok(stdout
        .split_whitespace()
        .nth(1)
        .context("`rustc --version` names no version")?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_channel_is_read_from_the_real_file() {
        let channel = channel().expect("rust-toolchain.toml is in the checkout");
        assert_eq!(
            channel.split('.').count(),
            3,
            "a pinned toolchain has three numbers: {channel}"
        );
    }

    #[test]
    fn a_file_without_a_channel_is_refused() {
        assert_eq!(parse_channel("[toolchain]\nprofile = \"minimal\"\n"), None);
    }
}
