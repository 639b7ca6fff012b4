//! What a sample of CPU time weighs: the time since this CPU's previous interrupt, as far as one period can explain it.
//!
//! What no period explains (the machine slept, the CPU was taken away, interrupts were held back) goes to an account of
//! its own, never to the program that was found there.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which periods are possible on one CPU: element of the `PERIODS` map, written by user space whenever it sets a period.
/// All in nanoseconds; times are of `CLOCK_MONOTONIC`. All zero until user space has set one: then no time is known to have passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CpuPeriod {
    /// When the period in force was set.
    pub set_ns: u64,
    /// The longest time between two interrupts of which the first came before `set_ns`.
    pub crossing_limit_ns: u64,
    /// The longest time between two interrupts after `set_ns`.
    pub limit_ns: u64,
}

/// The time since the previous interrupt, in two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// What the sample weighs.
    pub weight_ns: u64,
    /// What no period explains.
    pub gap_ns: u64,
}

impl CpuPeriod {
    /// Splits the time from `previous_ns` to `now_ns`; `previous_ns` is 0 at a CPU's first interrupt, which stands for the
    /// time since `set_ns`.
    #[inline(always)]
    #[must_use]
    pub const fn split(&self, previous_ns: u64, now_ns: u64) -> Elapsed {
        let since_ns = if previous_ns == 0 {
            self.set_ns
        } else {
            previous_ns
        };
        let limit_ns = if since_ns < self.set_ns {
            self.crossing_limit_ns
        } else {
            self.limit_ns
        };
        let elapsed_ns = if self.set_ns == 0 {
            0
        } else {
            now_ns.saturating_sub(since_ns)
        };
        let weight_ns = if elapsed_ns < limit_ns {
            elapsed_ns
        } else {
            limit_ns
        };
        Elapsed {
            weight_ns,
            gap_ns: elapsed_ns - weight_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CpuPeriod, Elapsed};

    const PERIOD: CpuPeriod = CpuPeriod {
        set_ns: 1_000,
        crossing_limit_ns: 300,
        limit_ns: 110,
    };

    fn split(previous_ns: u64, now_ns: u64) -> (u64, u64) {
        let Elapsed { weight_ns, gap_ns } = PERIOD.split(previous_ns, now_ns);
        (weight_ns, gap_ns)
    }

    #[test]
    fn a_sample_weighs_the_time_since_the_one_before() {
        assert_eq!(split(1_000, 1_100), (100, 0));
        assert_eq!(split(2_000, 2_110), (110, 0));
    }

    #[test]
    fn what_no_period_explains_is_a_gap() {
        assert_eq!(split(2_000, 2_111), (110, 1));
        assert_eq!(split(2_000, 1_000_000), (110, 997_890));
    }

    #[test]
    fn the_interrupt_that_crosses_a_change_of_period_has_a_limit_of_its_own() {
        assert_eq!(split(999, 1_299), (300, 0));
        assert_eq!(split(900, 1_299), (300, 99));
    }

    #[test]
    fn the_first_interrupt_stands_for_the_time_since_the_period_was_set() {
        assert_eq!(split(0, 1_050), (50, 0));
        assert_eq!(split(0, 5_000), (110, 3_890));
    }

    #[test]
    fn a_clock_that_is_read_late_gives_no_time() {
        assert_eq!(split(1_500, 1_400), (0, 0));
    }

    #[test]
    fn before_a_period_is_set_no_time_is_known_to_have_passed() {
        let nothing = Elapsed {
            weight_ns: 0,
            gap_ns: 0,
        };
        assert_eq!(CpuPeriod::default().split(0, 7), nothing);
        assert_eq!(CpuPeriod::default().split(3, 7), nothing);
    }
}
