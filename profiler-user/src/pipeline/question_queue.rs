//! Questions that wait to be asked. Processes cause them, and a process can cause any number: each has its turn, a limit of
//! what it may have waiting, and a limit of what it may ask in a minute. What is beyond is not asked, and counted by those
//! who wanted to know.

use ahash::HashMap;

use super::questions::Question;
use crate::fair_queue::FairQueue;
use crate::ids::ProcessKey;

/// Questions that wait, of all processes and of one.
const MAX_WAITING: usize = 1 << 14;
const MAX_WAITING_OF_ONE: usize = 1 << 10;
/// Questions of one process that have been asked and not answered.
const MAX_UNANSWERED_OF_ONE: u32 = 64;
/// Questions of one process in a window: as many as a large program has source files.
const MAX_IN_WINDOW: u32 = 1 << 13;
/// A window is so many times two nanoseconds: 69 s.
const WINDOW_BITS: u32 = 36;

/// Questions that wait to be asked.
#[derive(Debug, Default)]
pub(super) struct QuestionQueue {
    waiting: FairQueue<ProcessKey, Question>,
    asked: HashMap<ProcessKey, Asked>,
    window: u64,
}

/// What a process has asked.
#[derive(Debug, Default)]
struct Asked {
    unanswered: u32,
    in_window: u32,
    window: u64,
}

impl QuestionQueue {
    /// Takes note of the time, `CLOCK_MONOTONIC`.
    pub(super) fn set_time(&mut self, now_ns: u64) {
        let window = now_ns >> WINDOW_BITS;
        if window == self.window {
            return;
        }
        self.window = window;
        // Whoever has no question is as good as new.
        let waiting = &self.waiting;
        self.asked
            .retain(|process, asked| asked.unanswered > 0 || waiting.len_of(*process) > 0);
    }

    /// Whether this process may ask another question.
    pub(super) fn has_room(&self, process: ProcessKey) -> bool {
        let asked = self.asked.get(&process);
        let asked = asked.filter(|asked| asked.window == self.window);
        self.waiting.len() < MAX_WAITING
            && self.waiting.len_of(process) < MAX_WAITING_OF_ONE
            && asked.is_none_or(|asked| asked.in_window < MAX_IN_WINDOW)
    }

    /// Takes in a question of this process; `false` if it may not ask another one.
    pub(super) fn push(&mut self, process: ProcessKey, question: Question) -> bool {
        if !self.has_room(process) {
            return false;
        }
        let asked = self.asked.entry(process).or_default();
        if asked.window != self.window {
            asked.window = self.window;
            asked.in_window = 0;
        }
        asked.in_window += 1;
        self.waiting.push(process, question);
        true
    }

    /// The next question. [`Self::answered`] follows for each.
    pub(super) fn next(&mut self) -> Option<Question> {
        let asked = &self.asked;
        let may = |process: ProcessKey| {
            let asked = asked.get(&process);
            asked.is_none_or(|asked| asked.unanswered < MAX_UNANSWERED_OF_ONE)
        };
        let (process, question) = self.waiting.pop(may)?;
        if let Some(asked) = self.asked.get_mut(&process) {
            asked.unanswered += 1;
        }
        Some(question)
    }

    /// A question of this process was answered.
    pub(super) fn answered(&mut self, process: ProcessKey) {
        if let Some(asked) = self.asked.get_mut(&process) {
            asked.unanswered = asked.unanswered.saturating_sub(1);
        }
    }
}
