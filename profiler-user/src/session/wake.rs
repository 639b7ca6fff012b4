//! When the event loop wakes by itself: about ten times a second at first, at random, in pairs of equal length; less often
//! the longer a recording has lasted. Draining, new sampling periods, CPUs that come and go, users and progress all happen
//! then.

use std::time::{Duration, Instant};

use crate::clock::monotonic_ns;
use crate::sources::Wake;

/// Mean time between two wake-ups, at least and at most. Rings hold twice as much.
const MEAN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// The mean time is the length of the interval so far divided by this. A period that happens to be a program's own sees the
/// same part of it over and over until the next one is drawn. Half of the samples taken until then can be wrong, which is
/// less than what chance does to all samples so far.
const PART: u32 = 50;
/// Mean time between two wake-ups while nothing is sampled.
const QUIET: Duration = Duration::from_millis(500);
/// How far both spread, parts per thousand.
const SPREAD: u64 = 500;

/// The schedule of wake-ups.
#[derive(Debug)]
pub(super) struct Wakes {
    /// When the current interval began.
    began: Instant,
    /// Whether they may become rare.
    may_settle: bool,
    next: Instant,
    interval: Duration,
    is_second: bool,
    random: fastrand::Rng,
}

impl Wakes {
    /// Begins now. With `may_settle` wake-ups become rare after a while.
    pub(super) fn new(may_settle: bool) -> Self {
        let now = Instant::now();
        Self {
            began: now,
            may_settle,
            next: now,
            interval: Duration::ZERO,
            is_second: true,
            random: fastrand::Rng::new(),
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    /// Another interval begins, which has to be right by itself.
    pub(super) fn begin_interval(&mut self) {
        self.began = Instant::now();
    }

    /// The one that is due now; arranges for the next one. `is_quiet`: nothing was sampled since the last one.
    pub(super) fn take(&mut self, is_quiet: bool) -> Wake {
        let now = Instant::now();
        self.is_second = !self.is_second;
        if !self.is_second {
            let mean = self.mean(now.saturating_duration_since(self.began), is_quiet);
            let permille = self.random.u64(1_000 - SPREAD..=1_000 + SPREAD);
            self.interval =
                Duration::from_micros(u64::try_from(mean.as_micros()).unwrap_or(u64::MAX) / 1_000 * permille);
        }
        self.next = now + self.interval;
        Wake {
            now_ns: monotonic_ns(),
            interval: self.interval,
            is_second: self.is_second,
        }
    }

    fn mean(&self, recorded: Duration, is_quiet: bool) -> Duration {
        let (least, most) = MEAN;
        if !self.may_settle {
            return least;
        }
        let mean = (recorded / PART).clamp(least, most);
        if is_quiet && mean > least {
            return mean.max(QUIET);
        }
        mean
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Wakes;

    #[test]
    fn wake_ups_come_in_pairs_of_equal_length_about_ten_times_a_second() {
        let mut wakes = Wakes::new(true);
        let mut sum = Duration::ZERO;
        for _ in 0..1_000 {
            let (first, second) = (wakes.take(false), wakes.take(false));
            assert!(!first.is_second && second.is_second);
            assert_eq!(first.interval, second.interval);
            let range = Duration::from_millis(50)..=Duration::from_millis(150);
            assert!(range.contains(&first.interval));
            sum += first.interval;
        }
        let mean_ms = sum.as_secs_f64();
        assert!((85.0..115.0).contains(&mean_ms), "{mean_ms}");
    }
    #[test]
    fn they_become_rare_where_nothing_depends_on_single_ones() {
        let wakes = Wakes::new(true);
        let mean = |seconds, is_quiet| wakes.mean(Duration::from_secs(seconds), is_quiet).as_millis();
        assert_eq!(
            [0, 5, 20, 50, 5_000].map(|seconds| mean(seconds, false)),
            [100, 100, 400, 1_000, 1_000]
        );
        assert_eq!(
            [0, 5, 6, 50].map(|seconds| mean(seconds, true)),
            [100, 100, 500, 1_000]
        );
        let with_names = Wakes::new(false);
        assert_eq!(with_names.mean(Duration::from_secs(50), true).as_millis(), 100);
    }
}
