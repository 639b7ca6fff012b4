//! Where CPython keeps the fields that the walker reads: byte offsets and shape codes, never a version.
//!
//! Values live in `profiler-user/src/language/python/layout/`, one data file per minor version; user space pushes them
//! into the `LAYOUTS` map. A new *shape* (a structure that must be read differently) is a new code here, and an arm
//! in the walker.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `FrameShape`: how Python frames are linked and where a thread keeps its newest one.
pub mod frame_shape {
    /// Heap `PyFrameObject`s, `tstate->frame` is the newest (CPython <= 3.10).
    pub const OBJECT: u8 = 0;
    /// `_PyInterpreterFrame`s, `tstate->cframe->current_frame` is the newest (3.11, 3.12).
    pub const VIA_CFRAME: u8 = 1;
    /// `_PyInterpreterFrame`s, `tstate->current_frame` is the newest (3.13+).
    pub const DIRECT: u8 = 2;
}

/// `instr_shape`: how a frame says which instruction it is at.
pub mod instr_shape {
    /// `f_lasti` counts bytes (<= 3.9).
    pub const LASTI_BYTES: u8 = 0;
    /// `f_lasti` counts 2-byte code units (3.10).
    pub const LASTI_UNITS: u8 = 1;
    /// A pointer into the code object's own bytecode (3.11+).
    pub const POINTER: u8 = 2;
    /// A pointer into this thread's copy of the bytecode, `co_tlbc->entries[tlbc_index]`; entry 0 is the code object's
    /// own (free-threaded 3.14+).
    pub const THREAD_POINTER: u8 = 3;
}

/// `gil_shape`: how to tell whether the sampled thread holds the GIL.
pub mod gil_shape {
    /// `ThreadLookup::holder` leads to the holder (up to 3.11).
    pub const HOLDER: u8 = 0;
    /// A bit at `tstate->_status` (3.12, 3.13) or `tstate->holds_gil` (3.14+); `gil_bit` says which.
    pub const STATUS_BIT: u8 = 1;
    /// There is none: `tstate->state` is 1 while the thread may run Python code (free-threaded).
    pub const ATTACHED: u8 = 2;
}

/// `line_table`: the format that maps instructions to lines.
pub mod line_table_format {
    /// `co_lnotab`, byte pairs (3.6 to 3.9).
    pub const LNOTAB: u8 = 0;
    /// `co_linetable` of 3.10, pairs of length and signed line delta.
    pub const RANGES: u8 = 1;
    /// `co_linetable` of 3.11+, variable-length locations with columns.
    pub const LOCATIONS: u8 = 2;
    /// `co_lnotab` of 2.7: lines only grow.
    pub const UNSIGNED_LNOTAB: u8 = 3;
}

/// `text_shape`: what the names of code objects are.
pub mod text_shape {
    /// `str`, with 1, 2 or 4 bytes a character.
    pub const UNICODE: u8 = 0;
    /// `str` of 2.7, which holds bytes: `bytes_size` and `bytes_data` say where.
    pub const BYTES: u8 = 1;
}

/// Fields of `PyThreadState`, bytes from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ThreadStateLayout {
    /// Bytes to read from the start so that every field below is covered; at most 512.
    pub bytes: u16,
    /// `thread_id`: `pthread_self()` of the owning thread.
    pub thread_id: u16,
    /// The newest frame, or the `_PyCFrame` that leads to it (see [`frame_shape`]).
    pub frame: u16,
    /// `datastack_chunk` (3.11+); 0 where frames are heap objects.
    pub datastack_chunk: u16,
    /// `_status` (3.12, 3.13), `holds_gil` (3.14+) or `state` (free-threaded): see [`gil_shape`].
    pub status: u16,
    /// `interp`.
    pub interp: u16,
    /// `next` in the interpreter's list of thread states; used by `thread_lookup::LIST` only.
    pub next: u16,
    /// `gil_requested` (4 bytes, 3.15+): 1 while the thread waits for the GIL; 0 where there is none.
    pub gil_requested: u16,
    /// `current_executor` (8 bytes): not null while the thread runs just-in-time compiled code. Only where that does not
    /// keep the instruction offset up to date and leaves 0 there (3.15); else 0.
    pub executor: u16,
}

/// Fields of `PyInterpreterState`, bytes from its start. Absent fields are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct InterpreterLayout {
    /// `gc.collecting` (4 bytes, 3.9+; before it is global, see `ThreadLookup::collecting`).
    pub collecting: u16,
    /// `tstate_head`; used by `thread_lookup::LIST` only, which takes `next` to be at 0.
    pub threads: u16,
    /// `id`, a number that no other interpreter of the process has had (8 bytes). From 3.12 on, where each interpreter gives
    /// its code objects version numbers of its own; else 0.
    pub id: u16,
    /// `_code_object_generation`, which counts the code objects that have died (8 bytes, 3.14+).
    pub code_generation: u16,
    /// `ceval.gil`, the pointer to its GIL (3.12+).
    pub gil: u16,
}

/// Fields of a frame, bytes from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FrameLayout {
    /// Bytes to read from the start so that every field below is covered; at most 128.
    pub bytes: u16,
    /// `f_back` or `previous`.
    pub previous: u16,
    /// `f_code` or `f_executable`.
    pub code: u16,
    /// `f_lasti` (4 bytes), `prev_instr` or `instr_ptr` (8 bytes).
    pub instr: u16,
    /// `owner` (1 byte); 0 where frames have none.
    pub owner: u16,
    /// `current_frame` inside `_PyCFrame`, for [`frame_shape::VIA_CFRAME`]; `previous` follows it.
    pub cframe_current: u16,
    /// `is_entry` (1 byte): the outermost frame of a C invocation of the evaluation loop (3.11); 0 where frames have
    /// none.
    pub entry_flag: u16,
    /// `tlbc_index` (4 bytes), for [`instr_shape::THREAD_POINTER`].
    pub bytecode_index: u16,
}

/// Fields of `PyCodeObject`, bytes from its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CodeLayout {
    /// First byte of a range of [`IDENTITY_WORDS`] words that never changes during a code object's life; a multiple of
    /// 8. It covers `first_line` to `line_table` and serves to notice a freed and re-used address.
    pub identity_start: u16,
    /// `ob_type`.
    pub object_type: u16,
    /// `co_firstlineno` (4 bytes).
    pub first_line: u16,
    /// `co_filename`, a `str`.
    pub filename: u16,
    /// `co_name`, a `str`.
    pub name: u16,
    /// `co_qualname`, a `str` (3.11+); the same as `name` before.
    pub qualname: u16,
    /// `co_lnotab` or `co_linetable`, a `bytes`.
    pub line_table: u16,
    /// `co_code_adaptive`: where the bytecode starts inside the object (3.11+).
    pub bytecode: u16,
    /// `co_tlbc`, for [`instr_shape::THREAD_POINTER`].
    pub thread_bytecode: u16,
}

/// What it takes to tell the class of a method where code objects have no qualified name (up to 3.10): its first
/// argument. All 0 from 3.11 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MethodLayout {
    /// `PyCodeObject.co_argcount` (4 bytes).
    pub argument_count: u16,
    /// `PyCodeObject.co_nlocals` (4 bytes).
    pub local_count: u16,
    /// `PyCodeObject.co_varnames`, a tuple.
    pub local_names: u16,
    /// `PyCodeObject.co_cell2arg`: for each cell the argument that it took over; 0 where there is none (2.7).
    pub cell_arguments: u16,
    /// Bytes of an element of that array.
    pub cell_argument_bytes: u16,
    /// `PyFrameObject.f_localsplus`: the locals, then the cells.
    pub locals: u16,
    /// `PyCellObject.ob_ref`.
    pub cell_content: u16,
    /// `PyTupleObject.ob_item`.
    pub tuple_items: u16,
    /// `PyObject.ob_type`.
    pub object_type: u16,
    /// `PyFunctionObject.func_code`.
    pub function_code: u16,
    /// `PyTypeObject.tp_name`, a C string.
    pub type_name: u16,
    /// `PyTypeObject.tp_flags`; bit 31 (`Py_TPFLAGS_TYPE_SUBCLASS`) says that instances are types.
    pub type_flags: u16,
}

impl MethodLayout {
    /// Code objects have qualified names.
    pub const NONE: Self = Self {
        argument_count: 0,
        local_count: 0,
        local_names: 0,
        cell_arguments: 0,
        cell_argument_bytes: 0,
        locals: 0,
        cell_content: 0,
        tuple_items: 0,
        object_type: 0,
        function_code: 0,
        type_name: 0,
        type_flags: 0,
    };
}

/// Fields of `str` and `bytes` objects, bytes from their start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TextLayout {
    /// `PyASCIIObject.length`, characters.
    pub str_length: u16,
    /// `PyASCIIObject.state`, a 4-byte bit field.
    pub str_state: u16,
    /// `sizeof(PyASCIIObject)`: where the data of a compact ASCII string starts.
    pub ascii_data: u16,
    /// `sizeof(PyCompactUnicodeObject)`: where the data of other compact strings starts.
    pub compact_data: u16,
    /// `PyVarObject.ob_size` of `bytes`.
    pub bytes_size: u16,
    /// `PyBytesObject.ob_sval`.
    pub bytes_data: u16,
    /// Bit of `state` at which the 3-bit kind (bytes per character) starts.
    pub kind_shift: u8,
    /// Bit of `state`: the data follows the header.
    pub compact_bit: u8,
    /// Bit of `state`: all characters are below 128.
    pub ascii_bit: u8,
    /// Keeps the size even.
    pub pad: u8,
}

/// Words in the identity range of a code object.
pub const IDENTITY_WORDS: usize = 12;
/// Words of the buffer for it; a power of two, so that offsets can be masked into range.
pub const IDENTITY_BUFFER_WORDS: usize = 16;

/// `co_flags` of code objects that are not Python code but the interpreter's own bookkeeping: `CO_NO_MONITORING_EVENTS`
/// (3.13, `Include/cpython/code.h`), on the `__init__` shim that a specialised call of a class pushes.
pub const CODE_BOOKKEEPING: u32 = 0x200_0000;

/// `Layout::flags`: every code object has a version number in its identity range (3.12+), so an address that was
/// freed and re-used is always noticed. Without it definitions are refreshed from time to time.
pub const LAYOUT_CODE_VERSION: u8 = 1 << 0;

/// `Layout::flags`: of the first word of the identity range only the low half never changes (3.11: a warm-up counter
/// shares a word with `co_flags`).
pub const LAYOUT_IDENTITY_LOW_HALF: u8 = 1 << 1;

/// Everything version-specific that the kernel half needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Layout {
    /// `PyThreadState`.
    pub thread_state: ThreadStateLayout,
    /// `PyInterpreterState`.
    pub interpreter: InterpreterLayout,
    /// `PyFrameObject` or `_PyInterpreterFrame`.
    pub frame: FrameLayout,
    /// `PyCodeObject`.
    pub code: CodeLayout,
    /// `str` and `bytes`.
    pub text: TextLayout,
    /// The first argument of a method.
    pub method: MethodLayout,
    /// A [`frame_shape`] code.
    pub frame_shape: u8,
    /// An [`instr_shape`] code.
    pub instr_shape: u8,
    /// A [`gil_shape`] code.
    pub gil_shape: u8,
    /// For [`gil_shape::STATUS_BIT`]: the bit that is set while the thread holds the GIL.
    pub gil_bit: u8,
    /// The `GilState` code of a thread that holds it: held, or that there is none (free-threaded).
    pub gil_held: u8,
    /// A [`text_shape`] code.
    pub text_shape: u8,
    /// A [`line_table_format`] code.
    pub line_table: u8,
    /// Frames whose owner is at least this are C-stack entry frames, not Python code; 255 where frames have no owner.
    pub shim_owner: u8,
    /// Low bits of the code pointer that are a tag, to be cleared.
    pub code_tag_mask: u8,
    /// `LAYOUT_*` bits.
    pub flags: u8,
    /// `PyCodeObject.co_flags` (4 bytes), inside the identity range; 0 where no code object has [`CODE_BOOKKEEPING`]
    /// (before 3.13).
    pub code_flags: u16,
}
