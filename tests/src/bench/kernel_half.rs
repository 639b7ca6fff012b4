//! Nanoseconds of the kernel half, by its own clock and by the kernel's, and instructions verified.

use std::time::Duration;

use profiler_common::contract::benchmark::{BUCKET_NS, Timed, Walks};
use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::Reporting;
use pyebpf::kernel::{Kernel, Native, Options, SampledSource};
use pyebpf::processes::filter::Filter;
use pyebpf::processes::tracker::{Target, Tracker};

use super::bpf_stats::BpfStats;
use super::median;
use super::workload::Spin;

/// Samples per second: high, so that a short window gives many.
const RATE_HZ: u32 = 997;
/// Frames on the stack.
const DEPTH: u32 = 30;
/// Alternations of sampler and yardstick.
const ROUNDS: usize = 5;

/// One row per program.
pub(super) fn verified_instructions() -> anyhow::Result<()> {
    let mut options = options(true);
    options.native = Native::User(super::native::CAPACITY);
    let sources = Source::ALL.iter();
    options.sources = sources
        .map(|source| SampledSource {
            source: *source,
            period: 1,
        })
        .collect();
    let (kernel, _rings) = Kernel::load(&options)?;
    println!("| program | verified instructions | share of the limit (1 M) |\n|---|---:|---:|");
    let mut costs = kernel.program_costs();
    costs.sort_by_key(|cost| std::cmp::Reverse(cost.verified_instructions));
    for cost in costs.iter().filter(|cost| cost.verified_instructions > 0) {
        let share = f64::from(cost.verified_instructions) / 1e4;
        println!(
            "| `{}` | {} | {share:.1} % |",
            cost.name, cost.verified_instructions
        );
    }
    Ok(())
}

/// One row per interpreter.
pub(super) fn walk(window: Duration) -> anyhow::Result<()> {
    println!(
        "{DEPTH} frames, {RATE_HZ} Hz, medians of {ROUNDS} alternating windows, clock reading subtracted\n"
    );
    println!(
        "| interpreter | thread state ns | walk ns | whole sample ns | one 80-byte read per frame ns | walk / reads | (thread state + walk) / reads | blocks walked without reading a code object % | `bpf_stats` mean ns of all interrupts |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
    for python in super::pythons() {
        let spin = Spin::start(python, DEPTH)?;
        let figures = measure(spin.pid(), window)?;
        println!(
            "| {python} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.1} | {:.0} |",
            figures.locate,
            figures.walk,
            figures.sample,
            figures.floor,
            figures.walk / figures.floor,
            (figures.locate + figures.walk) / figures.floor,
            figures.short_percent,
            figures.bpf_stats,
        );
    }
    Ok(())
}

struct Figures {
    locate: f64,
    walk: f64,
    sample: f64,
    floor: f64,
    short_percent: f64,
    bpf_stats: f64,
}

fn measure(pid: u32, window: Duration) -> anyhow::Result<Figures> {
    let (mut kernel, mut rings) = Kernel::load(&options(true))?;
    let mut tracker = Tracker::new(
        Target::Processes {
            pids: vec![pid],
            follow_children: false,
        },
        Filter::default(),
    );
    tracker.scan(&mut kernel);
    let _stats = BpfStats::enable();
    let mut rows: Vec<(Timed, Vec<f64>)> = Timed::ALL.iter().map(|row| (*row, Vec::new())).collect();
    let mut stats = Vec::new();
    for _ in 0..ROUNDS {
        let before = Histograms::read(&kernel);
        let run_before = BpfStats::read(&kernel);
        let sampler = pyebpf::sources::start_cpu(&mut kernel, RATE_HZ)?;
        for _ in 0..10 {
            std::thread::sleep(window / 10);
            rings.samples.drain(usize::MAX, |_| ());
        }
        drop(sampler);
        stats.push(BpfStats::per_run(run_before, BpfStats::read(&kernel)));
        let sampler = pyebpf::sources::start_floor(&mut kernel, RATE_HZ)?;
        std::thread::sleep(window);
        drop(sampler);
        let after = Histograms::read(&kernel);
        for (row, values) in &mut rows {
            values.extend(after.median_since(&before, *row));
        }
    }
    let clock = rows
        .iter_mut()
        .find(|(row, _)| *row == Timed::Clock)
        .map_or(0.0, |(_, values)| median(values));
    let mut of = |wanted| {
        let values = rows.iter_mut().find(|(row, _)| *row == wanted);
        values.map_or(0.0, |(_, values)| (median(values) - clock).max(0.0))
    };
    Ok(Figures {
        locate: of(Timed::Locate),
        walk: of(Timed::Walk),
        sample: of(Timed::Sample),
        floor: of(Timed::Floor),
        short_percent: short_percent(&kernel),
        bpf_stats: median(&mut stats),
    })
}

/// Blocks whose code objects were all known to be unchanged, of all blocks walked so far.
fn short_percent(kernel: &Kernel) -> f64 {
    let [short, long] = [Walks::Short, Walks::Long].map(|how| kernel.walks(how) as f64);
    100.0 * short / (short + long).max(1.0)
}

pub(super) fn options(measure_self: bool) -> Options {
    Options {
        sources: vec![SampledSource {
            source: Source::OnCpu,
            period: 1,
        }],
        all_processes: false,
        sample_ring_bytes: 16 << 20,
        max_processes: 1024,
        max_interpreters: 1024,
        max_threads: 1,
        watch_cgroups: false,
        watch_names: false,
        reporting: Reporting::ALL,
        measure_self,
        native: Native::None,
    }
}

/// Every row of the kernel half's self-measurement.
pub(super) struct Histograms(Vec<(Timed, Vec<u64>)>);

impl Histograms {
    pub(super) fn read(kernel: &Kernel) -> Self {
        Self(
            Timed::ALL
                .iter()
                .map(|row| (*row, kernel.self_time(*row)))
                .collect(),
        )
    }

    /// Median of what was entered since, nanoseconds.
    pub(super) fn median_since(&self, before: &Self, row: Timed) -> Option<f64> {
        let find = |set: &Self| {
            set.0
                .iter()
                .find(|(known, _)| *known == row)
                .map(|(_, buckets)| buckets.clone())
        };
        let (now, then) = (find(self)?, find(before)?);
        let counts: Vec<u64> = now.iter().zip(&then).map(|(now, then)| now - then).collect();
        let half = counts.iter().sum::<u64>().div_ceil(2);
        let mut seen = 0;
        for (bucket, count) in (0u64..).zip(&counts) {
            if *count > 0 && seen + count >= half {
                // Within the bucket, as if its entries were spread evenly.
                let inside = (half - seen) as f64 / *count as f64;
                return Some((bucket as f64 + inside) * BUCKET_NS as f64);
            }
            seen += count;
        }
        None
    }
}
