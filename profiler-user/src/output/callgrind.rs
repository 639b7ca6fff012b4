//! Callgrind's format (`callgrind`), for KCachegrind and `callgrind_annotate`: costs by function and line, and who called
//! whom. The format is described in Valgrind's manual ("Callgrind Format Specification").
//!
//! A sample does not know a number of calls: where the format asks for one, the number of samples stands. An edge counts
//! once for each stack, however often it recurs in it, and a function that calls itself has no edge for that, because
//! readers add edges up. So its inclusive cost is right. (That of functions that call each other in turn is too high;
//! KCachegrind finds such cycles.) Processes and threads are added up.

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

/// The format.
pub(super) struct Callgrind;

impl Output for Callgrind {
    fn about(&self) -> &'static str {
        "Callgrind's format for KCachegrind and callgrind_annotate"
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
        Self {
            object: frame.module.as_deref().unwrap_or(UNKNOWN),
            file: frame.file.as_deref().unwrap_or(UNKNOWN),
            name: if frame.name.is_empty() {
                UNKNOWN
            } else {
                &frame.name
            },
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
    samples: u64,
    callee_line: u32,
    cost: Cost,
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
        for (source, of) in recording.profiles.iter().enumerate() {
            for count in &of.counts {
                let frames = recording.stack(count.stack).iter().map(|id| recording.frame(*id));
                let value = (count.samples, count.weight);
                add(&mut graph.total, source, value);
                graph.add_stack(&frames.collect::<Vec<_>>(), options, source, value);
            }
        }
        graph
    }

    fn add_stack(&mut self, frames: &[&'p Frame], options: &RenderOptions, source: usize, value: (u64, u64)) {
        let line = |frame: &Frame| options.line(frame).unwrap_or(0);
        let (leaf, leaf_line) = match frames.last() {
            Some(frame) => (Function::of(frame), line(frame)),
            None => (
                Function {
                    object: UNKNOWN,
                    file: UNKNOWN,
                    name: NO_FRAMES,
                },
                0,
            ),
        };
        let own = &mut self.functions.entry(leaf).or_default().own;
        let zero = &self.zero;
        add(
            own.entry(leaf_line).or_insert_with(|| zero.clone()),
            source,
            value,
        );
        let mut seen = HashSet::new();
        for pair in frames.windows(2) {
            let (caller, callee) = (Function::of(pair[0]), Function::of(pair[1]));
            if caller == callee || !seen.insert((caller, line(pair[0]), callee)) {
                continue;
            }
            let calls = &mut self.functions.entry(caller).or_default().calls;
            let call = calls.entry((line(pair[0]), callee)).or_insert_with(|| Call {
                samples: 0,
                callee_line: pair[1].first_line.unwrap_or(0),
                cost: zero.clone(),
            });
            call.samples = call.samples.saturating_add(value.0);
            add(&mut call.cost, source, value);
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
    use profiler_common::contract::sources::Source;

    use super::Callgrind;
    use crate::output::test_recording::{assert_golden, hand_made};
    use crate::output::{Measure, Output as _, RenderOptions};
    use crate::profile::Recording;

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
}
