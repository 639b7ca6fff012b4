//! Joins what a thread was doing when it left its CPU with how long it stayed away: the stack comes when it leaves, the time
//! when it is back. See [`profiler_common::contract::spell`].

use std::collections::HashMap;

use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::Reporting;

use crate::ids::ProcessKey;
use crate::wire::assembly::Sample;
use crate::wire::decode::Spell;

/// Threads whose stack is held, at most. Each has one spell at a time.
const MAX_HELD: usize = 1 << 16;

/// Stacks of threads that are off their CPU, or were: of short spells no end is reported.
#[derive(Debug)]
pub(super) struct Spells {
    reporting: Reporting,
    processes: HashMap<ProcessKey, HashMap<u32, Held>>,
    /// Threads in all of them.
    len: usize,
}

/// What is known of a thread's spell.
#[derive(Debug)]
struct Held {
    number: u32,
    /// `None` if it was not walked.
    sample: Option<Box<Sample>>,
    /// Until when it has been counted, because an interval ended; `CLOCK_MONOTONIC` nanoseconds.
    counted_ns: u64,
}

/// A spell, or what is new of it, ready to be counted.
#[derive(Debug)]
pub(super) struct Weighed {
    /// What the thread was doing.
    pub(super) sample: Box<Sample>,
    /// From when on it is counted, `CLOCK_MONOTONIC` nanoseconds.
    pub(super) out_ns: u64,
    /// When it was woken, `CLOCK_MONOTONIC` nanoseconds.
    pub(super) woken_ns: u64,
    /// What its being blocked until then stands for.
    pub(super) blocked_ns: u64,
    /// What its waiting for a CPU stands for.
    pub(super) waiting_ns: u64,
}

impl Default for Spells {
    fn default() -> Self {
        Self::of(Reporting::ALL)
    }
}

impl Spells {
    /// None yet; `reporting` is what the kernel half goes by.
    pub(super) fn of(reporting: Reporting) -> Self {
        Self {
            reporting,
            processes: HashMap::new(),
            len: 0,
        }
    }

    /// A thread has left its CPU with this stack.
    pub(super) fn hold(&mut self, sample: &Sample) {
        let before = self.processes.get(&sample.process);
        let before = before.and_then(|threads| threads.get(&sample.tid));
        let held = Held {
            number: sample.spell,
            sample: Some(Box::new(sample.clone())),
            counted_ns: before
                .filter(|held| held.number == sample.spell)
                .map_or(0, |held| held.counted_ns),
        };
        self.insert(sample.process, sample.tid, held);
    }

    /// Whether the stack of a spell is held.
    pub(super) fn has_stack(&self, spell: &Spell) -> bool {
        let held = self.processes.get(&spell.process);
        let held = held.and_then(|threads| threads.get(&spell.tid));
        held.is_some_and(|held| held.number == spell.number && held.sample.is_some())
    }

    /// What the thread was doing that left its CPU last with this GIL, and has not been known to leave it without since.
    pub(super) fn last_with_gil(&self, process: ProcessKey, lock: u64) -> Option<&Sample> {
        let held = self.processes.get(&process)?.values();
        let samples = held.filter_map(|held| held.sample.as_deref());
        samples
            .filter(|sample| sample.gil == GilState::Held && sample.gil_lock == lock)
            .max_by_key(|sample| sample.time_ns)
    }

    /// A thread is back.
    pub(super) fn end(&mut self, spell: &Spell) -> Weighed {
        let held = self.remove(spell);
        let counted_ns = held.as_ref().map_or(0, |held| held.counted_ns);
        self.weigh(spell, held.and_then(|held| held.sample), counted_ns, true)
    }

    /// A thread is not back yet: what has passed until now is counted now, the rest later.
    pub(super) fn count(&mut self, spell: &Spell) -> Weighed {
        let held = self.remove(spell);
        let counted_ns = held.as_ref().map_or(0, |held| held.counted_ns);
        let sample = held.and_then(|held| held.sample);
        let goes_on = Held {
            number: spell.number,
            sample: sample.clone(),
            counted_ns: spell.end_ns(),
        };
        self.insert(spell.process, spell.tid, goes_on);
        self.weigh(spell, sample, counted_ns, false)
    }

    /// What came after `counted_ns`, weighed.
    fn weigh(&self, spell: &Spell, sample: Option<Box<Sample>>, counted_ns: u64, was_drawn: bool) -> Weighed {
        let woken_ns = spell.out_ns.saturating_add(spell.blocked_ns);
        let after = |from_ns: u64, to_ns: u64| to_ns.saturating_sub(from_ns.max(counted_ns));
        let total_ns = spell.total_ns();
        let weight = |part_ns| self.reporting.weight_ns(part_ns, total_ns, spell.odds, was_drawn);
        let mut sample = sample.unwrap_or_else(|| Box::new(without_stack(spell)));
        sample.time_ns = spell.end_ns();
        Weighed {
            sample,
            out_ns: spell.out_ns.max(counted_ns),
            woken_ns,
            blocked_ns: weight(after(spell.out_ns, woken_ns)),
            waiting_ns: weight(after(woken_ns, spell.end_ns())),
        }
    }

    /// Forgets all spells but those that are open: of a thread that has ended nothing comes any more.
    pub(super) fn keep(&mut self, is_open: impl Fn(u32, u32) -> bool) {
        for threads in self.processes.values_mut() {
            threads.retain(|tid, held| is_open(*tid, held.number));
        }
        self.processes.retain(|_, threads| !threads.is_empty());
        self.len = self.processes.values().map(HashMap::len).sum();
    }

    /// A process is gone.
    pub(super) fn forget(&mut self, process: ProcessKey) {
        self.len -= self.processes.remove(&process).map_or(0, |threads| threads.len());
    }

    fn insert(&mut self, process: ProcessKey, tid: u32, held: Held) {
        let has_room = self.len < MAX_HELD;
        let threads = match self.processes.get_mut(&process) {
            Some(threads) => threads,
            None if has_room => self.processes.entry(process).or_default(),
            None => return,
        };
        if (has_room || threads.contains_key(&tid)) && threads.insert(tid, held).is_none() {
            self.len += 1;
        }
    }

    /// What is held of this very spell.
    fn remove(&mut self, spell: &Spell) -> Option<Held> {
        let threads = self.processes.get_mut(&spell.process)?;
        let held = threads.remove(&spell.tid)?;
        self.len -= 1;
        (held.number == spell.number).then_some(held)
    }
}

/// A sample that says no more than whose it is.
fn without_stack(spell: &Spell) -> Sample {
    Sample {
        process: spell.process,
        source: Source::OffCpu,
        cpu: spell.cpu,
        tid: spell.tid,
        status: StackStatus::NotTaken,
        gil: GilState::Unknown,
        comm: spell.comm,
        spell: spell.number,
        ..Sample::default()
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::reasons::StackStatus;
    use profiler_common::contract::sources::Source;
    use profiler_common::contract::spell::CERTAIN;

    use super::{MAX_HELD, Spells, Weighed};
    use crate::ids::ProcessKey;
    use crate::wire::assembly::Sample;
    use crate::wire::decode::Spell;

    const MS: u64 = 1_000_000;
    const PROCESS: ProcessKey = ProcessKey {
        tgid: 7,
        incarnation: 1,
    };

    fn walked(tid: u32, number: u32) -> Sample {
        Sample {
            process: PROCESS,
            source: Source::OffCpu,
            tid,
            spell: number,
            time_ns: 100 * MS,
            ..Sample::default()
        }
    }

    /// From 100 ms on: 20 ms blocked, then 5 ms waiting for a CPU.
    fn spell(tid: u32, number: u32) -> Spell {
        Spell {
            process: PROCESS,
            tid,
            number,
            out_ns: 100 * MS,
            blocked_ns: 20 * MS,
            waiting_ns: 5 * MS,
            odds: CERTAIN,
            cpu: 0,
            comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
        }
    }

    /// Status, time stamp, blocked and waiting, in ms.
    fn of(weighed: &Weighed) -> (StackStatus, u64, u64, u64) {
        let Weighed {
            sample,
            blocked_ns,
            waiting_ns,
            ..
        } = weighed;
        (
            sample.status,
            sample.time_ns / MS,
            blocked_ns / MS,
            waiting_ns / MS,
        )
    }

    #[test]
    fn a_stack_is_joined_with_the_time_of_its_own_spell() {
        let mut spells = Spells::default();
        spells.hold(&walked(8, 1));
        spells.hold(&walked(9, 1));
        spells.hold(&walked(8, 2));
        assert_eq!(of(&spells.end(&spell(8, 2))), (StackStatus::Complete, 125, 20, 5));
        assert_eq!(of(&spells.end(&spell(9, 1))), (StackStatus::Complete, 125, 20, 5));
        assert_eq!(spells.len, 0);
    }

    #[test]
    fn time_without_a_stack_is_counted_and_says_so() {
        let mut spells = Spells::default();
        spells.hold(&walked(8, 1));
        let weighed = spells.end(&spell(8, 2));
        assert_eq!(of(&weighed), (StackStatus::NotTaken, 125, 20, 5));
        assert_eq!(
            (weighed.sample.tid, &weighed.sample.comm[..6]),
            (8, &b"worker"[..])
        );
        assert!(!spells.has_stack(&spell(8, 1)), "the one before is over too");
    }

    #[test]
    fn a_spell_across_intervals_is_counted_once_in_parts() {
        let mut spells = Spells::default();
        spells.hold(&walked(8, 1));
        let first = Spell {
            blocked_ns: 12 * MS,
            waiting_ns: 0,
            ..spell(8, 1)
        };
        assert_eq!(of(&spells.count(&first)), (StackStatus::Complete, 112, 12, 0));
        let second = Spell {
            waiting_ns: 3 * MS,
            ..spell(8, 1)
        };
        assert_eq!(of(&spells.count(&second)), (StackStatus::Complete, 123, 8, 3));
        assert_eq!(of(&spells.end(&spell(8, 1))), (StackStatus::Complete, 125, 0, 2));
    }

    #[test]
    fn a_spell_without_a_stack_is_counted_in_parts_too() {
        let mut spells = Spells::default();
        let first = Spell {
            blocked_ns: 12 * MS,
            waiting_ns: 0,
            odds: 0,
            ..spell(8, 1)
        };
        assert_eq!(of(&spells.count(&first)), (StackStatus::NotTaken, 112, 12, 0));
        let whole = Spell {
            odds: 0,
            ..spell(8, 1)
        };
        assert_eq!(of(&spells.end(&whole)), (StackStatus::NotTaken, 125, 8, 5));
    }

    #[test]
    fn a_stack_that_comes_late_holds_for_what_was_not_counted_yet() {
        let mut spells = Spells::default();
        let first = Spell {
            blocked_ns: 12 * MS,
            waiting_ns: 0,
            odds: 0,
            ..spell(8, 1)
        };
        assert_eq!(of(&spells.count(&first)), (StackStatus::NotTaken, 112, 12, 0));
        spells.hold(&walked(8, 1));
        let whole = Spell {
            odds: 0,
            ..spell(8, 1)
        };
        assert_eq!(of(&spells.end(&whole)), (StackStatus::Complete, 125, 8, 5));
    }

    #[test]
    fn what_can_not_be_joined_any_more_is_forgotten() {
        let mut spells = Spells::default();
        for tid in 1..=3 {
            spells.hold(&walked(tid, 1));
        }
        spells.keep(|tid, number| (tid, number) != (2, 1));
        assert!(spells.has_stack(&spell(1, 1)) && !spells.has_stack(&spell(2, 1)));
        spells.forget(PROCESS);
        assert!(!spells.has_stack(&spell(1, 1)));
        assert_eq!(spells.len, 0);
    }

    #[test]
    fn a_host_with_too_many_threads_keeps_the_stacks_that_it_has() {
        let mut spells = Spells::default();
        let most = u32::try_from(MAX_HELD).expect("small");
        for tid in 0..=most {
            spells.hold(&walked(tid, 1));
        }
        assert!(!spells.has_stack(&spell(most, 1)));
        spells.hold(&walked(0, 2));
        assert!(spells.has_stack(&spell(0, 2)));
        assert_eq!(spells.len, MAX_HELD);
    }
}
