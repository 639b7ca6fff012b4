//! The class of a method, where code objects have no qualified name (up to 3.10): told from the first argument.
//!
//! It is the class of the object that the method was called on when the code was first seen, which may be a subclass of
//! the one that defines it; user space looks for that one.
//!
//! Facts: CPython 2.7 to 3.10, `Include/cpython/frameobject.h`, `Include/cpython/code.h`, `Include/object.h`.

use crate::contract::layout::{Layout, MethodLayout};
use crate::contract::records::CodeDefinition;
use crate::memory::{Memory, RemoteAddr, u32_at, word_at};

/// `Py_TPFLAGS_TYPE_SUBCLASS`: instances of this type are types.
const TYPE_SUBCLASS: u32 = 1 << 31;
/// Cells looked at for one that took over the first argument.
const MAX_CELLS: usize = 16;
/// Bytes of a code object that hold the fields of [`MethodLayout`].
const CODE_BYTES: u32 = 128;

/// Captures the class of the method whose code object is `code` and whose frame is `frame` into `out`; leaves it empty
/// for other functions, and where anything is unreadable. `words` is working memory.
#[inline(always)]
pub fn capture_class<M: Memory, const H: usize>(
    memory: &M,
    layout: &Layout,
    code: u64,
    frame: u64,
    words: &mut [u64; H],
    out: &mut CodeDefinition,
) {
    out.class_object = 0;
    out.class_stored = 0;
    let method = &layout.method;
    if method.locals == 0 {
        return;
    }
    if memory
        .read_words_prefix(RemoteAddr(code), words, CODE_BYTES)
        .is_err()
        || u32_at(words, method.argument_count) == 0
    {
        return;
    }
    let Some(is_class) = first_argument_is_class(memory, layout, word_at(words, method.local_names)) else {
        return;
    };
    let object = first_argument(memory, method, RemoteAddr(frame), words);
    if object.is_null() {
        return;
    }
    let Some(object_type) = pointer(memory, object.offset(u64::from(method.object_type))) else {
        return;
    };
    let mut class = object_type;
    if is_class {
        let mut flags = [0u64; 1];
        let address = object_type.offset(u64::from(method.type_flags));
        if memory.read_words(address, &mut flags).is_err() || flags[0] as u32 & TYPE_SUBCLASS == 0 {
            return;
        }
        class = object;
    }
    let Some(name) = pointer(memory, class.offset(u64::from(method.type_name))) else {
        return;
    };
    if let Ok(bytes) = memory.read_c_string(name, &mut out.class_data) {
        out.class_object = class.0;
        out.class_stored = bytes;
    }
}

/// Whether the first argument is called `cls` (`true`) or `self` (`false`); `None` for every other name.
#[inline(always)]
fn first_argument_is_class<M: Memory>(memory: &M, layout: &Layout, names: u64) -> Option<bool> {
    let item = RemoteAddr(names).offset(u64::from(layout.method.tuple_items));
    let name = pointer(memory, item)?;
    let data = if layout.text_shape == crate::contract::layout::text_shape::BYTES {
        layout.text.bytes_data
    } else {
        layout.text.ascii_data
    };
    let mut text = [0u64; 1];
    memory.read_words(name.offset(u64::from(data)), &mut text).ok()?;
    // The data ends with a NUL.
    if text[0] as u32 == u32::from_le_bytes(*b"cls\0") {
        return Some(true);
    }
    (text[0] & 0xff_ffff_ffff == u64::from_le_bytes(*b"self\0\0\0\0")).then_some(false)
}

/// The first argument, also when a closure captured it; then a cell holds it. `words` holds the code object.
#[inline(always)]
fn first_argument<M: Memory, const H: usize>(
    memory: &M,
    method: &MethodLayout,
    frame: RemoteAddr,
    words: &[u64; H],
) -> RemoteAddr {
    let locals = frame.offset(u64::from(method.locals));
    match pointer(memory, locals) {
        Some(object) => return object,
        None if method.cell_arguments == 0 => return RemoteAddr::NULL,
        None => {}
    }
    let arguments = RemoteAddr(word_at(words, method.cell_arguments));
    if arguments.is_null() {
        return RemoteAddr::NULL;
    }
    let width = u64::from(method.cell_argument_bytes);
    let mut entry = [0u64; 1];
    for cell in 0..MAX_CELLS {
        if memory
            .read_words(arguments.offset(cell as u64 * width), &mut entry)
            .is_err()
        {
            return RemoteAddr::NULL;
        }
        let argument = if width == 1 { entry[0] & 0xff } else { entry[0] };
        if argument == 0 {
            let index = u64::from(u32_at(words, method.local_count)) + cell as u64;
            let object = pointer(memory, locals.offset(index * 8))
                .and_then(|cell| pointer(memory, cell.offset(u64::from(method.cell_content))));
            return object.unwrap_or(RemoteAddr::NULL);
        }
    }
    RemoteAddr::NULL
}

/// The pointer at `address`; `None` when it is null or unreadable.
#[inline(always)]
fn pointer<M: Memory>(memory: &M, address: RemoteAddr) -> Option<RemoteAddr> {
    let mut word = [0u64; 1];
    memory.read_words(address, &mut word).ok()?;
    (word[0] != 0).then_some(RemoteAddr(word[0]))
}
