//! The samples of a thread, laid along the time of the recording: rows of the table of samples.
//!
//! The viewer draws a row until the next one in its chart of stacks, and half way to its neighbours in its graph of activity. So
//! a stack that nothing follows has a row at its end, too, without a weight, and a pause begins with a row without a stack.

use std::collections::VecDeque;
use std::io;

use crate::output::lanes::Moment;
use crate::profile::StackId;

/// What is on the stack from a time on until that of the next row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Since the start of the recording.
    pub(super) time_ns: u64,
    /// What the thread used since the row before, where samples stand for time.
    pub(super) cpu_ns: u64,
    pub(super) stack: Option<StackId>,
    pub(super) samples: u64,
    /// In the unit of the source.
    pub(super) weight: u64,
}

/// Lays out samples, each with how many it stands for. One of time ends when it was taken; an event begins then, and is drawn
/// for one sampling period.
pub(super) struct Rows<I> {
    moments: I,
    is_time: bool,
    period_ns: u64,
    /// Up to when something is on the stack.
    end_ns: u64,
    /// The row before.
    last: Option<Row>,
    /// Laid out and not returned yet.
    next: VecDeque<Row>,
    is_over: bool,
}

impl<I: Iterator<Item = io::Result<(Moment, u64)>>> Rows<I> {
    pub(super) fn new(moments: I, is_time: bool, period_ns: u64) -> Self {
        Self {
            moments,
            is_time,
            period_ns,
            end_ns: 0,
            last: None,
            next: VecDeque::new(),
            is_over: false,
        }
    }

    fn add(&mut self, moment: Moment, samples: u64) {
        let (begins_ns, ends_ns) = if self.is_time {
            (moment.time_ns.saturating_sub(moment.weight), moment.time_ns)
        } else {
            let ends_ns = moment.time_ns.saturating_add(self.period_ns);
            (moment.time_ns, ends_ns)
        };
        if begins_ns >= self.end_ns.saturating_add(self.period_ns / 2) {
            self.pause();
            if !self.is_time {
                // Without times of CPU the graph would give half of the pause to the event.
                self.push(begins_ns, None, 0, 0);
            }
            self.end_ns = begins_ns;
        }
        let time_ns = if self.is_time { self.end_ns } else { begins_ns };
        self.push(time_ns, Some(moment.stack), samples, moment.weight);
        self.end_ns = self.end_ns.max(ends_ns);
    }

    fn pause(&mut self) {
        let stack = self.last.and_then(|last| last.stack);
        if stack.is_some() {
            self.push(self.end_ns, stack, 0, 0);
        }
        self.push(self.end_ns, None, 0, 0);
    }

    fn push(&mut self, time_ns: u64, stack: Option<StackId>, samples: u64, weight: u64) {
        let time_ns = self.last.map_or(time_ns, |last| time_ns.max(last.time_ns));
        let cpu_ns = self
            .last
            .map_or(0, |last| last.weight.min(time_ns - last.time_ns));
        let row = Row {
            time_ns,
            cpu_ns,
            stack,
            samples,
            weight,
        };
        self.last = Some(row);
        self.next.push_back(row);
    }
}

impl<I: Iterator<Item = io::Result<(Moment, u64)>>> Iterator for Rows<I> {
    type Item = io::Result<Row>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next.is_empty() && !self.is_over {
            match self.moments.next() {
                Some(Ok((moment, samples))) => self.add(moment, samples),
                Some(Err(error)) => return Some(Err(error)),
                None => {
                    self.is_over = true;
                    self.pause();
                }
            }
        }
        self.next.pop_front().map(Ok)
    }
}
