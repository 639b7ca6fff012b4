//! What is known about one code object, and how what the kernel half could not capture is completed.
//!
//! The kernel half captures a beginning of each name and table, and only from memory that is resident. The rest is
//! read here, through any [`Memory`], as long as the code object is still the one that was sampled. Used by
//! [`super::store`].

use profiler_common::contract::layout::{IDENTITY_BUFFER_WORDS, Layout, text_shape};
use profiler_common::contract::records::TEXT_OF_BYTES;
use profiler_common::memory::{Memory, RemoteAddr, u32_at, word_at};
use profiler_common::walker::python::{identity, interpreter_id};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use thiserror::Error;

use super::class::Class;
use super::line_table::LineTable;
use crate::language::python::text::{Extent, Text};
use crate::wire::decode::{CodeView, TextView};

/// Bytes read of a name or file name, at most.
pub const MAX_TEXT_BYTES: usize = 4 << 10;
/// Bytes read of a line table, at most.
pub const MAX_LINE_TABLE_BYTES: usize = 1 << 20;
/// Bytes of one read.
const CHUNK_BYTES: usize = 4 << 10;

/// A code object: which one, and how to notice that it is another one by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeKey {
    /// Address of the code object.
    pub code: u64,
    /// As `RawFrame::check`; 0 when the object was not readable.
    pub check: u32,
}

/// Why a definition was left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CompleteError {
    /// It went away while the process ran on.
    #[error("another code object lies at this address by now")]
    Changed,
    /// Its memory, or the process, is gone.
    #[error("the code object is not readable")]
    Unreadable,
}

/// A part of a definition that may be incomplete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// `co_qualname` or `co_name`.
    Name,
    /// `co_filename`.
    Filename,
    /// `co_lnotab` or `co_linetable`.
    LineTable,
    /// The class of a method: known, but perhaps not the one that defines it.
    Class,
}

/// What is known about one code object. Equal definitions are equal in content, wherever they came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Definition {
    /// `co_qualname`, or `co_name` before 3.11.
    pub name: Text,
    /// Up to 3.10, for a method: its class, which is not part of what makes definitions the same.
    pub class: Option<Class>,
    /// `co_filename`.
    pub filename: Text,
    /// `co_firstlineno`, an `int`.
    pub first_line: u32,
    /// Lines of the instructions that `line_table_extent` lets know.
    pub line_table: LineTable,
    /// How much of the line table is known.
    pub line_table_extent: Extent,
}

impl Definition {
    /// From what the kernel half captured; `line_table_format` is the layout's `line_table`.
    #[must_use]
    pub fn new(captured: &CodeView<'_>, line_table_format: u8) -> Self {
        let (line_table, line_table_extent) = line_table(
            line_table_format,
            captured.first_line,
            captured.line_table_length.into(),
            captured.line_table,
        );
        Self {
            name: text(&captured.name),
            class: Class::new(captured.class_object, captured.class),
            filename: text(&captured.filename),
            first_line: captured.first_line,
            line_table,
            line_table_extent,
        }
    }

    /// What was cut short or not readable.
    pub fn incomplete(&self) -> impl Iterator<Item = (Part, Extent)> {
        let parts = [
            (Part::Name, self.name.extent()),
            (Part::Filename, self.filename.extent()),
            (Part::LineTable, self.line_table_extent),
            (
                Part::Class,
                self.class.as_ref().map_or(Extent::Whole, Class::extent),
            ),
        ];
        parts.into_iter().filter(|(_, extent)| *extent != Extent::Whole)
    }

    /// Reads what is incomplete of a code object of the interpreter at this address from `memory`, up to [`MAX_TEXT_BYTES`] and [`MAX_LINE_TABLE_BYTES`].
    ///
    /// Parts that still are not readable stay as they are: see [`Self::incomplete`].
    ///
    /// # Errors
    /// When the code object is not the one of `key` any more, before or after reading; nothing is changed then.
    pub fn complete<M: Memory>(
        &mut self,
        key: CodeKey,
        interpreter: RemoteAddr,
        memory: &M,
        layout: &Layout,
    ) -> Result<(), CompleteError> {
        let words = same_object(key, interpreter, memory, layout)?;
        let pointer =
            |offset: u16| RemoteAddr(word_at(&words, offset.wrapping_sub(layout.code.identity_start)));
        let mut completed = self.clone();
        for (part, _) in self.incomplete() {
            match part {
                Part::Name => replace(
                    &mut completed.name,
                    read_text(memory, layout, pointer(layout.code.qualname)),
                ),
                Part::Filename => {
                    replace(
                        &mut completed.filename,
                        read_text(memory, layout, pointer(layout.code.filename)),
                    );
                }
                Part::Class => {
                    if let Some(class) = &mut completed.class {
                        class.complete(memory, layout, key.code);
                    }
                }
                Part::LineTable => {
                    completed.complete_line_table(memory, layout, pointer(layout.code.line_table));
                }
            }
        }
        // What was read in between belongs to this code object only if it is still there.
        same_object(key, interpreter, memory, layout)?;
        *self = completed;
        Ok(())
    }

    fn complete_line_table<M: Memory>(&mut self, memory: &M, layout: &Layout, object: RemoteAddr) {
        let mut size = [0u64; 1];
        if memory
            .read_words(object.offset(layout.text.bytes_size.into()), &mut size)
            .is_err()
        {
            return;
        }
        let data = object.offset(layout.text.bytes_data.into());
        let Some(bytes) = read_data(memory, data, size[0], MAX_LINE_TABLE_BYTES) else {
            return;
        };
        self.line_table_extent = if bytes.len() as u64 == size[0] {
            Extent::Whole
        } else {
            Extent::Cut
        };
        let decode = if self.line_table_extent == Extent::Whole {
            LineTable::decode
        } else {
            LineTable::decode_prefix
        };
        self.line_table = decode(layout.line_table, self.first_line, &bytes);
    }

    /// The name to show: with its class, where the interpreter has no qualified names and the class is known.
    #[must_use]
    pub fn full_name(&self) -> Option<Cow<'_, str>> {
        let name = self.name.get()?;
        Some(match &self.class {
            Some(class) => Cow::Owned(format!("{}.{name}", class.name())),
            None => Cow::Borrowed(name),
        })
    }

    /// Whether this could have been read from some memory: false for what only a broken message can hold.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.name.is_sound() && self.filename.is_sound() && self.line_table.is_sound()
    }

    /// Whether what is known here says nothing else than `other` does.
    #[must_use]
    pub fn is_part_of(&self, other: &Self) -> bool {
        let lines = match self.line_table_extent {
            Extent::Whole => self.line_table == other.line_table,
            Extent::Cut => self.line_table.is_prefix_of(&other.line_table),
            Extent::Missing => true,
        };
        lines
            && self.first_line == other.first_line
            && self.name.is_part_of(&other.name)
            && self.filename.is_part_of(&other.filename)
    }

    /// Bytes of heap memory.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.class.as_ref().map_or(0, Class::heap_bytes)
            + self.name.heap_bytes()
            + self.filename.heap_bytes()
            + self.line_table.heap_bytes()
    }
}

fn text(captured: &TextView<'_>) -> Text {
    Text::decode(captured.header.kind, captured.header.length, captured.data)
}

/// The identity range of the code object of `key`, if it still is that one: `interpreter` may be another one by now, with
/// another id and an object at the same address that looks the same.
fn same_object<M: Memory>(
    key: CodeKey,
    interpreter: RemoteAddr,
    memory: &M,
    layout: &Layout,
) -> Result<[u64; IDENTITY_BUFFER_WORDS], CompleteError> {
    let mut words = [0; IDENTITY_BUFFER_WORDS];
    let id = interpreter_id(memory, layout, interpreter);
    match identity(memory, layout, key.code, id, &mut words) {
        0 => Err(CompleteError::Unreadable),
        // It was not readable while it was sampled, so nothing proves that this is the same one.
        _ if key.check == 0 => Err(CompleteError::Unreadable),
        check if check != key.check => Err(CompleteError::Changed),
        _ => Ok(words),
    }
}

fn replace(known: &mut Text, read: Option<Text>) {
    if let Some(read) = read {
        *known = read;
    }
}

/// Words that cover the header of a `str`; a power of two for [`word_at`].
const STR_HEADER_WORDS: usize = 8;

/// Reads a compact `str` (`Include/cpython/unicodeobject.h`); names are never of another sort.
fn read_text<M: Memory>(memory: &M, layout: &Layout, object: RemoteAddr) -> Option<Text> {
    if layout.text_shape == text_shape::BYTES {
        return read_bytes_text(memory, layout, object);
    }
    let layout = &layout.text;
    let mut words = [0; STR_HEADER_WORDS];
    memory
        .read_words_prefix(object, &mut words, u32::from(layout.str_state) + 4)
        .ok()?;
    let state = u32_at(&words, layout.str_state);
    let bit = |bit: u8| state.checked_shr(bit.into()).unwrap_or(0) & 1 == 1;
    let kind = u8::try_from(state.checked_shr(layout.kind_shift.into())? & 7).ok()?;
    if !bit(layout.compact_bit) || !matches!(kind, 1 | 2 | 4) {
        return None;
    }
    let start = if bit(layout.ascii_bit) {
        layout.ascii_data
    } else {
        layout.compact_data
    };
    let length = word_at(&words, layout.str_length);
    let size = length.saturating_mul(kind.into());
    let data = read_data(memory, object.offset(start.into()), size, MAX_TEXT_BYTES)?;
    Some(Text::decode(
        kind,
        u32::try_from(length).unwrap_or(u32::MAX),
        &data,
    ))
}

/// Reads a `str` of 2.7 (`Include/stringobject.h`).
fn read_bytes_text<M: Memory>(memory: &M, layout: &Layout, object: RemoteAddr) -> Option<Text> {
    let mut size = [0u64; 1];
    memory
        .read_words(object.offset(layout.text.bytes_size.into()), &mut size)
        .ok()?;
    let start = object.offset(layout.text.bytes_data.into());
    let data = read_data(memory, start, size[0], MAX_TEXT_BYTES)?;
    let length = u32::try_from(size[0]).unwrap_or(u32::MAX);
    Some(Text::decode(TEXT_OF_BYTES, length, &data))
}

/// The first `size` bytes at `start`, at most `most`; in chunks, so that memory grows only with what is really there.
fn read_data<M: Memory>(memory: &M, start: RemoteAddr, size: u64, most: usize) -> Option<Vec<u8>> {
    let wanted = usize::try_from(size).unwrap_or(usize::MAX).min(most);
    let mut data = Vec::new();
    let mut chunk = [0u8; CHUNK_BYTES];
    while data.len() < wanted {
        let bytes = (wanted - data.len()).min(CHUNK_BYTES);
        let at = start.offset(data.len() as u64);
        memory
            .read_bytes(at, &mut chunk, u32::try_from(bytes).ok()?)
            .ok()?;
        data.extend_from_slice(&chunk[..bytes]);
    }
    Some(data)
}

/// Decodes a table of `length` bytes of which `bytes` are known.
fn line_table(format: u8, first_line: u32, length: u64, bytes: &[u8]) -> (LineTable, Extent) {
    if length == 0 {
        // Not readable, or really empty, as `co_lnotab` is for a function on one line. Only a second try tells; until
        // then it counts as empty, which is right for what the format makes of it and has no lines otherwise.
        return (LineTable::decode(format, first_line, bytes), Extent::Missing);
    }
    if bytes.len() as u64 == length {
        return (LineTable::decode(format, first_line, bytes), Extent::Whole);
    }
    (LineTable::decode_prefix(format, first_line, bytes), Extent::Cut)
}

#[cfg(test)]
mod tests;
