//! Why the kernel half cannot run.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;
use rustix::io::Errno;

use super::btf::BtfError;
use super::perf_event::PerfError;

/// Why the kernel half cannot run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No BTF, or a kernel without the fields.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The object was refused as a whole (maps, BTF).
    #[error("loading the BPF object: {0}")]
    Object(#[from] EbpfError),
    /// A program was refused, or could not be attached.
    #[error("BPF program `{name}`: {source}")]
    Program {
        /// Which.
        name: &'static str,
        /// What the kernel said.
        source: ProgramError,
    },
    /// A map is missing or of another type: the object is stale.
    #[error("BPF map `{name}`: {source}")]
    Map {
        /// Which.
        name: &'static str,
        /// What went wrong.
        source: MapError,
    },
    /// A program is missing: the object is stale.
    #[error("the BPF object has no program `{0}`")]
    NoProgram(&'static str),
    /// Sampling could not be started.
    #[error(transparent)]
    Perf(#[from] PerfError),
}

impl LoadError {
    /// Whether the kernel refused for lack of privileges.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        let mut source: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = source {
            if let Some(io) = error.downcast_ref::<io::Error>()
                && matches!(Errno::from_io_error(io), Some(Errno::PERM | Errno::ACCESS))
            {
                return true;
            }
            source = error.source();
        }
        false
    }
}
