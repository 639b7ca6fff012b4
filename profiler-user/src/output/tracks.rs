//! Threads along the time of the recording: what each one did from when to when. Used by the formats that show time.
//!
//! Samples never come exactly at the rate. Those less than one and a half periods apart are drawn without a gap: the thread
//! ran. Drift beyond [`JITTER_PERIODS`] is taken out of the widths, so a second stays a second; all other widths are
//! whole. A timeline that was cut off by a full disk is not used: then every stack is drawn once, with all of its
//! samples.

use std::io;

use profiler_common::contract::sources::Unit;

use crate::output::error::OutputError;
use crate::output::lanes::{Lanes, Moment};
use crate::profile::timeline::Tick;
use crate::profile::{Count, Profile, Recording, StackId, ThreadId};

/// How far from its time a sample may be drawn, in sampling periods.
const JITTER_PERIODS: u64 = 2;

/// The samples by source and thread; `None` when not all of them are in the time line.
///
/// # Errors
/// [`OutputError::NoTimeline`] and [`OutputError::Timeline`].
pub(super) fn lanes(recording: &mut Recording) -> Result<Option<Lanes>, OutputError> {
    let timeline = recording.timeline.as_mut().ok_or(OutputError::NoTimeline)?;
    if !timeline.is_whole() {
        return Ok(None);
    }
    let (profiles, threads) = (&recording.profiles, recording.threads.len());
    let lane = |tick: &Tick| {
        let profile = profiles
            .iter()
            .position(|profile| profile.source == tick.source)?;
        Some(profile * threads + tick.thread.0 as usize)
    };
    match Lanes::sort(timeline, profiles.len() * threads, lane) {
        Ok(lanes) => Ok(Some(lanes)),
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            log::warn!("no order of time: sorting in a temporary file: {error}");
            Ok(None)
        }
        Err(error) => Err(OutputError::Timeline(error)),
    }
}

/// What one source saw of one thread.
pub(super) struct Track<'p> {
    pub(super) profile: &'p Profile,
    lane: usize,
    pub(super) thread: ThreadId,
    pub(super) samples: u64,
}

impl Track<'_> {
    /// Whether its samples stand for time, not for events.
    pub(super) fn is_time(&self) -> bool {
        self.profile.source.unit() == Unit::Nanoseconds
    }

    /// Whether they stand for times that differ, each of which ends when the sample was taken.
    fn is_uneven_time(&self) -> bool {
        self.is_time() && !self.profile.source.is_even()
    }
}

/// Source by source the threads that it saw, by process and thread id.
pub(super) fn tracks(recording: &Recording) -> Vec<Track<'_>> {
    let mut tracks = Vec::new();
    for (index, profile) in recording.profiles.iter().enumerate() {
        let mut samples = vec![0; recording.threads.len()];
        for count in &profile.counts {
            if let Some(of_thread) = samples.get_mut(count.thread.0 as usize) {
                *of_thread += count.samples;
            }
        }
        let first = tracks.len();
        tracks.extend(
            (0u32..)
                .zip(samples)
                .filter(|(_, samples)| *samples != 0)
                .map(|(thread, samples)| Track {
                    profile,
                    lane: index * recording.threads.len() + thread as usize,
                    thread: ThreadId(thread),
                    samples,
                }),
        );
        tracks[first..].sort_by_key(|track| {
            let thread = recording.thread(track.thread);
            (recording.process(thread.process).pid, thread.tid)
        });
    }
    tracks
}

/// The time between two samples of one CPU as asked for, nanoseconds.
pub(super) fn period_ns(recording: &Recording) -> u64 {
    (1_000_000_000 / u64::from(recording.rate_hz.max(1))).max(1)
}

/// What is drawn of a track, one entry after the other from the start of the recording on.
pub(super) fn entries<'s>(
    recording: &Recording,
    lanes: Option<&'s Lanes>,
    track: &'s Track<'_>,
) -> Box<dyn Iterator<Item = io::Result<Entry>> + 's> {
    let period_ns = period_ns(recording);
    match lanes {
        Some(lanes) if track.is_uneven_time() => Box::new(Spans::new(lanes.moments(track.lane))),
        Some(lanes) if track.is_time() => Box::new(Chart::new(lanes.moments(track.lane), period_ns)),
        Some(lanes) => {
            let moments = lanes.moments(track.lane);
            Box::new(moments.map(|moment| moment.map(|moment| Entry::Sample(moment.stack, moment.weight))))
        }
        None => {
            let of_thread = |count: &&Count| count.thread == track.thread;
            let counts = track.profile.counts.iter().filter(of_thread);
            let width = move |count: &Count| {
                if track.is_time() && !track.is_uneven_time() {
                    count.samples.saturating_mul(period_ns)
                } else {
                    count.weight
                }
            };
            Box::new(counts.map(move |count| Ok(Entry::Sample(count.stack, width(count)))))
        }
    }
}

/// One piece of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing was sampled for this many nanoseconds.
    Pause(u64),
    /// A stack, and for how many nanoseconds it is drawn: the sampling period, unless there was drift.
    Sample(StackId, u64),
}

/// Lays the samples of a thread along the time of the recording.
pub(super) struct Chart<I> {
    moments: I,
    period_ns: u64,
    /// Up to where there are entries.
    drawn_ns: u64,
    /// The time of the sample before.
    last_ns: u64,
    /// The sample that ends the pause just returned.
    after_pause: Option<Moment>,
}

impl<I: Iterator<Item = io::Result<Moment>>> Chart<I> {
    pub(super) fn new(moments: I, period_ns: u64) -> Self {
        Self {
            moments,
            period_ns,
            drawn_ns: 0,
            last_ns: 0,
            after_pause: None,
        }
    }

    /// The pause before `moment`: at least one sample is missing, and there is room for it.
    fn pause_before(&self, moment: Moment) -> Option<u64> {
        let half_ns = self.period_ns / 2;
        let starts_ns = moment.time_ns.saturating_sub(self.period_ns);
        let pause_ns = starts_ns.saturating_sub(self.drawn_ns);
        let missing = moment.time_ns.saturating_sub(self.last_ns) >= self.period_ns + half_ns;
        (missing && pause_ns >= half_ns).then_some(pause_ns)
    }

    /// The sampling period, or what keeps the entries within the jitter of `moment`.
    fn width_of(&self, moment: Moment) -> u64 {
        let jitter_ns = self.period_ns * JITTER_PERIODS;
        let up_to = |end_ns: u64| end_ns.saturating_sub(self.drawn_ns);
        let least_ns = up_to(moment.time_ns.saturating_sub(jitter_ns));
        self.period_ns
            .clamp(least_ns, up_to(moment.time_ns.saturating_add(jitter_ns)))
    }
}

impl<I: Iterator<Item = io::Result<Moment>>> Iterator for Chart<I> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let moment = match self.after_pause.take() {
            Some(moment) => moment,
            None => match self.moments.next()? {
                Ok(moment) => moment,
                Err(error) => return Some(Err(error)),
            },
        };
        let pause_ns = self.pause_before(moment);
        // Also ends a pause: its sample now is its own predecessor.
        self.last_ns = moment.time_ns;
        let (entry, ns) = match pause_ns {
            Some(ns) => (Entry::Pause(ns), ns),
            None => {
                let ns = self.width_of(moment);
                (Entry::Sample(moment.stack, ns), ns)
            }
        };
        self.after_pause = pause_ns.map(|_| moment);
        self.drawn_ns = self.drawn_ns.saturating_add(ns);
        Some(Ok(entry))
    }
}

/// Lays samples that stand for times along the time of the recording: each ends at its time and is as long as what it stands
/// for, as far as there is room after the one before.
struct Spans<I> {
    moments: I,
    /// Up to where there are entries.
    drawn_ns: u64,
    /// What comes after the pause just returned.
    after_pause: Option<Entry>,
}

impl<I: Iterator<Item = io::Result<Moment>>> Spans<I> {
    fn new(moments: I) -> Self {
        Self {
            moments,
            drawn_ns: 0,
            after_pause: None,
        }
    }
}

impl<I: Iterator<Item = io::Result<Moment>>> Iterator for Spans<I> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(entry) = self.after_pause.take() {
            return Some(Ok(entry));
        }
        loop {
            let moment = match self.moments.next()? {
                Ok(moment) => moment,
                Err(error) => return Some(Err(error)),
            };
            let starts_ns = moment.time_ns.saturating_sub(moment.weight).max(self.drawn_ns);
            let width_ns = moment.time_ns.saturating_sub(starts_ns);
            if width_ns == 0 {
                continue;
            }
            let pause_ns = starts_ns - self.drawn_ns;
            self.drawn_ns = moment.time_ns;
            let entry = Entry::Sample(moment.stack, width_ns);
            if pause_ns == 0 {
                return Some(Ok(entry));
            }
            self.after_pause = Some(entry);
            return Some(Ok(Entry::Pause(pause_ns)));
        }
    }
}

/// The samples of a track of events, each at its time and with its weight; all at the start where there is no order of time.
pub(super) fn moments<'s>(
    lanes: Option<&'s Lanes>,
    track: &'s Track<'_>,
) -> Box<dyn Iterator<Item = io::Result<Moment>> + 's> {
    match lanes {
        Some(lanes) => Box::new(lanes.moments(track.lane)),
        None => {
            let counts = track.profile.counts.iter();
            let of_thread = counts.filter(|count| count.thread == track.thread);
            Box::new(of_thread.map(|count| {
                Ok(Moment {
                    time_ns: 0,
                    stack: count.stack,
                    weight: count.weight,
                })
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Spans};
    use crate::output::lanes::Moment;
    use crate::profile::StackId;

    #[test]
    fn times_off_the_cpu_end_when_the_thread_is_back() {
        let moment = |time_ns, stack, weight| {
            Ok(Moment {
                time_ns,
                stack: StackId(stack),
                weight,
            })
        };
        let moments = [
            moment(100, 0, 40),
            moment(120, 1, 20),
            // It stands for more than there is room for, and one of no length at all.
            moment(150, 2, 1_000),
            moment(150, 3, 10),
            moment(200, 4, 10),
        ];
        let entries: Vec<Entry> = Spans::new(moments.into_iter())
            .map(|entry| entry.expect("in memory"))
            .collect();
        let sample = |stack, ns| Entry::Sample(StackId(stack), ns);
        assert_eq!(
            entries,
            [
                Entry::Pause(60),
                sample(0, 40),
                sample(1, 20),
                sample(2, 30),
                Entry::Pause(40),
                sample(4, 10),
            ]
        );
    }
}
