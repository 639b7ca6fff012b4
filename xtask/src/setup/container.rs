//! runc, for the live tests of containers. What is in the containers are roots of `cargo xtask pythons`.

use std::path::Path;

use super::Need;
use crate::{command, debian};

const PACKAGE: &str = "runc";

/// Runs containers without a daemon.
pub(super) struct Runc;

impl Need for Runc {
    fn plan(&self) -> anyhow::Result<String> {
        Ok(format!(
            "runc, which runs containers: Debian's package {PACKAGE} (apt-get install)"
        ))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        // Not on every user's path; the tests run as root.
        Ok(command::find_on_path("runc").is_some() || Path::new("/usr/sbin/runc").is_file())
    }

    fn install(&self) -> anyhow::Result<()> {
        debian::install(&[PACKAGE])
    }
}
