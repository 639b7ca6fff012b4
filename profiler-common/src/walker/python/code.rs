//! Code objects: their identity, and their definition as captured at first sight.
//!
//! Facts: CPython 2.7 to 3.15, `Include/cpython/code.h`, `Include/cpython/unicodeobject.h`.

use crate::contract::layout::{
    IDENTITY_BUFFER_WORDS, IDENTITY_WORDS, LAYOUT_IDENTITY_LOW_HALF, Layout, TextLayout, text_shape,
};
use crate::contract::records::{
    BOOKKEEPING_FRAME, CodeDefinition, LINE_TABLE_BYTES, TEXT_OF_BYTES, TextHeader, record_kind,
};
use crate::memory::{Memory, RemoteAddr, word_at};

/// Odd multiplier of the interpreter's id (digits of the square root of a prime).
const INTERPRETER_MULTIPLIER: u64 = 0x8eb4_4a87_68db_8c4d;
/// Odd multipliers, one for each word of the identity range (digits of the square roots of primes).
const MULTIPLIERS: [u64; IDENTITY_WORDS] = [
    0x6a09_e667_f3bc_c909,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
    0xcbbb_9d5d_c105_9ed9,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
];

/// Hash of the part of a code object that never changes while it lives, and of the id of its interpreter (see
/// [`super::interpreter_id`]); 0 when it is not readable, and never [`BOOKKEEPING_FRAME`].
///
/// The same address with another hash is another code object. Leaves the range in `words`. The products do not depend
/// on each other, so that they overlap: this runs once per frame.
#[inline(always)]
pub fn identity<M: Memory>(
    memory: &M,
    layout: &Layout,
    code: u64,
    interpreter_id: u64,
    words: &mut [u64; IDENTITY_BUFFER_WORDS],
) -> u32 {
    let start = RemoteAddr(code).offset(u64::from(layout.code.identity_start));
    let Some(range) = words.first_chunk_mut::<IDENTITY_WORDS>() else {
        return 0;
    };
    if memory.read_words(start, range).is_err() {
        return 0;
    }
    let unstable_bits = u32::from(layout.flags & LAYOUT_IDENTITY_LOW_HALF != 0) * 32;
    let mut hash = (range[0] << unstable_bits).wrapping_mul(MULTIPLIERS[0]);
    hash = hash.wrapping_add(interpreter_id.wrapping_mul(INTERPRETER_MULTIPLIER));
    for index in 1..IDENTITY_WORDS {
        hash = hash.wrapping_add(range[index].wrapping_mul(MULTIPLIERS[index]));
    }
    hash ^= hash >> 29;
    ((hash.wrapping_mul(MULTIPLIERS[0]) >> 32) as u32).max(BOOKKEEPING_FRAME + 1)
}

/// Captures the definition of the code object at `code` into `out`.
///
/// `words` must hold its identity range (see [`identity`]); `header` is working memory for object headers, at least 8
/// words. What could not be read is left empty, with its address, for a second try from user space.
#[inline(always)]
pub fn capture<M: Memory, const H: usize>(
    memory: &M,
    layout: &Layout,
    code: u64,
    check: u32,
    words: &[u64; IDENTITY_BUFFER_WORDS],
    header: &mut [u64; H],
    out: &mut CodeDefinition,
) {
    let field = |offset: u16| word_at(words, offset.wrapping_sub(layout.code.identity_start));
    out.kind = record_kind::CODE;
    out.code = code;
    out.check = check;
    let first_line_offset = layout.code.first_line.wrapping_sub(layout.code.identity_start);
    out.first_line = crate::memory::u32_at(words, first_line_offset);

    let name = RemoteAddr(field(layout.code.qualname));
    capture_text(memory, layout, name, header, &mut out.name, &mut out.name_data);
    let filename = RemoteAddr(field(layout.code.filename));
    capture_text(
        memory,
        layout,
        filename,
        header,
        &mut out.filename,
        &mut out.filename_data,
    );
    capture_line_table(
        memory,
        &layout.text,
        RemoteAddr(field(layout.code.line_table)),
        out,
    );
}

/// Copies the start of a `str`'s data.
#[inline(always)]
fn capture_text<M: Memory, const H: usize, const N: usize>(
    memory: &M,
    layout: &Layout,
    object: RemoteAddr,
    words: &mut [u64; H],
    header: &mut TextHeader,
    data: &mut [u8; N],
) {
    *header = TextHeader {
        object: object.0,
        ..TextHeader::default()
    };
    let text = &layout.text;
    let is_bytes = layout.text_shape == text_shape::BYTES;
    let header_bytes = if is_bytes {
        u32::from(text.bytes_size) + 8
    } else {
        u32::from(text.str_state) + 4
    };
    if memory.read_words_prefix(object, words, header_bytes).is_err() {
        return;
    }
    let mut kind = 1;
    let mut start = text.bytes_data;
    let mut length = word_at(words, text.bytes_size);
    if !is_bytes {
        let state = crate::memory::u32_at(words, text.str_state);
        kind = (state >> (text.kind_shift & 31)) & 7;
        let compact = (state >> (text.compact_bit & 31)) & 1;
        let ascii = (state >> (text.ascii_bit & 31)) & 1;
        // A `str` of another kind, or one that is not compact, is not the name of a code object.
        if compact == 0 || !(kind == 1 || kind == 2 || kind == 4) {
            return;
        }
        length = word_at(words, text.str_length);
        start = if ascii == 1 {
            text.ascii_data
        } else {
            text.compact_data
        };
    }
    if length > u64::from(u32::MAX) / 4 {
        return;
    }
    let mut bytes = (length as u32).wrapping_mul(kind);
    if bytes > N as u32 {
        bytes = N as u32;
    }
    if memory
        .read_bytes(object.offset(u64::from(start)), data, bytes)
        .is_err()
    {
        return;
    }
    header.length = length as u32;
    header.stored = bytes as u16;
    header.kind = if is_bytes { TEXT_OF_BYTES } else { kind as u8 };
}

/// Copies the start of the line table's data.
#[inline(always)]
fn capture_line_table<M: Memory>(
    memory: &M,
    layout: &TextLayout,
    object: RemoteAddr,
    out: &mut CodeDefinition,
) {
    out.line_table_object = object.0;
    // An empty table is an ordinary one (functions on one line, up to 3.9).
    out.line_table_length = u32::MAX;
    out.line_table_stored = 0;
    let mut words = [0u64; 1];
    if memory
        .read_words(object.offset(u64::from(layout.bytes_size)), &mut words)
        .is_err()
    {
        return;
    }
    let mut bytes = words[0] as u32;
    if words[0] > LINE_TABLE_BYTES as u64 {
        bytes = LINE_TABLE_BYTES as u32;
    }
    if memory
        .read_bytes(
            object.offset(u64::from(layout.bytes_data)),
            &mut out.line_table,
            bytes,
        )
        .is_err()
    {
        return;
    }
    out.line_table_length = if words[0] > u64::from(u32::MAX) {
        u32::MAX
    } else {
        words[0] as u32
    };
    out.line_table_stored = bytes as u16;
}
