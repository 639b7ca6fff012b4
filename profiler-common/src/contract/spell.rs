//! Time off the CPU: what the kernel half keeps of each thread, and which of its spells are walked and reported.
//!
//! A **spell** is the time from when a thread leaves its CPU until it comes back. First it is *blocked*, until somebody
//! wakes it; then it *waits* for a CPU. A thread whose turn is over was never blocked: all of its spell is waiting.
//!
//! Two decisions keep the cost down, and neither of them changes what the sums are on average:
//!
//! - At its beginning a spell is walked with a probability, its **odds**, which depends on what happened before and on
//!   nothing else. A spell that was walked with odds `p` counts `1/p` times.
//! - At its end it is reported, if it lasted a certain time ([`Reporting`]); a shorter one with a probability in
//!   proportion to its length. Then it counts as if it had lasted that time. So a thread cannot cause more than one report
//!   in that time.
//!
//! A spell of half a second is always reported and counts once, whether or not it was walked: those are few, and one of them
//! that counted thirty-two times, or not at all, would spoil the sums.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Which spells are reported. User space decides, before it loads the kernel half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reporting {
    /// No shorter one is reported, counts, or is counted for others.
    pub least_ns: u64,
    /// Spells that last so long are always reported, if they were walked.
    pub report_ns: u64,
    /// Spells that last so long are reported even if they were not walked, and count once.
    pub long_ns: u64,
}

impl Reporting {
    /// Where all time off the CPU is wanted.
    pub const ALL: Self = Self {
        least_ns: 0,
        report_ns: 10_000_000,
        long_ns: 500_000_000,
    };
    /// Where waits for the GIL are wanted, which are short: one lasts at most CPython's switch interval (5 ms), and then goes
    /// on as the next one.
    pub const GIL: Self = Self {
        report_ns: 1_000_000,
        ..Self::ALL
    };
    /// The globals of the kernel half that hold these numbers, in their order.
    pub const GLOBALS: [&'static str; 3] = ["SPELL_LEAST_NS", "SPELL_REPORT_NS", "SPELL_LONG_NS"];

    /// Where every spell that lasts so long is wanted, and no other: each counts once.
    #[must_use]
    pub const fn from(least_ns: u64) -> Self {
        Self {
            least_ns,
            report_ns: earlier(least_ns, Self::ALL.report_ns),
            long_ns: earlier(least_ns, Self::ALL.long_ns),
        }
    }

    /// Whether a spell that was walked (or that began before anybody looked) is reported; `random` is any number.
    #[inline(always)]
    #[must_use]
    pub const fn is_reported(&self, total_ns: u64, random: u32) -> bool {
        // A product on either side: no division in a switch.
        total_ns >= self.least_ns
            && (total_ns >= self.report_ns
                || (random & (CERTAIN - 1)) as u64 * self.report_ns < total_ns * CERTAIN as u64)
    }

    /// What a part of a spell stands for that was walked with these odds (0: it was not) and lasted `total_ns`.
    /// `was_drawn` says whether it is known by a report, for which short ones are drawn.
    #[must_use]
    pub fn weight_ns(&self, part_ns: u64, total_ns: u64, odds: u32, was_drawn: bool) -> u64 {
        let (mut times, mut of) = (1u128, 1u128);
        if was_drawn && total_ns < self.report_ns {
            times = self.report_ns.into();
            of = total_ns.max(1).into();
        }
        if odds != 0 && total_ns < self.long_ns {
            times *= u128::from(CERTAIN);
            of *= u128::from(odds);
        }
        u64::try_from(u128::from(part_ns) * times / of).unwrap_or(u64::MAX)
    }
}

const fn earlier(one_ns: u64, other_ns: u64) -> u64 {
    if one_ns < other_ns { one_ns } else { other_ns }
}

/// The odds of what is certain.
pub const CERTAIN: u32 = 1 << 16;
/// The odds are never lower than that: a spell that is walked counts thirty-two times at most.
const LOWEST: u32 = CERTAIN / 32;
/// Log2 of [`WALK_EVERY_NS`]: no division in a switch.
const WALK_EVERY_BITS: u32 = 21;
/// A thread may ask for one walk in so long a time: about five hundred a second.
const WALK_EVERY_NS: u64 = 1 << WALK_EVERY_BITS;
/// Walks that a thread can save up for later.
const SAVED_WALKS: u64 = 16;
/// Log2 of the nanoseconds in which one CPU's walks are counted: an eighth of a second.
const WINDOW_BITS: u32 = 27;
/// Walks of one CPU in such a time, about 3,000 a second.
const WALKS_PER_WINDOW: u64 = 400;

/// `ThreadSlot::state`.
pub mod thread_state {
    /// The thread is on a CPU.
    pub const ON_CPU: u32 = 0;
    /// It waits for something.
    pub const BLOCKED: u32 = 1;
    /// It waits for a CPU, and for nothing else.
    pub const READY: u32 = 2;
    /// It was entered, and no switch has been seen since: it may be any of these.
    pub const ENTERED: u32 = 3;
}

/// What is kept of one thread of a profiled process: value of the `THREADS` map, whose key is the thread id. Entered at a
/// fork or by user space, removed at an exit or exec; changed in place at every switch, by one CPU at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ThreadSlot {
    /// `ProcessEntry::incarnation` of its process.
    pub incarnation: u64,
    /// When it left its CPU, or was entered. Times are of `CLOCK_MONOTONIC`, nanoseconds.
    pub out_ns: u64,
    /// When it was woken after that; 0 while it was not.
    pub woken_ns: u64,
    /// Up to when the walks that it may ask for have been asked for: see [`Self::take_walks`]. 0 before the first one.
    pub paid_ns: u64,
    /// How long it has been blocked in all, spells that have ended only.
    pub blocked_ns: u64,
    /// How long it has waited for a CPU; the same.
    pub waiting_ns: u64,
    /// Its user thread pointer, once it has been seen to leave a CPU; 0 before. It leads to its stack from outside.
    pub thread_pointer: u64,
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// Number of its spell: the one that lasts, or the last one.
    pub spell: u32,
    /// A [`thread_state`].
    pub state: u32,
    /// With which odds its spell was walked; 0 if it was not.
    pub odds: u32,
}

impl ThreadSlot {
    /// The slot of a thread that is entered now.
    #[inline(always)]
    #[must_use]
    pub const fn entered(tgid: u32, incarnation: u64, now_ns: u64) -> Self {
        Self {
            incarnation,
            out_ns: now_ns,
            woken_ns: 0,
            paid_ns: 0,
            blocked_ns: 0,
            waiting_ns: 0,
            thread_pointer: 0,
            tgid,
            // So that no spell has the number of one of an earlier thread with this id.
            spell: now_ns as u32,
            state: thread_state::ENTERED,
            odds: 0,
        }
    }

    /// What it asks for when it leaves its CPU, in parts of a walk ([`CERTAIN`] is a whole one), and takes from what it may
    /// ask for. To be called once for each spell, before that is noted.
    ///
    /// A thread that switches less often than it may be walked is walked every time, and saves walks up, so that spells which
    /// follow each other closely are all walked. One that switches more often asks for the part of a walk that the time since
    /// its last spell stands for: together never more than it may.
    #[inline(always)]
    #[must_use]
    pub const fn take_walks(&mut self, now_ns: u64) -> u32 {
        let oldest_ns = now_ns.saturating_sub(SAVED_WALKS << WALK_EVERY_BITS);
        let paid_ns = later(self.paid_ns, oldest_ns);
        let saved_ns = now_ns.saturating_sub(paid_ns);
        let since_ns = now_ns.saturating_sub(self.out_ns);
        let taken_ns = if saved_ns >= WALK_EVERY_NS {
            WALK_EVERY_NS
        } else if since_ns < saved_ns {
            since_ns
        } else {
            saved_ns
        };
        self.paid_ns = paid_ns + taken_ns;
        ((taken_ns * CERTAIN as u64) >> WALK_EVERY_BITS) as u32
    }

    /// Whether its spell is counted when it has lasted `total_ns`; else those that were walked stand for it, or none is to be
    /// counted.
    #[inline(always)]
    #[must_use]
    pub const fn is_counted(&self, total_ns: u64, reporting: &Reporting) -> bool {
        (self.odds != 0 || self.state == thread_state::ENTERED || total_ns >= reporting.long_ns)
            && total_ns >= reporting.least_ns
    }

    /// What is to be kept of a thread that has not come back: where no switch has been seen since it was entered, only `/proc`
    /// knows whether it `sleeps`.
    #[must_use]
    pub const fn settled(self, sleeps: bool) -> Self {
        let state = match self.state {
            thread_state::ENTERED if sleeps || self.woken_ns != 0 => thread_state::BLOCKED,
            thread_state::ENTERED => thread_state::ON_CPU,
            known => known,
        };
        Self { state, ..self }
    }

    /// How long its spell has lasted at `now_ns`, when it comes back or once it is [`Self::settled`], as far as it came after `since_ns`; `None` while it is on a CPU.
    #[inline(always)]
    #[must_use]
    pub const fn lasted(&self, since_ns: u64, now_ns: u64) -> Option<Lasted> {
        let woken_ns = match self.state {
            thread_state::BLOCKED if self.woken_ns == 0 => now_ns,
            // Who comes back without having been woken since it was entered was waiting for a CPU then.
            thread_state::BLOCKED | thread_state::ENTERED => self.woken_ns,
            thread_state::READY => 0,
            _ => return None,
        };
        let out_ns = later(self.out_ns, since_ns);
        let woken_ns = later(woken_ns, out_ns);
        Some(Lasted {
            out_ns,
            blocked_ns: woken_ns - out_ns,
            waiting_ns: now_ns.saturating_sub(woken_ns),
        })
    }
}

/// How long a spell has lasted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lasted {
    /// When it began.
    pub out_ns: u64,
    /// Until it was woken.
    pub blocked_ns: u64,
    /// From then on.
    pub waiting_ns: u64,
}

impl Lasted {
    /// Both together.
    #[inline(always)]
    #[must_use]
    pub const fn total_ns(&self) -> u64 {
        self.blocked_ns + self.waiting_ns
    }
}

#[inline(always)]
const fn later(one_ns: u64, other_ns: u64) -> u64 {
    if one_ns > other_ns { one_ns } else { other_ns }
}

/// How many walks one CPU was asked for of late: value of the `PACE` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pace {
    /// Number of the window of time that lasts.
    window: u64,
    /// Odds asked for in it, added up.
    asked: u64,
    /// Which part of what is asked for is granted in it, in parts of [`CERTAIN`].
    share: u64,
}

impl Pace {
    /// The odds with which a thread is walked that asks for this: see [`ThreadSlot::take_walks`].
    #[inline(always)]
    #[must_use]
    pub const fn odds(&mut self, asked: u32, now_ns: u64) -> u32 {
        let window = now_ns >> WINDOW_BITS;
        if window != self.window {
            let full = WALKS_PER_WINDOW * CERTAIN as u64;
            let before = if window == self.window + 1 { self.asked } else { 0 };
            self.share = if before <= full {
                CERTAIN as u64
            } else {
                full * CERTAIN as u64 / before
            };
            self.window = window;
            self.asked = 0;
        }
        self.asked += asked as u64;
        let granted = (asked as u64 * self.share) >> 16;
        if granted < LOWEST as u64 {
            LOWEST
        } else {
            granted as u32
        }
    }
}

/// Whether a draw with these odds is won; `random` is any number.
#[inline(always)]
#[must_use]
pub const fn is_drawn(odds: u32, random: u32) -> bool {
    random & (CERTAIN - 1) < odds
}

/// Time off the CPU of all profiled threads, exactly: slots of the `SPELL_TIME` map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SpellTime {
    /// Until they were woken, nanoseconds.
    Blocked = 0,
    /// Until they were on a CPU, nanoseconds.
    Waiting = 1,
}

impl SpellTime {
    /// Both.
    pub const ALL: &'static [Self] = &[Self::Blocked, Self::Waiting];
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::{
        CERTAIN, LOWEST, Lasted, Pace, Reporting, SAVED_WALKS, ThreadSlot, WALK_EVERY_NS, is_drawn,
        thread_state,
    };

    const MS: u64 = 1_000_000;
    const ALL: Reporting = Reporting::ALL;

    fn is_reported(total_ns: u64, random: u32) -> bool {
        ALL.is_reported(total_ns, random)
    }

    fn weight_ns(part_ns: u64, total_ns: u64, odds: u32, was_drawn: bool) -> u64 {
        ALL.weight_ns(part_ns, total_ns, odds, was_drawn)
    }

    fn slot(state: u32, out_ns: u64, woken_ns: u64) -> ThreadSlot {
        ThreadSlot {
            state,
            out_ns,
            woken_ns,
            ..ThreadSlot::default()
        }
    }

    fn lasted(slot: ThreadSlot, since_ns: u64, now_ns: u64) -> Option<(u64, u64)> {
        let lasted = slot.lasted(since_ns, now_ns);
        lasted.map(
            |Lasted {
                 blocked_ns,
                 waiting_ns,
                 ..
             }| (blocked_ns, waiting_ns),
        )
    }

    #[test]
    fn a_spell_is_blocked_until_it_is_woken_and_waits_from_then_on() {
        assert_eq!(lasted(slot(thread_state::BLOCKED, 100, 0), 0, 130), Some((30, 0)));
        assert_eq!(
            lasted(slot(thread_state::BLOCKED, 100, 120), 0, 130),
            Some((20, 10))
        );
        assert_eq!(lasted(slot(thread_state::READY, 100, 0), 0, 130), Some((0, 30)));
        assert_eq!(lasted(slot(thread_state::ON_CPU, 100, 0), 0, 130), None);
    }

    #[test]
    fn a_thread_that_was_not_woken_since_it_was_entered_waited_for_a_cpu() {
        assert_eq!(lasted(slot(thread_state::ENTERED, 100, 0), 0, 130), Some((0, 30)));
        assert_eq!(
            lasted(slot(thread_state::ENTERED, 100, 120), 0, 130),
            Some((20, 10))
        );
    }

    #[test]
    fn a_thread_that_never_came_back_was_blocked_if_it_sleeps() {
        let settled =
            |woken_ns, sleeps| lasted(slot(thread_state::ENTERED, 100, woken_ns).settled(sleeps), 0, 130);
        assert_eq!(settled(0, true), Some((30, 0)));
        assert_eq!(settled(0, false), None, "it was on a CPU all the time");
        assert_eq!(settled(120, false), Some((20, 10)));
        let known = slot(thread_state::READY, 100, 0);
        assert_eq!(known.settled(true), known);
    }

    #[test]
    fn a_spell_that_was_left_out_is_counted_only_if_it_is_long() {
        let left_out = slot(thread_state::BLOCKED, 100, 0);
        assert!(!left_out.is_counted(ALL.long_ns - 1, &ALL) && left_out.is_counted(ALL.long_ns, &ALL));
        assert!(slot(thread_state::ENTERED, 100, 0).is_counted(1, &ALL));
        assert!(ThreadSlot { odds: 1, ..left_out }.is_counted(1, &ALL));
    }

    #[test]
    fn above_a_threshold_every_spell_counts_once_and_below_it_none() {
        for least_ns in [MS / 10, 50 * MS, 3_000 * MS] {
            let reporting = Reporting::from(least_ns);
            for odds in [0, LOWEST, CERTAIN] {
                let slot = ThreadSlot {
                    odds,
                    ..slot(thread_state::BLOCKED, 100, 0)
                };
                assert!(!slot.is_counted(least_ns - 1, &reporting) && slot.is_counted(least_ns, &reporting));
                assert_eq!(reporting.weight_ns(least_ns, least_ns, odds, true), least_ns);
            }
            for random in [0, CERTAIN - 1, u32::MAX] {
                assert!(
                    !reporting.is_reported(least_ns - 1, random) && reporting.is_reported(least_ns, random)
                );
            }
        }
    }

    #[test]
    fn what_was_before_the_beginning_does_not_count() {
        assert_eq!(
            lasted(slot(thread_state::BLOCKED, 100, 120), 110, 130),
            Some((10, 10))
        );
        assert_eq!(
            lasted(slot(thread_state::BLOCKED, 100, 120), 125, 130),
            Some((0, 5))
        );
        assert_eq!(
            lasted(slot(thread_state::BLOCKED, 100, 120), 140, 130),
            Some((0, 0))
        );
    }

    /// What a thread asks for that leaves its CPU at these times.
    fn asked(times_ns: impl IntoIterator<Item = u64>) -> Vec<u32> {
        let mut slot = ThreadSlot::entered(7, 1, 0);
        let mut leave = |now_ns| {
            let asked = slot.take_walks(now_ns);
            slot.out_ns = now_ns;
            asked
        };
        times_ns.into_iter().map(&mut leave).collect()
    }

    #[test]
    fn a_thread_that_switches_rarely_asks_for_a_walk_each_time() {
        assert_eq!(asked((1_000..2_000).map(|n| n * WALK_EVERY_NS)), [CERTAIN; 1_000]);
    }

    #[test]
    fn it_does_so_even_where_its_switches_come_in_pairs() {
        let pairs = (100..400).flat_map(|n| [n * 5 * MS, n * 5 * MS + MS / 10]);
        assert_eq!(asked(pairs), [CERTAIN; 600]);
    }

    #[test]
    fn a_thread_saves_up_a_few_walks_and_no_more() {
        let many = usize::try_from(SAVED_WALKS).expect("small");
        let asked = asked((0..100).map(|n| 9_000 * MS + n));
        assert_eq!(asked[..many], [CERTAIN; 16]);
        assert!(asked[many..].iter().all(|odds| *odds == 0), "{asked:?}");
    }

    #[test]
    fn a_thread_that_switches_often_asks_for_no_more_than_it_may() {
        for every_ns in [5_000, 50_000, 500_000, WALK_EVERY_NS - 1] {
            let asked = asked((1_000 * MS..2_000 * MS).step_by(every_ns.try_into().expect("small")));
            let walks = asked.iter().map(|odds| u64::from(*odds)).sum::<u64>() / u64::from(CERTAIN);
            let may = 1_000 * MS / WALK_EVERY_NS;
            assert!(
                (may - may / 50..=may + SAVED_WALKS).contains(&walks),
                "{walks} of {may}"
            );
        }
    }

    #[test]
    fn a_cpu_that_is_asked_for_too_much_grants_less_in_the_next_window() {
        let mut pace = Pace::default();
        let window = 1 << super::WINDOW_BITS;
        for _ in 0..4 * super::WALKS_PER_WINDOW {
            assert_eq!(pace.odds(CERTAIN, 8 * window), CERTAIN);
        }
        assert_eq!(pace.odds(CERTAIN, 9 * window), CERTAIN / 4);
        // Once it was asked for little.
        assert_eq!(pace.odds(CERTAIN, 10 * window), CERTAIN);
        assert_eq!(pace.odds(0, 10 * window), LOWEST);
        for _ in 0..100 * super::WALKS_PER_WINDOW {
            let _ = pace.odds(CERTAIN, 10 * window);
        }
        assert_eq!(pace.odds(CERTAIN, 11 * window), LOWEST);
        // What was long ago does not matter.
        assert_eq!(pace.odds(CERTAIN, 20 * window), CERTAIN);
    }

    #[test]
    fn what_is_certain_is_always_drawn_and_what_is_impossible_never() {
        for random in [0, 1, CERTAIN - 1, CERTAIN, u32::MAX] {
            assert!(is_drawn(CERTAIN, random) && !is_drawn(0, random));
            assert!(is_reported(ALL.report_ns, random) && !is_reported(0, random));
        }
        assert!(is_reported(u64::MAX, 0));
    }

    #[test]
    fn a_spell_that_was_drawn_stands_for_those_that_were_not() {
        // Drawn once in ten times at its end, and once in four times at its beginning.
        assert_eq!(weight_ns(MS, MS, CERTAIN / 4, true), 40 * MS);
        // The parts of a spell add up.
        assert_eq!(
            weight_ns(MS / 4, MS, CERTAIN, true) + weight_ns(3 * MS / 4, MS, CERTAIN, true),
            10 * MS
        );
        // Nobody drew at the end, because it has none yet.
        assert_eq!(weight_ns(MS, MS, CERTAIN / 4, false), 4 * MS);
        // It was not walked, so nobody drew at its beginning.
        assert_eq!(weight_ns(MS, MS, 0, true), 10 * MS);
    }

    #[test]
    fn a_long_spell_counts_once_whether_or_not_it_was_walked() {
        for odds in [0, LOWEST, CERTAIN] {
            assert_eq!(weight_ns(ALL.long_ns, ALL.long_ns, odds, true), ALL.long_ns);
        }
        assert_eq!(weight_ns(u64::MAX, u64::MAX, 0, true), u64::MAX);
    }

    #[test]
    fn on_average_what_is_reported_weighs_as_much_as_what_was_there() {
        // Every possible draw, once: a spell of 3 ms with odds of 3/8.
        let (total_ns, odds) = (3 * MS, CERTAIN / 8 * 3);
        let walked = (0..CERTAIN).filter(|random| is_drawn(odds, *random)).count() as u64;
        let reported = (0..CERTAIN)
            .filter(|random| is_reported(total_ns, *random))
            .count() as u64;
        let draws = u64::from(CERTAIN);
        let average = u128::from(weight_ns(total_ns, total_ns, odds, true)) * u128::from(walked * reported)
            / u128::from(draws * draws);
        assert!(
            average.abs_diff(total_ns.into()) < u128::from(total_ns / 1_000),
            "{average}"
        );
    }
}
