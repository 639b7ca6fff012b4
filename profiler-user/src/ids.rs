//! What things are called by: small numbers that travel through all layers.

use serde::{Deserialize, Serialize};

/// A process, told from another one that had its id before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessKey {
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// `ProcessEntry::incarnation`.
    pub incarnation: u64,
}

/// Index into the frames of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FrameId(pub u32);

impl FrameId {
    const PENDING: u32 = 1 << 31;

    /// Stands for frames whose names are still being looked for. In stacks that are being recorded only.
    #[must_use]
    pub(crate) const fn pending(index: u32) -> Self {
        Self(index | Self::PENDING)
    }

    /// The index, for a placeholder.
    #[must_use]
    pub(crate) fn as_pending(self) -> Option<usize> {
        let index = usize::try_from(self.0 & !Self::PENDING).ok()?;
        (self.0 & Self::PENDING != 0).then_some(index)
    }
}

/// Index into the stacks of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub u32);

/// Index into the threads of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub u32);

/// Index into the processes of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId(pub u32);
