//! Where frames keep the values of variables, and their code objects the names: what `dump --locals` reads.
//!
//! Used by [`crate::language::python::locals`]; nothing of it goes to the kernel half. Offsets inside of objects count from the
//! end of their header, as in [`super::objects`]; frames are objects up to 3.10 only.
//!
//! Sources, CPython 2.7 to 3.15: `Include/code.h`, `Include/cpython/code.h`, `Include/frameobject.h`,
//! `Include/internal/pycore_frame.h`, `Include/internal/pycore_interpframe_structs.h` (3.14), `Include/funcobject.h`,
//! `Include/genobject.h`, `Include/tupleobject.h`.

use serde::{Deserialize, Serialize};

/// Bytes from the names of variables (`co_localsplusnames`) to their kinds (`co_localspluskinds`, 3.11+).
pub const KINDS_AFTER_NAMES: u64 = 8;
/// Bytes from `co_varnames` to `co_freevars` (up to 3.10).
pub const FREE_AFTER_NAMES: u64 = 8;
/// Bytes from `co_varnames` to `co_cellvars` (up to 3.10).
pub const CELLS_AFTER_NAMES: u64 = 16;
/// `co_flags`: the variables are in the frame, not in a dictionary (`CO_OPTIMIZED`).
pub const CODE_OPTIMIZED: u32 = 1;
/// `co_flags`: there is a `*args` (`CO_VARARGS`).
pub const CODE_VARARGS: u32 = 4;
/// `co_flags`: there is a `**kwargs` (`CO_VARKEYWORDS`).
pub const CODE_VARKEYWORDS: u32 = 8;
/// `co_localspluskinds`: not a variable of this scope, but of a comprehension within it (3.12+, `CO_FAST_HIDDEN`).
pub const KIND_HIDDEN: u8 = 0x10;
/// `co_localspluskinds`: the slot holds a cell (`CO_FAST_CELL`).
pub const KIND_CELL: u8 = 0x40;
/// `co_localspluskinds`: the slot holds a cell of an outer function (`CO_FAST_FREE`).
pub const KIND_FREE: u8 = 0x80;

/// Numbers of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalsFields {
    /// The frame's first variable: `f_localsplus` (an object's field up to 3.10) or `localsplus`.
    pub first: u16,
    /// The frame's `f_locals`: the dictionary with the variables of a class body; in the frame as [`Self::first`] is.
    pub scope: u16,
    /// The frame's `f_globals`.
    pub globals: u16,
    /// `PyCodeObject.co_flags` (4 bytes).
    pub flags: u16,
    /// `PyCodeObject.co_argcount` (4 bytes).
    pub arguments: u16,
    /// `PyCodeObject.co_kwonlyargcount` (4 bytes); [`Self::ABSENT`] in 2.7.
    pub keyword_arguments: u16,
    /// `PyCodeObject.co_nlocals`, from 3.11 on `co_nlocalsplus` (4 bytes).
    pub count: u16,
    /// `PyCodeObject.co_varnames`, from 3.11 on `co_localsplusnames`.
    pub names: u16,
    /// `PyTupleObject.ob_item`.
    pub tuple_items: u16,
    /// `PyFunctionObject.func_qualname`; in 2.7 `func_name`.
    pub function_name: u16,
    /// `PyGenObject.gi_qualname`; [`Self::ABSENT`] in 2.7.
    pub generator_name: u16,
}

impl LocalsFields {
    /// There is no such field.
    pub const ABSENT: u16 = u16::MAX;

    /// 2.7, where nothing has a qualified name.
    #[must_use]
    pub fn has_no_qualnames(&self) -> bool {
        self.generator_name == Self::ABSENT
    }

    /// 3.8 and 3.9; 3.10 differs in two numbers.
    pub(super) const OF_3_8: Self = Self {
        first: 344,
        scope: 40,
        globals: 32,
        flags: 20,
        arguments: 0,
        keyword_arguments: 8,
        count: 12,
        names: 56,
        tuple_items: 8,
        function_name: 88,
        generator_name: 40,
    };

    /// 3.12 and 3.13, with and without the GIL.
    pub(super) const OF_3_12: Self = Self {
        first: 72,
        scope: 40,
        globals: 24,
        flags: 32,
        arguments: 36,
        keyword_arguments: 44,
        count: 56,
        names: 80,
        tuple_items: 8,
        function_name: 24,
        generator_name: 16,
    };

    /// 3.14 and 3.15, with and without the GIL.
    pub(super) const OF_3_14: Self = Self {
        first: 80,
        tuple_items: 16,
        ..Self::OF_3_12
    };
}
