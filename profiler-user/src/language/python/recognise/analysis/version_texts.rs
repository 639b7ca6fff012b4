//! The version texts that an interpreter without `Py_Version` (before 3.11) carries in its read-only data.
//!
//! Used by [`super`]. The cache tag (`cpython-39`, the default of `sys.implementation.cache_tag`) is a string
//! of its own in every build: verified on pyenv's shared 3.6 to 3.13 and Debian's static 3.9, 3.11 and 3.13.
//! The full version (`3.9.18`) is less certain, since linkers merge it into the tail of a longer string: it
//! only adds the micro version, and only when one value occurs.

use std::collections::BTreeSet;
use std::ops::Range;

use memchr::memmem;

use crate::elf::ElfFile;
use crate::language::python::recognise::version::Version;

/// Bytes of one range of read-only data looked at, and of all of them; libpython's `.rodata` has 1 to 2 MiB.
const MAX_TEXT_BYTES: u64 = 16 << 20;
/// Distinct values kept; one is normal.
const MAX_VALUES: usize = 8;
/// Bytes of a text with the byte before and the NUL after.
const OVERLAP: usize = Version::MAX_TEXT_BYTES + 2;

/// Minor versions whose cache tag occurs as a string of its own.
pub(super) fn cache_tags(file: &ElfFile) -> BTreeSet<Version> {
    find_texts(file, b"cpython-", Version::from_cache_tag)
}

/// The full version, if exactly one text begins with `major.minor.`.
pub(super) fn full_version(file: &ElfFile, minor_only: Version) -> Option<Version> {
    let prefix = format!("{minor_only}.");
    let found = find_texts(file, prefix.as_bytes(), Version::from_text);
    if found.len() == 1 {
        found.into_iter().next()
    } else {
        None
    }
}

/// What `parse` makes of the NUL-terminated texts that begin with `prefix`.
fn find_texts(file: &ElfFile, prefix: &[u8], parse: impl Fn(&[u8]) -> Option<Version>) -> BTreeSet<Version> {
    let finder = memmem::Finder::new(prefix);
    let mut found = BTreeSet::new();
    for range in read_only_data(file) {
        let complete = file.reader().stream(range, OVERLAP, |piece| {
            for start in finder.find_iter(piece) {
                found.extend(text_at(piece, start).and_then(&parse));
            }
            found.len() < MAX_VALUES
        });
        if complete.is_err() || found.len() >= MAX_VALUES {
            break;
        }
    }
    found
}

/// Ranges of the file, 16 MiB all in all.
fn read_only_data(file: &ElfFile) -> Vec<Range<u64>> {
    let segments = file.segments().iter().filter(|segment| !segment.writable);
    let parts = match file.loaded_section(b".rodata") {
        Some(section) => vec![(section.offset, section.size)],
        None => segments
            .map(|segment| (segment.offset, segment.file_bytes))
            .collect(),
    };
    let mut left = MAX_TEXT_BYTES;
    let mut ranges = Vec::new();
    for (offset, size) in parts {
        let size = size.min(left);
        left -= size;
        ranges.push(offset..offset.saturating_add(size));
    }
    ranges
}

/// The text at `start` up to its NUL; `None` when it is too long, or the end of a longer word.
fn text_at(piece: &[u8], start: usize) -> Option<&[u8]> {
    if start
        .checked_sub(1)
        .is_some_and(|before| piece[before].is_ascii_alphanumeric() || piece[before] == b'.')
    {
        return None;
    }
    let rest = &piece[start..];
    let end = rest
        .iter()
        .take(Version::MAX_TEXT_BYTES + 1)
        .position(|&byte| byte == 0)?;
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_short_words_count() {
        let piece = b"x\0cpython-39\0lib/cpython-38\0.cpython-37\0xcpython-36\0cpython-310-x86_64-linux-gnu-and-more\0cpython-311";
        let finder = memmem::Finder::new("cpython-");
        let found: Vec<_> = finder
            .find_iter(piece)
            .filter_map(|start| text_at(piece, start))
            .collect();
        assert_eq!(found, [&b"cpython-39"[..], b"cpython-38"]);
    }
}
