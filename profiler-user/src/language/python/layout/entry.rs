//! One supported version: what its data file says.

use profiler_common::contract::layout::Layout;
use profiler_common::contract::reasons::GilState;

use super::debug_fields::DebugFields;
use super::objects::ObjectFields;

/// One supported minor version. Layouts are those of 64-bit builds with the default object layout; they do
/// not change between micro versions (compared in the reference builds that each data file names).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// Major version.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Built with `--disable-gil`, which lays out everything differently.
    pub free_threaded: bool,
    /// Tag of the CPython repository from whose headers the numbers were compiled.
    pub tag: &'static str,
    /// `sizeof(PyObject)`: a build that differs (`--with-trace-refs`) has every offset moved.
    pub object_header_bytes: u64,
    /// A [`profiler_common::contract::process::thread_lookup`] code: what leads to a thread's state.
    pub lookup: u8,
    /// Fields of `_PyRuntime`.
    pub runtime: RuntimeFields,
    /// The numbers.
    pub layout: Layout,
    /// What only user space reads.
    pub objects: ObjectFields,
    /// Where `_Py_DebugOffsets` has the numbers that it has (3.13+); these win over `layout`.
    pub debug_offsets: Option<DebugFields>,
}

/// Where `_PyRuntime` (3.7+) has what finding a thread's state takes, bytes from its start; 0 for what it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeFields {
    /// `gilstate.tstate_current`, the thread state that holds the GIL (up to 3.11).
    pub holder: u16,
    /// `ceval.gil.last_holder` (up to 3.11).
    pub last_holder: u16,
    /// `autoTSSkey`, a `Py_tss_t` (up to 3.14).
    pub thread_key: u16,
    /// `gc.collecting` (up to 3.8).
    pub collecting: u16,
}

/// `Layout::gil_held` of builds with a GIL.
pub(super) const GIL_HELD: u8 = GilState::Held.code() as u8;
/// `Layout::gil_held` of free-threaded builds.
pub(super) const GIL_ABSENT: u8 = GilState::Absent.code() as u8;
