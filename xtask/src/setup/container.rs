//! What runs containers, for their live tests. What is in the containers are roots of `cargo xtask pythons`.

use std::path::Path;

use super::Need;
use crate::{command, debian};

/// A program that runs containers without a daemon.
pub(super) struct Runtime {
    /// Debian's package has the same name.
    name: &'static str,
    /// Beside that, for the announcement.
    note: &'static str,
}

/// The plainest of them.
pub(super) const RUNC: Runtime = Runtime {
    name: "runc",
    note: "",
};

/// Keeps names of containers in files of its own. After runc, which it then uses.
pub(super) const PODMAN: Runtime = Runtime {
    name: "podman",
    note: " (80 MB with what it needs; brings units for systemd and settings in /etc/containers and /etc/cni)",
};

impl Need for Runtime {
    fn name(&self) -> &str {
        self.name
    }

    fn plan(&self) -> anyhow::Result<String> {
        let Self { name, note } = self;
        Ok(format!(
            "{name}, which runs containers: Debian's package {name} (apt-get install){note}"
        ))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        // Not on every user's path; the tests run as root.
        Ok(command::find_on_path(self.name).is_some() || Path::new("/usr/sbin").join(self.name).is_file())
    }

    fn install(&self) -> anyhow::Result<()> {
        debian::install(&[self.name])
    }
}
