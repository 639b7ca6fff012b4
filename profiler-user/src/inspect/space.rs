//! What a process executes: its mappings of code, and what the files behind them are, as a worker tells it.

use profiler_common::contract::unwind::MAX_MAPPINGS;
use serde::{Deserialize, Serialize};

use crate::elf::Segment;
use crate::proc::file::{FileIdentity, Stamp};
use crate::proc::root::RootId;

/// Bytes of a line of `/proc/PID/maps`: a path that can be opened has 4096 at most, each of which may be escaped.
pub(super) const MAX_LINE_BYTES: usize = 20 << 10;
/// Segments of a file; real ones have a dozen.
pub(super) const MAX_SEGMENTS: usize = 64;
/// Bytes of the image that the kernel maps into every process.
pub(super) const MAX_VDSO_BYTES: u64 = 1 << 18;

/// The executable mappings of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The id by which it was reached: the process's, or that of a thread which outlived the first.
    pub pid: u32,
    /// Its root directory.
    pub root: Option<RootId>,
    /// Equal for equal lines of code in `/proc/PID/maps`, also of those that are not told.
    pub lines: u64,
    /// In the order of addresses.
    pub mappings: Vec<CodeMapping>,
    /// There were more than [`MAX_MAPPINGS`], or more than can be told.
    pub is_cut: bool,
    /// Files were left out that take longer than one look may: the next look goes on with them.
    pub is_unfinished: bool,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodeMapping {
    /// Its line of `/proc/PID/maps`.
    pub line: Box<[u8]>,
    /// What is mapped.
    pub content: MappedContent,
}

/// A file as it was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundFile {
    /// Which one.
    pub identity: FileIdentity,
    /// In which state.
    pub stamp: Stamp,
}

/// What is mapped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MappedContent {
    /// A file with call frame information.
    Code {
        /// The file.
        file: FoundFile,
        /// What of it is loaded.
        segments: Box<[Segment]>,
    },
    /// The image that the kernel maps.
    Image {
        /// All of it.
        bytes: Box<[u8]>,
        /// What of it is loaded.
        segments: Box<[Segment]>,
    },
    /// A file without.
    Plain(Option<FoundFile>),
    /// A file that could not be read, or is refused.
    Refused(Option<FoundFile>),
    /// Memory without a file.
    Memory {
        /// It begins with copies of CPython 3.12's trampoline.
        are_trampolines: bool,
    },
}

impl MappedContent {
    /// Bytes that it has in an answer, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Code { segments, .. } => size_of_val(&**segments),
            Self::Image { bytes, segments } => bytes.len() + size_of_val(&**segments),
            Self::Plain(_) | Self::Refused(_) | Self::Memory { .. } => 0,
        }
    }
}

impl Space {
    /// Whether no more is claimed than a process can have.
    pub(super) fn is_sound(&self) -> bool {
        let is_sound = |mapping: &CodeMapping| {
            let content = match &mapping.content {
                MappedContent::Code { segments, .. } => segments.len() <= MAX_SEGMENTS,
                MappedContent::Image { bytes, segments } => {
                    segments.len() <= MAX_SEGMENTS && bytes.len() as u64 <= MAX_VDSO_BYTES
                }
                MappedContent::Plain(_) | MappedContent::Refused(_) | MappedContent::Memory { .. } => true,
            };
            content && mapping.line.len() <= MAX_LINE_BYTES
        };
        self.mappings.len() <= MAX_MAPPINGS && self.mappings.iter().all(is_sound)
    }
}
