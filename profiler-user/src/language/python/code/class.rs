//! The class of a method, where code objects have no qualified name (up to 3.10).
//!
//! The kernel half captures the class of the object that the method was called on. While the process runs, the class
//! that defines the method is looked for among its bases, so that an inherited method has one name whatever it is called
//! on: the first in the method resolution order whose dictionary holds this code object.
//!
//! Sources: CPython 2.7 `Include/dictobject.h`; 3.6 to 3.10 `Objects/dict-common.h` (`struct _dictkeysobject`),
//! `Include/cpython/object.h`, `Include/funcobject.h`, `Objects/funcobject.c`, `Objects/descrobject.c`.

use profiler_common::contract::layout::{Layout, text_shape};
use profiler_common::contract::records::CLASS_BYTES;
use profiler_common::memory::{Memory, RemoteAddr};
use serde::{Deserialize, Serialize};

use crate::language::python::layout::objects::DictionaryShape;
use crate::language::python::objects::dictionary::{self, Entry};
use crate::language::python::objects::{pointer, word};
use crate::language::python::text::Extent;

/// Bases looked at.
const MAX_BASES: u64 = 64;
/// Entries of one dictionary looked at.
const MAX_ENTRIES: u64 = 4096;
/// `PyTypeObject.tp_dict` and `.tp_mro`, from `tp_name`; the same from 2.7 to 3.10.
const TYPE_DICT: u64 = 240;
const TYPE_MRO: u64 = 320;
/// `classmethod.cm_callable` and `staticmethod.sm_callable` lie directly after the object's header; there `property` has its
/// getter, setter and deleter.
const WRAPPED: usize = 3;
/// What 2.7 calls the class of every instance of an old-style class.
const OLD_STYLE: &str = "instance";

/// A class, by its own name without its module.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Class {
    name: Box<str>,
    /// Address of the type that was captured; 0 when its bases have been looked through.
    unchecked: u64,
}

impl Class {
    /// From what the kernel half captured; `None` when that is not a name.
    #[must_use]
    pub fn new(object: u64, name: &[u8]) -> Option<Self> {
        let name = own_name(name)?;
        (object != 0).then_some(Self {
            name,
            unchecked: object,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is known to be the class that defines the method.
    #[must_use]
    pub fn extent(&self) -> Extent {
        if self.unchecked == 0 {
            Extent::Whole
        } else {
            Extent::Cut
        }
    }

    /// Bytes of heap memory.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.name.len()
    }

    /// Replaces the class by the one of its bases that defines the code object at `code`, if one does. A method that is
    /// wrapped by a decorator is in no dictionary, and keeps the class it was called on.
    pub fn complete<M: Memory>(&mut self, memory: &M, layout: &Layout, code: u64) {
        let class = RemoteAddr(std::mem::take(&mut self.unchecked));
        if let Some(name) = defining_class(memory, layout, class, code) {
            self.name = name;
        }
    }
}

/// The part after the last dot; `None` for what is not an identifier.
fn own_name(bytes: &[u8]) -> Option<Box<str>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let name = text.rsplit('.').next().unwrap_or(text);
    let is_identifier = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_identifier && name != OLD_STYLE).then(|| name.into())
}

fn defining_class<M: Memory>(memory: &M, layout: &Layout, class: RemoteAddr, code: u64) -> Option<Box<str>> {
    let name_offset = u64::from(layout.method.type_name);
    let order = pointer(memory, class.offset(name_offset + TYPE_MRO))?;
    let bases = word(memory, order.offset(layout.text.bytes_size.into()))?.min(MAX_BASES);
    for index in 0..bases {
        let items = order.offset(layout.method.tuple_items.into());
        let base = pointer(memory, items.offset(8 * index))?;
        let Some(dict) = pointer(memory, base.offset(name_offset + TYPE_DICT)) else {
            // An old-style base of 2.7 has another shape.
            continue;
        };
        if values(memory, layout, dict)
            .iter()
            .any(|entry| is_method(memory, layout, entry.value, code))
        {
            let name = pointer(memory, base.offset(name_offset))?;
            let mut text = [0; CLASS_BYTES];
            let length = memory.read_c_string(name, &mut text).ok()?;
            return own_name(text.get(..usize::try_from(length).ok()?)?);
        }
    }
    None
}

/// Whether an attribute is a function with this code, or one wrapped by `classmethod`, `staticmethod` or `property`.
fn is_method<M: Memory>(memory: &M, layout: &Layout, value: RemoteAddr, code: u64) -> bool {
    let code_of = |function: RemoteAddr| word(memory, function.offset(layout.method.function_code.into()));
    let mut wrapped = [0u64; WRAPPED];
    code_of(value) == Some(code)
        || memory
            .read_words(value.offset(header_bytes(layout).into()), &mut wrapped)
            .is_ok()
            && wrapped
                .iter()
                .any(|function| *function != 0 && code_of(RemoteAddr(*function)) == Some(code))
}

/// `sizeof(PyObject)`: `ob_type` is its last field.
fn header_bytes(layout: &Layout) -> u16 {
    layout.method.object_type + 8
}

/// The values of a dictionary, most often all of them. The dictionary of a type is never split.
fn values<M: Memory>(memory: &M, layout: &Layout, dict: RemoteAddr) -> Vec<Entry> {
    let shape = if layout.text_shape == text_shape::BYTES {
        DictionaryShape::OpenAddressed
    } else {
        DictionaryShape::Indexed
    };
    dictionary::entries(memory, shape, header_bytes(layout), dict, MAX_ENTRIES).unwrap_or_default()
}
