//! The numbers of the page: what each thread spent with each stack, in each slice of the time if the times of samples are known.
//! Used by the page.

use std::collections::HashMap;
use std::io;

use ahash::RandomState;
use profiler_common::contract::sources::Unit;
use serde::Serialize;

use super::columns::Column;
use super::stacks::Stacks;
use crate::output::error::OutputError;
use crate::profile::timeline::Tick;
use crate::profile::{Profile, Recording};

/// A time line has at most so many slices.
const MOST_SLICES: u64 = 1_000;
/// With fewer, it would say nothing.
const LEAST_SLICES: u64 = 16;
/// No slice is shorter, nanoseconds: samples are not closer to each other.
const SHORTEST_NS: u64 = 10_000_000;
/// Rows of a page that a browser opens at once.
const MOST_ROWS: usize = 1 << 20;

/// Rows, a column for each thing that is known of them.
#[derive(Default, Serialize)]
pub(super) struct Counts {
    source: Column,
    thread: Column,
    node: Column,
    samples: Column,
    weight: Column,
    #[serde(skip_serializing_if = "Column::is_empty")]
    slice: Column,
}

/// How the time is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Slices {
    slices: u64,
    slice_ns: u64,
}

/// Slice, source, thread and node.
type Key = (u64, usize, u32, u32);
/// Samples and weight.
type Sums = HashMap<Key, (u64, u64), RandomState>;

/// The numbers, with the time if all samples have theirs and the slices are not too many.
///
/// # Errors
/// When the samples cannot be read from the temporary folder.
pub(super) fn of(
    recording: &mut Recording,
    stacks: &Stacks,
) -> Result<(Counts, Option<Slices>), OutputError> {
    let sliced = sliced(recording, stacks).map_err(OutputError::Timeline)?;
    let (sums, time) = match sliced {
        Some((sums, slices)) => (sums, Some(slices)),
        None => (whole(&recording.profiles, stacks), None),
    };
    Ok((Counts::of(sums, time.is_some()), time))
}

impl Counts {
    fn of(sums: Sums, has_time: bool) -> Self {
        let mut rows: Vec<(Key, (u64, u64))> = sums.into_iter().collect();
        rows.sort_unstable();
        let mut counts = Self::default();
        for ((slice, source, thread, node), (samples, weight)) in rows {
            counts.source.push_position(source);
            counts.thread.push(thread);
            counts.node.push(node);
            counts.samples.push(samples);
            counts.weight.push(weight);
            if has_time {
                counts.slice.push(slice);
            }
        }
        counts
    }
}

/// Without the time.
fn whole(profiles: &[Profile], stacks: &Stacks) -> Sums {
    let mut sums = Sums::default();
    for (source, profile) in profiles.iter().enumerate() {
        for count in &profile.counts {
            let node = stacks.node_of.get(count.stack.0 as usize).copied().unwrap_or(0);
            add(
                &mut sums,
                (0, source, count.thread.0, node),
                count.samples,
                count.weight,
            );
        }
    }
    sums
}

fn add(sums: &mut Sums, key: Key, samples: u64, weight: u64) {
    let (of_samples, of_weight) = sums.entry(key).or_default();
    *of_samples = of_samples.saturating_add(samples);
    *of_weight = of_weight.saturating_add(weight);
}

/// By slices; `None` unless they add up to the whole recording.
fn sliced(recording: &mut Recording, stacks: &Stacks) -> io::Result<Option<(Sums, Slices)>> {
    let profiles = &recording.profiles;
    let Some(timeline) = recording
        .timeline
        .as_mut()
        .and_then(|timeline| timeline.is_whole().then_some(timeline))
    else {
        return Ok(None);
    };
    let mut end_ns = u64::try_from(recording.duration.as_nanos()).unwrap_or(u64::MAX);
    if end_ns == 0 {
        for tick in timeline.read()? {
            end_ns = end_ns.max(tick?.time_ns);
        }
    }
    let mut cutting = Cutting::new(end_ns);
    let mut missing: Vec<(u64, u64)> = profiles
        .iter()
        .map(|profile| (profile.samples(), profile.weight()))
        .collect();
    for tick in timeline.read()? {
        let tick = tick?;
        let Some(source) = profiles.iter().position(|profile| profile.source == tick.source) else {
            return Ok(None);
        };
        let node = stacks.node_of.get(tick.stack.0 as usize).copied().unwrap_or(0);
        let (samples, weight) = missing[source];
        missing[source] = (samples.wrapping_sub(1), weight.wrapping_sub(tick.weight));
        if !cutting.add(&tick, source, node) {
            return Ok(None);
        }
    }
    let is_whole = missing.iter().all(|missing| *missing == (0, 0));
    Ok(is_whole.then_some((cutting.sums, cutting.slices)))
}

struct Cutting {
    sums: Sums,
    slices: Slices,
}

impl Cutting {
    fn new(end_ns: u64) -> Self {
        let slice_ns = end_ns.div_ceil(MOST_SLICES).max(SHORTEST_NS);
        Self {
            sums: Sums::default(),
            slices: Slices {
                slices: end_ns.div_ceil(slice_ns).max(1),
                slice_ns,
            },
        }
    }

    /// `false` when there are too many rows even if the slices are as long as makes sense.
    fn add(&mut self, tick: &Tick, source: usize, node: u32) -> bool {
        let thread = tick.thread.0;
        let last = self.slice_at(tick.time_ns);
        let mut left = tick.weight;
        if tick.source.unit() == Unit::Nanoseconds && !tick.source.is_even() {
            // It ends when the sample was taken, and may have lasted for many slices.
            let began_ns = tick.time_ns.saturating_sub(tick.weight);
            for slice in self.slice_at(began_ns)..last {
                let ends_ns = (slice + 1).saturating_mul(self.slices.slice_ns);
                let starts_ns = began_ns.max(slice.saturating_mul(self.slices.slice_ns));
                let part = ends_ns.saturating_sub(starts_ns).min(left);
                add(&mut self.sums, (slice, source, thread, node), 0, part);
                left -= part;
            }
        }
        add(&mut self.sums, (last, source, thread, node), 1, left);
        while self.sums.len() > MOST_ROWS {
            if self.slices.slices / 2 < LEAST_SLICES {
                return false;
            }
            self.join();
        }
        true
    }

    /// What comes after the end belongs to the last slice: clocks are read one after the other.
    fn slice_at(&self, time_ns: u64) -> u64 {
        (time_ns / self.slices.slice_ns).min(self.slices.slices - 1)
    }

    /// Makes one slice of each two.
    fn join(&mut self) {
        self.slices = Slices {
            slices: self.slices.slices.div_ceil(2),
            slice_ns: self.slices.slice_ns.saturating_mul(2),
        };
        for ((slice, source, thread, node), (samples, weight)) in std::mem::take(&mut self.sums) {
            add(&mut self.sums, (slice / 2, source, thread, node), samples, weight);
        }
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::sources::Source;

    use super::{Cutting, MOST_ROWS, Slices};
    use crate::profile::timeline::Tick;
    use crate::profile::{StackId, ThreadId};

    fn tick(source: Source, time_ns: u64, weight: u64) -> Tick {
        Tick {
            time_ns,
            thread: ThreadId(0),
            stack: StackId(0),
            source,
            weight,
        }
    }

    #[test]
    fn a_long_wait_is_shown_where_it_was_and_not_only_where_it_ended() {
        let mut cutting = Cutting::new(100_000_000);
        assert_eq!(
            cutting.slices,
            Slices {
                slices: 10,
                slice_ns: 10_000_000
            }
        );
        assert!(cutting.add(&tick(Source::OffCpu, 45_000_000, 30_000_000), 0, 7));
        let mut rows: Vec<_> = cutting.sums.iter().map(|(key, sums)| (key.0, *sums)).collect();
        rows.sort_unstable();
        assert_eq!(
            rows,
            [
                (1, (0, 5_000_000)),
                (2, (0, 10_000_000)),
                (3, (0, 10_000_000)),
                (4, (1, 5_000_000))
            ]
        );
    }

    #[test]
    fn a_wait_that_began_before_the_recording_counts_whole() {
        let mut cutting = Cutting::new(100_000_000);
        assert!(cutting.add(&tick(Source::OffCpu, 15_000_000, 60_000_000), 0, 7));
        let weight: u64 = cutting.sums.values().map(|(_, weight)| weight).sum();
        assert_eq!(weight, 60_000_000);
    }

    #[test]
    fn slices_become_longer_when_there_are_too_many_rows_and_nothing_is_lost() {
        let mut cutting = Cutting::new(10_000_000_000);
        let nodes = 2_000;
        for at in 0..1_000u64 * nodes {
            let node = u32::try_from(at % nodes).expect("a small number");
            assert!(cutting.add(&tick(Source::OnCpu, at / nodes * 10_000_000, 3), 0, node));
        }
        assert!(cutting.sums.len() <= MOST_ROWS);
        assert_eq!(
            cutting.slices,
            Slices {
                slices: 500,
                slice_ns: 20_000_000
            }
        );
        assert_eq!(
            cutting.sums.values().map(|(samples, _)| samples).sum::<u64>(),
            1_000 * nodes
        );
    }
}
