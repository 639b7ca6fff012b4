//! QEMU for x86-64, for the kernel matrix.

use super::Need;
use crate::hint::hinted;
use crate::{command, debian};

const PACKAGE: &str = "qemu-system-x86";

pub(super) struct Qemu;

impl Need for Qemu {
    fn name(&self) -> &str {
        PACKAGE
    }

    fn plan(&self) -> anyhow::Result<String> {
        Ok(format!("QEMU: Debian's package {PACKAGE} (apt-get install)"))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        if std::env::consts::ARCH != "x86_64" {
            return Err(hinted(
                "the kernel matrix copies this machine's programs into x86-64 guests",
                "run it on an x86-64 machine",
            ));
        }
        Ok(command::find_on_path("qemu-system-x86_64").is_some())
    }

    fn install(&self) -> anyhow::Result<()> {
        debian::install(&[PACKAGE])
    }
}
