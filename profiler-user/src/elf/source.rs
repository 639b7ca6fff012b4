//! Positioned, budgeted reads of a foreign file: what keeps ELF analysis bounded whatever the file claims.
//!
//! Used by the rest of [`super`]. Never maps the file into memory (a truncated mapping raises SIGBUS) and
//! never allocates what a header asks for before it is known to be small.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use object::read::{ReadCache, ReadCacheOps, ReadRef};

use super::ElfError;

/// Bytes read for one file, all in all.
const TOTAL_BYTES: u64 = 64 << 20;
/// Bytes that searches which the file can do without leave for the rest.
const RESERVE: u64 = 8 << 20;
/// Bytes of one structure (program headers, sections, dynamic entries), at most.
const STRUCTURE_BYTES: u64 = 1 << 20;
/// Bytes of one step of [`Bounded::stream`].
const STREAM_STEP: usize = 256 * 1024;

/// The bytes of a file by position.
pub(crate) trait Source: Copy {
    /// Bytes in the file.
    fn length(self) -> io::Result<u64>;
    /// Fills `out` from `offset`.
    fn read_exact_at(self, out: &mut [u8], offset: u64) -> io::Result<()>;
}

impl Source for &File {
    fn length(self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(self, out: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, out, offset)
    }
}

impl Source for &[u8] {
    fn length(self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_exact_at(self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::UnexpectedEof)?;
        let end = start.checked_add(out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// What is left to spend on one file, and why reading stopped.
#[derive(Debug)]
pub(crate) struct Budget {
    bytes_left: Cell<u64>,
    failure: Cell<Option<Failure>>,
}

#[derive(Clone, Copy, Debug)]
enum Failure {
    Exhausted,
    Read(io::ErrorKind),
}

impl Budget {
    /// For one file.
    pub(crate) fn new() -> Self {
        Self {
            bytes_left: Cell::new(TOTAL_BYTES),
            failure: Cell::new(None),
        }
    }

    /// The cause behind a structure that could not be read, if it was not the structure itself.
    pub(crate) fn failure(&self) -> Option<ElfError> {
        self.failure.get().map(|failure| match failure {
            Failure::Exhausted => ElfError::TooLarge,
            Failure::Read(kind) => ElfError::Io(kind.into()),
        })
    }

    fn charge(&self, bytes: u64) -> Result<(), ()> {
        let Some(left) = self.bytes_left.get().checked_sub(bytes) else {
            self.failure.set(Some(Failure::Exhausted));
            return Err(());
        };
        self.bytes_left.set(left);
        Ok(())
    }

    fn note(&self, error: &io::Error) {
        // Past the end is what a lying header looks like, not a failing disk.
        if error.kind() != io::ErrorKind::UnexpectedEof {
            self.failure.set(Some(Failure::Read(error.kind())));
        }
    }
}

/// A [`Source`] as `object` wants to read it.
#[derive(Debug)]
pub(crate) struct Cursor<'a, S> {
    source: S,
    length: u64,
    position: u64,
    budget: &'a Budget,
}

impl<S: Source> ReadCacheOps for Cursor<'_, S> {
    fn len(&mut self) -> Result<u64, ()> {
        Ok(self.length)
    }

    fn seek(&mut self, position: u64) -> Result<u64, ()> {
        self.position = position;
        Ok(position)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        let left = usize::try_from(self.length.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let bytes = buffer.len().min(left);
        self.read_exact(&mut buffer[..bytes])?;
        Ok(bytes)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ()> {
        self.source
            .read_exact_at(buffer, self.position)
            .map_err(|error| self.budget.note(&error))?;
        self.position = self.position.saturating_add(buffer.len() as u64);
        Ok(())
    }
}

/// Starts reading `source`.
pub(crate) fn cache<S: Source>(source: S, budget: &Budget) -> io::Result<ReadCache<Cursor<'_, S>>> {
    let length = source.length()?;
    Ok(ReadCache::new(Cursor {
        source,
        length,
        position: 0,
        budget,
    }))
}

/// Reads through the cache, within the budget: `object`'s own cache allocates whatever a header asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounded<'a, S: Source> {
    cache: &'a ReadCache<Cursor<'a, S>>,
    source: S,
    budget: &'a Budget,
}

impl<'a, S: Source> Bounded<'a, S> {
    /// Reads `cache`, which was made from `source`, within `budget`.
    pub(crate) fn new(cache: &'a ReadCache<Cursor<'a, S>>, source: S, budget: &'a Budget) -> Self {
        Self {
            cache,
            source,
            budget,
        }
    }

    /// Whether so many bytes can be read without endangering the rest of the analysis: for what is of use, and
    /// can be done without in a file that is too large.
    pub(crate) fn can_spare(self, bytes: u64) -> bool {
        self.budget.bytes_left.get().saturating_sub(RESERVE) >= bytes
    }

    /// Fills `out` from `offset` without remembering it.
    pub(crate) fn read_into(self, out: &mut [u8], offset: u64) -> Option<()> {
        self.budget.charge(out.len() as u64).ok()?;
        self.source
            .read_exact_at(out, offset)
            .map_err(|error| self.budget.note(&error))
            .ok()
    }

    /// Hands `range` of the file to `step` in pieces that overlap by `overlap` bytes (below 4 KiB), until it
    /// returns `false`; a range that ends behind the file is cut off there.
    pub(crate) fn stream(
        self,
        range: Range<u64>,
        overlap: usize,
        mut step: impl FnMut(&[u8]) -> bool,
    ) -> Option<()> {
        let end = range.end.min(self.len().ok()?);
        let mut buffer = Vec::new();
        let mut position = range.start;
        while position < end {
            let bytes = usize::try_from(end - position)
                .unwrap_or(STREAM_STEP)
                .min(STREAM_STEP);
            buffer.resize(bytes, 0);
            self.read_into(&mut buffer, position)?;
            if !step(&buffer) || position + bytes as u64 == end {
                return Some(());
            }
            position += (bytes - overlap.min(4095)) as u64;
        }
        Some(())
    }
}

impl<'a, S: Source> ReadRef<'a> for Bounded<'a, S> {
    fn len(self) -> Result<u64, ()> {
        self.cache.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size > STRUCTURE_BYTES {
            return Err(());
        }
        self.budget.charge(size)?;
        self.cache.read_bytes_at(offset, size)
    }

    fn read_bytes_at_until(self, range: Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        // `object` looks at 4 KiB at most.
        self.budget.charge(4096)?;
        self.cache.read_bytes_at_until(range, delimiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with<T>(bytes: &[u8], check: impl FnOnce(Bounded<'_, &[u8]>, &Budget) -> T) -> T {
        let budget = Budget::new();
        let cache = cache(bytes, &budget).expect("memory is readable");
        check(Bounded::new(&cache, bytes, &budget), &budget)
    }

    #[test]
    fn a_structure_larger_than_the_cap_is_refused_before_it_is_read() {
        let bytes = vec![0; 3 << 20];
        with(&bytes, |data, budget| {
            assert!(data.read_bytes_at(0, STRUCTURE_BYTES).is_ok());
            assert!(data.read_bytes_at(0, STRUCTURE_BYTES + 1).is_err());
            assert!(
                budget.failure().is_none(),
                "an optional structure may be refused without giving up on the file"
            );
        });
    }

    #[test]
    fn reading_the_same_over_and_over_ends_with_the_budget() {
        let bytes = vec![0; 1 << 20];
        with(&bytes, |data, budget| {
            let reads = (0..1000)
                .take_while(|_| data.read_bytes_at(0, 1 << 20).is_ok())
                .count();
            assert_eq!(reads as u64, TOTAL_BYTES >> 20);
            assert!(matches!(budget.failure(), Some(ElfError::TooLarge)));
        });
    }

    #[test]
    fn what_can_be_done_without_leaves_something_for_the_rest() {
        let bytes = vec![0; 1 << 20];
        with(&bytes, |data, budget| {
            let reads = (0..1000)
                .take_while(|_| data.can_spare(1 << 20) && data.read_bytes_at(0, 1 << 20).is_ok())
                .count();
            assert_eq!(reads as u64, (TOTAL_BYTES - RESERVE) >> 20);
            assert!(budget.failure().is_none());
            assert!(!data.can_spare(u64::MAX));
        });
    }

    #[test]
    fn reads_past_the_end_fail_without_blaming_the_disk() {
        with(b"short", |data, budget| {
            assert!(data.read_bytes_at(3, 9).is_err());
            assert!(data.read_bytes_at(u64::MAX, 9).is_err());
            assert!(data.read_into(&mut [0; 9], u64::MAX - 3).is_none());
            assert!(budget.failure().is_none());
        });
    }

    #[test]
    fn a_stream_shows_every_byte_and_every_pair_of_neighbours() {
        let bytes: Vec<u8> = (0..STREAM_STEP * 2 + 777)
            .map(|index| (index % 251) as u8)
            .collect();
        with(&bytes, |data, _| {
            let mut pieces = Vec::new();
            data.stream(0..u64::MAX, 16, |piece| {
                pieces.push(piece.to_vec());
                true
            })
            .expect("within the budget");
            let mut joined = pieces[0].clone();
            for piece in &pieces[1..] {
                assert_eq!(piece[..16], joined[joined.len() - 16..]);
                joined.extend_from_slice(&piece[16..]);
            }
            assert!(joined == bytes);
        });
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_input_error() {
        let directory = File::open("/proc/self").expect("exists");
        let budget = Budget::new();
        let cache = cache(&directory, &budget).expect("it has metadata");
        assert!(
            Bounded::new(&cache, &directory, &budget)
                .read_into(&mut [0; 4], 0)
                .is_none()
        );
        assert!(matches!(budget.failure(), Some(ElfError::Io(_))));
    }
}
