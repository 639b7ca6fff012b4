//! Named frames, each kept once, and the table that numbers them.

use indexmap::IndexSet;

pub use crate::ids::FrameId;

/// Different frames kept in one table: a program can make new functions without end.
const MAX_FRAMES: usize = 1 << 20;
/// Stands for the frames beyond [`MAX_FRAMES`].
const TOO_MANY_FRAMES: &str = "<too many different frames>";

/// What a frame is; outputs colour and filter by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrameKind {
    /// A Python function.
    Python,
    /// Machine code outside the interpreter.
    Native,
    /// The kernel.
    Kernel,
    /// Machine code of the interpreter itself.
    Interpreter,
    /// Not code: the garbage collector (`<gc>`), or why code is missing (`<truncated>`, `<native thread>`).
    Marker,
}

/// One frame, named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// Qualified where the interpreter knows it.
    pub name: String,
    /// As the interpreter or the compiler has it; `None` for markers, and for native code without debug information.
    pub file: Option<String>,
    /// The part of `file` from its outermost package on (`asyncio/base_events.py`), of native code its base name; `None`
    /// without a file.
    pub short_file: Option<String>,
    /// Of native and kernel code: the library it is in (`libz.so.1`), `[kernel]`, the kernel module, `[vdso]` or `[jit]`.
    pub module: Option<String>,
    /// Current line, 1-based; `None` when the interpreter has none for the instruction.
    pub line: Option<u32>,
    /// `line` is the first of the function because the current one is not known: inside just-in-time compiled code.
    pub approximate: bool,
    /// First line of the function, 1-based.
    pub first_line: Option<u32>,
}

impl Frame {
    /// A text in the place of a frame.
    #[must_use]
    pub fn marker(text: &str) -> Self {
        Self {
            kind: FrameKind::Marker,
            name: text.to_owned(),
            file: None,
            short_file: None,
            module: None,
            line: None,
            approximate: false,
            first_line: None,
        }
    }
}

/// Different frames, numbered as they come. Holds at most 2^20; further ones share one marker and are counted.
#[derive(Clone, Debug, Default)]
pub struct FrameTable {
    frames: IndexSet<Frame>,
    refused: u64,
}

impl FrameTable {
    /// The number of `frame`.
    pub fn intern(&mut self, frame: Frame) -> FrameId {
        if self.frames.len() >= MAX_FRAMES && frame.kind != FrameKind::Marker && !self.frames.contains(&frame)
        {
            self.refused += 1;
            return self.marker(TOO_MANY_FRAMES);
        }
        let position = self.frames.insert_full(frame).0;
        FrameId(u32::try_from(position).unwrap_or(u32::MAX))
    }

    /// The number of a text that is not code.
    pub fn marker(&mut self, text: &str) -> FrameId {
        self.intern(Frame::marker(text))
    }

    /// How often a frame found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// All frames, in the order of their numbers.
    #[must_use]
    pub fn into_frames(self) -> Vec<Frame> {
        self.frames.into_iter().collect()
    }
}
