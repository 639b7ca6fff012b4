//! Everything that `top` shows, as numbers: takes in an interval at a time. Pure.
//!
//! Every table has a limit. Functions beyond it are counted under a name that says so; lines, calls and groups beyond it are
//! left out, which costs details only.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use ahash::{HashMap, RandomState};
use indexmap::IndexMap;
use profiler_common::contract::sources::Source;

use super::amounts::{Amounts, Measured, Part, Tally};
use super::groups::{Groups, Scope};
use crate::profile::{Frame, FrameId, FrameKind, Recording, StackId};

const MAX_FUNCTIONS: usize = 1 << 15;
const MAX_LINES: usize = 1 << 16;
const MAX_CALLS: usize = 1 << 17;
/// How far back the graphs go.
const MINUTE: Duration = Duration::from_secs(60);
/// Intervals that are kept for them.
const MAX_RECENT: usize = 256;

const TOO_MANY_FUNCTIONS: &str = "<too many functions>";

/// What makes two frames the same function.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Function {
    pub(super) kind: FrameKind,
    pub(super) name: String,
    pub(super) file: Option<String>,
    pub(super) module: Option<String>,
    pub(super) first_line: Option<u32>,
}

impl Function {
    fn of(frame: &Frame) -> Self {
        Self {
            kind: frame.kind,
            name: frame.name.clone(),
            file: frame.file.clone(),
            module: frame.module.clone(),
            first_line: frame.first_line,
        }
    }
}

/// What is known of a function.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// The part of its file's path from the package on.
    pub(super) short_file: Option<String>,
    /// A process that runs it.
    pub(super) pid: u32,
    pub(super) tally: Tally,
}

/// Index of a function in the model.
pub(super) type FunctionId = usize;

/// A function, or one line of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) function: FunctionId,
    pub(super) line: Option<u32>,
}

/// Where a frame is counted: indexes into the tables of functions and of lines.
#[derive(Clone, Copy, Debug)]
struct Entry {
    function: FunctionId,
    line: Option<usize>,
}

/// A function that calls another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Call {
    caller: FunctionId,
    callee: FunctionId,
}

/// Functions that call or are called, and how much of it.
type Calls = Vec<(FunctionId, Amounts)>;

/// What the graphs need of an interval.
#[derive(Clone, Debug, Default)]
struct Recent {
    lasted: Duration,
    overall: Amounts,
    functions: HashMap<FunctionId, Amounts>,
}

/// All numbers.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) measured: Measured,
    /// Whose samples the functions are of.
    pub(super) scope: Scope,
    functions: IndexMap<Function, Known, RandomState>,
    lines: IndexMap<Place, Tally, RandomState>,
    calls: IndexMap<Call, Tally, RandomState>,
    pub(super) groups: Groups,
    recent: VecDeque<Recent>,
    overall: Tally,
    /// Number of the last interval; the first is 1.
    interval: u64,
    lasted: Duration,
    /// All intervals together.
    pub(super) elapsed: Duration,
    pub(super) samples: u64,
    /// Threads and processes that were seen in the last interval.
    pub(super) threads: usize,
    pub(super) processes: usize,
    /// For each function, and for each line, the last stack that it was seen in.
    seen_in: (Vec<u64>, Vec<u64>),
    stacks: u64,
}

impl Model {
    pub(super) fn new(measured: Measured) -> Self {
        Self {
            measured,
            scope: Scope::Everything,
            functions: IndexMap::default(),
            lines: IndexMap::default(),
            calls: IndexMap::default(),
            groups: Groups::default(),
            recent: VecDeque::new(),
            overall: Tally::default(),
            interval: 0,
            lasted: Duration::ZERO,
            elapsed: Duration::ZERO,
            samples: 0,
            threads: 0,
            processes: 0,
            seen_in: (Vec::new(), Vec::new()),
            stacks: 0,
        }
    }

    /// The same without anything in it.
    pub(super) fn reset(&mut self) {
        let scope = std::mem::take(&mut self.scope);
        *self = Self::new(self.measured.clone());
        self.scope = scope;
    }

    /// Shows the functions of others: `all` is everything so far.
    pub(super) fn set_scope(&mut self, scope: Scope, all: &Recording) {
        let groups = std::mem::take(&mut self.groups);
        let (interval, elapsed) = (self.interval, self.elapsed);
        let (lasted, samples) = (self.lasted, self.samples);
        *self = Self::new(self.measured.clone());
        self.scope = scope;
        // Its groups, with the numbers of the last interval, are there already.
        self.add(all);
        self.groups = groups;
        self.recent.clear();
        // None of this is of the last interval.
        (self.interval, self.elapsed) = (interval.max(1) + 1, elapsed);
        (self.lasted, self.samples) = (lasted, samples);
    }

    /// Takes in an interval.
    pub(super) fn add(&mut self, part: &Recording) {
        self.interval += 1;
        self.lasted = part.duration;
        self.elapsed += part.duration;
        let mut places: Vec<Option<Entry>> = vec![None; part.frames.len()];
        let mut recent = Recent {
            lasted: part.duration,
            ..Recent::default()
        };
        let (mut threads, mut processes) = (HashSet::new(), HashSet::new());
        for profile in &part.profiles {
            let Some(adds_to) = self.measured.part(profile.source) else {
                continue;
            };
            for count in &profile.counts {
                self.samples += count.samples;
                let stack = functions_of(part, profile.source, count.stack);
                let amounts = amounts(part, adds_to, stack, (count.weight, count.gil_weight));
                let thread = part.thread(count.thread);
                let process = part.process(thread.process);
                threads.insert(count.thread);
                processes.insert(thread.process);
                self.groups.add(self.interval, process, thread, &amounts);
                if self.scope.has(process, thread) {
                    recent.overall.add(&amounts);
                    self.overall.add(self.interval, &amounts);
                    self.add_stack(part, stack, (&amounts, process.pid), &mut places, &mut recent);
                }
            }
        }
        (self.threads, self.processes) = (threads.len(), processes.len());
        self.groups.forget_old(self.interval);
        self.recent.push_back(recent);
        self.forget_old();
    }

    fn add_stack(
        &mut self,
        part: &Recording,
        stack: &[FrameId],
        (amounts, pid): (&Amounts, u32),
        places: &mut [Option<Entry>],
        recent: &mut Recent,
    ) {
        self.stacks += 1;
        let mut caller = None;
        for (depth, id) in (1..).zip(stack) {
            let at = id.0 as usize;
            let entry = match places.get(at).copied().flatten() {
                Some(entry) => entry,
                None => {
                    let entry = self.entry(part.frame(*id), pid);
                    if let Some(known) = places.get_mut(at) {
                        *known = Some(entry);
                    }
                    entry
                }
            };
            let own = if depth == stack.len() { amounts.own } else { 0 };
            // What calls itself counts once.
            let counted = |seen_in: &mut u64| {
                let is_first = std::mem::replace(seen_in, self.stacks) != self.stacks;
                let counted = if is_first { *amounts } else { Amounts::default() };
                (Amounts { own, ..counted }, is_first)
            };
            let Entry { function, line } = entry;
            let (of_function, is_first) = counted(&mut self.seen_in.0[function]);
            if let Some((_, known)) = self.functions.get_index_mut(function) {
                known.tally.add(self.interval, &of_function);
            }
            recent.functions.entry(function).or_default().add(&of_function);
            if let Some((_, tally)) = line.and_then(|line| self.lines.get_index_mut(line))
                && let Some(seen_in) = line.and_then(|line| self.seen_in.1.get_mut(line))
            {
                let (of_line, _) = counted(seen_in);
                tally.add(self.interval, &of_line);
            }
            if let Some(caller) = caller.filter(|_| is_first) {
                self.add_call(caller, function, &amounts.without_own());
            }
            caller = Some(function);
        }
    }

    fn add_call(&mut self, caller: FunctionId, callee: FunctionId, amounts: &Amounts) {
        let call = Call { caller, callee };
        if self.calls.len() < MAX_CALLS || self.calls.contains_key(&call) {
            self.calls.entry(call).or_default().add(self.interval, amounts);
        }
    }

    /// Where a frame is counted.
    fn entry(&mut self, frame: &Frame, pid: u32) -> Entry {
        let mut function = Function::of(frame);
        let is_known = self.functions.len() < MAX_FUNCTIONS || self.functions.contains_key(&function);
        if !is_known {
            function = Function::of(&Frame::marker(TOO_MANY_FUNCTIONS));
        }
        let entry = self.functions.entry(function);
        let function = entry.index();
        let known = entry.or_insert_with(|| Known {
            short_file: frame.short_file.clone(),
            pid,
            tally: Tally::default(),
        });
        known.pid = pid;
        if known.short_file.is_none() {
            known.short_file.clone_from(&frame.short_file);
        }
        let place = Place {
            function,
            line: frame.line.filter(|_| is_known),
        };
        let has_room = self.lines.len() < MAX_LINES || self.lines.contains_key(&place);
        let line = has_room.then(|| {
            let entry = self.lines.entry(place);
            let at = entry.index();
            entry.or_default();
            at
        });
        self.seen_in.0.resize(self.functions.len(), 0);
        self.seen_in.1.resize(self.lines.len(), 0);
        Entry { function, line }
    }

    fn forget_old(&mut self) {
        let mut sum: Duration = self.recent.iter().map(|recent| recent.lasted).sum();
        while let Some(oldest) = self.recent.front()
            && (sum > MINUTE + oldest.lasted || self.recent.len() > MAX_RECENT)
        {
            sum = sum.saturating_sub(oldest.lasted);
            self.recent.pop_front();
        }
    }

    /// What makes up all that is shown, in the last interval.
    pub(super) fn now(&self) -> Amounts {
        self.overall.of(self.interval)
    }

    pub(super) fn interval(&self) -> u64 {
        self.interval
    }

    /// What an amount of the last interval is in percent: of a CPU, or of all events.
    pub(super) fn percent(&self, amount: u64) -> f64 {
        let whole = if self.measured.is_time() {
            self.lasted.as_nanos() as f64
        } else {
            self.now().total as f64
        };
        if whole > 0.0 {
            amount as f64 * 100.0 / whole
        } else {
            0.0
        }
    }

    /// An amount of the last interval for each second of it.
    pub(super) fn per_second(&self, amount: u64) -> f64 {
        let seconds = self.lasted.as_secs_f64();
        if seconds > 0.0 {
            amount as f64 / seconds
        } else {
            0.0
        }
    }

    pub(super) fn functions(&self) -> impl Iterator<Item = (Place, &Tally)> {
        self.functions.values().enumerate().map(|(function, known)| {
            let place = Place { function, line: None };
            (place, &known.tally)
        })
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = (Place, &Tally)> {
        self.lines.iter().map(|(place, tally)| (*place, tally))
    }

    pub(super) fn function(&self, id: FunctionId) -> Option<(&Function, &Known)> {
        self.functions.get_index(id)
    }

    /// Who calls it, and what it calls, each with what of it is theirs; largest first.
    pub(super) fn calls(&self, id: FunctionId) -> (Calls, Calls) {
        let largest_first = |mut calls: Calls| {
            calls.retain(|(_, amounts)| *amounts != Amounts::default());
            calls.sort_by_key(|(id, amounts)| (std::cmp::Reverse(amounts.total), *id));
            calls
        };
        let of = |is_it: &dyn Fn(&Call) -> Option<FunctionId>| {
            let calls = self.calls.iter();
            let calls = calls.filter_map(|(call, tally)| Some((is_it(call)?, tally.all)));
            largest_first(calls.collect())
        };
        (
            of(&|call| (call.callee == id).then_some(call.caller)),
            of(&|call| (call.caller == id).then_some(call.callee)),
        )
    }

    /// Total of a function, or of everything that is shown, in each of the last seconds, oldest first: in CPUs, or events a
    /// second.
    pub(super) fn history(&self, of: Option<FunctionId>) -> Vec<f64> {
        let mut seconds = Vec::new();
        let mut ends = Duration::ZERO;
        for recent in self.recent.iter().rev() {
            let amount = match of {
                Some(function) => recent.functions.get(&function).map_or(0, |amounts| amounts.total),
                None => recent.overall.total,
            };
            ends += recent.lasted;
            let whole = if self.measured.is_time() {
                recent.lasted.as_nanos() as f64
            } else {
                recent.lasted.as_secs_f64()
            };
            let share = if whole > 0.0 { amount as f64 / whole } else { 0.0 };
            // An interval fills each second that it ends in or reaches past the middle of.
            while seconds.len() < 60 && (seconds.len() as f64 + 0.5) <= ends.as_secs_f64() {
                seconds.push(share);
            }
        }
        seconds.reverse();
        seconds
    }
}

/// The stack without what its thread waited for: that is no function.
fn functions_of(part: &Recording, source: Source, id: StackId) -> &[FrameId] {
    let stack = part.stack(id);
    let is_code = |frame: &FrameId| part.frame(*frame).kind != FrameKind::Marker;
    match stack.iter().rposition(is_code) {
        Some(last) if source == Source::OffCpu => &stack[..=last],
        _ => stack,
    }
}

fn amounts(part: &Recording, adds_to: Part, stack: &[FrameId], (weight, gil): (u64, u64)) -> Amounts {
    if adds_to == Part::Faults {
        return Amounts {
            faults: weight,
            ..Amounts::default()
        };
    }
    let leaf = stack.last().map(|frame| part.frame(*frame).kind);
    let is_native = matches!(
        leaf,
        Some(FrameKind::Native | FrameKind::Interpreter | FrameKind::Kernel)
    );
    Amounts {
        own: weight,
        total: weight,
        gil,
        waiting: if adds_to == Part::Waiting { weight } else { 0 },
        native: if is_native { weight } else { 0 },
        faults: 0,
    }
}

#[cfg(test)]
mod tests;
