//! Named frames, each kept once, and the table that numbers them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use indexmap::IndexSet;

pub use crate::ids::FrameId;

/// Different frames kept in one table: a program can make new functions without end.
const MAX_FRAMES: usize = 1 << 20;
/// Stands for the frames beyond [`MAX_FRAMES`].
const TOO_MANY_FRAMES: &str = "<too many different frames>";

/// Bytes of a name or a file that are kept: a program can make names as long as it likes, and no two alike.
const MAX_TEXT_BYTES: usize = 1_000;
/// Bytes of the number that tells texts apart that were cut to the same: hexadecimal digits and a mark on each side.
const MARK_BYTES: usize = 16 + 2 * '…'.len_utf8();

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

impl FrameKind {
    /// As formats write it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::Native => "native",
            Self::Kernel => "kernel",
            Self::Interpreter => "interpreter",
            Self::Marker => "marker",
        }
    }
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
    /// A text in place of a frame.
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

    /// Cuts texts that are too long; `true` when there was one. Of a name the beginning is kept, of a file the end.
    fn cut(&mut self) -> bool {
        let mut is_cut = cut(&mut self.name, Keep::Start);
        for text in [&mut self.file, &mut self.short_file, &mut self.module] {
            is_cut |= text.as_mut().is_some_and(|text| cut(text, Keep::End));
        }
        is_cut
    }
}

/// Which part of a text says most.
#[derive(Clone, Copy)]
enum Keep {
    Start,
    End,
}

/// Cuts a text that is too long. What is left has a number made of the whole, so different texts stay different.
fn cut(text: &mut String, keep: Keep) -> bool {
    if text.len() <= MAX_TEXT_BYTES {
        return false;
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let mark = hasher.finish();
    let room = MAX_TEXT_BYTES - MARK_BYTES;
    *text = match keep {
        Keep::Start => {
            let end = text.floor_char_boundary(room);
            format!("{}…{mark:016x}…", text.get(..end).unwrap_or_default())
        }
        Keep::End => {
            let start = text.ceil_char_boundary(text.len() - room);
            format!("…{mark:016x}…{}", text.get(start..).unwrap_or_default())
        }
    };
    true
}

/// Different frames, numbered as they come. Holds at most 2^20; further ones share one marker and are counted. Long names are
/// cut, and counted too.
#[derive(Clone, Debug, Default)]
pub struct FrameTable {
    frames: IndexSet<Frame>,
    refused: u64,
    cut: u64,
}

impl FrameTable {
    /// The number of `frame`.
    pub fn intern(&mut self, frame: Frame) -> FrameId {
        let has_room = self.frames.len() < MAX_FRAMES;
        self.put(frame, has_room).0
    }

    /// The number of a frame of one process, which has been the first to show `brought` frames so far: never more than there
    /// is room for others. So one process has at most half of the table, and many that want all of it leave some.
    pub fn intern_of(&mut self, frame: Frame, brought: &mut usize) -> FrameId {
        let has_room = *brought < MAX_FRAMES.saturating_sub(self.frames.len());
        let (number, is_new) = self.put(frame, has_room);
        *brought += usize::from(is_new);
        number
    }

    /// The number of `frame`, and whether it is new.
    fn put(&mut self, mut frame: Frame, has_room: bool) -> (FrameId, bool) {
        let is_cut = frame.cut();
        if !has_room && frame.kind != FrameKind::Marker && !self.frames.contains(&frame) {
            self.refused += 1;
            return (self.marker(TOO_MANY_FRAMES), false);
        }
        let (position, is_new) = self.frames.insert_full(frame);
        self.cut += u64::from(is_cut && is_new);
        (FrameId(u32::try_from(position).unwrap_or(u32::MAX)), is_new)
    }

    /// The number of a text that is not code.
    pub fn marker(&mut self, text: &str) -> FrameId {
        self.intern(Frame::marker(text))
    }

    /// How many different frames there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// How often a frame found no room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Frames whose name or file was too long and is cut.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut
    }

    /// All frames, in the order of their numbers.
    #[must_use]
    pub fn into_frames(self) -> Vec<Frame> {
        self.frames.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Frame, FrameKind, FrameTable, MAX_FRAMES, MAX_TEXT_BYTES};

    fn frame(name: &str, file: &str) -> Frame {
        Frame {
            file: Some(file.to_owned()),
            short_file: Some(file.to_owned()),
            ..Frame::marker(name)
        }
    }

    #[test]
    fn long_names_are_cut_and_those_that_differ_at_their_end_stay_different() {
        let mut table = FrameTable::default();
        let long = "é".repeat(MAX_TEXT_BYTES);
        let ids = ["a", "b", "a"].map(|end| table.intern(frame(&format!("{long}{end}"), "x.py")));
        assert!(ids[0] != ids[1] && ids[0] == ids[2]);
        let exact = "x".repeat(MAX_TEXT_BYTES);
        table.intern(frame(&exact, "x.py"));
        assert_eq!(table.cut(), 2);
        let frames = table.into_frames();
        assert!(frames.iter().all(|frame| frame.name.len() <= MAX_TEXT_BYTES));
        assert!(frames[0].name.starts_with("éé") && frames[0].name.ends_with('…'));
        assert_eq!(frames[2].name, exact);
    }

    #[test]
    fn a_process_with_frames_without_end_leaves_half_of_the_table_to_others() {
        let frame = |name: &str, file: &str| Frame {
            kind: FrameKind::Python,
            ..frame(name, file)
        };
        let mut table = FrameTable::default();
        let (mut storm, mut quiet) = (0, 0);
        for number in 0..MAX_FRAMES {
            table.intern_of(frame(&number.to_string(), "made.py"), &mut storm);
        }
        assert_eq!((storm, table.refused()), (MAX_FRAMES / 2, MAX_FRAMES as u64 / 2));
        // What is there already costs nothing.
        table.intern_of(frame("7", "made.py"), &mut storm);
        for number in 0..1_000 {
            table.intern_of(frame(&number.to_string(), "app.py"), &mut quiet);
        }
        assert_eq!((quiet, table.refused()), (1_000, MAX_FRAMES as u64 / 2));
    }

    #[test]
    fn of_a_long_file_the_end_is_kept() {
        let mut table = FrameTable::default();
        let folders = "folder/".repeat(1_000);
        table.intern(frame("f", &format!("/a/{folders}app.py")));
        table.intern(frame("f", &format!("/b/{folders}app.py")));
        assert_eq!(table.cut(), 2);
        for frame in table.into_frames() {
            let file = frame.file.expect("it has one");
            assert!(
                file.len() <= MAX_TEXT_BYTES && file.ends_with("/folder/app.py"),
                "{file}"
            );
        }
    }
}
