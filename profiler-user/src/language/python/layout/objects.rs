//! What it takes to read dictionaries, instances and numbers of a live interpreter from user space: the names of its
//! threads are in some.
//!
//! Used by [`crate::language::python::objects`] and [`crate::language::python::threads`]; nothing of it goes to the kernel half. Offsets that are the same
//! in every version are constants here, the others are in the version's data file. Offsets inside of objects count from
//! the end of their header.
//!
//! Sources, CPython 2.7 to 3.15: `Include/object.h`, `Include/cpython/object.h`, `Include/dictobject.h`,
//! `Include/longintrepr.h`, `Objects/dict-common.h` (up to 3.10), `Include/internal/pycore_dict.h`,
//! `Include/internal/pycore_object.h`, `Include/internal/pycore_moduleobject.h`.

use super::debug_fields::{DebugFields, DebugOffsetsError};
use super::locals::LocalsFields;
use serde::{Deserialize, Serialize};

/// `PyTypeObject.tp_name`, a C string.
pub const TYPE_NAME: u16 = 8;
/// `PyTypeObject.tp_base`.
pub const TYPE_BASE: u16 = 240;
/// `PyTypeObject.tp_dict`; from 3.12 on that of classes written in Python only.
pub const TYPE_DICT: u16 = 248;
/// `PyTypeObject.tp_basicsize`.
pub const TYPE_BASIC_SIZE: u16 = 16;
/// `PyTypeObject.tp_itemsize`.
pub const TYPE_ITEM_SIZE: u16 = 24;
/// `PyTypeObject.tp_flags`.
pub const TYPE_FLAGS: u16 = 152;
/// `PyTypeObject.tp_dictoffset`.
pub const TYPE_DICT_OFFSET: u16 = 272;
/// `PyMemberDescrObject.d_member` without what `d_qualname` takes.
pub const MEMBER_DEFINITION: u16 = 16;
/// `PyDescrObject.d_qualname`, before it (3.6+).
pub const MEMBER_QUALNAME_BYTES: u64 = 8;
/// `PyMemberDef.offset`, from its start.
pub const MEMBER_OFFSET: u64 = 16;
/// `PyListObject.ob_item`.
pub const LIST_ITEMS: u16 = 8;
/// `PySetObject.used`, `.mask` and `.table`; each entry is a pair, in which 2.7 has the key at the end.
pub const SET_USED: u16 = 8;
/// See [`SET_USED`].
pub const SET_MASK: u16 = 16;
/// See [`SET_USED`].
pub const SET_TABLE: u16 = 24;
/// `PyDictObject.ma_used`; 8 bytes further on in 2.7.
pub const DICT_USED: u16 = 0;
/// `PyBaseExceptionObject.args`.
pub const EXCEPTION_ARGS: u16 = 8;
/// `PyModuleObject.md_dict`.
pub const MODULE_DICT: u16 = 0;
/// `PyDictObject.ma_mask` and `.ma_table` (2.7).
pub const DICT_MASK: u16 = 16;
/// See [`DICT_MASK`].
pub const DICT_TABLE: u16 = 24;
/// `PyDictObject.ma_keys` and `.ma_values` (3.6+).
pub const DICT_KEYS: u16 = 16;
/// See [`DICT_KEYS`].
pub const DICT_VALUES: u16 = 24;
/// `_longobject.ob_digit`, after the size; digits of [`DIGIT_BITS`] bits in 4 bytes.
pub const DIGITS: u16 = 8;
/// `PyLong_SHIFT`.
pub const DIGIT_BITS: u32 = 30;
/// Low bits of `lv_tag` that are not the number of digits (`NON_SIZE_BITS`, 3.12+).
pub const TAG_BITS: u32 = 3;

/// `tp_flags`: instances keep their values directly after their fields (3.13+).
pub const FLAG_INLINE_VALUES: u64 = 1 << 2;
/// `tp_flags`: instances keep a pointer to their dictionary before their header (3.11+).
pub const FLAG_MANAGED_DICT: u64 = 1 << 4;
/// `tp_flags`: the class was made while the program ran.
pub const FLAG_HEAP_TYPE: u64 = 1 << 9;
/// `tp_flags`: instances are lists.
pub const FLAG_LIST: u64 = 1 << 25;
/// `tp_flags`: instances are tuples.
pub const FLAG_TUPLE: u64 = 1 << 26;
/// `tp_flags`: instances are exceptions.
pub const FLAG_EXCEPTION: u64 = 1 << 30;
/// `tp_flags`: instances are classes.
pub const FLAG_TYPE: u64 = 1 << 31;
/// `tp_flags`: instances are `int` of 2.7.
pub const FLAG_INT: u64 = 1 << 23;
/// `tp_flags`: instances are `int`, `long` in 2.7.
pub const FLAG_LONG: u64 = 1 << 24;
/// `tp_flags`: instances are `bytes`, `str` in 2.7.
pub const FLAG_STRING: u64 = 1 << 27;
/// `tp_flags`: instances are `str`, `unicode` in 2.7.
pub const FLAG_UNICODE: u64 = 1 << 28;
/// `tp_flags`: instances are dictionaries.
pub const FLAG_DICT: u64 = 1 << 29;

/// `_dictkeysobject` from 3.11 on: bytes from its start.
pub mod keys {
    /// `dk_log2_index_bytes` (1 byte).
    pub const LOG2_INDEX_BYTES: u16 = 9;
    /// `dk_kind` (1 byte): 0 any keys with their hashes, 1 `str` only, 2 shared by instances.
    pub const KIND: u16 = 10;
    /// `dk_nentries`.
    pub const ENTRIES: u16 = 24;
    /// `dk_indices`; the entries follow.
    pub const INDICES: u16 = 32;
    /// `PyDictValues.valid` (1 byte), and `.values`, where the values are after a header (3.13+).
    pub const VALUES_VALID: u16 = 3;
    /// See [`VALUES_VALID`].
    pub const VALUES: u16 = 8;
}

/// How a dictionary keeps its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DictionaryShape {
    /// A table with gaps (2.7).
    OpenAddressed,
    /// Entries in the order of insertion after an index, each with a hash (3.6 to 3.10).
    Indexed,
    /// The same, without hashes where all keys are `str` (3.11, 3.12).
    Kinds,
    /// The same; values that are apart have a header (3.13+).
    KindsWithHeader,
}

/// Where an instance of a class keeps its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceShape {
    /// A dictionary at `tp_dictoffset` (up to 3.10).
    Dictionary,
    /// A dictionary 24 bytes, or values without one 32 bytes before the object (3.11).
    TwoPointers,
    /// One of the two 24 bytes before the object; the pointer to values is odd (3.12).
    TaggedPointer,
    /// A dictionary so many bytes before the object, else values directly after it (3.13+).
    Inline(u16),
}

/// How an `int` keeps its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntegerShape {
    /// A C `long` (2.7).
    Machine,
    /// Digits after their number (3.6 to 3.11).
    Size,
    /// Digits after a tag with their number (3.12+).
    Tag,
}

/// Numbers and shapes of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectFields {
    /// `sizeof(PyObject)`: where the fields of an object begin.
    pub header_bytes: u16,
    /// `PyInterpreterState.imports.modules`, before 3.12 `.modules`: `sys.modules`.
    pub modules: u16,
    /// `PyInterpreterState.next`.
    pub next: u16,
    /// `PyHeapTypeObject.ht_cached_keys` from the end of the header; 0 for [`InstanceShape::Dictionary`], which does
    /// without.
    pub cached_keys: u16,
    /// Dictionaries.
    pub dictionary: DictionaryShape,
    /// Instances.
    pub instance: InstanceShape,
    /// Numbers.
    pub integer: IntegerShape,
    /// Attributes of `threading.Thread` with its name and the key it has in `threading._active`.
    #[serde(with = "thread_attributes")]
    pub thread: ThreadAttributes,
    /// Variables of frames.
    pub locals: LocalsFields,
}

/// Names of attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadAttributes {
    /// `_name`, as the compiler mangles it.
    pub name: &'static str,
    /// `_ident`, as the compiler mangles it.
    pub ident: &'static str,
}

impl ThreadAttributes {
    /// Up to 2.7.
    pub(super) const MANGLED: Self = Self {
        name: "_Thread__name",
        ident: "_Thread__ident",
    };
    /// From 3.3 on.
    pub(super) const PLAIN: Self = Self {
        name: "_name",
        ident: "_ident",
    };
}

/// There are two sets of them: which one travels between processes.
mod thread_attributes {
    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};

    use super::ThreadAttributes;

    pub(super) fn serialize<S: Serializer>(
        names: &ThreadAttributes,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        (*names == ThreadAttributes::MANGLED).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<ThreadAttributes, D::Error> {
        let is_mangled = bool::deserialize(deserializer)?;
        Ok(if is_mangled {
            ThreadAttributes::MANGLED
        } else {
            ThreadAttributes::PLAIN
        })
    }
}

impl ObjectFields {
    /// For a build whose objects begin with `bytes`.
    pub(crate) fn with_header(self, bytes: u64) -> Self {
        Self {
            header_bytes: u16::try_from(bytes).unwrap_or(self.header_bytes),
            ..self
        }
    }

    /// With the numbers that the interpreter's own table has.
    ///
    /// # Errors
    /// When one of them is implausible.
    pub(crate) fn with_table(self, fields: &DebugFields, bytes: &[u8]) -> Result<Self, DebugOffsetsError> {
        let get = |at| fields.get(bytes, at);
        Ok(Self {
            modules: get(fields.modules)?,
            next: get(fields.next_interpreter)?,
            ..self
        })
    }
}
