//! The dynamic linker's tables, as a whole: for names of many symbols of one file. Used by [`super::plt`] and
//! [`super::aliases`], in the worker process.

use crate::elf::ElfFile;

/// Bytes of a table that is read for names, at most.
const MAX_TABLE_BYTES: u64 = 32 << 20;
/// Bytes of a name that are read; the rest is cut off.
const MAX_NAME: usize = 4096;

/// The section of this name; `None` when there is none, or it is too large.
pub(super) fn table(source: &ElfFile, name: &[u8]) -> Option<Vec<u8>> {
    let section = source.sections()?.find(name)?;
    source.reader().range(section.range(), MAX_TABLE_BYTES).ok()
}

/// A name in a string table, as far as anybody would read it.
pub(super) fn string(strings: &[u8], start: u32) -> Option<&[u8]> {
    let rest = strings.get(start as usize..)?;
    let rest = rest.get(..MAX_NAME).unwrap_or(rest);
    rest.split(|&byte| byte == 0).next()
}
