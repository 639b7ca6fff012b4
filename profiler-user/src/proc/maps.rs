//! `/proc/PID/maps`: which ranges of a process's memory come from which part of which file
//! (`proc_pid_maps(5)`).
//!
//! Used to find interpreters and their load bias. The paths were chosen by the process; a line that does not
//! parse is skipped, never trusted. Nothing here opens the files: see [`super::file`].

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use super::ProcessError;
use crate::path::base_name_of_bytes;

/// Bytes read of one process's maps, at most: about 150,000 lines, twice the kernel's default limit of
/// mappings.
const MAX_BYTES: u64 = 16 << 20;

/// What the kernel writes after a path that no longer names the file.
const DELETED: &[u8] = b" (deleted)";

/// A block device, or the anonymous number of a file system without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Major number; 0 for file systems without a block device.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// Which file: unique among the files that exist at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    /// The file system's device, as `maps` prints it. Btrfs and some overlay file systems report another to
    /// `stat`.
    pub device: Device,
    /// Inode number; 0 means no file.
    pub inode: u64,
}

/// One line of `/proc/PID/maps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// First address.
    pub start: u64,
    /// First address after it; above `start`.
    pub end: u64,
    /// Readable now.
    pub readable: bool,
    /// Writable now.
    pub writable: bool,
    /// Executable now.
    pub executable: bool,
    /// Byte of the file that is mapped at `start`.
    pub offset: u64,
    /// The file; inode 0 for memory without one.
    pub file: FileId,
    /// The kernel says that the path no longer names the file. A file whose name ends in ` (deleted)` looks
    /// the same.
    pub deleted: bool,
    escaped_path: &'a [u8],
}

impl Mapping<'_> {
    /// The path, not necessarily UTF-8; empty for anonymous memory, `[name]` for the kernel's own. It is seen
    /// from the root of the reader, or for a file that cannot be reached from there, from the root of the
    /// file's mount namespace.
    ///
    /// The kernel writes a line break as `\012` and leaves backslashes alone, so a name that holds these four
    /// characters comes out wrong: compare [`Mapping::file`] with what the path leads to.
    #[must_use]
    pub fn path(&self) -> Cow<'_, [u8]> {
        const ESCAPE: &[u8] = b"\\012";
        if !self
            .escaped_path
            .windows(ESCAPE.len())
            .any(|window| window == ESCAPE)
        {
            return Cow::Borrowed(self.escaped_path);
        }
        let mut path = Vec::with_capacity(self.escaped_path.len());
        let mut rest = self.escaped_path;
        while let Some((&first, tail)) = rest.split_first() {
            match rest.strip_prefix(ESCAPE) {
                Some(after) => {
                    path.push(b'\n');
                    rest = after;
                }
                None => {
                    path.push(first);
                    rest = tail;
                }
            }
        }
        Cow::Owned(path)
    }

    /// The path, to be shown or opened.
    #[must_use]
    pub fn file_path(&self) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&self.path()))
    }

    /// What follows the last `/` of the path.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        base_name_of_bytes(self.escaped_path)
    }

    /// The line that it is, without the line break.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let flag = |is_set, letter| if is_set { letter } else { '-' };
        let (read, write, execute) = (
            flag(self.readable, 'r'),
            flag(self.writable, 'w'),
            flag(self.executable, 'x'),
        );
        let FileId { device, inode } = self.file;
        let mut line = format!(
            "{:x}-{:x} {read}{write}{execute}p {:08x} {:02x}:{:02x} {inode} ",
            self.start, self.end, self.offset, device.major, device.minor
        )
        .into_bytes();
        line.extend_from_slice(self.escaped_path);
        if self.deleted {
            line.extend_from_slice(DELETED);
        }
        line
    }

    /// Whether a file is behind it.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.file.inode != 0
    }

    /// Whether it holds this address.
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

/// The mappings of one process at about one moment: the kernel writes them in pieces, so a process that maps
/// or unmaps meanwhile can show a mapping twice or not at all.
#[derive(Clone, Debug, Default)]
pub struct Maps {
    text: Vec<u8>,
}

impl Maps {
    /// Reads `/proc/PID/maps`, the first 16 MiB of it. Empty for kernel threads and zombies.
    ///
    /// # Errors
    /// When the process is gone or may not be read.
    pub fn read(pid: u32) -> Result<Self, ProcessError> {
        let read = || {
            let mut text = Vec::with_capacity(16 * 1024);
            File::open(format!("/proc/{pid}/maps"))?
                .take(MAX_BYTES)
                .read_to_end(&mut text)?;
            Ok(text)
        };
        read()
            .map(Self::from_text)
            .map_err(|source| ProcessError::new(pid, "maps", source))
    }

    /// Takes text in the format of `/proc/PID/maps`; lines that are not in it are skipped.
    #[must_use]
    pub fn from_text(text: Vec<u8>) -> Self {
        Self { text }
    }

    /// Every mapping, by ascending address.
    pub fn iter(&self) -> impl Iterator<Item = Mapping<'_>> {
        self.lines().map(|(_, mapping)| mapping)
    }

    /// Every mapping with its line, without the line break.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&[u8], Mapping<'_>)> {
        self.text
            .split(|&byte| byte == b'\n')
            .filter_map(|line| Some((line, parse_line(line)?)))
    }
}

/// `start-end perms offset major:minor inode   path`; numbers are hexadecimal except the inode.
fn parse_line(line: &[u8]) -> Option<Mapping<'_>> {
    let mut rest = line;
    let range = next_field(&mut rest)?;
    let permissions = next_field(&mut rest)?;
    let offset = next_field(&mut rest)?;
    let device = next_field(&mut rest)?;
    let inode = next_field(&mut rest)?;
    let path = &rest[rest.iter().position(|&byte| byte != b' ').unwrap_or(rest.len())..];

    let (start, end) = split_number(range, b'-')?;
    let (major, minor) = split_number(device, b':')?;
    let &[read, write, execute, _shared] = permissions else {
        return None;
    };
    if start >= end {
        return None;
    }
    let intact = path.strip_suffix(DELETED);
    Some(Mapping {
        start,
        end,
        readable: read == b'r',
        writable: write == b'w',
        executable: execute == b'x',
        offset: number(offset, 16)?,
        file: FileId {
            device: Device {
                major: u32::try_from(major).ok()?,
                minor: u32::try_from(minor).ok()?,
            },
            inode: number(inode, 10)?,
        },
        deleted: intact.is_some(),
        escaped_path: intact.unwrap_or(path),
    })
}

/// Cuts off what is before the next space.
fn next_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
    let (field, tail) = rest.split_at(end);
    *rest = tail.strip_prefix(b" ").unwrap_or(tail);
    (!field.is_empty()).then_some(field)
}

fn split_number(field: &[u8], separator: u8) -> Option<(u64, u64)> {
    let at = field.iter().position(|&byte| byte == separator)?;
    Some((number(&field[..at], 16)?, number(&field[at + 1..], 16)?))
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    // `from_str_radix` would accept a sign.
    if digits.first().is_none_or(|byte| !byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::{any, prop_assert_eq, prop_assume, proptest};
    use proptest::sample::Index;

    fn one(line: &[u8]) -> Option<Mapping<'_>> {
        parse_line(line)
    }

    #[test]
    fn a_mapping_is_its_line() {
        for line in [
            &b"7f0a1c000000-7f0a1c021000 r-xp 00026000 fe:01 1966083 /usr/lib/a b.so"[..],
            b"1000-2000 rw-p 00000000 00:00 0 ",
            b"1000-2000 --xp 00000000 00:1c 7 /a\\012b (deleted)",
        ] {
            let mapping = one(line).expect("the documented format");
            assert_eq!(one(&mapping.line()), Some(mapping));
        }
    }

    #[test]
    fn a_file_mapping_is_parsed_field_by_field() {
        let line =
            b"7f0a1c000000-7f0a1c021000 r-xp 00026000 fe:01 1966083                    /usr/lib/a b.so";
        let mapping = one(line).expect("the documented format");
        assert_eq!(
            (mapping.start, mapping.end, mapping.offset),
            (0x7f0a_1c00_0000, 0x7f0a_1c02_1000, 0x26000)
        );
        assert_eq!(
            (mapping.readable, mapping.writable, mapping.executable),
            (true, false, true)
        );
        assert_eq!(
            mapping.file,
            FileId {
                device: Device {
                    major: 0xfe,
                    minor: 1
                },
                inode: 1_966_083
            }
        );
        assert_eq!(
            (&*mapping.path(), mapping.file_name(), mapping.deleted),
            (&b"/usr/lib/a b.so"[..], &b"a b.so"[..], false)
        );
    }

    #[test]
    fn anonymous_and_special_memory_has_no_file() {
        let anonymous = one(b"00400000-00401000 rw-p 00000000 00:00 0 ").expect("as the kernel writes it");
        assert!(!anonymous.is_file() && anonymous.path().is_empty());
        let stack =
            one(b"7ffc0-7ffd0 rw-p 00000000 00:00 0                          [stack]").expect("ditto");
        assert!(!stack.is_file());
        assert_eq!(&*stack.path(), b"[stack]");
    }

    #[test]
    fn deleted_files_line_breaks_and_other_encodings_survive() {
        let deleted = one(b"1000-2000 r-xp 0 00:2f 7 /tmp/my python (deleted)").expect("valid");
        assert_eq!(
            (&*deleted.path(), deleted.deleted),
            (&b"/tmp/my python"[..], true)
        );
        let lines = one(b"1000-2000 r-xp 0 00:2f 7 /tmp/a\\012b\\012").expect("valid");
        assert_eq!(&*lines.path(), b"/tmp/a\nb\n");
        let latin = one(b"1000-2000 r-xp 0 00:2f 7 /tmp/caf\xe9\\0").expect("valid");
        assert_eq!(&*latin.path(), b"/tmp/caf\xe9\\0");
        let leading = one(b"1000-2000 r-xp 0 00:2f 7      //x").expect("valid");
        assert_eq!(&*leading.path(), b"//x");
    }

    #[test]
    fn what_the_kernel_would_not_write_is_skipped() {
        for line in [
            &b""[..],
            b" ",
            b"1000-2000",
            b"1000-2000 r-xp",
            b"1000-2000 r-xp 0 00:01",
            b"2000-1000 r-xp 0 00:01 1 /x",
            b"1000-1000 r-xp 0 00:01 1 /x",
            b"+1000-2000 r-xp 0 00:01 1 /x",
            b"1000-2000 r-x 0 00:01 1 /x",
            b"1000-2000 r-xpp 0 00:01 1 /x",
            b"1000-2000 r-xp zz 00:01 1 /x",
            b"1000-2000 r-xp 0 0001 1 /x",
            b"1000-2000 r-xp 0 00:01 -1 /x",
            b"1000-2000 r-xp 0 100000000:01 1 /x",
            b"10000000000000000-20000000000000000 r-xp 0 00:01 1 /x",
            b"1000-2000  r-xp 0 00:01 1 /x",
            b"\xff\xfe-\xff r-xp 0 00:01 1 /x",
        ] {
            assert_eq!(one(line), None, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn the_maps_of_this_process_hold_this_function() {
        let maps = Maps::read(std::process::id()).expect("this process exists");
        let address = one as *const () as u64;
        let mapping = maps
            .iter()
            .find(|mapping| mapping.contains(address))
            .expect("it runs");
        assert!(mapping.executable && mapping.is_file());
        let program = std::env::current_exe().expect("known");
        assert_eq!(&*mapping.path(), program.as_os_str().as_encoded_bytes());
    }

    fn assert_only_valid_ranges(text: Vec<u8>) {
        for mapping in Maps::from_text(text).iter() {
            assert!(mapping.start < mapping.end);
            assert!(mapping.path().len() <= mapping.escaped_path.len());
            assert!(mapping.file_name().len() <= mapping.escaped_path.len());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_yield_only_valid_ranges(text in vec(any::<u8>(), 0..400)) {
            assert_only_valid_ranges(text);
        }

        #[test]
        fn damaged_lines_yield_only_valid_ranges(damage in vec((any::<Index>(), any::<u8>()), 1..20)) {
            let mut text = std::fs::read("/proc/self/maps").expect("this process exists");
            for (place, byte) in damage {
                let place = place.index(text.len());
                text[place] = byte;
            }
            assert_only_valid_ranges(text);
        }

        #[test]
        fn every_path_without_an_escape_comes_back(path in "/[^\n\\\\\u{0}]{0,60}") {
            prop_assume!(!path.ends_with(" (deleted)"));
            let text = format!("1000-2000 r-xp 00000000 fe:01 7 {:>30}{path}\n", "");
            let maps = Maps::from_text(text.into_bytes());
            let mapping = maps.iter().next().expect("valid");
            prop_assert_eq!(&*mapping.path(), path.as_bytes());
        }
    }
}
