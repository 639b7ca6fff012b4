//! Samples one by one, in a file without a name: memory stays flat however long a recording is.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

use profiler_common::contract::sources::Source;

use crate::ids::{StackId, ThreadId};

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Since the start of the recording, nanoseconds.
    pub time_ns: u64,
    /// Who.
    pub thread: ThreadId,
    /// Where.
    pub stack: StackId,
    /// What took it.
    pub source: Source,
    /// What it stands for, in the unit of its source.
    pub weight: u64,
}

/// Bytes of a [`Tick`] in the file.
const TICK_BYTES: usize = 26;

/// Samples in the order they arrived.
#[derive(Debug)]
pub struct Timeline {
    writer: BufWriter<File>,
    len: u64,
    failure: Option<io::Error>,
}

impl Timeline {
    /// An empty timeline in an unnamed temporary file.
    ///
    /// # Errors
    /// When the temporary folder is not writable.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            writer: BufWriter::with_capacity(1 << 16, tempfile::tempfile()?),
            len: 0,
            failure: None,
        })
    }

    /// One that stands for an order that nobody kept.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn not_kept() -> io::Result<Self> {
        Ok(Self {
            failure: Some(io::Error::other("the order of samples was not kept")),
            ..Self::new()?
        })
    }

    /// Appends one sample. The first failure is kept, and nothing is appended after it: see [`Self::failure`].
    pub fn push(&mut self, tick: Tick) {
        if self.failure.is_some() {
            return;
        }
        let mut bytes = [0; TICK_BYTES];
        let fields = [
            &tick.time_ns.to_le_bytes()[..],
            &tick.thread.0.to_le_bytes(),
            &tick.stack.0.to_le_bytes(),
            &tick.source.code().to_le_bytes(),
            &tick.weight.to_le_bytes(),
        ];
        let mut at = 0;
        for field in fields {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        match self.writer.write_all(&bytes) {
            Ok(()) => self.len += 1,
            Err(error) => self.failure = Some(error),
        }
    }

    /// Why samples are missing: the temporary folder was full.
    #[must_use]
    pub fn failure(&self) -> Option<&io::Error> {
        self.failure.as_ref()
    }

    /// Whether all samples are there, and in the file: the last of them are written now.
    #[must_use]
    pub fn is_whole(&mut self) -> bool {
        if self.failure.is_none()
            && let Err(error) = self.writer.flush()
        {
            log::warn!("no order of time: temporary file: {error}");
            self.failure = Some(error);
        }
        self.failure.is_none()
    }

    /// Whether samples are missing.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failure.is_some()
    }

    /// Samples in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no sample.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All samples from the first; may be called again.
    ///
    /// # Errors
    /// When what was buffered cannot be written. Each item is an error when the file cannot be read.
    pub fn read(&mut self) -> io::Result<impl Iterator<Item = io::Result<Tick>> + '_> {
        self.writer.flush()?;
        let file = self.writer.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        Ok((0..self.len).map(move |_| {
            let mut bytes = [0u8; TICK_BYTES];
            reader.read_exact(&mut bytes)?;
            let (time_ns, rest) = number(&bytes);
            let (thread, rest) = number(rest);
            let (stack, rest) = number(rest);
            let (source, rest) = number(rest);
            Ok(Tick {
                time_ns: u64::from_le_bytes(time_ns),
                thread: ThreadId(u32::from_le_bytes(thread)),
                stack: StackId(u32::from_le_bytes(stack)),
                source: Source::from_code(u16::from_le_bytes(source)).ok_or(io::ErrorKind::InvalidData)?,
                weight: u64::from_le_bytes(number(rest).0),
            })
        }))
    }
}

/// The next `N` bytes, and those after them; zeros when there are too few.
fn number<const N: usize>(bytes: &[u8]) -> ([u8; N], &[u8]) {
    bytes
        .split_first_chunk()
        .map_or(([0; N], &[]), |(number, rest)| (*number, rest))
}

#[cfg(test)]
mod tests {
    use super::{Tick, Timeline};
    use profiler_common::contract::sources::Source;

    use crate::ids::{StackId, ThreadId};

    #[test]
    fn what_was_pushed_is_read_back_in_order_and_twice() {
        let mut timeline = Timeline::new().expect("a temporary file");
        let ticks: Vec<Tick> = (0..10_000u32)
            .map(|n| Tick {
                time_ns: u64::from(n) << 20,
                thread: ThreadId(n % 7),
                stack: StackId(n),
                source: Source::ALL[n as usize % Source::ALL.len()],
                weight: u64::from(n) << 33,
            })
            .collect();
        for tick in &ticks {
            timeline.push(*tick);
        }
        for _ in 0..2 {
            let read: Vec<Tick> = timeline
                .read()
                .expect("flush")
                .collect::<Result<_, _>>()
                .expect("readable");
            assert_eq!(read, ticks);
        }
    }
}
