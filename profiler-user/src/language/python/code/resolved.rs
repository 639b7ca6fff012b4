//! What a sampled frame resolves to: a function and a line, or the reason why there is none.
//!
//! Made by [`super::store`], used by the pipeline.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

pub use super::intern::DefinitionId;

/// A function and a line in it: cheap to copy, compare and count.
///
/// Equal ids mean equal frames, in all processes; after an eviction the same frame may get another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedId {
    /// The function.
    pub definition: DefinitionId,
    /// Current line, 1-based; `None` when the interpreter has none for the instruction, or it is not known.
    pub line: Option<u32>,
    /// `line` is the first of the function because the current one is not known.
    pub approximate: bool,
}

// By hand: two words instead of five parts. It is hashed for every frame of every sample.
impl Hash for ResolvedId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.definition.number());
        state.write_u64(u64::from(self.line.unwrap_or(0)) << 1 | u64::from(self.approximate));
    }
}

/// A frame with its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedFrame<'a> {
    /// Qualified where the interpreter knows it; ends in `…` when only its beginning is known.
    pub name: Cow<'a, str>,
    /// As the interpreter has it; `None` when it was not readable.
    pub filename: Option<&'a str>,
    /// Current line, 1-based; `None` when the interpreter has none for the instruction, or it is not known.
    pub line: Option<u32>,
    /// First line of the function, 1-based.
    pub first_line: Option<u32>,
}

/// [`ResolvedFrame::name`] of a function whose name alone was not readable.
pub const NAME_NOT_READABLE: &str = "<name not readable>";

/// Why a frame has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unresolved {
    /// Not Python code: an entry frame of the C stack, a boundary that no output shows.
    EntryFrame,
    /// No definition has arrived.
    NotCaptured,
    /// None was sent, because the process showed too many new functions.
    Withheld,
    /// Memory of the code object could not be read.
    NotReadable,
    /// The definition, or others of its process, were dropped to bound memory.
    Evicted,
}

impl Unresolved {
    /// Every reason.
    pub const ALL: &[Self] = &[
        Self::EntryFrame,
        Self::NotCaptured,
        Self::Withheld,
        Self::NotReadable,
        Self::Evicted,
    ];

    /// The text of the marker frame that takes the function's place.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::EntryFrame => "<entry frame>",
            Self::NotCaptured => "<function not captured>",
            Self::Withheld => "<too many new functions>",
            Self::NotReadable => "<function not readable>",
            Self::Evicted => "<function dropped to bound memory>",
        }
    }
}
