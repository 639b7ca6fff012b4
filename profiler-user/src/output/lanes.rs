//! The samples of a timeline, one lane at a time, in the order of time. Used by the formats that write thread after thread;
//! a lane is what one source saw of one thread.
//!
//! A counting sort on disk: one pass counts, one pass moves each sample to its lane's part of a second temporary
//! file. Memory is a small buffer per lane that is between its first and its last sample, however long the recording.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt as _;

use crate::profile::StackId;
use crate::profile::timeline::{Tick, Timeline};

/// Bytes of a [`Moment`] in the file.
const MOMENT_BYTES: usize = 20;
/// Bytes of a lane that are written together.
const BUFFER_BYTES: usize = 64 * MOMENT_BYTES;
/// Samples of one lane arrive at most this far from their place in the order of time: processors are read one after
/// the other, a few times a second.
const REORDER_SAMPLES: usize = 8192;

/// A sample of a known lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Since the start of the recording, nanoseconds.
    pub(super) time_ns: u64,
    /// Where.
    pub(super) stack: StackId,
    /// What it stands for, in the unit of its source.
    pub(super) weight: u64,
}

/// A timeline sorted by lane.
pub(super) struct Lanes {
    file: File,
    /// Where each lane starts, in samples; one more than there are lanes.
    starts: Vec<u64>,
}

impl Lanes {
    /// Sorts `timeline` into `lanes` lanes; `lane` says which one a sample belongs to.
    ///
    /// # Errors
    /// When the temporary folder is full, or a sample belongs to no lane.
    pub(super) fn sort(
        timeline: &mut Timeline,
        lanes: usize,
        lane: impl Fn(&Tick) -> Option<usize>,
    ) -> io::Result<Self> {
        let starts = starts(timeline, lanes, &lane)?;
        let file = tempfile::tempfile()?;
        let mut parts = Parts {
            file: &file,
            next: starts.clone(),
            buffers: vec![Vec::new(); lanes],
        };
        for tick in timeline.read()? {
            let tick = tick?;
            let lane = lane(&tick).ok_or(io::ErrorKind::InvalidData)?;
            let end = starts[lane + 1];
            let moment = Moment {
                time_ns: tick.time_ns,
                stack: tick.stack,
                weight: tick.weight,
            };
            parts.push(lane, moment, end)?;
        }
        Ok(Self { file, starts })
    }

    /// How many samples `lane` has.
    pub(super) fn samples(&self, lane: usize) -> u64 {
        self.starts[lane + 1] - self.starts[lane]
    }

    /// The samples of `lane` in the order of time; may be called again.
    pub(super) fn moments(&self, lane: usize) -> impl Iterator<Item = io::Result<Moment>> + '_ {
        let samples = self.samples(lane);
        let offset = self.starts[lane] * MOMENT_BYTES as u64;
        let mut reader = BufReader::with_capacity(
            1 << 16,
            ReadAt {
                file: &self.file,
                offset,
            },
        );
        in_time_order((0..samples).map(move |_| read_moment(&mut reader)))
    }
}

/// Where the samples of each lane start when they are laid one lane after the other.
fn starts(
    timeline: &mut Timeline,
    lanes: usize,
    lane: impl Fn(&Tick) -> Option<usize>,
) -> io::Result<Vec<u64>> {
    let mut starts = vec![0u64; lanes + 1];
    for tick in timeline.read()? {
        let count = lane(&tick?).and_then(|lane| starts.get_mut(lane + 1));
        *count.ok_or(io::ErrorKind::InvalidData)? += 1;
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += *start;
        *start = sum;
    }
    Ok(starts)
}

/// The file being filled at one place per lane.
struct Parts<'f> {
    file: &'f File,
    /// Where the next write of each lane goes, in samples.
    next: Vec<u64>,
    buffers: Vec<Vec<u8>>,
}

impl Parts<'_> {
    /// Appends to `lane`, whose part ends before the sample `end`.
    fn push(&mut self, lane: usize, moment: Moment, end: u64) -> io::Result<()> {
        let buffer = &mut self.buffers[lane];
        buffer.extend_from_slice(&moment.time_ns.to_le_bytes());
        buffer.extend_from_slice(&moment.stack.0.to_le_bytes());
        buffer.extend_from_slice(&moment.weight.to_le_bytes());
        let samples = (buffer.len() / MOMENT_BYTES) as u64;
        let complete = self.next[lane] + samples == end;
        if buffer.len() >= BUFFER_BYTES || complete {
            self.file
                .write_all_at(buffer, self.next[lane] * MOMENT_BYTES as u64)?;
            self.next[lane] += samples;
            buffer.clear();
        }
        if complete {
            *buffer = Vec::new();
        }
        Ok(())
    }
}

/// Reads on from an offset of its own, so that one file can be read at several places.
struct ReadAt<'f> {
    file: &'f File,
    offset: u64,
}

impl Read for ReadAt<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

fn read_moment(reader: &mut impl Read) -> io::Result<Moment> {
    let (mut time_ns, mut stack, mut weight) = ([0; 8], [0; 4], [0; 8]);
    reader.read_exact(&mut time_ns)?;
    reader.read_exact(&mut stack)?;
    reader.read_exact(&mut weight)?;
    Ok(Moment {
        time_ns: u64::from_le_bytes(time_ns),
        stack: StackId(u32::from_le_bytes(stack)),
        weight: u64::from_le_bytes(weight),
    })
}

/// Sorts what is at most [`REORDER_SAMPLES`] out of place, holding twice as many. An error is passed on at once.
fn in_time_order<I>(moments: I) -> impl Iterator<Item = io::Result<Moment>>
where
    I: Iterator<Item = io::Result<Moment>>,
{
    let mut moments = moments.fuse();
    let mut window: Vec<Moment> = Vec::new();
    let mut next = 0;
    std::iter::from_fn(move || {
        if next == window.len() || next == REORDER_SAMPLES {
            window.drain(..next);
            next = 0;
            while window.len() < 2 * REORDER_SAMPLES {
                match moments.next() {
                    Some(Ok(moment)) => window.push(moment),
                    Some(Err(error)) => return Some(Err(error)),
                    None => break,
                }
            }
            // Stable, and one pass over what is sorted already.
            window.sort_by_key(|moment| moment.time_ns);
        }
        let moment = *window.get(next)?;
        next += 1;
        Some(Ok(moment))
    })
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::sources::Source;

    use super::{Lanes, Moment, REORDER_SAMPLES};
    use crate::profile::timeline::{Tick, Timeline};
    use crate::profile::{StackId, ThreadId};

    fn timeline(ticks: &[Tick]) -> Timeline {
        let mut timeline = Timeline::new().expect("a temporary file");
        for tick in ticks {
            timeline.push(*tick);
        }
        timeline
    }

    fn sort(ticks: &[Tick], lanes: usize) -> std::io::Result<Lanes> {
        Lanes::sort(&mut timeline(ticks), lanes, |tick| Some(tick.thread.0 as usize))
    }

    fn sorted(ticks: &[Tick], thread: usize) -> Vec<Moment> {
        let mut mine: Vec<Moment> = ticks
            .iter()
            .filter(|tick| tick.thread.0 as usize == thread)
            .map(|tick| Moment {
                time_ns: tick.time_ns,
                stack: tick.stack,
                weight: tick.weight,
            })
            .collect();
        mine.sort_by_key(|moment| moment.time_ns);
        mine
    }

    #[test]
    fn each_lane_gets_its_own_samples_in_the_order_of_time() {
        // Arrival is out of order by up to 5,000 samples, threads alternate unevenly, lane 3 has none.
        let ticks: Vec<Tick> = (0..60_000u32)
            .map(|n| Tick {
                time_ns: u64::from(n + (n * 7919) % 5000) * 1000,
                thread: ThreadId([0, 1, 1, 2, 1, 4][(n % 6) as usize]),
                stack: StackId(n),
                source: Source::OnCpu,
                weight: u64::from(n) * 3,
            })
            .collect();
        let lanes = sort(&ticks, 5).expect("sorting");
        for thread in 0..5 {
            for _ in 0..2 {
                let read: Vec<Moment> = lanes.moments(thread).collect::<Result<_, _>>().expect("readable");
                assert_eq!(read, sorted(&ticks, thread));
                assert_eq!(read.len() as u64, lanes.samples(thread));
            }
        }
        assert_eq!(lanes.samples(3), 0);
    }

    #[test]
    fn nothing_is_lost_when_the_order_is_worse_than_expected() {
        let ticks: Vec<Tick> = (0..3 * REORDER_SAMPLES as u64 + 17)
            .rev()
            .map(|n| Tick {
                time_ns: n,
                thread: ThreadId(0),
                stack: StackId(0),
                source: Source::OnCpu,
                weight: 0,
            })
            .collect();
        let lanes = sort(&ticks, 1).expect("sorting");
        let mut times: Vec<u64> = lanes
            .moments(0)
            .map(|moment| moment.expect("readable").time_ns)
            .collect();
        times.sort_unstable();
        assert!(times.iter().copied().eq(0..ticks.len() as u64));
    }

    #[test]
    fn a_sample_of_an_unknown_lane_is_an_error() {
        let ticks = [Tick {
            time_ns: 0,
            thread: ThreadId(1),
            stack: StackId(0),
            source: Source::OnCpu,
            weight: 0,
        }];
        assert!(sort(&ticks, 1).is_err());
    }
}
