//! Gets answers to what the pipeline asks about processes, and the names of threads: asks the inspectors, several
//! questions at a time, and passes their answers on when they come.

use std::time::{Duration, Instant};

use super::frozen::Frozen;
use crate::inspect::{Answer as Found, Inspectors, Question as Ask};
use crate::kernel::Kernel;
use crate::language::python::code::source_path::shorten_by_name;
use crate::language::python::threads::lookup::ThreadFields;
use crate::language::python::threads::{SampledThread, ThreadNames};
use crate::pipeline::Pipeline;
use crate::pipeline::questions::{Answer, Question};
use crate::processes::tracker::Tracker;
use crate::workers::{Ticket, Unanswered};

/// Time spent on questions at a time; the last questions may exceed it.
const BUDGET: Duration = Duration::from_millis(20);
/// Time spent on questions after the last sample.
const LAST_BUDGET: Duration = Duration::from_secs(5);
/// Time spent after the last sample on waiting for nothing but workers that hang.
const LAST_LATE: Duration = Duration::from_millis(500);
/// Time spent on names of threads after the last sample.
const LAST_THREADS: Duration = Duration::from_millis(250);
/// Questions that are asked before their answers are waited for.
const AT_ONCE: usize = 32;
/// Questions that wait for an answer that is late.
const MAX_PENDING: usize = 1 << 12;

/// Who asks, and what is known already.
pub(super) struct Asks<'a> {
    pub(super) kernel: &'a Kernel,
    pub(super) tracker: &'a Tracker,
    pub(super) pipeline: &'a mut Pipeline,
    pub(super) threads: Option<&'a mut ThreadNames>,
}

/// Answers questions.
#[derive(Debug)]
pub(super) struct Answers {
    inspectors: Inspectors,
    pending: Vec<(Ticket, Asked)>,
    /// Where time off the CPU is recorded.
    frozen: Option<Frozen>,
}

/// What somebody waits for.
#[derive(Debug)]
enum Asked {
    Pipeline(Question),
    Thread(SampledThread),
}

impl Answers {
    /// With `reads_stacks`, the stacks of threads that stay off their CPU are read, too.
    pub(super) fn new(inspectors: Inspectors, reads_stacks: bool) -> Self {
        Self {
            frozen: reads_stacks.then(|| Frozen::new(inspectors.clone())),
            inspectors,
            pending: Vec::new(),
        }
    }

    /// Asks what there is time for, and passes on what has been answered. With `is_last`, waits for the answers.
    pub(super) fn answer(&mut self, asks: &mut Asks<'_>, is_last: bool) {
        if let Some(frozen) = self.frozen.as_mut().filter(|_| !is_last) {
            frozen.wake(asks.kernel, asks.pipeline, asks.threads.as_deref_mut());
        }
        let started = Instant::now();
        let budget = if is_last { LAST_BUDGET } else { BUDGET };
        let mut moved = started;
        loop {
            self.inspectors.pump();
            self.pass_on(asks);
            let wants_threads = !is_last || started.elapsed() < LAST_THREADS;
            let before = self.pending.len();
            // Neither is kept waiting by any number of the other.
            self.ask_some(asks, AT_ONCE / 2, true, false);
            self.ask_some(asks, AT_ONCE / 2, false, wants_threads);
            self.ask_some(
                asks,
                AT_ONCE.saturating_sub(self.pending.len() - before),
                true,
                false,
            );
            let has_asked = self.pending.len() > before;
            if has_asked || !self.inspectors.has_only_late() {
                moved = Instant::now();
            }
            let is_over = started.elapsed() >= budget || is_last && moved.elapsed() >= LAST_LATE;
            if is_over || !has_asked && (!is_last || self.pending.is_empty()) {
                return;
            }
            match self.pending.last() {
                // Late answers are waited for too.
                Some(_) if is_last && !has_asked => std::thread::sleep(Duration::from_millis(1)),
                Some((last, _)) => self.inspectors.wait_for(*last),
                None => {}
            }
            self.pass_on(asks);
        }
    }

    /// When [`Self::answer`] next has something to do, while answers are awaited.
    pub(super) fn next_check(&self) -> Option<Instant> {
        if self.pending.is_empty() {
            return None;
        }
        self.inspectors.next_check()
    }

    /// Asks up to so many questions: of the pipeline, or about threads.
    fn ask_some(&mut self, asks: &mut Asks<'_>, count: usize, of_pipeline: bool, of_threads: bool) {
        let most = MAX_PENDING.min(self.pending.len() + count);
        while of_pipeline
            && self.pending.len() < most
            && let Some(question) = asks.pipeline.next_question()
        {
            self.ask(asks, question);
        }
        while of_threads
            && self.pending.len() < most
            && let Some(thread) = asks.threads.as_mut().and_then(|threads| threads.next_thread())
        {
            self.ask_thread(asks, thread);
        }
    }

    fn ask(&mut self, asks: &mut Asks<'_>, question: Question) {
        let ask = match &question {
            Question::Definition { of, known } => {
                let Some(layout) = asks.kernel.layout(of.layout) else {
                    asks.pipeline.answer(unknown(question));
                    return;
                };
                Ask::Definition {
                    pid: of.process.tgid,
                    code: of.code,
                    interpreter: of.interpreter.0,
                    layout: *layout,
                    known: Box::new(known.clone()),
                }
            }
            Question::ShortPath(of) => Ask::ShortPath {
                pid: of.process.tgid,
                root: of.root,
                path: of.path.to_string(),
            },
        };
        let ticket = self.inspectors.ask(&ask);
        self.pending.push((ticket, Asked::Pipeline(question)));
    }

    fn ask_thread(&mut self, asks: &mut Asks<'_>, thread: SampledThread) {
        let Some(process) = asks.tracker.get(thread.process) else {
            return;
        };
        let ticket = self.inspectors.ask(&Ask::ThreadName {
            thread,
            fields: Box::new(ThreadFields::of(&process.interpreter)),
        });
        self.pending.push((ticket, Asked::Thread(thread)));
    }

    /// Passes on the answers that have come.
    fn pass_on(&mut self, asks: &mut Asks<'_>) {
        for (ticket, asked) in std::mem::take(&mut self.pending) {
            let Some(found) = self.inspectors.take(ticket) else {
                self.pending.push((ticket, asked));
                continue;
            };
            match asked {
                Asked::Pipeline(question) => asks.pipeline.answer(answer(question, found)),
                Asked::Thread(thread) => {
                    let name = match found {
                        Ok(Found::ThreadName(name)) => name,
                        _ => None,
                    };
                    if let Some(threads) = &mut asks.threads {
                        threads.looked_up(thread, name.is_some());
                    }
                    if let Some(name) = name {
                        asks.pipeline.name_thread(thread.process, thread.tid, name);
                    }
                }
            }
        }
    }
}

/// What the pipeline is told.
fn answer(question: Question, found: Result<Found, Unanswered>) -> Answer {
    match (question, found) {
        (Question::Definition { of, .. }, Ok(Found::Definition(completed))) => Answer::Definition {
            of,
            completed: completed.map(|definition| *definition),
        },
        (Question::ShortPath(of), Ok(Found::ShortPath(bytes))) => {
            let start = usize::try_from(bytes)
                .ok()
                .and_then(|bytes| of.path.len().checked_sub(bytes));
            match start.and_then(|start| of.path.get(start..)) {
                Some(short) => Answer::ShortPath {
                    short: short.into(),
                    of,
                },
                None => unknown(Question::ShortPath(of)),
            }
        }
        (question, _) => unknown(question),
    }
}

/// What the pipeline is told when nothing was found out.
fn unknown(question: Question) -> Answer {
    match question {
        Question::Definition { of, .. } => Answer::Definition { of, completed: None },
        Question::ShortPath(of) => Answer::ShortPath {
            short: shorten_by_name(&of.path).into(),
            of,
        },
    }
}
