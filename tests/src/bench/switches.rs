//! What watching time off the CPU costs: two programs that hand a byte back and forth on one CPU and do nothing else, with
//! and without it, in alternating windows.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use profiler_common::contract::programs::{SWITCH, WAKE};
use profiler_common::contract::reasons::Outcome;
use profiler_common::contract::sources::Source;
use pyebpf::kernel::{Kernel, Options, Rings, SampledSource};
use pyebpf::processes::filter::Filter;
use pyebpf::processes::tracker::{Target, Tracker};

use super::bpf_stats::BpfStats;
use super::{kernel_half, median};
use crate::python;

/// Pairs of windows.
const PAIRS: usize = 9;
/// Asks this very program to give back each byte that it gets.
pub const ECHO: &str = "--echo";

/// Gives back each byte until there are no more.
///
/// # Errors
/// When nobody takes them.
pub fn echo() -> anyhow::Result<()> {
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout());
    let mut byte = [0];
    while stdin.read(&mut byte)? == 1 {
        stdout.write_all(&byte)?;
        stdout.flush()?;
    }
    Ok(())
}

/// Two rows.
pub(super) fn run(window: Duration) -> anyhow::Result<()> {
    let options = Options {
        sources: vec![SampledSource {
            source: Source::OffCpu,
            period: 1,
        }],
        max_threads: 1024,
        ..kernel_half::options(false)
    };
    let (mut kernel, mut rings) = Kernel::load(&options)?;
    let everywhere = rustix::thread::sched_getaffinity(None)?;
    without_python(&mut kernel, window)?;
    rustix::thread::sched_setaffinity(None, &everywhere)?;
    println!();
    in_python(&mut kernel, &mut rings, window)
}

/// Round trips of two programs that are not of interest.
fn without_python(kernel: &mut Kernel, window: Duration) -> anyhow::Result<()> {
    let mut echo = Echo::start()?;
    let mut rates = Vec::new();
    for _ in 0..PAIRS {
        let off = echo.round_trips(window)?;
        let watch = kernel.watch_threads()?;
        let on = echo.round_trips(window)?;
        drop(watch);
        rates.push((off, on));
    }
    let of = |value: fn(&(f64, f64)) -> f64| median(&mut rates.iter().map(value).collect::<Vec<_>>());
    println!(
        "Two programs without Python, one byte back and forth, medians of {PAIRS} pairs of windows\n\n\
         | round trips/s without | with | without / with | a switch costs ns more |\n\
         |---:|---:|---:|---:|\n| {:.0} | {:.0} | {:.3} | {:+.0} |",
        of(|pair| pair.0),
        of(|pair| pair.1),
        of(|pair| pair.0 / pair.1),
        // A round trip is two switches.
        of(|pair| (1.0 / pair.1 - 1.0 / pair.0) * 1e9 / 2.0),
    );
    Ok(())
}

/// Two Python programs that do the same, first unknown to the kernel half, then recorded.
fn in_python(kernel: &mut Kernel, rings: &mut Rings, window: Duration) -> anyhow::Result<()> {
    let python = python::newest();
    let mut pair = Command::new("taskset");
    pair.args(["-c", "0"])
        .args(python.words())
        .args(["-c", PING_PONG]);
    let pair = Killed(pair.spawn().context("starting two programs")?);
    std::thread::sleep(Duration::from_secs(1));
    let children = format!("/proc/{0}/task/{0}/children", pair.0.id());
    let child: u32 = std::fs::read_to_string(children)?.trim().parse()?;
    let _stats = BpfStats::enable();
    let _watch = kernel.watch_threads()?;
    let bare = Share::of(kernel, rings, window);
    let target = Target::Processes {
        pids: vec![pair.0.id(), child],
        follow_children: false,
    };
    Tracker::new(target, Filter::default()).scan(kernel);
    let known = kernel.slots().count();
    ensure!(known >= 2, "{known} threads are known");
    std::thread::sleep(window);
    let recorded = Share::of(kernel, rings, window * 3);
    println!(
        "Two Python programs, the same, by `bpf_stats`, {python}\n\n\
         | switches/s | walked % | not recorded, ns a switch | recorded | % of a core for 100,000 switches/s more |\n\
         |---:|---:|---:|---:|---:|\n| {:.0} | {:.1} | {:.0} | {:.0} | {:.2} |",
        recorded.switches_per_second,
        recorded.walked_percent,
        bare.ns_per_switch,
        recorded.ns_per_switch,
        (recorded.ns_per_switch - bare.ns_per_switch) * 100_000.0 / 1e9 * 100.0,
    );
    Ok(())
}

/// Parent and child on one CPU.
const PING_PONG: &str = r"
import os
there, back = os.pipe(), os.pipe()
if os.fork():
    while True:
        os.write(there[1], b'x')
        os.read(back[0], 1)
while True:
    os.read(there[0], 1)
    os.write(back[1], b'x')
";

/// What the programs of the kernel half had of a window.
struct Share {
    ns_per_switch: f64,
    switches_per_second: f64,
    walked_percent: f64,
}

impl Share {
    fn of(kernel: &Kernel, rings: &mut Rings, window: Duration) -> Self {
        let read = || {
            let [switch, wake] = [SWITCH, WAKE].map(|of| BpfStats::of_program(kernel, of.program));
            let outcomes = kernel.outcomes(Source::OffCpu);
            let count = |wanted| {
                let found = outcomes.iter().find(|(outcome, _)| *outcome == wanted);
                found.map_or(0, |(_, count)| *count)
            };
            let walked = count(Outcome::Delivered) + count(Outcome::RingFull);
            (switch, wake, walked, kernel.interrupts(Source::OffCpu))
        };
        let (started, before) = (Instant::now(), read());
        while started.elapsed() < window {
            std::thread::sleep(Duration::from_millis(100));
            rings.samples.drain(usize::MAX, |_| ());
        }
        let (time, after) = (started.elapsed(), read());
        let switches = (after.0.1 - before.0.1) as f64;
        let spent = (after.0.0 - before.0.0) + (after.1.0 - before.1.0);
        Self {
            ns_per_switch: spent.as_secs_f64() * 1e9 / switches.max(1.0),
            switches_per_second: switches / time.as_secs_f64(),
            walked_percent: (after.2 - before.2) as f64 * 100.0 / ((after.3 - before.3) as f64).max(1.0),
        }
    }
}

/// A process on the first CPU that gives back what it gets, and this thread on the same one.
struct Echo {
    _child: Killed,
    there: ChildStdin,
    back: ChildStdout,
}

impl Echo {
    fn start() -> anyhow::Result<Self> {
        let mut set = rustix::thread::CpuSet::new();
        set.set(0);
        rustix::thread::sched_setaffinity(None, &set)?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg(ECHO)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the other program")?;
        let there = child.stdin.take().context("a pipe")?;
        let back = child.stdout.take().context("a pipe")?;
        Ok(Self {
            _child: Killed(child),
            there,
            back,
        })
    }

    /// A second.
    fn round_trips(&mut self, window: Duration) -> anyhow::Result<f64> {
        let started = Instant::now();
        let mut trips = 0u32;
        let mut byte = [0];
        while started.elapsed() < window {
            for _ in 0..100 {
                self.there.write_all(&byte)?;
                self.back.read_exact(&mut byte)?;
            }
            trips += 100;
        }
        Ok(f64::from(trips) / started.elapsed().as_secs_f64())
    }
}

/// Killed when dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
