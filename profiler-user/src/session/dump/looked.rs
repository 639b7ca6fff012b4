//! What is known so far of each thread that is to be shown.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::sources::Source;

use crate::ids::ProcessKey;
use crate::wire::assembly::Sample;
use crate::wire::decode::Wait;
use crate::workers::Ticket;

/// Threads that are looked at.
const MOST_THREADS: usize = 1 << 15;
/// Stacks kept that may be of different moments.
const MOST_MIXED: usize = 1 << 8;
/// How much longer than asked it may take to read every thread once.
const AT_MOST_FOR_ALL: Duration = Duration::from_secs(30);

/// Whether what was read of a thread is of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Yes: the thread did not run meanwhile.
    One,
    /// It ran while it was read, each time: frames may be of different moments.
    Several,
    /// Its memory did not answer: there are no frames.
    None,
}

/// What is looked for, and what was found. Whatever has its stack has passed it on: only what is not settled keeps one.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) threads: HashMap<u32, Looking>,
    pub(super) pending: Vec<(Ticket, u32)>,
    /// Threads that are to be asked about.
    pub(super) next: VecDeque<u32>,
    unsettled: usize,
    /// Those of them that can be read from outside and have not been.
    unread: usize,
    /// Threads with [`Mixed`] stacks.
    mixed: usize,
    /// Threads that are not looked at, because there are too many.
    pub(super) left_out: usize,
}

pub(super) struct Looking {
    pub(super) process: ProcessKey,
    pub(super) thread_pointer: u64,
    /// It can be read from outside, and no worker has answered yet.
    is_unread: bool,
    pub(super) state: State,
}

pub(super) enum State {
    /// Nothing is known yet but perhaps this.
    Open(Option<Box<Mixed>>),
    /// Nothing better will be found.
    Settled(Found),
    /// It has ended, or never ran Python code.
    NotShown,
}

/// A stack whose frames may be of different moments.
pub(super) struct Mixed {
    pub(super) sample: Sample,
    pub(super) is_active: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) is_active: bool,
    pub(super) gil: GilState,
    pub(super) wait: Wait,
    pub(super) moment: Moment,
}

impl Looked {
    /// Where its thread pointer is not known (0), a thread has to run to be seen.
    pub(super) fn add(&mut self, process: ProcessKey, tid: u32, thread_pointer: u64) {
        if self.threads.len() >= MOST_THREADS {
            self.left_out += 1;
            return;
        }
        let is_unread = thread_pointer != 0;
        let looking = Looking {
            process,
            thread_pointer,
            is_unread,
            state: State::Open(None),
        };
        if self.threads.insert(tid, looking).is_none() {
            self.unsettled += 1;
            self.unread += usize::from(is_unread);
            self.next.push_back(tid);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.unsettled == 0
    }

    /// The thread, unless it is settled.
    pub(super) fn open(&mut self, tid: u32) -> Option<&mut Looking> {
        let looking = self.threads.get_mut(&tid)?;
        matches!(looking.state, State::Open(_)).then_some(looking)
    }

    /// Every thread is read once, however many there are; after `end` none is waited for any more.
    pub(super) fn goes_on(&self, end: Instant) -> bool {
        let now = Instant::now();
        !self.is_settled() && (now < end || self.unread > 0 && now < end + AT_MOST_FOR_ALL)
    }

    /// A worker has answered, or need not any more.
    fn note_answer(&mut self, tid: u32) {
        if let Some(looking) = self.threads.get_mut(&tid)
            && std::mem::take(&mut looking.is_unread)
        {
            self.unread -= 1;
        }
    }

    pub(super) fn settle(&mut self, tid: u32, state: State) {
        self.note_answer(tid);
        if let Some(looking) = self.open(tid) {
            looking.state = state;
            self.unsettled -= 1;
        }
    }

    /// A CPU was interrupted while it ran a thread: as [`Self::read`].
    pub(super) fn sampled(&mut self, sample: &Sample) -> Option<Sample> {
        let looking = self.open(sample.tid)?;
        if looking.process != sample.process || !is_readable(sample.status) {
            return None;
        }
        self.read(sample.tid, sample.clone(), true)
    }

    /// The stack of a thread, of one moment. Gives what is to be passed on.
    pub(super) fn read(&mut self, tid: u32, sample: Sample, is_active: bool) -> Option<Sample> {
        if !has_python(&sample) {
            self.settle(tid, State::NotShown);
            return None;
        }
        let found = Found::of(&sample, is_active, Moment::One);
        self.settle(tid, State::Settled(found));
        Some(counted(sample))
    }

    /// The stack of a thread that ran while it was read: it is read again.
    pub(super) fn keep(&mut self, tid: u32, mixed: Mixed) {
        self.note_answer(tid);
        let has_room = self.mixed < MOST_MIXED;
        let Some(looking) = self.open(tid) else {
            return;
        };
        let had_one = matches!(looking.state, State::Open(Some(_)));
        if had_one || has_room {
            looking.state = State::Open(Some(Box::new(mixed)));
            self.mixed += usize::from(!had_one);
        }
        self.next.push_back(tid);
    }
}

impl Found {
    /// Nothing can be read of it.
    pub(super) const NOTHING: Self = Self {
        is_active: false,
        gil: GilState::Unknown,
        wait: Wait::Unknown,
        moment: Moment::None,
    };

    pub(super) fn of(sample: &Sample, is_active: bool, moment: Moment) -> Self {
        Self {
            is_active,
            gil: sample.gil,
            wait: sample.wait,
            moment,
        }
    }
}

/// Whether reading it again would not help.
fn is_readable(status: StackStatus) -> bool {
    !matches!(status, StackStatus::StateFault | StackStatus::NotTaken)
}

/// Whether the thread has a Python state.
pub(super) fn has_python(sample: &Sample) -> bool {
    !matches!(
        sample.status,
        StackStatus::NoThreadState | StackStatus::NotInitialized
    )
}

/// As one sample of CPU time, whatever it was.
pub(super) fn counted(mut sample: Sample) -> Sample {
    sample.source = Source::OnCpu;
    sample.weight = 1;
    // What it waited for is said apart, not as a frame.
    sample.wait = Wait::Unknown;
    sample
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::assembly::NativeStack;

    const PROCESS: ProcessKey = ProcessKey {
        tgid: 7,
        incarnation: 1,
    };

    fn sample(tid: u32, status: StackStatus) -> Sample {
        Sample {
            process: PROCESS,
            source: Source::OffCpu,
            weight: 5,
            cpu: 0,
            tid,
            thread_state: 1,
            time_ns: 0,
            status,
            gil: GilState::Held,
            collecting: false,
            compiled: false,
            withheld: false,
            comm: [0; 16],
            frames: Vec::new(),
            ends_invocation: Vec::new(),
            native: NativeStack::default(),
            spell: 0,
            wait: Wait::Unknown,
            gil_lock: 0,
        }
    }

    fn mixed(tid: u32) -> Mixed {
        Mixed {
            sample: sample(tid, StackStatus::Complete),
            is_active: true,
        }
    }

    fn looked(threads: u32) -> Looked {
        let mut looked = Looked::default();
        for tid in 0..threads {
            looked.add(PROCESS, tid, 0x1000);
        }
        looked
    }

    #[test]
    fn every_thread_is_read_once_even_after_the_end() {
        let mut looked = looked(3);
        let past = Instant::now() - Duration::from_millis(1);
        assert!(looked.goes_on(past));
        let shown = looked.read(0, sample(0, StackStatus::Complete), false);
        let shown = shown.expect("it has Python frames");
        assert_eq!((shown.source, shown.weight), (Source::OnCpu, 1));
        looked.settle(1, State::Settled(Found::NOTHING));
        assert!(looked.goes_on(past));
        looked.keep(2, mixed(2));
        assert!(!looked.goes_on(past), "each was read");
        assert!(!looked.is_settled());
        assert!(looked.goes_on(Instant::now() + Duration::from_secs(1)));
    }

    #[test]
    fn the_stack_of_a_moment_replaces_one_of_several_and_only_once() {
        let mut looked = looked(1);
        looked.keep(0, mixed(0));
        assert_eq!(looked.next, [0, 0], "it is read again");
        let on_cpu = |status| sample(0, status);
        assert!(looked.sampled(&on_cpu(StackStatus::StateFault)).is_none());
        let other = Sample {
            process: ProcessKey {
                incarnation: 2,
                ..PROCESS
            },
            ..on_cpu(StackStatus::Complete)
        };
        assert!(looked.sampled(&other).is_none(), "the number is used again");
        assert!(looked.sampled(&on_cpu(StackStatus::Complete)).is_some());
        assert!(looked.is_settled());
        assert!(looked.sampled(&on_cpu(StackStatus::Complete)).is_none());
        looked.keep(0, mixed(0));
        assert!(matches!(
            looked.threads[&0].state,
            State::Settled(Found {
                moment: Moment::One,
                ..
            })
        ));
    }

    #[test]
    fn threads_without_python_are_not_shown() {
        let mut looked = looked(1);
        assert!(
            looked
                .read(0, sample(0, StackStatus::NoThreadState), false)
                .is_none()
        );
        assert!(matches!(looked.threads[&0].state, State::NotShown));
    }

    #[test]
    fn few_stacks_of_several_moments_are_kept() {
        let threads = u32::try_from(MOST_MIXED).expect("few") + 5;
        let mut looked = looked(threads);
        for _ in 0..2 {
            for tid in 0..threads {
                looked.keep(tid, mixed(tid));
            }
        }
        let all = looked.threads.values();
        let kept = all.filter(|looking| matches!(looking.state, State::Open(Some(_))));
        assert_eq!(kept.count(), MOST_MIXED);
    }

    #[test]
    fn threads_beyond_the_limit_are_counted() {
        let most = u32::try_from(MOST_THREADS).expect("few");
        let looked = looked(most + 2);
        assert_eq!((looked.threads.len(), looked.left_out), (MOST_THREADS, 2));
    }
}
