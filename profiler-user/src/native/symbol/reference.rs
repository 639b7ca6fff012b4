//! What a file refers to for its debug information. Used by [`super::copy`], in the worker process.

use crate::elf::ElfFile;

/// Bytes of a debug link that are looked at.
const MAX_LINK_BYTES: u64 = 4096;

/// What a file refers to for its debug information.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DebugReference {
    /// `NT_GNU_BUILD_ID`, hexadecimal, 2 to 64 pairs of digits.
    pub(super) build_id: Option<String>,
    /// `.gnu_debuglink`: a file name without folders, and the CRC-32 of that file.
    pub(super) link: Option<(String, u32)>,
}

impl DebugReference {
    pub(super) fn of(file: &ElfFile) -> Self {
        let hexadecimal = |id: Vec<u8>| id.iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            build_id: file.build_id().map(hexadecimal),
            link: debug_link(file),
        }
    }
}

fn debug_link(file: &ElfFile) -> Option<(String, u32)> {
    let section = file.sections()?.find(b".gnu_debuglink")?;
    let bytes = file.reader().range(section.range(), MAX_LINK_BYTES).ok()?;
    let end = bytes.iter().position(|&byte| byte == 0)?;
    let name = std::str::from_utf8(&bytes[..end]).ok()?;
    let crc = bytes.get((end + 4) & !3..)?.first_chunk()?;
    let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
    is_plain.then(|| (name.to_owned(), u32::from_le_bytes(*crc)))
}
