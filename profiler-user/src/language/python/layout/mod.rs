//! Where each supported CPython keeps its fields: one data file per minor version, one registry line each.
//!
//! The numbers travel to the kernel half in `profiler_common::contract::layout::Layout`. To add a version: its data file
//! (`cargo xtask layouts` prints every number of a version without one, and holds the others against CPython's headers), its
//! line in [`LAYOUTS`], and a new shape code in `profiler_common` only where a structure must be *read* differently. A version
//! without a line is refused by name.

pub(crate) mod check;
pub(super) mod debug_fields;
pub(super) mod debug_offsets;
mod entry;
pub mod locals;
pub mod objects;
pub(super) mod trace_refs;
mod v2_7;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_15;
mod v3_6;
mod v3_7;
mod v3_8;
mod v3_9;

pub use self::debug_fields::{DebugFields, DebugOffsetsError};
pub use self::entry::{RuntimeFields, VersionEntry};

use crate::elf::Architecture;

/// The processor that the numbers are for. On aarch64 with glibc the fields of `_PyRuntime` after its
/// mutexes lie 16 bytes further on up to 3.11; the rest is the same.
pub(super) const ARCHITECTURE: Architecture = Architecture::X86_64;

/// Every supported version.
pub const LAYOUTS: &[VersionEntry] = &[
    v2_7::ENTRY,
    v3_6::ENTRY,
    v3_7::ENTRY,
    v3_8::ENTRY,
    v3_9::ENTRY,
    v3_10::ENTRY,
    v3_11::ENTRY,
    v3_12::ENTRY,
    v3_13::ENTRY,
    v3_13::FREE_THREADED,
    v3_14::ENTRY,
    v3_14::FREE_THREADED,
    v3_15::ENTRY,
    v3_15::FREE_THREADED,
];

#[cfg(test)]
mod tests {
    use super::LAYOUTS;

    #[test]
    fn versions_are_registered_once_and_in_order() {
        let numbers: Vec<_> = LAYOUTS
            .iter()
            .map(|entry| (entry.major, entry.minor, entry.free_threaded))
            .collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }
}
