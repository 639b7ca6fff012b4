//! Who held the GIL while others waited for it: joins waits with the samples of threads that held it.
//!
//! Nobody is asked who holds the GIL at a moment. Whoever is sampled says whether it holds it, so each such sample stands for a
//! part of the time that others waited at that moment. What a thread waited in a stretch of time is distributed over the
//! samples that were taken while it waited, in proportion to what these stand for. A single wait mostly has no such
//! sample of its own: it lasts 5 ms, and samples are 10 ms apart.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use profiler_common::contract::records::RawFrame;

use crate::ids::ProcessKey;

/// Innermost frames of a holder that are shown.
const FRAMES: usize = 3;
/// How long before and after a wait its holder is looked for.
const AROUND_NS: u64 = 500_000_000;
/// Waits of so long a time are distributed together.
const TOGETHER_NS: u64 = 500_000_000;
/// Samples of holders that are closer together than this add nothing.
const APART_NS: u64 = 2_000_000;
/// Samples of holders of one GIL, at most.
const MAX_HELD: usize = 4096;
/// Waits that are not distributed yet, at most.
const MAX_WAITS: usize = 1 << 16;

/// A GIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lock {
    pub(crate) process: ProcessKey,
    /// Where it is; 0 stands for the only one of its process.
    pub(crate) address: u64,
}

/// A stretch of time, `CLOCK_MONOTONIC` nanoseconds. A moment begins when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
}

impl Span {
    fn overlap_ns(self, other: Self) -> u64 {
        let until_ns = self.until_ns.min(other.until_ns);
        until_ns.saturating_sub(self.from_ns.max(other.from_ns))
    }

    fn touches(self, other: Self) -> bool {
        self.from_ns <= other.until_ns && other.from_ns <= self.until_ns
    }
}

/// What a thread was doing while it held the GIL.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its innermost frames, newest first.
    pub(crate) frames: Vec<RawFrame>,
    /// As of its sample.
    pub(crate) compiled: bool,
    /// As of its sample.
    pub(crate) withheld: bool,
}

impl Holder {
    /// What is shown of a sample.
    pub(crate) fn of(frames: &[RawFrame], compiled: bool, withheld: bool) -> Self {
        let of_python = frames.iter().filter(|frame| frame.code != 0);
        Self {
            frames: of_python.take(FRAMES).copied().collect(),
            compiled,
            withheld,
        }
    }
}

/// A sample of a thread that held the GIL.
#[derive(Debug)]
struct Held {
    span: Span,
    weight: u64,
    tid: u32,
    holder: Arc<Holder>,
    /// Threads that waited for it meanwhile.
    waiters: Vec<u32>,
}

/// A time that a thread waited.
#[derive(Debug)]
struct Wait<T> {
    span: Span,
    weight: u64,
    tid: u32,
    what: T,
}

/// A part of a wait, during which one thread held the GIL.
#[derive(Debug)]
pub(crate) struct Piece {
    /// `None` if no thread was sampled that held it at that time.
    pub(crate) holder: Option<Arc<Holder>>,
    pub(crate) until_ns: u64,
    pub(crate) weight: u64,
}

/// One GIL.
#[derive(Debug)]
struct Contention<T> {
    /// In the order in which they were told.
    held: VecDeque<Held>,
    /// The same.
    waits: VecDeque<Wait<T>>,
}

/// Waits for GILs that are not distributed yet, and who held them of late.
#[derive(Debug)]
pub(crate) struct Holders<T> {
    locks: HashMap<Lock, Contention<T>>,
    /// Waits in all of them.
    waits: usize,
}

impl<T> Default for Holders<T> {
    fn default() -> Self {
        Self {
            locks: HashMap::new(),
            waits: 0,
        }
    }
}

impl<T> Holders<T> {
    /// A thread held a GIL: at a moment, or while it was off its CPU.
    pub(crate) fn hold(&mut self, lock: Lock, tid: u32, span: Span, weight: u64, holder: Holder) {
        let Contention { held, waits } = self.of(lock);
        let is_moment = span.from_ns == span.until_ns;
        let newest = held.back().filter(|_| is_moment);
        if newest.is_some_and(|newest| span.until_ns.abs_diff(newest.span.until_ns) < APART_NS) {
            return;
        }
        if held.len() >= MAX_HELD {
            held.pop_front();
        }
        let mut waiters = Vec::new();
        for wait in waits.iter().filter(|wait| wait.span.touches(span)) {
            note(&mut waiters, wait.tid);
        }
        held.push_back(Held {
            span,
            weight,
            tid,
            holder: Arc::new(holder),
            waiters,
        });
    }

    /// A thread waited for a GIL.
    pub(crate) fn wait(&mut self, lock: Lock, tid: u32, span: Span, weight: u64, what: T) {
        let Contention { held, waits } = self.of(lock);
        for held in held.iter_mut().filter(|held| held.span.touches(span)) {
            note(&mut held.waiters, tid);
        }
        waits.push_back(Wait {
            span,
            weight,
            tid,
            what,
        });
        self.waits += 1;
    }

    /// Distributes the waits whose surroundings are known by now, of all GILs. `open` says what a thread was doing that left
    /// its CPU with this GIL and has not been seen since; it is asked where nobody else is known.
    pub(crate) fn take_due(
        &mut self,
        now_ns: u64,
        open: impl Fn(Lock) -> Option<Holder>,
    ) -> Vec<(T, Vec<Piece>)> {
        let is_full = self.waits >= MAX_WAITS;
        let mut due = Vec::new();
        for (lock, contention) in &mut self.locks {
            let is_due = |wait: &Wait<T>| {
                wait.span
                    .until_ns
                    .saturating_add(AROUND_NS)
                    .saturating_add(TOGETHER_NS)
                    <= now_ns
            };
            if is_full || contention.waits.front().is_some_and(is_due) {
                let before_ns = if is_full {
                    u64::MAX
                } else {
                    now_ns.saturating_sub(AROUND_NS)
                };
                contention.distribute(before_ns, || open(*lock), &mut due);
            }
            contention.forget(now_ns);
        }
        self.locks
            .retain(|_, contention| !contention.held.is_empty() || !contention.waits.is_empty());
        self.waits -= due.len();
        due
    }

    /// Distributes all waits that `is_wanted`: nothing more is to be known.
    pub(crate) fn take_all(
        &mut self,
        is_wanted: impl Fn(Lock) -> bool,
        open: impl Fn(Lock) -> Option<Holder>,
    ) -> Vec<(T, Vec<Piece>)> {
        let mut due = Vec::new();
        let wanted = self.locks.iter_mut().filter(|(lock, _)| is_wanted(**lock));
        for (lock, contention) in wanted {
            contention.distribute(u64::MAX, || open(*lock), &mut due);
        }
        self.waits -= due.len();
        due
    }

    /// A process is gone.
    pub(crate) fn forget(&mut self, process: ProcessKey) {
        self.locks.retain(|lock, contention| {
            let stays = lock.process != process;
            if !stays {
                self.waits -= contention.waits.len();
            }
            stays
        });
    }

    fn of(&mut self, lock: Lock) -> &mut Contention<T> {
        self.locks.entry(lock).or_insert_with(|| Contention {
            held: VecDeque::new(),
            waits: VecDeque::new(),
        })
    }
}

fn note(waiters: &mut Vec<u32>, tid: u32) {
    if !waiters.contains(&tid) {
        waiters.push(tid);
    }
}

impl<T> Contention<T> {
    /// Distributes the waits that ended before this.
    fn distribute(
        &mut self,
        before_ns: u64,
        open: impl Fn() -> Option<Holder>,
        due: &mut Vec<(T, Vec<Piece>)>,
    ) {
        let mut by_thread: BTreeMap<u32, Vec<Wait<T>>> = BTreeMap::new();
        for _ in 0..self.waits.len() {
            let Some(wait) = self.waits.pop_front() else {
                break;
            };
            if wait.span.until_ns <= before_ns {
                by_thread.entry(wait.tid).or_default().push(wait);
            } else {
                self.waits.push_back(wait);
            }
        }
        for (tid, mut waits) in by_thread {
            waits.sort_by_key(|wait| wait.span.from_ns);
            let mut holders = self.holders(tid, &waits);
            if holders.is_empty()
                && let Some(holder) = open()
            {
                holders.push((Arc::new(holder), 1));
            }
            share_out(waits, &holders, due);
        }
    }

    /// Who held it while a thread waited, and for how much of that each stands, in the order of time.
    fn holders(&self, tid: u32, waits: &[Wait<T>]) -> Vec<(Arc<Holder>, u64)> {
        let around = Span {
            from_ns: waits
                .first()
                .map_or(0, |wait| wait.span.from_ns.saturating_sub(AROUND_NS)),
            until_ns: waits
                .iter()
                .map(|wait| wait.span.until_ns)
                .max()
                .map_or(0, |until_ns| until_ns.saturating_add(AROUND_NS)),
        };
        let others = self
            .held
            .iter()
            .filter(|held| held.tid != tid && held.span.touches(around));
        let mut meanwhile: Vec<(&Held, u64)> = others
            .clone()
            .filter(|held| held.waiters.contains(&tid))
            .map(|held| (held, held.weight_in(waits)))
            .filter(|(_, weight)| *weight != 0)
            .collect();
        if meanwhile.is_empty() {
            meanwhile = others.map(|held| (held, held.weight.max(1))).collect();
        }
        meanwhile.sort_by_key(|(held, _)| held.span.until_ns);
        meanwhile
            .into_iter()
            .map(|(held, weight)| (Arc::clone(&held.holder), weight))
            .collect()
    }

    /// Forgets who held it so long ago that no wait that is still to come is about that.
    fn forget(&mut self, now_ns: u64) {
        let waits = self.waits.iter().map(|wait| wait.span.from_ns);
        let oldest_ns = waits.fold(now_ns.saturating_sub(2 * AROUND_NS + TOGETHER_NS), u64::min);
        let since_ns = oldest_ns.saturating_sub(AROUND_NS);
        while self
            .held
            .front()
            .is_some_and(|held| held.span.until_ns < since_ns)
        {
            self.held.pop_front();
        }
    }
}

impl Held {
    /// What it stands for of these waits.
    fn weight_in<T>(&self, waits: &[Wait<T>]) -> u64 {
        if self.span.from_ns == self.span.until_ns {
            return self.weight.max(1);
        }
        waits.iter().map(|wait| wait.span.overlap_ns(self.span)).sum()
    }
}

/// Gives every holder its part of the waits, both in the order of time. The parts add up to the waits.
fn share_out<T>(waits: Vec<Wait<T>>, holders: &[(Arc<Holder>, u64)], due: &mut Vec<(T, Vec<Piece>)>) {
    let sum = |weights: &mut dyn Iterator<Item = u64>| weights.map(u128::from).sum::<u128>();
    let all_waits = sum(&mut waits.iter().map(|wait| wait.weight));
    let all_holders = sum(&mut holders.iter().map(|(_, weight)| *weight)).max(1);
    // Up to where the part of each holder reaches, where the waits lie end to end.
    let mut reached = 0u128;
    let ends: Vec<u128> = holders
        .iter()
        .map(|(_, weight)| {
            reached += u128::from(*weight);
            reached * all_waits / all_holders
        })
        .collect();
    let (mut at, mut start) = (0, 0u128);
    for wait in waits {
        let end = start + u128::from(wait.weight);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut from = start;
        while from < end {
            let until = ends.get(at).map_or(end, |reach| end.min(*reach));
            let holder = holders.get(at).map(|(holder, _)| holder);
            if until > from {
                push(&mut pieces, wait.piece(holder, from - start, until - start));
            }
            from = until;
            if ends.get(at).is_some_and(|reach| *reach <= from) {
                at += 1;
            }
        }
        start = end;
        due.push((wait.what, pieces));
    }
}

impl<T> Wait<T> {
    fn piece(&self, holder: Option<&Arc<Holder>>, from: u128, until: u128) -> Piece {
        let length_ns = u128::from(self.span.until_ns.saturating_sub(self.span.from_ns));
        let after_ns = until * length_ns / u128::from(self.weight.max(1));
        Piece {
            holder: holder.map(Arc::clone),
            until_ns: self
                .span
                .from_ns
                .saturating_add(u64::try_from(after_ns).unwrap_or(u64::MAX)),
            weight: u64::try_from(until - from).unwrap_or(u64::MAX),
        }
    }
}

/// Adds a piece, to the last one if that is of the same holder.
fn push(pieces: &mut Vec<Piece>, piece: Piece) {
    match pieces.last_mut() {
        Some(last) if last.holder == piece.holder => {
            last.until_ns = piece.until_ns;
            last.weight = last.weight.saturating_add(piece.weight);
        }
        _ => pieces.push(piece),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use profiler_common::contract::records::RawFrame;

    use super::{Holder, Holders, Lock, MAX_WAITS, Piece, Span};
    use crate::ids::ProcessKey;

    const MS: u64 = 1_000_000;
    const LOCK: Lock = Lock {
        process: ProcessKey {
            tgid: 7,
            incarnation: 1,
        },
        address: 0x1000,
    };

    fn line(code: u64) -> Holder {
        let frame = RawFrame {
            code,
            ..RawFrame::default()
        };
        Holder::of(&[frame], false, false)
    }

    fn at(ms: u64) -> Span {
        span(ms, ms)
    }

    fn span(from_ms: u64, until_ms: u64) -> Span {
        Span {
            from_ns: from_ms * MS,
            until_ns: until_ms * MS,
        }
    }

    /// Milliseconds by what was waited at and by the line that held the GIL (0: nobody).
    fn sums(due: &[(&'static str, Vec<Piece>)]) -> BTreeMap<(&'static str, u64), u64> {
        let mut sums = BTreeMap::new();
        for (what, pieces) in due {
            for piece in pieces {
                let holder = piece.holder.as_ref().map_or(0, |holder| holder.frames[0].code);
                *sums.entry((*what, holder)).or_default() += piece.weight;
            }
        }
        sums.values_mut().for_each(|sum| *sum /= MS);
        sums
    }

    fn all(holders: &mut Holders<&'static str>) -> Vec<(&'static str, Vec<Piece>)> {
        holders.take_all(|_| true, |_| None)
    }

    #[test]
    fn waits_are_distributed_over_whoever_was_sampled_with_the_gil_meanwhile() {
        let mut holders = Holders::default();
        // Thread 1 waits half of the time, and nobody else does. In three of four of its waits line 0xa holds the GIL; line 0xb
        // holds it also while nobody waits.
        for n in 0..100 {
            let (start, code) = (n * 10, if n % 4 == 3 { 0xb } else { 0xa });
            holders.hold(LOCK, 2, at(start + 2), 10 * MS, line(code));
            holders.hold(LOCK, 2, at(start + 7), 10 * MS, line(0xb));
            holders.wait(LOCK, 1, span(start, start + 5), 5 * MS, "here");
        }
        let due = all(&mut holders);
        assert_eq!(due.len(), 100);
        assert_eq!(
            sums(&due),
            BTreeMap::from([(("here", 0xa), 375), (("here", 0xb), 125)])
        );
    }

    #[test]
    fn the_parts_of_a_wait_follow_each_other_and_add_up() {
        let mut holders = Holders::default();
        holders.hold(LOCK, 2, at(110), MS, line(0xa));
        holders.hold(LOCK, 2, at(120), 2 * MS, line(0xb));
        holders.wait(LOCK, 1, span(100, 130), 30 * MS, "here");
        let [(_, pieces)] = &all(&mut holders)[..] else {
            unreachable!("one wait")
        };
        let parts: Vec<(u64, u64)> = pieces
            .iter()
            .map(|piece| (piece.until_ns / MS, piece.weight / MS))
            .collect();
        assert_eq!(parts, [(110, 10), (130, 20)]);
    }

    #[test]
    fn a_wait_without_a_sample_of_its_own_takes_those_of_the_surrounding_second() {
        let mut holders = Holders::default();
        holders.hold(LOCK, 2, at(1_400), MS, line(0xa));
        holders.hold(LOCK, 1, at(1_001), MS, line(0xb));
        holders.wait(LOCK, 1, span(1_000, 1_003), 3 * MS, "near");
        holders.wait(LOCK, 3, span(3_000, 3_003), 3 * MS, "far");
        assert_eq!(
            sums(&all(&mut holders)),
            BTreeMap::from([(("near", 0xa), 3), (("far", 0), 3)])
        );
    }

    #[test]
    fn a_thread_that_is_blocked_with_the_gil_is_its_holder_all_that_time() {
        let mut holders = Holders::default();
        holders.wait(LOCK, 1, span(100, 900), 800 * MS, "here");
        holders.hold(LOCK, 3, at(850), 10 * MS, line(0xb));
        holders.hold(LOCK, 2, span(50, 840), 790 * MS, line(0xa));
        let sums = sums(&all(&mut holders));
        assert!((785..=790).contains(&sums[&("here", 0xa)]), "{sums:?}");
    }

    #[test]
    fn each_gil_has_its_own_holders() {
        let mut holders = Holders::default();
        let other = Lock {
            address: 0x2000,
            ..LOCK
        };
        holders.hold(LOCK, 2, at(102), MS, line(0xa));
        holders.hold(other, 3, at(102), MS, line(0xb));
        holders.wait(LOCK, 1, span(100, 105), 5 * MS, "one");
        holders.wait(other, 4, span(100, 105), 5 * MS, "other");
        assert_eq!(
            sums(&all(&mut holders)),
            BTreeMap::from([(("one", 0xa), 5), (("other", 0xb), 5)])
        );
    }

    #[test]
    fn who_left_its_cpu_with_the_gil_and_was_not_seen_since_is_asked_last() {
        let mut holders = Holders::default();
        holders.wait(LOCK, 1, span(100, 105), 5 * MS, "here");
        let due = holders.take_all(|_| true, |lock| (lock == LOCK).then(|| line(0xc)));
        assert_eq!(sums(&due), BTreeMap::from([(("here", 0xc), 5)]));
    }

    #[test]
    fn waits_are_held_back_until_their_surroundings_are_known() {
        let mut holders = Holders::default();
        holders.hold(LOCK, 2, at(102), MS, line(0xa));
        holders.wait(LOCK, 1, span(100, 105), 5 * MS, "first");
        holders.wait(LOCK, 1, span(900, 905), 5 * MS, "second");
        assert!(holders.take_due(1_000 * MS, |_| None).is_empty());
        let due = holders.take_due(1_200 * MS, |_| None);
        assert_eq!(sums(&due), BTreeMap::from([(("first", 0xa), 5)]));
        let due = holders.take_due(9_000 * MS, |_| None);
        assert_eq!(sums(&due), BTreeMap::from([(("second", 0), 5)]));
        assert_eq!((holders.waits, holders.locks.len()), (0, 0));
    }

    #[test]
    fn too_many_waits_are_distributed_at_once() {
        let mut holders = Holders::default();
        for n in 0..MAX_WAITS as u64 {
            holders.wait(LOCK, 1, span(n, n), 1, "here");
        }
        assert_eq!(holders.take_due(0, |_| None).len(), MAX_WAITS);
    }

    #[test]
    fn a_process_that_is_gone_takes_nothing_of_others_with_it() {
        let mut holders = Holders::default();
        let other = Lock {
            process: ProcessKey {
                tgid: 8,
                incarnation: 1,
            },
            ..LOCK
        };
        holders.wait(LOCK, 1, span(100, 105), 5 * MS, "here");
        holders.wait(other, 2, span(100, 105), 5 * MS, "there");
        assert_eq!(holders.take_all(|lock| lock == LOCK, |_| None).len(), 1);
        holders.forget(LOCK.process);
        assert_eq!((holders.waits, all(&mut holders).len()), (1, 1));
    }
}
