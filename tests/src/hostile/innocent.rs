//! The innocent busy program beside every attack, and what was recorded of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use profiler_common::contract::sources::Source;
use pyebpf::ids::StackId;
use pyebpf::recordings::{Loaded, Reader};

use crate::folded::{Folded, Stack};
use crate::python;
use crate::workload::{Facts, Workload};

/// What its functions are called.
const FUNCTIONS: [&str; 3] = ["red", "green", "blue"];
/// Its file, as it is shown.
const FILE: &str = "innocent.py";
/// Share of its samples whose native frames may be cut off: in a quiet recording it is some in a thousand.
const MOST_CUT_OFF: f64 = 0.02;

/// The program that runs, or has run.
#[derive(Debug)]
pub struct Innocent {
    workload: Workload,
}

/// What it says it did.
#[derive(Debug)]
pub struct Truth {
    /// CPU time in its functions, seconds.
    pub cpu_seconds: f64,
    /// Nanoseconds since 1970, and of CPU time by then.
    progress: Vec<(u64, u64)>,
}

impl Innocent {
    /// Starts it; it waits to be released, and then is busy for so many seconds.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(seconds: f64) -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("hostile/shared")
            .join(FILE);
        let workload = Workload::start(python::newest(), &script, &[seconds.to_string()])?;
        Ok(Self { workload })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.workload.pid()
    }

    /// Lets it work.
    ///
    /// # Errors
    /// When it has ended.
    pub fn release(&mut self) -> anyhow::Result<()> {
        self.workload.release()
    }

    /// Waits until it has worked. It stays there.
    ///
    /// # Errors
    /// When it ended, or is silent.
    pub fn finish(&mut self) -> anyhow::Result<Truth> {
        Truth::of(self.workload.finish()?)
    }

    /// Samples in its functions.
    #[must_use]
    pub fn samples(&self, stacks: &Folded) -> u64 {
        let own = stacks.of_process(self.pid());
        own.count(|stack| FUNCTIONS.iter().any(|name| stack.contains(name)))
    }

    /// Whether its rows are its own, and nobody else's rows are like them: no frame of others, no other name.
    ///
    /// # Errors
    /// The first stack that is not as it should be.
    pub fn check_rows(&self, stacks: &Folded) -> anyhow::Result<()> {
        let own = stacks.of_process(self.pid());
        for stack in &own.stacks {
            ensure!(is_own(stack), "a stack of the innocent program: {}", stack.text());
            let name = stack.process.as_deref().unwrap_or_default();
            ensure!(name.contains(FILE), "the innocent program is called {name:?}");
        }
        let cut_off = own.count(|stack| {
            stack
                .frames
                .iter()
                .any(|frame| frame.name.starts_with("<native: "))
        });
        let most = 10.0 + MOST_CUT_OFF * own.total() as f64;
        ensure!(
            cut_off as f64 <= most,
            "{cut_off} of {} samples of the innocent program have their native frames cut off",
            own.total()
        );
        let of_file = |stack: &Stack| {
            stack
                .frames
                .iter()
                .any(|frame| frame.file.as_deref() == Some(FILE))
        };
        let elsewhere = stacks.filter(|stack| stack.pid != Some(self.pid()) && of_file(stack));
        ensure!(
            elsewhere.total() == 0,
            "the innocent program's functions in others:\n{}",
            elsewhere.most_frequent(3)
        );
        Ok(())
    }
}

/// What a stack of it has of Python: `<module>`, and one of its functions or of those that it calls at its start and end.
fn is_own(stack: &Stack) -> bool {
    let mut python = stack.frames.iter().filter(|frame| {
        let file = frame.file.as_deref().unwrap_or_default();
        file.ends_with(".py") || file.starts_with("<frozen")
    });
    match python.next() {
        None => true,
        Some(first) if first.file.as_deref() != Some(FILE) => false,
        Some(_) => python.all(|frame| {
            let file = frame.file.as_deref().unwrap_or_default();
            let is_function = file == FILE && FUNCTIONS.contains(&frame.name.as_str());
            // Shown from the folder of the standard library on.
            let name = file.rsplit('/').next().unwrap_or_default();
            let is_library = ["truth.py", "random.py", "codecs.py"].contains(&name)
                || file.contains("json/")
                || file.starts_with("<frozen");
            is_function || is_library
        }),
    }
}

impl Truth {
    fn of(facts: &Facts) -> anyhow::Result<Self> {
        let cpu: std::collections::BTreeMap<String, u64> = facts.get("cpu_ns")?;
        Ok(Self {
            cpu_seconds: cpu.values().sum::<u64>() as f64 / 1e9,
            progress: facts.get("progress")?,
        })
    }

    /// CPU time that it had used at a time since 1970; `None` before and after its work.
    fn cpu_at(&self, time_ns: u64) -> Option<u64> {
        let next = self.progress.partition_point(|(wall, _)| *wall <= time_ns);
        let (before, after) = (self.progress.get(next.checked_sub(1)?)?, self.progress.get(next)?);
        let share = (time_ns - before.0) as f64 / (after.0 - before.0).max(1) as f64;
        Some(before.1 + ((after.1 - before.1) as f64 * share) as u64)
    }

    /// The most CPU time that it used without a sample; what it waited for a CPU is not in it.
    ///
    /// # Errors
    /// When the file has no times.
    pub fn longest_gap(&self, pid: u32, times_ns: &mut [u64]) -> anyhow::Result<Duration> {
        times_ns.sort_unstable();
        let (first, last) = self
            .progress
            .first()
            .zip(self.progress.last())
            .context("it worked")?;
        let inside = times_ns.iter().filter_map(|time| self.cpu_at(*time));
        let mut before = first.1;
        let mut longest = 0;
        for cpu in inside.chain([last.1]) {
            longest = longest.max(cpu.saturating_sub(before));
            before = cpu;
        }
        ensure!(!times_ns.is_empty(), "no sample of process {pid} has a time");
        Ok(Duration::from_nanos(longest))
    }
}

/// What the pprof file of a recording has.
#[derive(Debug)]
pub struct WithTimes {
    /// All samples of CPU time.
    pub total: u64,
    /// Those in functions of the innocent program.
    pub samples: u64,
    /// When they were taken, since 1970.
    pub times_ns: Vec<u64>,
}

/// Reads a pprof file, of which process `pid` is the innocent program.
///
/// # Errors
/// When it is not one, or has no times.
pub fn read_times(path: &Path, pid: u32) -> anyhow::Result<WithTimes> {
    let mut reader = Reader::with_times()?;
    reader.add_file(path)?;
    let mut loaded = reader.finish().context("a file")?;
    let column = loaded
        .types
        .iter()
        .position(|kind| kind.name == "samples" && kind.unit == "count");
    let column = column.with_context(|| format!("samples of CPU time among {:?}", loaded.types))?;
    let (mut total, mut samples) = (0, 0);
    for (index, row) in loaded.rows.iter().enumerate() {
        let count = loaded
            .values(index)
            .get(column)
            .copied()
            .unwrap_or(0)
            .unsigned_abs();
        total += count;
        let of = loaded
            .labels
            .get(row.labels.0 as usize)
            .and_then(|set| set.id("pid"));
        if of == Some(pid) && is_in_function(&loaded, row.stack) {
            samples += count;
        }
    }
    let mut times = loaded.times.take().context("every sample has its time")?;
    let mut times_ns = Vec::new();
    for tick in times.read()? {
        let tick = tick?;
        let of = loaded
            .labels
            .get(tick.thread.0 as usize)
            .and_then(|set| set.id("pid"));
        if of == Some(pid) && tick.source == Source::OnCpu && is_in_function(&loaded, tick.stack) {
            times_ns.push(tick.time_ns);
        }
    }
    Ok(WithTimes {
        total,
        samples,
        times_ns,
    })
}

fn is_in_function(loaded: &Loaded, stack: StackId) -> bool {
    let mut frames = loaded
        .stack(stack)
        .iter()
        .filter_map(|id| loaded.frames.get(id.0 as usize));
    frames.any(|frame| FUNCTIONS.contains(&&*frame.name))
}
