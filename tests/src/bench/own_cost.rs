//! What a recording of the whole host costs while there is next to nothing to do: CPU time, wake-ups, memory. Of all its
//! processes together: the main one, the forker, the workers.
//!
//! Every program that is started on the machine meanwhile costs a look at it, so nothing else may run.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::python::Python;
use crate::{profiler, python, status};

/// What a recording does most often: ten wake-ups a second at first, then ever fewer.
const FIRST: Duration = Duration::from_secs(20);
/// From then on wake-ups are as rare as they get.
const SETTLED: Duration = Duration::from_secs(50);
/// Idle Python processes of the last rows.
const MANY: usize = 100;

/// A row for each state of the host.
pub(super) fn run(window: Duration) -> anyhow::Result<()> {
    let python = python::newest();
    println!("`record --all` at 99 Hz, {python}\n");
    println!(
        "| host | options | own CPU, first {} s | own CPU, after {} s | wake-ups/s, after {1} s | memory MiB | of it the main process MiB | its peak MiB |",
        FIRST.as_secs(),
        SETTLED.as_secs()
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    row("nothing to sample", &[], window)?;
    let busy = start(python, "while True: pass")?;
    row("one busy process", &[], window)?;
    drop(busy);
    let many: anyhow::Result<Vec<_>> = (0..MANY)
        .map(|_| start(python, "import time\nwhile True: time.sleep(3600)"))
        .collect();
    let many = many?;
    // Until each has become what it is.
    std::thread::sleep(Duration::from_secs(3));
    row(&format!("{MANY} idle processes"), &[], window)?;
    row(&format!("{MANY} idle processes"), &["-n"], window)?;
    drop(many);
    Ok(())
}

fn row(host: &str, options: &[&str], window: Duration) -> anyhow::Result<()> {
    let recording = Running(
        Command::new(profiler::binary()?)
            .args(["record", "--all", "-f", "raw", "-o", "/dev/null"])
            .args(options)
            .stderr(Stdio::null())
            .spawn()
            .context("starting pyebpf")?,
    );
    let pid = recording.0.id();
    // Loading and verifying are no part of it.
    std::thread::sleep(Duration::from_millis(1_500));
    let (began, started) = (Instant::now(), Spent::of(pid)?);
    std::thread::sleep(FIRST);
    let first = Spent::of(pid)?.since(&started);
    std::thread::sleep(SETTLED.saturating_sub(began.elapsed()));
    let settled = Spent::of(pid)?;
    std::thread::sleep(window * 30);
    let later = Spent::of(pid)?.since(&settled);
    let mib = |field| anyhow::Ok(status::kib(pid, field)? as f64 / 1024.0);
    let together: u64 = family(pid)?.into_iter().filter_map(proportional_kib).sum();
    println!(
        "| {host} | {} | {:.2} % | {:.2} % | {:.1} | {:.1} | {:.1} | {:.1} |",
        options.join(" "),
        first.share() * 100.0,
        later.share() * 100.0,
        later.wake_ups as f64 / later.time.as_secs_f64(),
        together as f64 / 1024.0,
        mib("VmRSS")?,
        mib("VmHWM")?,
    );
    Ok(())
}

/// A process and its descendants.
fn family(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for other in pyebpf::proc::pids()? {
        if let Ok(stat) = pyebpf::proc::stat(other) {
            parents.push((other, stat.parent));
        }
    }
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(
            parents
                .iter()
                .filter(|(_, its)| *its == parent)
                .map(|(pid, _)| *pid),
        );
        next += 1;
    }
    Ok(family)
}

/// Memory of a process, with its part of what it shares, KiB: `None` for one that has ended.
fn proportional_kib(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

/// What all threads of a process and its descendants have had.
struct Spent {
    cpu: Duration,
    wake_ups: u64,
    at: Instant,
}

/// The difference of two.
struct Difference {
    cpu: Duration,
    wake_ups: u64,
    time: Duration,
}

impl Spent {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let mut spent = Self {
            cpu: Duration::ZERO,
            wake_ups: 0,
            at: Instant::now(),
        };
        let tasks = family(pid)?
            .into_iter()
            .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok());
        for thread in tasks.flatten() {
            let thread = thread?.path();
            let times = fs::read_to_string(thread.join("schedstat"))?;
            let cpu_ns = times.split_whitespace().next().context("a time")?.parse()?;
            spent.cpu += Duration::from_nanos(cpu_ns);
            let status = fs::read_to_string(thread.join("status"))?;
            let switches = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            spent.wake_ups += switches.context("a number of switches")?.trim().parse::<u64>()?;
        }
        Ok(spent)
    }

    fn since(&self, before: &Self) -> Difference {
        Difference {
            cpu: self.cpu.saturating_sub(before.cpu),
            wake_ups: self.wake_ups.saturating_sub(before.wake_ups),
            time: self.at - before.at,
        }
    }
}

impl Difference {
    /// Of one core.
    fn share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.time.as_secs_f64()
    }
}

/// Killed when dropped.
struct Running(Child);

fn start(python: &Python, program: &str) -> anyhow::Result<Running> {
    let mut command = python.command();
    let child = command.args(["-c", program]).stdin(Stdio::null()).spawn();
    Ok(Running(child.with_context(|| format!("starting {python}"))?))
}

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
