//! Samples one by one, in a file without a name: memory stays flat however long a recording is.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};

use crate::profile::{StackId, ThreadId};

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Since the start of the recording, nanoseconds.
    pub time_ns: u64,
    /// Who.
    pub thread: ThreadId,
    /// Where.
    pub stack: StackId,
}

/// Bytes of a [`Tick`] in the file.
const TICK_BYTES: usize = 16;

/// Samples in the order they arrived.
#[derive(Debug)]
pub struct Timeline {
    writer: BufWriter<File>,
    len: u64,
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
        })
    }

    /// Appends one sample.
    ///
    /// # Errors
    /// When the temporary folder is full.
    pub fn push(&mut self, tick: Tick) -> io::Result<()> {
        self.writer.write_all(&tick.time_ns.to_le_bytes())?;
        self.writer.write_all(&tick.thread.0.to_le_bytes())?;
        self.writer.write_all(&tick.stack.0.to_le_bytes())?;
        self.len += 1;
        Ok(())
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
            let [t0, t1, t2, t3, t4, t5, t6, t7, a0, a1, a2, a3, b0, b1, b2, b3] = bytes;
            Ok(Tick {
                time_ns: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
                thread: ThreadId(u32::from_le_bytes([a0, a1, a2, a3])),
                stack: StackId(u32::from_le_bytes([b0, b1, b2, b3])),
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Tick, Timeline};
    use crate::profile::{StackId, ThreadId};

    #[test]
    fn what_was_pushed_is_read_back_in_order_and_twice() {
        let mut timeline = Timeline::new().expect("a temporary file");
        let ticks: Vec<Tick> = (0..10_000u32)
            .map(|n| Tick {
                time_ns: u64::from(n) << 20,
                thread: ThreadId(n % 7),
                stack: StackId(n),
            })
            .collect();
        for tick in &ticks {
            timeline.push(*tick).expect("room in the temporary folder");
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
