//! The Rust toolchain that `rust-toolchain.toml` pins, and its linters.
//!
//! The source of its standard library is a need of its own (`rust_src`): it has a second way in.

use std::process::Command;

use super::Need;
use crate::command;
use crate::hint::{WithHint as _, hinted};
use crate::toolchain;

const NO_RUSTUP: &str = "install rustup (Debian: `apt-get install rustup`) and run the same command again";

/// `rustc` and `cargo` of the pinned version.
pub(super) struct PinnedToolchain;

impl Need for PinnedToolchain {
    fn name(&self) -> &str {
        "Rust"
    }

    fn plan(&self) -> anyhow::Result<String> {
        Ok(format!(
            "Rust {} (rustup toolchain install)",
            toolchain::channel()?
        ))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        let channel = toolchain::channel()?;
        if !toolchain::has_rustup() {
            return Ok(toolchain::rustc_version().is_ok_and(|version| version == channel));
        }
        // Asked of rustup, not by starting a program of it: that could start to download unannounced.
        let prefix = format!("{channel}-");
        let list = command::output(Command::new("rustup").args(["toolchain", "list"]))?;
        Ok(list.lines().any(|line| line.starts_with(&prefix)))
    }

    fn install(&self) -> anyhow::Result<()> {
        let channel = toolchain::channel()?;
        if !toolchain::has_rustup() {
            let found = toolchain::rustc_version().unwrap_or_else(|_| "none".to_owned());
            return Err(hinted(
                format!("this needs Rust {channel}, found {found}, and there is no rustup to install it"),
                NO_RUSTUP,
            ));
        }
        let mut install = Command::new("rustup");
        install.args([
            "toolchain",
            "install",
            &channel,
            "--profile",
            "minimal",
            "--no-self-update",
        ]);
        command::run(&mut install)
            .or_hint(|| format!("run `rustup toolchain install {channel}` where its server can be reached"))
    }
}

/// clippy and rustfmt of the pinned toolchain.
pub(super) struct Linters;

impl Need for Linters {
    fn name(&self) -> &str {
        "clippy and rustfmt"
    }

    fn plan(&self) -> anyhow::Result<String> {
        Ok(format!(
            "clippy and rustfmt for Rust {} (rustup component add)",
            toolchain::channel()?
        ))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        let Ok(sysroot) = toolchain::sysroot() else {
            return Ok(false);
        };
        Ok(["cargo-clippy", "cargo-fmt"]
            .iter()
            .all(|name| sysroot.join("bin").join(name).is_file()))
    }

    fn install(&self) -> anyhow::Result<()> {
        let channel = toolchain::channel()?;
        if !toolchain::has_rustup() {
            return Err(hinted(
                format!(
                    "clippy and rustfmt of Rust {channel} are missing, and there is no rustup to install them"
                ),
                NO_RUSTUP,
            ));
        }
        let mut add = Command::new("rustup");
        command::run(add.args(["component", "add", "clippy", "rustfmt", "--toolchain", &channel]))
            .or_hint(|| {
                format!(
                    "run `rustup component add clippy rustfmt --toolchain {channel}` where its server can be reached"
                )
            })
    }
}
