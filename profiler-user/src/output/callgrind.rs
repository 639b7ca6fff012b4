//! Callgrind's format (`callgrind`), for KCachegrind and `callgrind_annotate`: costs by function and line, and who called
//! whom. The format is described in Valgrind's manual ("Callgrind Format Specification").
//!
//! What a sample saw has no number of calls: where the format asks for one, the number of samples stands. Processes and
//! threads are added up.
//!
//! Both readers take the costs of all calls of a function, added up, for its inclusive cost; only what nobody calls has its own
//! cost and that of its calls. So a function must be called once in each stack that it is in, however often it recurs:
//!
//! - The call that leads to it first, seen from outside, has the cost. Later ones in the same stack are written without a cost:
//!   KCachegrind needs them to find cycles, of which it adds up what leaves them.
//! - A function that calls itself has no call for that.
//! - What is outermost in one stack and called in another is called by [`OUTERMOST`] in the former.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;

use profiler_common::contract::sources::Source;

use crate::escape;
use crate::output::amounts::Measure;
use crate::output::error::OutputError;
use crate::output::format::Output;
use crate::output::style::RenderOptions;
use crate::profile::{Frame, Recording};

/// What Callgrind writes where a name is not known.
const UNKNOWN: &str = "???";
/// The function of a stack without a single frame.
const NO_FRAMES: &str = "<no frames>";
/// Calls what is outermost, where something else calls it as well.
const OUTERMOST: &str = "<outermost>";

/// The format.
pub(super) struct Callgrind;

impl Output for Callgrind {
    fn about(&self) -> &'static str {
        "Callgrind's format for KCachegrind and callgrind_annotate"
    }

    fn opens_with(&self) -> Option<&'static str> {
        Some("KCachegrind or callgrind_annotate shows it")
    }

    fn write(
        &self,
        recording: &mut Recording,
        options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        let graph = Graph::of(recording, options);
        let events = Events::of(recording, options.measure);
        writeln!(out, "# callgrind format")?;
        writeln!(out, "version: 1")?;
        writeln!(out, "creator: pyebpf-{}", env!("CARGO_PKG_VERSION"))?;
        writeln!(out, "cmd: {}", escape::printable(&recording.title))?;
        writeln!(out, "positions: line")?;
        for (name, about) in events.names.iter().zip(&events.about) {
            writeln!(out, "event: {name} : {about}")?;
        }
        writeln!(out, "events: {}", events.names.join(" "))?;
        writeln!(out, "summary: {}", events.text(&graph.total))?;
        let mut names = Names::default();
        for (function, costs) in &graph.functions {
            writeln!(out)?;
            names.write("ob", function.object, out)?;
            names.write("fl", function.file, out)?;
            names.write("fn", function.name, out)?;
            for (line, cost) in &costs.own {
                writeln!(out, "{line} {}", events.text(cost))?;
            }
            for ((line, callee), call) in &costs.calls {
                names.write("cob", callee.object, out)?;
                names.write("cfi", callee.file, out)?;
                names.write("cfn", callee.name, out)?;
                writeln!(out, "calls={} {}", call.samples, call.callee_line)?;
                writeln!(out, "{line} {}", events.text(&call.cost))?;
            }
        }
        writeln!(out, "\ntotals: {}", events.text(&graph.total))?;
        Ok(())
    }
}

/// Two numbers for each source of the recording: samples, and what they stand for.
type Cost = Vec<u64>;

fn add(to: &mut [u64], source: usize, (samples, weight): (u64, u64)) {
    for (index, value) in [(2 * source, samples), (2 * source + 1, weight)] {
        if let Some(sum) = to.get_mut(index) {
            *sum = sum.saturating_add(value);
        }
    }
}

/// The columns of numbers.
struct Events {
    names: Vec<String>,
    about: Vec<String>,
    /// Which number of a [`Cost`] is in which column.
    order: Vec<usize>,
}

impl Events {
    fn of(recording: &Recording, measure: Measure) -> Self {
        let mut events = Self {
            names: Vec::new(),
            about: Vec::new(),
            order: Vec::new(),
        };
        for (index, of) in recording.profiles.iter().enumerate() {
            let name = camel_case(of.source.name());
            let samples = match of.source {
                Source::OnCpu => "Samples".to_owned(),
                _ => format!("{name}Samples"),
            };
            let unit = of.source.unit().text();
            let mut columns = [
                (samples, format!("samples of {}", of.source.name()), 2 * index),
                (name, format!("{}, {unit}", of.source.name()), 2 * index + 1),
            ];
            // Readers show the first one first.
            if of.source != Source::OnCpu || measure == Measure::Time {
                columns.reverse();
            }
            for (name, about, column) in columns {
                events.names.push(name);
                events.about.push(about);
                events.order.push(column);
            }
        }
        if events.names.is_empty() {
            events.names.push("Samples".to_owned());
            events.about.push("samples".to_owned());
            events.order.push(0);
        }
        events
    }

    fn text(&self, cost: &[u64]) -> String {
        let columns = self.order.iter();
        let texts = columns.map(|column| cost.get(*column).copied().unwrap_or(0).to_string());
        texts.collect::<Vec<_>>().join(" ")
    }
}

/// `page-faults` becomes `PageFaults`: names of events have letters and digits only.
fn camel_case(name: &str) -> String {
    let words = name.split('-');
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    words.map(capital).collect()
}

/// What the format tells functions apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Function<'p> {
    object: &'p str,
    file: &'p str,
    name: &'p str,
}

impl<'p> Function<'p> {
    fn of(frame: &'p Frame) -> Self {
        // An empty name would be read as a reference to one that was written before.
        let known = |text: Option<&'p str>| text.filter(|text| !text.is_empty()).unwrap_or(UNKNOWN);
        Self {
            object: known(frame.module.as_deref()),
            file: known(frame.file.as_deref()),
            name: known(Some(&frame.name)),
        }
    }

    /// One that no frame stands for.
    fn made_up(name: &'static str) -> Self {
        Self {
            object: UNKNOWN,
            file: UNKNOWN,
            name,
        }
    }
}

#[derive(Default)]
struct Costs<'p> {
    /// By line.
    own: BTreeMap<u32, Cost>,
    /// By the line of the call and who is called.
    calls: BTreeMap<(u32, Function<'p>), Call>,
}

struct Call {
    /// In which it occurs.
    samples: u64,
    callee_line: u32,
    /// Of those in which it is the first call of its callee.
    cost: Cost,
}

impl Call {
    /// One of `callee` that has not occurred yet.
    fn of(callee: &Frame, zero: &[u64]) -> Self {
        Self {
            samples: 0,
            callee_line: callee.first_line.unwrap_or(0),
            cost: zero.to_vec(),
        }
    }
}

/// All functions with their costs.
struct Graph<'p> {
    functions: BTreeMap<Function<'p>, Costs<'p>>,
    total: Cost,
    zero: Cost,
}

impl<'p> Graph<'p> {
    fn of(recording: &'p Recording, options: &RenderOptions) -> Self {
        let zero = vec![0; 2 * recording.profiles.len()];
        let mut graph = Self {
            functions: BTreeMap::new(),
            total: zero.clone(),
            zero,
        };
        let mut outermost = BTreeMap::new();
        for (source, of) in recording.profiles.iter().enumerate() {
            for count in &of.counts {
                let frames = recording.stack(count.stack).iter().map(|id| recording.frame(*id));
                let frames: Vec<&Frame> = frames.collect();
                let value = (count.samples, count.weight);
                add(&mut graph.total, source, value);
                graph.add_stack(&frames, options, source, value);
                if let Some(frame) = frames.first() {
                    let call = outermost
                        .entry(Function::of(frame))
                        .or_insert_with(|| Call::of(frame, &graph.zero));
                    call.samples = call.samples.saturating_add(value.0);
                    add(&mut call.cost, source, value);
                }
            }
        }
        graph.call_outermost(outermost);
        graph
    }

    fn add_stack(&mut self, frames: &[&'p Frame], options: &RenderOptions, source: usize, value: (u64, u64)) {
        let line = |frame: &Frame| options.line(frame).unwrap_or(0);
        let (leaf, leaf_line) = match frames.last() {
            Some(frame) => (Function::of(frame), line(frame)),
            None => (Function::made_up(NO_FRAMES), 0),
        };
        let own = &mut self.functions.entry(leaf).or_default().own;
        let zero = &self.zero;
        add(
            own.entry(leaf_line).or_insert_with(|| zero.clone()),
            source,
            value,
        );
        let outermost = frames.first().copied().map(Function::of);
        let mut reached: HashSet<Function<'_>> = outermost.into_iter().collect();
        let mut seen = HashSet::new();
        for pair in frames.windows(2) {
            let (caller, callee) = (Function::of(pair[0]), Function::of(pair[1]));
            if caller == callee || !seen.insert((caller, line(pair[0]), callee)) {
                continue;
            }
            let calls = &mut self.functions.entry(caller).or_default().calls;
            let call = calls
                .entry((line(pair[0]), callee))
                .or_insert_with(|| Call::of(pair[1], zero));
            call.samples = call.samples.saturating_add(value.0);
            if reached.insert(callee) {
                add(&mut call.cost, source, value);
            }
        }
    }

    /// Adds the calls of [`OUTERMOST`]. `outermost` is what stacks begin with.
    fn call_outermost(&mut self, outermost: BTreeMap<Function<'p>, Call>) {
        let calls = self.functions.values().flat_map(|costs| costs.calls.keys());
        let called: HashSet<Function<'_>> = calls.map(|(_, callee)| *callee).collect();
        let both = outermost
            .into_iter()
            .filter(|(function, _)| called.contains(function));
        let calls: BTreeMap<_, _> = both.map(|(function, call)| ((0, function), call)).collect();
        if !calls.is_empty() {
            let caller = Function::made_up(OUTERMOST);
            self.functions.entry(caller).or_default().calls = calls;
        }
    }
}

/// Names that were written: the second time a number stands for them.
#[derive(Default)]
struct Names<'p> {
    objects: BTreeMap<&'p str, usize>,
    files: BTreeMap<&'p str, usize>,
    functions: BTreeMap<&'p str, usize>,
}

impl<'p> Names<'p> {
    fn write(&mut self, key: &str, name: &'p str, out: &mut dyn Write) -> Result<(), OutputError> {
        let known = match key {
            "ob" | "cob" => &mut self.objects,
            "fn" | "cfn" => &mut self.functions,
            _ => &mut self.files,
        };
        let next = known.len() + 1;
        let number = *known.entry(name).or_insert(next);
        if number == next {
            writeln!(out, "{key}=({number}) {}", escape::printable(name))?;
        } else {
            writeln!(out, "{key}=({number})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use profiler_common::contract::sources::Source;

    use super::{Callgrind, Function, Graph};
    use crate::output::test_recording::{assert_golden, hand_made, python, recording};
    use crate::output::{Measure, Output as _, RenderOptions};
    use crate::profile::{Process, ProcessId, Recording, Thread};

    fn text(recording: &mut Recording, options: &RenderOptions) -> String {
        let mut out = Vec::new();
        Callgrind
            .write(recording, options, &mut out)
            .expect("a vector takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn the_bytes_are_these() {
        assert_golden(
            "plain.callgrind",
            &text(&mut hand_made(), &RenderOptions::default()),
        );
    }

    #[test]
    fn own_costs_add_up_to_the_recording() {
        let mut recording = hand_made();
        let mut faults = recording.profiles[0].clone();
        faults.source = Source::PageFaults;
        recording.profiles.push(faults);
        let options = RenderOptions {
            measure: Measure::Time,
            ..RenderOptions::default()
        };
        let text = text(&mut recording, &options);
        assert!(
            text.contains("\nevents: Cpu Samples PageFaults PageFaultsSamples\n"),
            "{text}"
        );
        let (mut sums, mut after_call) = ([0u64; 4], false);
        for line in text.lines() {
            let is_cost = line.starts_with(|first: char| first.is_ascii_digit());
            if is_cost && !after_call {
                let numbers = line.split(' ').skip(1).map(str::parse::<u64>);
                for (sum, number) in sums.iter_mut().zip(numbers) {
                    *sum += number.expect("a number");
                }
            }
            after_call = line.starts_with("calls=");
        }
        let (samples, weight) = (recording.profiles[0].samples(), recording.profiles[0].weight());
        assert_eq!(sums, [weight, samples, weight, samples]);
        let totals = format!("totals: {weight} {samples} {weight} {samples}\n");
        assert!(text.ends_with(&totals), "{text}");
    }

    /// One thread whose functions call each other in turn; `calls` are stacks of their names, 10 ms each.
    fn calling(stacks: &[&str]) -> Recording {
        let names = ['a', 'b', 'c', 'd'];
        // Each function has two lines, so that calls of the same function come from different ones.
        let lines = names.iter().flat_map(|name| [(*name, 1u32), (*name, 2)]);
        let frames = lines
            .map(|(name, line)| python(&name.to_string(), "/x.py", line, 1))
            .collect();
        let stacks: Vec<Vec<u32>> = stacks
            .iter()
            .map(|stack| {
                let frame = |(depth, name): (usize, char)| {
                    let function = names.iter().position(|of| *of == name).expect("one of them");
                    (2 * function + depth % 2) as u32
                };
                stack.chars().enumerate().map(frame).collect()
            })
            .collect();
        let stacks: Vec<&[u32]> = stacks.iter().map(Vec::as_slice).collect();
        let samples: Vec<(u64, u32, u32)> = (0u32..)
            .take(stacks.len())
            .map(|stack| (10 * (u64::from(stack) + 1), 0, stack))
            .collect();
        let thread = Thread {
            process: ProcessId(0),
            tid: 7,
            name: String::new(),
        };
        recording(vec![Process::default()], vec![thread], frames, &stacks, &samples)
    }

    /// Samples with each function on the stack.
    fn inclusive(recording: &Recording) -> BTreeMap<Function<'_>, u64> {
        let mut inclusive = BTreeMap::new();
        for count in &recording.profiles[0].counts {
            let frames = recording.stack(count.stack).iter().map(|id| recording.frame(*id));
            for function in frames.map(Function::of).collect::<BTreeSet<_>>() {
                *inclusive.entry(function).or_default() += count.samples;
            }
        }
        inclusive
    }

    /// The same as `callgrind_annotate --inclusive=yes` and KCachegrind find it: by the calls of a function, else by its own
    /// cost and its calls.
    fn as_read<'p>(graph: &Graph<'p>) -> BTreeMap<Function<'p>, u64> {
        let mut called: BTreeMap<Function<'p>, u64> = BTreeMap::new();
        let mut calling = BTreeMap::new();
        for (function, costs) in &graph.functions {
            for ((_, callee), call) in &costs.calls {
                assert_ne!(function, callee, "no call of itself");
                *called.entry(*callee).or_default() += call.cost[0];
            }
            let own: u64 = costs.own.values().map(|cost| cost[0]).sum();
            let calls: u64 = costs.calls.values().map(|call| call.cost[0]).sum();
            calling.insert(*function, own + calls);
        }
        calling.extend(called);
        calling.remove(&Function::made_up(super::OUTERMOST));
        calling
    }

    #[test]
    fn inclusive_costs_are_right_however_functions_call_each_other() {
        for stacks in [
            &["abab", "ab"][..],
            &["dababc"],
            &["dabcabc", "dabc", "dacb"],
            &["aaab", "aab", "a"],
            &["dabba", "dba"],
            &["abc", "cba", "b"],
            &["abcdabcd", "bcda", "cdab"],
        ] {
            let recording = calling(stacks);
            let graph = Graph::of(&recording, &RenderOptions::default());
            assert_eq!(as_read(&graph), inclusive(&recording), "{stacks:?}");
        }
        let recording = hand_made();
        let graph = Graph::of(&recording, &RenderOptions::default());
        assert_eq!(as_read(&graph), inclusive(&recording));
    }

    #[test]
    fn what_leaves_a_cycle_of_calls_has_the_cost_of_the_cycle() {
        // KCachegrind takes functions together that call each other, and adds up what they spend and what they call beyond.
        let recording = calling(&["dababc", "dabac", "dab"]);
        let graph = Graph::of(&recording, &RenderOptions::default());
        let is_member = |function: &Function<'_>| ["a", "b"].contains(&function.name);
        let members = graph.functions.iter().filter(|(function, _)| is_member(function));
        let spent: u64 = members
            .map(|(_, costs)| {
                let own = costs.own.values().map(|cost| cost[0]).sum::<u64>();
                let beyond = costs.calls.iter().filter(|((_, callee), _)| !is_member(callee));
                own + beyond.map(|(_, call)| call.cost[0]).sum::<u64>()
            })
            .sum();
        assert_eq!(spent, 3);
    }

    #[test]
    fn a_name_that_is_empty_is_written_as_unknown() {
        let mut recording = calling(&["ab"]);
        for frame in &mut recording.frames {
            frame.name.clear();
            frame.file = Some(String::new());
            frame.module = Some(String::new());
        }
        let text = text(&mut recording, &RenderOptions::default());
        assert!(text.contains("\nob=(1) ???\nfl=(1) ???\nfn=(1) ???\n"), "{text}");
    }
}
