//! What [`super::client`] and [`super::worker`] say to each other; how it is written is in [`super::protocol`].

use crate::ids::ProcessKey;

/// Positions in one question.
pub(super) const MAX_POSITIONS: usize = 256;
/// Names of one position: inlined functions, and the one that they are in.
pub(super) const MAX_NAMES: usize = 65;

/// Which loaded file; the client gives the numbers.
pub(super) type FileSlot = u32;

/// A place in a file with machine code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodePosition {
    /// The address that the file itself gives to it: what its symbol table has.
    Address(u64),
    /// The byte of the file.
    Offset(u64),
}

/// A question to the worker. Each is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Take in the file that comes with it.
    Load { slot: FileSlot, debug_info: bool },
    /// The file that comes with it may hold the debug information of that one.
    Attach { slot: FileSlot },
    /// Names, please.
    Resolve {
        slot: FileSlot,
        positions: Vec<CodePosition>,
    },
    /// Not needed any more.
    Drop { slot: FileSlot },
    /// Names, please, from the map that a process wrote for profilers; it comes with the question if it may have changed.
    Jit {
        process: ProcessKey,
        addresses: Vec<u64>,
    },
}

/// An answer of the worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Loaded(LoadedSymbols),
    NotLoaded(NotLoaded),
    /// The content of the debug file, if it belongs to the file and was taken.
    Attached {
        content: Option<u64>,
        bytes: u64,
    },
    /// One for each position.
    Resolved(Vec<Result<Vec<FunctionName>, Unknown>>),
    Dropped,
    /// One for each address that was asked for; all `None` where the process wrote no map.
    Jit {
        has_map: bool,
        names: Vec<Option<FunctionName>>,
    },
}

/// What the worker says of a file that it has taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoadedSymbols {
    /// Equal for equal files, in this worker.
    pub(super) content: u64,
    /// Bytes that it occupies, about.
    pub(super) bytes: u64,
    pub(super) has_debug_info: bool,
    /// Hexadecimal.
    pub(super) build_id: Option<String>,
    /// Name and CRC-32 of a debug file.
    pub(super) debug_link: Option<(String, u32)>,
}

/// Why a file was not taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotLoaded {
    Unreadable,
    NotElf,
    TooLarge,
}

/// Why a position has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    NoSymbol,
    NotCode,
}

/// A [`NativeName`](super::NativeName) without its module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FunctionName {
    pub(super) symbol: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) inlined: bool,
}

impl FunctionName {
    /// A name without a source line.
    pub(super) fn plain(symbol: String) -> Self {
        Self {
            symbol,
            file: None,
            line: None,
            inlined: false,
        }
    }
}
