//! The program that `cargo xtask run` shows: `xtask/demo/shop.py`, running for as long as this value lives.
//!
//! Its standard input is a pipe that only this process holds: however this process ends, the shop reads the end of it
//! and closes.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Stdio};

use anyhow::{Context as _, bail};

use crate::hint::WithHint as _;
use crate::setup::python::Interpreter;
use crate::{command, workspace};

/// A running shop. Closed when dropped.
pub(super) struct Shop {
    process: Child,
}

impl Shop {
    /// Starts it and waits until it is busy.
    pub(super) fn open(python: &Interpreter) -> anyhow::Result<Self> {
        let script = workspace::root().join("xtask/demo/shop.py");
        let mut command = python.command()?;
        command.arg(&script).stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is for the recording. Started by sudo it stays where it is: sudo may ask for a password.
        if matches!(python, Interpreter::Plain(_)) {
            command.process_group(0);
        }
        let mut process = command
            .spawn()
            .with_context(|| format!("cannot start {}", command::line(&command)))?;
        let stdout = process.stdout.take();
        let shop = Self { process };
        let opened = || {
            let mut line = String::new();
            BufReader::new(stdout.context("its stdout is a pipe")?).read_line(&mut line)?;
            if line.trim() != "open" {
                bail!("the shop did not open: see its last words above");
            }
            Ok(())
        };
        opened().or_hint(|| format!("see what happens: {}", command::line(&command)))?;
        Ok(shop)
    }

    pub(super) fn close(self) {
        drop(self);
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        // It may have ended by itself.
        let _ = self.process.wait();
    }
}
