//! What was measured of a function, a line, a call or a group: so far, and in the last interval.

use profiler_common::contract::sources::{Source, Unit};

/// Sums of weights. All but `faults` are in the unit of what is measured: nanoseconds, or events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    /// At the end of stacks.
    pub(super) own: u64,
    /// Anywhere in stacks, once for each.
    pub(super) total: u64,
    /// Of `total`: while the thread held the GIL.
    pub(super) gil: u64,
    /// Of `total`: off the CPU.
    pub(super) waiting: u64,
    /// Of `total`: at the end of the stack was code that is not Python.
    pub(super) native: u64,
    /// Page faults, where they are counted beside time.
    pub(super) faults: u64,
}

impl Amounts {
    pub(super) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.own, other.own),
            (&mut self.total, other.total),
            (&mut self.gil, other.gil),
            (&mut self.waiting, other.waiting),
            (&mut self.native, other.native),
            (&mut self.faults, other.faults),
        ];
        for (to, from) in pairs {
            *to = to.saturating_add(from);
        }
    }

    /// The same of something that called what they are of.
    pub(super) fn without_own(self) -> Self {
        Self { own: 0, ..self }
    }
}

/// Amounts so far, and those of the last interval in which there were any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) all: Amounts,
    last: Amounts,
    interval: u64,
}

impl Tally {
    pub(super) fn add(&mut self, interval: u64, amounts: &Amounts) {
        if self.interval != interval {
            (self.interval, self.last) = (interval, Amounts::default());
        }
        self.all.add(amounts);
        self.last.add(amounts);
    }

    /// Those of this interval.
    pub(super) fn of(&self, interval: u64) -> Amounts {
        if self.interval == interval {
            self.last
        } else {
            Amounts::default()
        }
    }

    /// When there were any.
    pub(super) fn interval(&self) -> u64 {
        self.interval
    }
}

/// What is sampled, and what each source adds to.
#[derive(Clone, Debug)]
pub(super) struct Measured(Vec<Source>);

/// What the samples of a source add to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Own and total.
    Main,
    /// The same, and what of it is waiting.
    Waiting,
    /// Faults.
    Faults,
}

impl Measured {
    pub(super) fn new(sources: &[Source]) -> Self {
        Self(sources.to_vec())
    }

    /// What own and total are counted in.
    pub(super) fn unit(&self) -> Unit {
        self.0.first().map_or(Unit::Nanoseconds, |source| source.unit())
    }

    pub(super) fn is_time(&self) -> bool {
        self.unit() == Unit::Nanoseconds
    }

    /// `None` for what was not asked for.
    pub(super) fn part(&self, source: Source) -> Option<Part> {
        if !self.0.contains(&source) {
            return None;
        }
        Some(match (source, source.unit() == self.unit()) {
            (Source::OffCpu, _) => Part::Waiting,
            (_, true) => Part::Main,
            (_, false) => Part::Faults,
        })
    }

    pub(super) fn has(&self, part: Part) -> bool {
        self.0.iter().any(|source| self.part(*source) == Some(part))
    }
}
