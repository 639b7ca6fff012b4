//! What the host of a virtual machine takes of it: CPU time that no program in it is charged with, nor counted as idle.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// Columns of `/proc/stat` that are this machine's own time: user to softirq. The next one is "steal".
const OWN_COLUMNS: usize = 7;
const TICK: Duration = Duration::from_millis(10);

/// Measures what the host takes from now on.
#[derive(Debug)]
pub struct Watch {
    start: Instant,
    own: Duration,
}

impl Watch {
    /// Begins.
    ///
    /// # Errors
    /// When `/proc/stat` is not as proc(5) has it.
    pub fn start() -> anyhow::Result<Self> {
        Ok(Self {
            start: Instant::now(),
            own: own_time()?.0,
        })
    }

    /// The share of the CPUs' time that was taken since, of 1.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub fn taken(&self) -> anyhow::Result<f64> {
        let (own, cpus) = own_time()?;
        let passed = self.start.elapsed() * cpus;
        // Time of waiting for a disk may be taken back (proc(5)).
        let own = own.saturating_sub(self.own);
        Ok(1.0 - own.as_secs_f64() / passed.as_secs_f64())
    }
}

/// The accounted time of all CPUs, and their number.
fn own_time() -> anyhow::Result<(Duration, u32)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let all = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let columns = all.context("/proc/stat begins with all CPUs")?.split_whitespace();
    let ticks = columns.take(OWN_COLUMNS).map(str::parse::<u32>);
    let ticks = ticks.sum::<Result<u32, _>>()?;
    let is_one = |line: &&str| {
        let number = line.strip_prefix("cpu").and_then(|rest| rest.split(' ').next());
        number.is_some_and(|number| !number.is_empty())
    };
    let cpus = stat.lines().filter(is_one).count();
    Ok((TICK * ticks, u32::try_from(cpus)?))
}
