//! Stacks of threads that were left out when they left their CPU, or left it before anybody looked, and have stayed away
//! since: inspectors read them from outside. A blocked thread's stack does not change, so it is exact if the thread is still in
//! the same spell afterwards.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::Outcome;
use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::{Reporting, ThreadSlot, thread_state};

use super::read_stacks;
use crate::clock::monotonic_ns;
use crate::ids::ProcessKey;
use crate::inspect::{Answer, Inspectors, Question};
use crate::kernel::Kernel;
use crate::language::python::threads::ThreadNames;
use crate::pipeline::Pipeline;
use crate::proc;
use crate::workers::Ticket;

/// How often all threads are gone through, at most: a spell that is counted whether or not it was walked is then met once,
/// half over.
const EVERY: Duration = Duration::from_millis(200);
/// How much longer than going through them takes the time between is, at least.
const SHARE: u32 = 50;
/// Spells that have lasted so long are read.
const OLD_NS: u64 = Reporting::ALL.long_ns / 5;
/// Times that threads are gone through after the last one was left out or entered.
const AFTERWARDS: u32 = 3;
/// Stacks that are asked for at the same time.
const MAX_PENDING: usize = 64;

/// Has such stacks read.
#[derive(Debug)]
pub(super) struct Frozen {
    inspectors: Inspectors,
    /// Thread -> the spell that was asked about.
    asked: HashMap<u32, u32>,
    pending: Vec<(Ticket, Asked)>,
    next: Instant,
    unread: u64,
    afterwards: u32,
}

#[derive(Debug)]
struct Asked {
    process: ProcessKey,
    tid: u32,
    spell: u32,
}

impl Frozen {
    pub(super) fn new(inspectors: Inspectors) -> Self {
        Self {
            inspectors,
            asked: HashMap::new(),
            pending: Vec::new(),
            next: Instant::now(),
            unread: 0,
            afterwards: AFTERWARDS,
        }
    }

    /// To be called at each wake-up: takes in the stacks that have come, and asks for others.
    pub(super) fn wake(
        &mut self,
        kernel: &Kernel,
        pipeline: &mut Pipeline,
        mut threads: Option<&mut ThreadNames>,
    ) {
        self.inspectors.pump();
        for (ticket, asked) in std::mem::take(&mut self.pending) {
            match self.inspectors.take(ticket) {
                None => self.pending.push((ticket, asked)),
                Some(Ok(Answer::Stack(found))) => {
                    take_in(&asked, &found.records, kernel, pipeline, threads.as_deref_mut());
                }
                // Its time is counted without a stack.
                Some(_) => {}
            }
        }
        if Instant::now() < self.next {
            return;
        }
        let outcomes = kernel.outcomes(Source::OffCpu).into_iter();
        let left_out = outcomes.filter(|(outcome, _)| *outcome == Outcome::Thinned);
        let left_out: u64 = left_out.map(|(_, count)| count).sum();
        let unread = left_out + kernel.entered_threads();
        if unread != self.unread {
            (self.unread, self.afterwards) = (unread, AFTERWARDS);
        }
        if self.afterwards > 0 {
            self.afterwards -= 1;
            let started = Instant::now();
            if !self.ask(kernel) {
                self.afterwards = AFTERWARDS;
            }
            self.next = Instant::now() + EVERY.max(started.elapsed() * SHARE);
        }
    }

    /// Asks about all threads that it can; `false` when there are more.
    fn ask(&mut self, kernel: &Kernel) -> bool {
        let now_ns = monotonic_ns();
        let mut still_asked = HashMap::new();
        let mut is_all = true;
        for (tid, slot) in kernel.slots() {
            let is_old = now_ns.saturating_sub(slot.out_ns) >= OLD_NS;
            if !is_blocked(&slot) || slot.odds != 0 || !is_old || slot.thread_pointer == 0 {
                continue;
            }
            let was_asked = self.asked.get(&tid) == Some(&slot.spell);
            if !was_asked && self.pending.len() >= MAX_PENDING {
                is_all = false;
            } else if was_asked || sleeps(tid, &slot) && self.ask_about(kernel, tid, &slot) {
                still_asked.insert(tid, slot.spell);
            }
        }
        self.asked = still_asked;
        is_all
    }

    fn ask_about(&mut self, kernel: &Kernel, tid: u32, slot: &ThreadSlot) -> bool {
        let process = ProcessKey {
            tgid: slot.tgid,
            incarnation: slot.incarnation,
        };
        let Some(thread) = read_stacks::thread(kernel, process, tid, slot.thread_pointer) else {
            return false;
        };
        let ticket = self.inspectors.ask(&Question::Stack { thread, locals: None });
        let asked = Asked {
            process,
            tid,
            spell: slot.spell,
        };
        self.pending.push((ticket, asked));
        true
    }
}

/// Whether it has not been woken since it left its CPU or was entered.
fn is_blocked(slot: &ThreadSlot) -> bool {
    matches!(slot.state, thread_state::BLOCKED | thread_state::ENTERED) && slot.woken_ns == 0
}

/// Whether it is blocked now. Of one that has just been entered only `/proc` knows.
fn sleeps(tid: u32, slot: &ThreadSlot) -> bool {
    slot.state == thread_state::BLOCKED || proc::stat(tid).is_ok_and(|stat| stat.state != 'R')
}

/// Holds a stack that was read, if the thread has been blocked since it was asked about.
fn take_in(
    asked: &Asked,
    records: &[u8],
    kernel: &Kernel,
    pipeline: &mut Pipeline,
    threads: Option<&mut ThreadNames>,
) {
    let is_same = |slot: ThreadSlot| {
        is_blocked(&slot) && slot.spell == asked.spell && slot.incarnation == asked.process.incarnation
    };
    if !kernel.slot(asked.tid).is_some_and(is_same) {
        return;
    }
    let read = read_stacks::sample(records, asked.process, asked.tid, kernel, pipeline);
    let Some(mut sample) = read else {
        return;
    };
    sample.source = Source::OffCpu;
    sample.spell = asked.spell;
    if let Some(threads) = threads {
        threads.note(sample.process, sample.tid, sample.thread_state, sample.status);
    }
    pipeline.hold_stack(&sample);
}
