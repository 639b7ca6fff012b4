//! A program that burns CPU at a known depth and counts its rounds.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Stdio};

use anyhow::Context as _;

use crate::python::Python;

/// Prints `ready`, then a line with the rounds of each quarter of a second. Every frame is of another function: nothing
/// that a profiler remembers of one code object helps with the next.
const SPIN: &str = r"
import sys, time
def leaf():
    clock = time.perf_counter
    print('ready', flush=True)
    while True:
        end = clock() + 0.25
        rounds = 0
        while clock() < end:
            x = 0
            for i in range(100):
                x += i * i
            rounds += 1
        print(rounds, flush=True)
names = {'f0': leaf}
depth = int(sys.argv[1])
for n in range(1, depth - 1):
    exec('def f%d():\n    return f%d()' % (n, n - 1), names)
names['f%d' % (depth - 2)]()
";

/// A running program, killed when dropped.
pub(super) struct Spin {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Spin {
    /// Starts it on the last CPU, `depth` Python frames deep.
    pub(super) fn start(python: &Python, depth: u32) -> anyhow::Result<Self> {
        let cpu = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) - 1;
        let mut child = python
            .command_behind(&["taskset", "-c", &cpu.to_string()])
            .args(["-c", SPIN, &depth.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {python}"))?;
        let lines = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut spin = Self { child, lines };
        spin.line()?;
        Ok(spin)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Rounds in the next quarter of a second.
    pub(super) fn rounds(&mut self) -> anyhow::Result<f64> {
        Ok(self.line()?.trim().parse()?)
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.lines
            .read_line(&mut line)
            .context("reading from the program")?;
        Ok(line)
    }
}

impl Drop for Spin {
    fn drop(&mut self) {
        // Already gone is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
