//! When the event loop wakes by itself: about ten times a second, at random, in pairs of equal length; more rarely once a
//! recording has lasted a while. Draining, new sampling periods, CPUs that come and go, users and progress all ride on it.

use std::time::{Duration, Instant};

use crate::clock::monotonic_ns;
use crate::sources::Wake;

/// Mean time between two wake-ups, and how far it spreads, parts per thousand.
const OFTEN: (Duration, u64) = (Duration::from_millis(100), 500);
const RARELY: (Duration, u64) = (Duration::from_millis(250), 500);
/// After so long the statistics of a recording no longer depend on single draws.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// The schedule of wake-ups.
#[derive(Debug)]
pub(super) struct Wakes {
    started: Instant,
    /// Whether it may become rare.
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
            started: now,
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

    /// The one that is due now; arranges for the next one.
    pub(super) fn take(&mut self) -> Wake {
        let now = Instant::now();
        self.is_second = !self.is_second;
        if !self.is_second {
            let settled = self.may_settle && now - self.started >= SETTLED_AFTER;
            let (mean, spread) = if settled { RARELY } else { OFTEN };
            let permille = self.random.u64(1_000 - spread..=1_000 + spread);
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
            let (first, second) = (wakes.take(), wakes.take());
            assert!(!first.is_second && second.is_second);
            assert_eq!(first.interval, second.interval);
            let range = Duration::from_millis(50)..=Duration::from_millis(150);
            assert!(range.contains(&first.interval));
            sum += first.interval;
        }
        let mean_ms = sum.as_secs_f64();
        assert!((85.0..115.0).contains(&mean_ms), "{mean_ms}");
    }
}
