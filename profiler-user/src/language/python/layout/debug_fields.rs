//! Where `_Py_DebugOffsets` (3.13+), the interpreter's own table of offsets, has which number; and reading one.

/// First bytes of the table (`Include/internal/pycore_runtime.h` of 3.13, `_Py_Debug_Cookie`).
pub(crate) const DEBUG_COOKIE: &[u8; 8] = b"xdebugpy";

/// Where one version's `_Py_DebugOffsets` has the fields that a [`Layout`] needs, in bytes from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DebugFields {
    /// `sizeof(_Py_DebugOffsets)`; every field is 8 bytes.
    pub bytes: u16,
    /// `thread_state.current_frame`
    pub current_frame: u16,
    /// `thread_state.thread_id`
    pub thread_id: u16,
    /// `thread_state.datastack_chunk`
    pub datastack_chunk: u16,
    /// `thread_state.status` (3.13) or `thread_state.holds_gil` (3.15); 0 where the table has no such number.
    pub gil: u16,
    /// `thread_state.gil_requested` (3.15); 0 where the table has no such number.
    pub gil_requested: u16,
    /// `thread_state.interp`
    pub interp: u16,
    /// `interpreter_frame.previous`
    pub previous: u16,
    /// `interpreter_frame.executable`
    pub executable: u16,
    /// `interpreter_frame.instr_ptr`
    pub instr_ptr: u16,
    /// `interpreter_frame.owner`
    pub owner: u16,
    /// `interpreter_frame.tlbc_index` (3.14+), in free-threaded builds.
    pub tlbc_index: u16,
    /// `code_object.filename`
    pub filename: u16,
    /// `code_object.name`
    pub name: u16,
    /// `code_object.qualname`
    pub qualname: u16,
    /// `code_object.linetable`
    pub linetable: u16,
    /// `code_object.firstlineno`
    pub firstlineno: u16,
    /// `code_object.co_code_adaptive`
    pub co_code_adaptive: u16,
    /// `code_object.co_tlbc` (3.14+), in free-threaded builds.
    pub co_tlbc: u16,
    /// `pyobject.ob_type`
    pub ob_type: u16,
    /// `bytes_object.ob_size`
    pub bytes_size: u16,
    /// `bytes_object.ob_sval`
    pub bytes_data: u16,
    /// `unicode_object.state`
    pub str_state: u16,
    /// `unicode_object.length`
    pub str_length: u16,
    /// `unicode_object.asciiobject_size`
    pub ascii_size: u16,
    /// `unicode_object.compactunicodeobject_size` (3.15); 0 where the table has no such number.
    pub compact_size: u16,
    /// `interpreter_state.gc`
    pub interpreter_gc: u16,
    /// `interpreter_state.next`
    pub next_interpreter: u16,
    /// `interpreter_state.imports_modules`
    pub modules: u16,
    /// `gc.collecting`
    pub gc_collecting: u16,
    /// `interpreter_state.id`
    pub interpreter_id: u16,
    /// `interpreter_state.code_object_generation` (3.14+); 0 where the table has no such number.
    pub code_generation: u16,
}

/// Why a `_Py_DebugOffsets` is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DebugOffsetsError {
    /// The cookie is missing.
    #[error("its _Py_DebugOffsets is missing")]
    Absent,
    /// The file ends inside it.
    #[error("its _Py_DebugOffsets is cut off")]
    Short,
    /// A value that no build has.
    #[error("its _Py_DebugOffsets has an implausible {0}")]
    Implausible(&'static str),
}

impl DebugFields {
    /// The offset at `field` of the table.
    pub(super) fn get(&self, bytes: &[u8], field: u16) -> Result<u16, DebugOffsetsError> {
        u16::try_from(word(bytes, field)?).map_err(|_| DebugOffsetsError::Implausible("offset"))
    }
}

/// The 8-byte number at this place of the table.
pub(super) fn word(bytes: &[u8], at: u16) -> Result<u64, DebugOffsetsError> {
    let at = usize::from(at);
    let word = bytes
        .get(at..at + 8)
        .and_then(|word| word.try_into().ok())
        .ok_or(DebugOffsetsError::Short)?;
    Ok(u64::from_le_bytes(word))
}
