//! `vm-test/matrix.toml`: which kernels, which Pythons, what must hold.
//!
//! Only reads; the file explains itself.

use anyhow::Context as _;
use serde::Deserialize;

use crate::workspace;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Matrix {
    /// Rows of `tests/pythons.toml`.
    pub(super) pythons: Vec<String>,
    #[serde(rename = "kernel")]
    pub(super) kernels: Vec<KernelRow>,
}

/// One kernel.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KernelRow {
    /// `5.10`; also the start of the version it reports.
    pub(super) name: String,
    /// Debian suite, `bullseye`.
    pub(super) suite: String,
    /// The package, or a metapackage that depends on it.
    pub(super) package: String,
    /// Names of the checks that must pass.
    pub(super) promises: Vec<String>,
    /// Whether CI runs it.
    #[serde(default)]
    pub(super) ci: bool,
    /// From power-on to the verdict, in seconds.
    pub(super) deadline_s: u64,
}

/// Reads the file.
pub(super) fn read() -> anyhow::Result<Matrix> {
    let path = workspace::root().join("vm-test/matrix.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("{} is not as expected", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_matrix_reads_and_promises_something_on_every_kernel() {
        let matrix = read().expect("the file in the checkout");
        assert!(!matrix.kernels.is_empty() && !matrix.pythons.is_empty());
        for kernel in matrix.kernels {
            assert!(!kernel.promises.is_empty(), "{} promises nothing", kernel.name);
        }
    }
}
