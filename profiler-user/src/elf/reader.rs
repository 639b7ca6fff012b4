//! Positioned reads of a foreign file within a budget: what keeps all work on a file bounded, whatever the file claims.
//!
//! Used by the rest of [`super`], and by those who read on where a header leads them. Nothing is allocated for what the
//! file does not have.

use std::cell::Cell;
use std::io;
use std::ops::Range;

use object::Pod;
use object::pod::from_bytes;

use super::bytes::FileBytes;
use super::error::ElfError;

/// Bytes that searches which can be done without leave for the rest.
const RESERVE: u64 = 8 << 20;
/// Bytes of one step of [`Reader::stream`].
const STREAM_STEP: usize = 256 * 1024;
/// Bytes of one step of [`Reader::entries`], about.
const ENTRIES_STEP: usize = 192 * 1024;

/// A file, and what may still be read of it.
#[derive(Debug)]
pub struct Reader {
    bytes: FileBytes,
    length: u64,
    budget_bytes: Cell<u64>,
    failure: Cell<Option<Failure>>,
}

/// What ended the reading of a file, and not of one structure in it.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Exhausted,
    Read(io::ErrorKind),
}

impl Reader {
    /// For a file of which `budget_bytes` bytes may be read, all in all.
    ///
    /// # Errors
    /// When its length cannot be told.
    pub fn new(bytes: FileBytes, budget_bytes: u64) -> io::Result<Self> {
        Ok(Self {
            length: bytes.length()?,
            bytes,
            budget_bytes: Cell::new(budget_bytes),
            failure: Cell::new(None),
        })
    }

    /// Bytes of the file when it was opened.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Begins another piece of work on the same file.
    pub fn refill(&self, budget_bytes: u64) {
        self.budget_bytes.set(budget_bytes);
        self.failure.set(None);
    }

    /// Bytes that can be read without endangering the rest of the work: for what is of use, and can be done without in
    /// a file that is too large.
    #[must_use]
    pub fn spare_bytes(&self) -> u64 {
        self.budget_bytes.get().saturating_sub(RESERVE)
    }

    /// Why something could not be read, if it was not that the file does not have it: then nothing can be said about the
    /// file.
    #[must_use]
    pub fn failure(&self) -> Option<ElfError> {
        self.failure.get().map(|failure| match failure {
            Failure::Exhausted => ElfError::TooLarge,
            Failure::Read(kind) => ElfError::Io(kind.into()),
        })
    }

    /// Fills `out` from `offset`.
    ///
    /// # Errors
    /// [`ElfError::Malformed`] when the file ends before, [`ElfError::TooLarge`] when the budget does, [`ElfError::Io`].
    pub fn read_into(&self, out: &mut [u8], offset: u64) -> Result<(), ElfError> {
        if self.read(out, offset)? == out.len() {
            Ok(())
        } else {
            Err(END)
        }
    }

    /// Makes `out` the `bytes` bytes from `offset`, or fewer where the file ends.
    ///
    /// # Errors
    /// As [`Self::read_into`], but for the end of the file.
    pub fn read_up_to(&self, offset: u64, bytes: usize, out: &mut Vec<u8>) -> Result<(), ElfError> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        out.resize(bytes.min(left), 0);
        let filled = self.read(out, offset)?;
        out.truncate(filled);
        Ok(())
    }

    /// The bytes of `range`, if they are at most `max_bytes`.
    ///
    /// # Errors
    /// As [`Self::read_into`]; [`ElfError::TooLarge`] also for a longer range. Memory is set aside only for what the file
    /// has.
    pub fn range(&self, range: Range<u64>, max_bytes: u64) -> Result<Vec<u8>, ElfError> {
        let bytes = range.end.checked_sub(range.start).ok_or(END)?;
        if range.end > self.length {
            return Err(END);
        }
        if bytes > max_bytes {
            return Err(ElfError::TooLarge);
        }
        let mut out = vec![0; usize::try_from(bytes).map_err(|_| ElfError::TooLarge)?];
        self.read_into(&mut out, range.start)?;
        Ok(out)
    }

    /// The structure at `offset`.
    ///
    /// # Errors
    /// As [`Self::read_into`].
    pub fn structure<T: Pod>(&self, offset: u64) -> Result<T, ElfError> {
        let end = offset.checked_add(size_of::<T>() as u64).ok_or(END)?;
        let bytes = self.range(offset..end, size_of::<T>() as u64)?;
        let (structure, _) = from_bytes::<T>(&bytes).map_err(|()| END)?;
        Ok(*structure)
    }

    /// What is before the next NUL from `offset` on, up to `max_bytes` bytes; `None` when there is none so far.
    ///
    /// # Errors
    /// As [`Self::read_into`], but for the end of the file.
    pub fn text(&self, offset: u64, max_bytes: usize) -> Result<Option<Vec<u8>>, ElfError> {
        let mut bytes = Vec::new();
        self.read_up_to(offset, max_bytes, &mut bytes)?;
        let end = bytes.iter().position(|&byte| byte == 0);
        Ok(end.map(|end| {
            bytes.truncate(end);
            bytes
        }))
    }

    /// Hands `range` of the file to `step` in pieces that overlap by `overlap` bytes (below 4 KiB), until it returns
    /// `false`; a range that ends after the file is cut off there.
    ///
    /// # Errors
    /// As [`Self::read_into`].
    pub fn stream(
        &self,
        range: Range<u64>,
        overlap: usize,
        mut step: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ElfError> {
        let end = range.end.min(self.length);
        let mut buffer = Vec::new();
        let mut position = range.start;
        while position < end {
            let bytes = usize::try_from(end - position)
                .unwrap_or(STREAM_STEP)
                .min(STREAM_STEP);
            buffer.resize(bytes, 0);
            self.read_into(&mut buffer, position)?;
            if !step(&buffer) || position + bytes as u64 == end {
                return Ok(());
            }
            position += (bytes - overlap.min(4095)) as u64;
        }
        Ok(())
    }

    /// Hands the entries of `entry_bytes` bytes in `range` to `step`, many at a time, until it returns `false`. What is
    /// left of the last one is skipped.
    ///
    /// # Errors
    /// As [`Self::read_into`].
    pub fn entries(
        &self,
        range: Range<u64>,
        entry_bytes: usize,
        mut step: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ElfError> {
        let entry = entry_bytes.max(1);
        let at_once = (ENTRIES_STEP / entry).max(1) * entry;
        let whole = range.end.saturating_sub(range.start) / entry as u64 * entry as u64;
        let end = range.start.checked_add(whole).ok_or(END)?;
        let mut position = range.start;
        while position < end {
            let bytes = (end - position).min(at_once as u64);
            // Where the file ends before the table does, the entries before count.
            let piece = self.range(position..position + bytes, bytes)?;
            if !step(&piece) {
                return Ok(());
            }
            position += bytes;
        }
        Ok(())
    }

    fn read(&self, out: &mut [u8], offset: u64) -> Result<usize, ElfError> {
        let Some(left) = self.budget_bytes.get().checked_sub(out.len() as u64) else {
            self.failure.set(Some(Failure::Exhausted));
            return Err(ElfError::TooLarge);
        };
        self.budget_bytes.set(left);
        self.bytes.read_at(out, offset).map_err(|error| {
            self.failure.set(Some(Failure::Read(error.kind())));
            ElfError::Io(error)
        })
    }
}

/// What a lying header looks like.
const END: ElfError = ElfError::Malformed("something lies beyond the end of the file");

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    const BUDGET_BYTES: u64 = 64 << 20;

    fn of(bytes: Vec<u8>) -> Reader {
        Reader::new(bytes.into(), BUDGET_BYTES).expect("memory is readable")
    }

    #[test]
    fn a_structure_larger_than_the_cap_is_refused_before_it_is_read() {
        let reader = of(vec![0; 3 << 20]);
        assert!(reader.range(0..1 << 20, 1 << 20).is_ok());
        assert!(matches!(
            reader.range(0..(1 << 20) + 1, 1 << 20),
            Err(ElfError::TooLarge)
        ));
        assert!(
            reader.failure().is_none(),
            "an optional structure may be refused without giving up on the file"
        );
    }

    #[test]
    fn reading_the_same_over_and_over_ends_with_the_budget() {
        let reader = of(vec![0; 1 << 20]);
        let reads = || {
            (0..1000)
                .take_while(|_| reader.range(0..1 << 20, u64::MAX).is_ok())
                .count() as u64
        };
        assert_eq!(reads(), BUDGET_BYTES >> 20);
        assert!(matches!(reader.failure(), Some(ElfError::TooLarge)));
        reader.refill(5 << 20);
        assert!(reader.failure().is_none());
        assert_eq!(reads(), 5);
    }

    #[test]
    fn what_can_be_done_without_leaves_something_for_the_rest() {
        let reader = of(vec![0; 1 << 20]);
        let reads = (0..1000)
            .take_while(|_| reader.spare_bytes() >= 1 << 20 && reader.range(0..1 << 20, u64::MAX).is_ok())
            .count();
        assert_eq!(reads as u64, (BUDGET_BYTES - RESERVE) >> 20);
        assert!(reader.failure().is_none());
        assert!(reader.spare_bytes() < u64::MAX);
    }

    #[test]
    fn reads_past_the_end_fail_without_blaming_the_disk() {
        let file = tempfile::tempfile().expect("a writable temporary directory");
        std::os::unix::fs::FileExt::write_all_at(&file, b"short", 0).expect("writable");
        let on_disk = Reader::new(file.into(), BUDGET_BYTES).expect("readable");
        for reader in [of(b"short".to_vec()), on_disk] {
            assert!(reader.range(3..12, u64::MAX).is_err());
            assert!(reader.range(u64::MAX - 9..u64::MAX, u64::MAX).is_err());
            assert!(reader.range(Range { start: 9, end: 3 }, u64::MAX).is_err());
            for offset in [3, u64::MAX - 3, u64::MAX, 1 << 63] {
                assert!(reader.read_into(&mut [0; 9], offset).is_err());
            }
            let mut out = vec![1; 3];
            reader.read_up_to(3, 9, &mut out).expect("as far as it goes");
            assert_eq!(out, b"rt");
            reader
                .read_up_to(u64::MAX, 9, &mut out)
                .expect("as far as it goes");
            assert!(out.is_empty());
            assert!(reader.failure().is_none());
        }
    }

    #[test]
    fn a_stream_shows_every_byte_and_every_pair_of_neighbours() {
        let bytes: Vec<u8> = (0..STREAM_STEP * 2 + 777)
            .map(|index| (index % 251) as u8)
            .collect();
        let mut pieces = Vec::new();
        of(bytes.clone())
            .stream(0..u64::MAX, 16, |piece| {
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
    }

    #[test]
    fn entries_come_whole_and_all_that_the_file_has() {
        let bytes: Vec<u8> = (0..ENTRIES_STEP * 2 + 777)
            .map(|index| (index % 251) as u8)
            .collect();
        let reader = of(bytes.clone());
        let mut joined = Vec::new();
        let mut collect = |range: Range<u64>| {
            joined.clear();
            let read = reader.entries(range, 24, |piece| {
                assert!(piece.len().is_multiple_of(24));
                joined.extend_from_slice(piece);
                true
            });
            (read.is_ok(), joined.len())
        };
        let whole = bytes.len() / 24 * 24;
        assert_eq!(collect(0..bytes.len() as u64), (true, whole));
        assert_eq!(collect(5..5), (true, 0));
        assert_eq!(collect(Range { start: 9, end: 5 }), (true, 0));
        let (complete, count) = collect(0..bytes.len() as u64 + 100);
        assert!(!complete && count > ENTRIES_STEP && bytes.starts_with(&joined));
    }

    #[test]
    fn a_text_ends_at_its_nul_or_is_none() {
        let reader = of(b"one\0two".to_vec());
        assert_eq!(
            reader.text(0, 64).expect("readable").as_deref(),
            Some(&b"one"[..])
        );
        assert_eq!(reader.text(0, 4).expect("readable").as_deref(), Some(&b"one"[..]));
        assert_eq!(reader.text(0, 3).expect("readable"), None);
        assert_eq!(reader.text(4, 64).expect("readable"), None);
        assert_eq!(reader.text(99, 64).expect("readable"), None);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_an_input_error() {
        let directory = File::open("/proc/self").expect("exists");
        let reader = Reader::new(directory.into(), BUDGET_BYTES).expect("it has metadata");
        assert!(reader.read_into(&mut [0; 4], 0).is_err());
        assert!(matches!(reader.failure(), Some(ElfError::Io(_))));
    }
}
