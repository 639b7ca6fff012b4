//! What Python's `cProfile` writes (`pstats`), for the module `pstats`, snakeviz, tuna and gprof2dot: for each function the
//! time in itself and with what it called, and its callers.
//!
//! Where cProfile has a number of calls, the number of samples stands: what a sample saw has no calls. Times are seconds;
//! for sources that count events they are numbers of events. A function is its file, its first line and its name; lines
//! within it, threads and processes are added up, as the format has no place for them. Recursion counts once.

mod marshal;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use profiler_common::contract::sources::Unit;

use self::marshal::Marshal;
use crate::output::amounts::{self, Measure};
use crate::output::error::OutputError;
use crate::output::format::Output;
use crate::output::style::RenderOptions;
use crate::profile::{Frame, Recording};

/// A stack without a single frame counts all the same.
const NO_FRAMES: Function<'static> = Function {
    file: "~",
    first_line: 0,
    name: "<no frames>",
};

/// The format.
pub(super) struct Pstats;

impl Output for Pstats {
    fn about(&self) -> &'static str {
        "cProfile's format for pstats, snakeviz and tuna"
    }

    fn opens_with(&self) -> Option<&'static str> {
        Some("`python3 -m pstats FILE`, snakeviz or tuna shows it")
    }

    fn write(
        &self,
        recording: &mut Recording,
        _options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        // One file has one unit.
        amounts::unit(recording, Measure::Time)?;
        let functions = functions(recording);
        let is_time = recording
            .profiles
            .iter()
            .all(|of| of.source.unit() == Unit::Nanoseconds);
        let mut file = File {
            to: Marshal { out },
            unit: if is_time { 1e-9 } else { 1.0 },
        };
        file.to.begin_dictionary()?;
        for (function, costs) in &functions {
            file.key(function)?;
            file.to.begin_tuple(5)?;
            file.cost(&costs.cost)?;
            file.to.begin_dictionary()?;
            for (caller, cost) in &costs.callers {
                file.key(caller)?;
                file.to.begin_tuple(4)?;
                file.cost(cost)?;
            }
            file.to.end_dictionary()?;
        }
        Ok(file.to.end_dictionary()?)
    }
}

/// The file, as it is being written.
struct File<'o> {
    to: Marshal<'o>,
    /// What a weight is multiplied with.
    unit: f64,
}

impl File<'_> {
    fn key(&mut self, function: &Function<'_>) -> Result<(), OutputError> {
        self.to.begin_tuple(3)?;
        self.to.text(function.file)?;
        self.to.integer(function.first_line.into())?;
        Ok(self.to.text(function.name)?)
    }

    /// Calls that are not recursive, calls, time in the function, time with what it called.
    fn cost(&mut self, cost: &Cost) -> Result<(), OutputError> {
        self.to.integer(cost.samples)?;
        self.to.integer(cost.samples)?;
        self.to.float(cost.own as f64 * self.unit)?;
        Ok(self.to.float(cost.total as f64 * self.unit)?)
    }
}

/// What the format tells functions apart by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Function<'p> {
    file: &'p str,
    first_line: u32,
    name: &'p str,
}

impl<'p> Function<'p> {
    /// cProfile's file of what is not Python is `~`; native code has its library in its place.
    fn of(frame: &'p Frame) -> Self {
        Self {
            file: frame.file.as_deref().or(frame.module.as_deref()).unwrap_or("~"),
            first_line: frame.first_line.unwrap_or(0),
            name: &frame.name,
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Cost {
    /// In which it is on the stack.
    samples: u64,
    /// In the function itself.
    own: u64,
    /// And in what it called.
    total: u64,
}

impl Cost {
    fn add(&mut self, samples: u64, weight: u64) {
        self.samples = self.samples.saturating_add(samples);
        self.total = self.total.saturating_add(weight);
    }
}

#[derive(Default)]
struct Costs<'p> {
    cost: Cost,
    callers: BTreeMap<Function<'p>, Cost>,
}

fn functions(recording: &Recording) -> BTreeMap<Function<'_>, Costs<'_>> {
    let mut functions: BTreeMap<Function<'_>, Costs<'_>> = BTreeMap::new();
    for count in recording.profiles.iter().flat_map(|of| &of.counts) {
        let mut stack: Vec<Function<'_>> = recording
            .stack(count.stack)
            .iter()
            .map(|id| Function::of(recording.frame(*id)))
            .collect();
        if stack.is_empty() {
            stack.push(NO_FRAMES);
        }
        for function in stack.iter().collect::<BTreeSet<_>>() {
            let costs = functions.entry(*function).or_default();
            costs.cost.add(count.samples, count.weight);
        }
        let edges = stack.iter().zip(stack.iter().skip(1));
        for (caller, callee) in edges.collect::<BTreeSet<_>>() {
            let callers = &mut functions.entry(*callee).or_default().callers;
            callers
                .entry(*caller)
                .or_default()
                .add(count.samples, count.weight);
        }
        let Some(leaf) = stack.last() else {
            continue;
        };
        let costs = functions.entry(*leaf).or_default();
        costs.cost.own = costs.cost.own.saturating_add(count.weight);
        if let Some(caller) = stack.len().checked_sub(2).and_then(|at| stack.get(at)) {
            let cost = costs.callers.entry(*caller).or_default();
            cost.own = cost.own.saturating_add(count.weight);
        }
    }
    functions
}

#[cfg(test)]
mod tests {
    use super::{Function, Pstats, functions};
    use crate::output::test_recording::hand_made;
    use crate::output::{Output as _, RenderOptions};

    #[test]
    fn own_times_add_up_and_recursion_counts_once() {
        let recording = hand_made();
        let functions = functions(&recording);
        let own: u64 = functions.values().map(|costs| costs.cost.own).sum();
        assert_eq!(own, recording.profiles[0].weight());
        let fib = Function {
            file: "/srv/app.py",
            first_line: 10,
            name: "fib",
        };
        // Two stacks, on two lines, both many calls deep.
        let costs = &functions[&fib];
        assert_eq!(
            (costs.cost.samples, costs.cost.own, costs.cost.total),
            (3, 30_000_000, 30_000_000)
        );
        let itself = &costs.callers[&fib];
        assert_eq!(
            (itself.samples, itself.own, itself.total),
            (3, 30_000_000, 30_000_000)
        );
        let main = functions
            .keys()
            .find(|function| function.name == "main")
            .expect("main");
        let from_main = &costs.callers[main];
        assert_eq!(
            (from_main.samples, from_main.own, from_main.total),
            (3, 0, 30_000_000)
        );
    }

    #[test]
    fn a_stack_without_frames_counts() {
        let mut recording = hand_made();
        recording.stacks[2] = Box::default();
        let functions = functions(&recording);
        let own: u64 = functions.values().map(|costs| costs.cost.own).sum();
        assert_eq!(own, recording.profiles[0].weight());
        assert_eq!(functions[&super::NO_FRAMES].cost.samples, 2);
    }

    #[test]
    fn the_file_is_one_dictionary() {
        let mut out = Vec::new();
        Pstats
            .write(&mut hand_made(), &RenderOptions::default(), &mut out)
            .expect("a vector takes everything");
        assert!(out.starts_with(b"{(\x03\0\0\0u"));
        assert!(out.ends_with(b"00"));
    }
}
