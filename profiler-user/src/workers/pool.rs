//! Questions to workers of one role, with deadlines.
//!
//! One worker answers everybody's questions. When it has been at one for [`LONG`], the others go to a spare worker. When it
//! is still at it at the [`DEADLINE`], it is given up and charged to the culprit. The main process waits only for a worker
//! that has kept up so far, and never for longer than [`PATIENCE`]; it takes late answers later.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::budget::{Allowed, Budget, Stuck};
use super::culprit::{Culprit, Tenant};
use super::forker::Forker;
use super::ticket::Ticket;
use super::unanswered::{Outcome, Unanswered};
use super::worker::Worker;

/// How long the main process waits for an answer before it goes on without.
pub(crate) const PATIENCE: Duration = Duration::from_millis(5);
/// How long a worker may be blocked on a question before a spare one gets the others.
const LONG: Duration = Duration::from_millis(5);
/// How long it may compute before that. A file that nobody has seen before takes tens of milliseconds of work, which a
/// spare worker would only do a second time.
const LONG_COMPUTATION: Duration = Duration::from_millis(50);
/// How long a worker may be at a question at all: blocked or on a CPU.
const DEADLINE: Duration = Duration::from_secs(1);
/// Time between two looks at workers that are late.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How often a question is asked before it is given up.
const ATTEMPTS: u32 = 2;
/// Questions that a worker has at the same time, at most.
const AT_ONCE: usize = 16;
/// Workers without work that are kept.
const MAX_IDLE: usize = 1;
/// After so many workers in a row that end by themselves without an answer ...
const MAX_FAILURES: u32 = 8;
/// ... none is started for this long.
const REST: Duration = Duration::from_secs(5);

/// Says who is answerable for a process.
pub(crate) type CulpritOf = Box<dyn FnMut(u32) -> Culprit>;

/// Workers of one role.
pub struct Pool {
    forker: Forker,
    role: &'static str,
    culprit_of: CulpritOf,
    workers: Vec<Worker>,
    questions: HashMap<Ticket, Question>,
    /// Questions that no worker has.
    waiting: VecDeque<Ticket>,
    done: HashMap<Ticket, Outcome>,
    budget: Budget,
    /// Questions that have cost a worker and are asked once more, with the tenant of their process.
    suspects: HashMap<Ticket, Tenant>,
    /// Workers that were given up and are still there, when that was last asked.
    left_behind: usize,
    last: u64,
    next_look: Instant,
    failures: u32,
    rest_until: Option<Instant>,
}

struct Question {
    bytes: Vec<u8>,
    /// What goes with it.
    file: Option<Arc<OwnedFd>>,
    /// The file is not kept for a second try.
    is_given: bool,
    /// Which process it is about.
    pid: u32,
    /// The process was not looked at before.
    is_new: bool,
    attempts: u32,
    /// Who is answerable for it, once somebody wanted to know.
    culprit: Option<Culprit>,
    /// Nobody waits for the answer.
    is_forgotten: bool,
}

impl Pool {
    /// Workers of this role, which are started when they are needed.
    #[must_use]
    pub fn new(forker: Forker, role: &'static str, culprit_of: CulpritOf) -> Self {
        Self {
            forker,
            role,
            culprit_of,
            workers: Vec::new(),
            questions: HashMap::new(),
            waiting: VecDeque::new(),
            done: HashMap::new(),
            budget: Budget::default(),
            suspects: HashMap::new(),
            left_behind: 0,
            last: 0,
            next_look: Instant::now(),
            failures: 0,
            rest_until: None,
        }
    }

    /// Starts a worker if there is none: the first question need not wait for that.
    pub fn prepare(&mut self) {
        if self.workers.is_empty() {
            let _ = self.free_worker();
        }
    }

    /// Asks a question about a process; `is_new` says that nothing of it is known yet.
    pub fn ask(&mut self, pid: u32, is_new: bool, question: Vec<u8>) -> Ticket {
        self.put(pid, is_new, question, None, false)
    }

    /// As [`Self::ask`] about a process that is known, and a file goes with the question.
    pub fn ask_with(&mut self, pid: u32, question: Vec<u8>, file: OwnedFd) -> Ticket {
        self.put(pid, false, question, Some(file), false)
    }

    /// Gives a file away: a worker has it alone. Whatever became of other questions about the process, this one is asked.
    pub fn give(&mut self, pid: u32, question: Vec<u8>, file: OwnedFd) -> Ticket {
        self.put(pid, false, question, Some(file), true)
    }

    fn put(
        &mut self,
        pid: u32,
        is_new: bool,
        bytes: Vec<u8>,
        file: Option<OwnedFd>,
        is_given: bool,
    ) -> Ticket {
        self.last += 1;
        let ticket = Ticket(self.last);
        if self.budget.is_given_up(pid) && !is_given {
            self.done.insert(ticket, Err(Unanswered::Lost));
            return ticket;
        }
        let question = Question {
            bytes,
            file: file.map(Arc::new),
            is_given,
            pid,
            is_new,
            attempts: 0,
            culprit: None,
            is_forgotten: false,
        };
        self.questions.insert(ticket, question);
        self.waiting.push_back(ticket);
        self.hand_out();
        ticket
    }

    /// What became of a question, if that is known. It is handed out once.
    pub fn take(&mut self, ticket: Ticket) -> Option<Outcome> {
        self.done.remove(&ticket)
    }

    /// The answer is of no use any more.
    pub fn forget(&mut self, ticket: Ticket) {
        if self.done.remove(&ticket).is_none()
            && let Some(question) = self.questions.get_mut(&ticket)
        {
            question.is_forgotten = true;
        }
    }

    /// Another program runs under this process id.
    pub fn renew(&mut self, pid: u32) {
        self.budget.forget(pid);
    }

    /// Takes the answers that have come, and looks after workers that are late. To be called when [`Self::next_check`] says.
    pub fn pump(&mut self) {
        let is_due = Instant::now() >= self.next_look;
        if is_due {
            self.look_at_late();
        }
        // After the looks: one that has answered waits for the next question, which looks as if it were blocked.
        let mut failed = Vec::new();
        for (index, worker) in self.workers.iter_mut().enumerate() {
            let exchanged = worker.exchange(|ticket, answer| {
                let question = self.questions.remove(&ticket);
                self.suspects.remove(&ticket);
                if question.is_some_and(|question| !question.is_forgotten) {
                    self.done.insert(ticket, Ok(answer));
                }
                self.failures = 0;
            });
            if let Err(error) = exchanged {
                log::debug!("a worker is gone: {error}");
                failed.push(index);
            }
        }
        for index in failed.into_iter().rev() {
            self.note_end(index);
            self.lose(index);
        }
        if is_due {
            self.judge_late();
            if !self.budget.is_untouched() {
                self.left_behind = self.forker.left_behind();
            }
            self.next_look = Instant::now() + LOOK_EVERY;
        }
        self.hand_out();
    }

    /// Waits for this answer as long as it may come at any moment; whether it is there.
    pub fn wait_for(&mut self, ticket: Ticket) -> bool {
        let end = Instant::now() + PATIENCE;
        self.wait_until(end, |pool| {
            pool.done.contains_key(&ticket) || !pool.is_in_time(ticket)
        });
        self.done.contains_key(&ticket)
    }

    /// Waits until `end` for every answer that is not late. Not for the event loop.
    pub fn wait_for_all(&mut self, end: Instant) {
        self.wait_until(end, Self::has_only_late);
    }

    /// When [`Self::pump`] next has something to do.
    #[must_use]
    pub fn next_check(&self) -> Option<Instant> {
        (!self.questions.is_empty()).then_some(self.next_look)
    }

    /// Workers that exist.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    fn wait_until(&mut self, end: Instant, is_done: impl Fn(&Self) -> bool) {
        loop {
            self.pump();
            let now = Instant::now();
            if is_done(self) || now >= end {
                return;
            }
            let most = (end - now).min(LOOK_EVERY);
            let timeout = Timespec {
                tv_sec: 0,
                tv_nsec: most.subsec_nanos().into(),
            };
            let mut sockets: Vec<PollFd<'_>> = self
                .workers
                .iter()
                .map(|worker| PollFd::from_borrowed_fd(worker.stream().as_fd(), PollFlags::IN))
                .collect();
            // Interrupted by a signal: looks again.
            let _ = poll(&mut sockets, Some(&timeout));
        }
    }

    /// Whether a question is with a worker that has kept up so far, so that its answer may come at any moment.
    fn is_in_time(&self, ticket: Ticket) -> bool {
        self.workers.iter().any(|worker| {
            worker.stuck_over.is_none()
                && worker.unanswered.contains(&ticket)
                && worker
                    .waiting_since()
                    .is_some_and(|since| since.elapsed() < PATIENCE)
        })
    }

    /// Whether all that is unanswered is with workers that are stuck, or waits because its culprit has enough of those.
    #[must_use]
    pub fn has_only_late(&self) -> bool {
        let mut free = self.workers.iter().filter(|worker| worker.stuck_over.is_none());
        let is_stuck = self.workers.iter().any(|worker| worker.stuck_over.is_some());
        free.all(|worker| worker.unanswered.is_empty()) && (self.waiting.is_empty() || is_stuck)
    }

    /// Looks at workers that have been at a question for a while.
    fn look_at_late(&mut self) {
        for worker in &mut self.workers {
            if let Some(since) = worker.waiting_since().filter(|since| since.elapsed() >= LONG)
                && let Some(pid) = worker.pid()
            {
                worker.spent.look(pid, since);
            }
        }
    }

    /// Judges workers by what they have spent on a question.
    fn judge_late(&mut self) {
        let mut lost = Vec::new();
        for index in 0..self.workers.len() {
            let worker = &mut self.workers[index];
            let spent = &worker.spent;
            let is_long = spent.blocked >= LONG || spent.computed >= LONG_COMPUTATION;
            if spent.blocked + spent.computed >= DEADLINE {
                lost.push(index);
            } else if is_long && worker.stuck_over.is_none() {
                for ticket in worker.relieve().into_iter().rev() {
                    self.waiting.push_front(ticket);
                }
                let first = worker.unanswered.front();
                let about = first.and_then(|ticket| self.questions.get(ticket));
                worker.stuck_over = about.map(|question| (self.culprit_of)(question.pid));
            }
        }
        for index in lost.into_iter().rev() {
            self.lose(index);
        }
        let mut idle = 0;
        self.workers.retain(|worker| {
            idle += usize::from(worker.unanswered.is_empty());
            !worker.unanswered.is_empty() || idle <= MAX_IDLE
        });
    }

    /// A worker has ended by itself. When that happens to one after the other, none can work here, and none is started for a
    /// while. One that hangs says nothing about the others: whoever makes many hang must not cost everybody their answers.
    fn note_end(&mut self, index: usize) {
        if self.workers.get(index).is_some_and(|worker| !worker.has_answered) {
            self.failures += 1;
            if self.failures >= MAX_FAILURES {
                self.rest_until = Some(Instant::now() + REST);
            }
        }
    }

    /// Gives a worker up.
    fn lose(&mut self, index: usize) {
        let mut worker = self.workers.remove(index);
        for ticket in worker.relieve().into_iter().rev() {
            self.waiting.push_front(ticket);
        }
        let Some(ticket) = worker.unanswered.pop_front() else {
            return;
        };
        let Some(question) = self.questions.get_mut(&ticket) else {
            return;
        };
        if worker.pid().is_none() {
            // There was no room for another process: nobody's fault.
            self.waiting.push_front(ticket);
            return;
        }
        question.attempts += 1;
        let pid = question.pid;
        let culprit = worker.stuck_over.take();
        let culprit = culprit.unwrap_or_else(|| (self.culprit_of)(pid));
        log::debug!("a worker was lost over process {pid} of {culprit}");
        if question.attempts < ATTEMPTS && !question.is_given {
            self.suspects.insert(ticket, culprit.tenant);
            self.waiting.push_front(ticket);
        } else {
            self.budget.charge(culprit);
            self.budget.give_up(pid);
            self.settle(ticket, Unanswered::Lost);
        }
    }

    fn settle(&mut self, ticket: Ticket, unanswered: Unanswered) {
        self.suspects.remove(&ticket);
        if self
            .questions
            .remove(&ticket)
            .is_some_and(|question| !question.is_forgotten)
        {
            self.done.insert(ticket, Err(unanswered));
        }
    }

    /// Gives the questions that wait to a worker.
    fn hand_out(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if self.rest_until.is_some_and(|rest| Instant::now() < rest) {
            for ticket in std::mem::take(&mut self.waiting) {
                self.settle(ticket, Unanswered::NoWorker);
            }
            return;
        }
        let mut held = VecDeque::new();
        while let Some(ticket) = self.waiting.pop_front() {
            match self.verdict(ticket) {
                Verdict::Ask => {}
                Verdict::Hold => {
                    held.push_back(ticket);
                    continue;
                }
                Verdict::Settle(reason) => {
                    self.settle(ticket, reason);
                    continue;
                }
            }
            let Some(index) = self.free_worker() else {
                held.push_back(ticket);
                break;
            };
            let worker = self.workers.get_mut(index);
            let Some((worker, question)) = worker.zip(self.questions.get_mut(&ticket)) else {
                continue;
            };
            let file = match question.is_given {
                true => question.file.take(),
                false => question.file.clone(),
            };
            if let Err(error) = worker.ask(ticket, &question.bytes, file) {
                log::debug!("asking a worker: {error}");
                // Found dead at the next exchange, or the question is too long for anybody.
                if worker.unanswered.back() == Some(&ticket) {
                    continue;
                }
                self.settle(ticket, Unanswered::Lost);
            }
        }
        held.append(&mut self.waiting);
        self.waiting = held;
    }

    /// Whether a question is asked now.
    fn verdict(&mut self, ticket: Ticket) -> Verdict {
        let Some(question) = self.questions.get_mut(&ticket) else {
            // The worker that was late with it has answered: this settles nothing.
            return Verdict::Settle(Unanswered::Lost);
        };
        let is_anybody_stuck = self.workers.iter().any(|worker| worker.stuck_over.is_some());
        if question.is_given || (self.budget.is_untouched() && !is_anybody_stuck) {
            return Verdict::Ask;
        }
        if self.budget.is_given_up(question.pid) {
            return Verdict::Settle(Unanswered::Lost);
        }
        let is_new = question.is_new && question.attempts == 0;
        let pid = question.pid;
        let culprit = question.culprit.get_or_insert_with(|| (self.culprit_of)(pid));
        let suspects = self.suspects.values().filter(|tenant| **tenant == culprit.tenant);
        let mut stuck = Stuck {
            of_culprit: 0,
            of_tenant: suspects.count(),
        };
        for worker in &self.workers {
            let first = worker.unanswered.front();
            let is_suspect = first.is_some_and(|first| self.suspects.contains_key(first));
            if let Some(over) = &worker.stuck_over {
                stuck.of_culprit += usize::from(over == culprit);
                stuck.of_tenant += usize::from(over.tenant == culprit.tenant && !is_suspect);
            }
        }
        match self.budget.judge(culprit, is_new, stuck, self.left_behind) {
            Allowed::Yes => Verdict::Ask,
            Allowed::NotYet => Verdict::Hold,
            Allowed::No => Verdict::Settle(Unanswered::Refused(culprit.clone())),
            Allowed::NotOfTenant => Verdict::Settle(Unanswered::RefusedOf(culprit.tenant.clone())),
        }
    }

    /// A worker that can be asked; the first one as long as it keeps up, since it has seen the most.
    fn free_worker(&mut self) -> Option<usize> {
        let keeps_up = |worker: &Worker| worker.stuck_over.is_none();
        if let Some(index) = self.workers.iter().position(keeps_up) {
            return (self.workers[index].unanswered.len() < AT_ONCE).then_some(index);
        }
        match Worker::start(&self.forker, self.role) {
            Ok(worker) => {
                self.workers.push(worker);
                Some(self.workers.len() - 1)
            }
            Err(error) => {
                log::debug!("{error}");
                self.rest_until = Some(Instant::now() + REST);
                None
            }
        }
    }
}

/// What is to be done with a question that waits.
enum Verdict {
    Ask,
    /// Enough workers are stuck over processes of this culprit.
    Hold,
    Settle(Unanswered),
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("role", &self.role)
            .field("workers", &self.workers)
            .finish_non_exhaustive()
    }
}
