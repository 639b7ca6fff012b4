//! CPU time: the `cpu-clock` event of every CPU, with a period that is drawn again and again.
//!
//! A fixed period falls into step with periodic programs and reads 0 % or 50 % for a true 20 %. A new period is a
//! synchronous interrupt of its CPU, so only CPUs on which a profiled process was sampled get one.

use std::collections::BTreeMap;
use std::time::Duration;

use profiler_common::contract::period::CpuPeriod;
use profiler_common::contract::sources::Source;

use super::cpu_events::{CpuEvents, CpuSet};
use super::sampling::{EventSource, Rate, Sampling, Wake};
use crate::clock::monotonic_ns;
use crate::kernel::{Kernel, LoadError, SoftwareEvent};

/// The period is drawn from this range around the mean, parts per thousand.
const SPREAD_PERMILLE: u32 = 300;
/// The same while wake-ups are rare: fewer draws, each further from the others.
const RARE_SPREAD_PERMILLE: u32 = 500;
/// Wake-ups with more time between them are rare.
const RARE: Duration = Duration::from_millis(150);
/// Periods between two draws, at least.
const PERIODS_PER_DRAW: u32 = 5;
/// How much longer than its period the time between two interrupts may be before the rest counts as a gap, parts per
/// thousand: an interrupt can be late.
const SLACK_PERMILLE: u64 = 100;

/// The CPU time of every thread.
pub(super) const CPU: EventSource = EventSource {
    source: Source::OnCpu,
    about: "CPU time",
    missed: "used the CPU",
    start,
};

#[derive(Debug)]
struct OnCpu {
    events: CpuEvents,
    periods: Periods,
}

fn start(source: Source, kernel: &mut Kernel, rate: Rate) -> Result<Box<dyn Sampling>, LoadError> {
    let mut sampling = OnCpu {
        events: CpuEvents::new(SoftwareEvent::CpuClock, kernel.program_fd(source)?)?,
        periods: Periods::new(rate.hz.max(1)),
    };
    sampling.follow_hotplug(kernel);
    sampling.events.any()?;
    Ok(Box::new(sampling))
}

impl Sampling for OnCpu {
    fn source(&self) -> Source {
        Source::OnCpu
    }

    fn events(&self) -> Option<&CpuEvents> {
        Some(&self.events)
    }

    fn events_mut(&mut self) -> Option<&mut CpuEvents> {
        Some(&mut self.events)
    }

    fn follow_hotplug(&mut self, kernel: &mut Kernel) {
        let periods = &mut self.periods;
        self.events.follow_hotplug(|cpu| {
            let (period_ns, limits) = periods.begin(cpu, monotonic_ns());
            say(kernel, cpu, limits);
            period_ns
        });
        let events = &self.events.events;
        self.periods.cpus.retain(|cpu, _| events.contains_key(cpu));
    }

    fn wake(&mut self, kernel: &mut Kernel, sampled: &CpuSet, wake: Wake) {
        for (cpu, event) in &self.events.events {
            if let Some((period_ns, limits)) = self.periods.redraw(*cpu, sampled, wake) {
                // Before the period changes: no interval may be found too long.
                say(kernel, *cpu, limits);
                event.set_period(period_ns);
            }
        }
    }
}

/// Tells the kernel half. When it refuses (a CPU beyond those that the machine can have), the weights of this CPU's samples
/// are cut, which shows as a gap.
fn say(kernel: &mut Kernel, cpu: u32, limits: CpuPeriod) {
    if let Err(error) = kernel.set_period(cpu, limits) {
        log::debug!("periods of CPU {cpu}: {error}");
    }
}

/// The periods in force, and how they are drawn.
#[derive(Debug)]
struct Periods {
    rate_hz: u32,
    cpus: BTreeMap<u32, Drawn>,
    random: fastrand::Rng,
}

/// The period of one CPU.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    /// Its rate, parts per thousand of the mean one.
    rate_permille: u32,
    period_ns: u64,
    /// When it was drawn, `CLOCK_MONOTONIC` nanoseconds.
    at_ns: u64,
    /// It can be mirrored: it was drawn freely at the wake-up before.
    is_free: bool,
}

impl Periods {
    fn new(rate_hz: u32) -> Self {
        Self {
            rate_hz,
            cpus: BTreeMap::new(),
            random: fastrand::Rng::new(),
        }
    }

    /// The first period of a CPU.
    fn begin(&mut self, cpu: u32, now_ns: u64) -> (u64, CpuPeriod) {
        let rate_permille = self.draw(SPREAD_PERMILLE);
        let period_ns = period_ns(u64::from(self.rate_hz) * 1_000, rate_permille);
        let drawn = Drawn {
            rate_permille,
            period_ns,
            at_ns: now_ns,
            is_free: false,
        };
        self.cpus.insert(cpu, drawn);
        (period_ns, limits(now_ns, 0, period_ns))
    }

    /// A new period for a CPU; `None` when no profiled process was `sampled` on it, or when it has had too little of the one
    /// in force.
    ///
    /// The second wake-up of a pair mirrors what the first one drew, around the mean and for as long. So even a recording
    /// of one second has the rate that was asked for.
    fn redraw(&mut self, cpu: u32, sampled: &CpuSet, wake: Wake) -> Option<(u64, CpuPeriod)> {
        if !sampled.contains(cpu) {
            return None;
        }
        let before = *self.cpus.get(&cpu)?;
        let least = Duration::from_secs(1) * PERIODS_PER_DRAW / self.rate_hz;
        if Duration::from_nanos(wake.now_ns.saturating_sub(before.at_ns)) < least {
            return None;
        }
        let is_mirror = wake.is_second && before.is_free;
        let rate_permille = if is_mirror {
            2_000 - before.rate_permille
        } else {
            let is_rare = wake.interval > RARE;
            self.draw(if is_rare {
                RARE_SPREAD_PERMILLE
            } else {
                SPREAD_PERMILLE
            })
        };
        // A new period starts from zero, which loses half a period on average at each draw.
        let lost_millihz = 500.0 / wake.interval.max(least).as_secs_f64().max(0.001);
        let mean_millihz = u64::from(self.rate_hz) * 1_000 + lost_millihz as u64;
        let period_ns = period_ns(mean_millihz, rate_permille);
        let drawn = Drawn {
            rate_permille,
            period_ns,
            at_ns: wake.now_ns,
            is_free: !is_mirror,
        };
        self.cpus.insert(cpu, drawn);
        Some((period_ns, limits(wake.now_ns, before.period_ns, period_ns)))
    }

    /// A number around 1,000, at most `spread` away from it.
    fn draw(&mut self, spread: u32) -> u32 {
        self.random.u32(1_000 - spread..=1_000 + spread)
    }
}

/// The period of a rate in parts per thousand of the mean one.
fn period_ns(mean_millihz: u64, rate_permille: u32) -> u64 {
    (1_000_000_000_000_000 / (mean_millihz * u64::from(rate_permille)).max(1)).max(1)
}

/// Which time between two interrupts is not a gap, when a period follows another one at `now_ns`.
fn limits(now_ns: u64, before_ns: u64, period_ns: u64) -> CpuPeriod {
    let with_slack = |ns: u64| ns.saturating_add(ns.saturating_mul(SLACK_PERMILLE) / 1_000);
    CpuPeriod {
        set_ns: now_ns,
        crossing_limit_ns: with_slack(before_ns.saturating_add(period_ns)),
        limit_ns: with_slack(period_ns),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::{CpuSet, Periods, Wake};

    fn set(cpus: &[u32]) -> CpuSet {
        let mut set = CpuSet::default();
        cpus.iter().for_each(|cpu| set.insert(*cpu));
        set
    }

    fn wake(now_ms: u64, interval_ms: u64, is_second: bool) -> Wake {
        Wake {
            now_ns: now_ms * 1_000_000,
            interval: Duration::from_millis(interval_ms),
            is_second,
        }
    }

    #[test]
    fn drawn_rates_average_to_the_one_asked_for_after_every_pair_of_draws() {
        let mut periods = Periods::new(99);
        periods.begin(0, 0);
        let mut rates = BTreeSet::new();
        for pair in 1..=1_000 {
            let [drawn, mirrored] = [false, true].map(|is_second| {
                let now_ms = pair * 200 + u64::from(is_second) * 100;
                let (period_ns, _) = periods
                    .redraw(0, &set(&[0]), wake(now_ms, 100, is_second))
                    .expect("100 ms hold five periods");
                1e9 / period_ns as f64
            });
            // 5 Hz more than asked for make up for what every draw loses.
            assert!((drawn + mirrored - 2.0 * 104.0).abs() < 0.1, "{drawn} {mirrored}");
            rates.insert(drawn as u64);
        }
        assert!(rates.len() > 40 && rates.first() < Some(&75) && rates.last() > Some(&133));
    }

    #[test]
    fn low_rates_are_drawn_less_often_than_they_sample() {
        let mut periods = Periods::new(1);
        periods.begin(0, 0);
        let sampled = set(&[0]);
        let drawn: Vec<u64> = (1..=100)
            .filter(|tick| {
                periods
                    .redraw(0, &sampled, wake(tick * 100, 100, false))
                    .is_some()
            })
            .collect();
        assert_eq!(drawn, [50, 100]);
    }

    #[test]
    fn an_interval_that_crosses_a_draw_may_be_as_long_as_both_periods() {
        let mut periods = Periods::new(100);
        let (first_ns, limits) = periods.begin(3, 7);
        assert_eq!((limits.set_ns, limits.limit_ns), (7, first_ns + first_ns / 10));
        let (second_ns, limits) = periods
            .redraw(3, &set(&[3]), wake(100, 100, false))
            .expect("time enough");
        let both_ns = first_ns + second_ns;
        assert_eq!(limits.set_ns, 100_000_000);
        assert_eq!(limits.crossing_limit_ns, both_ns + both_ns / 10);
        assert_eq!(limits.limit_ns, second_ns + second_ns / 10);
    }

    /// New periods in a minute of ten wake-ups a second, on 64 CPUs with profiled processes on these.
    fn draws_a_minute(sampled: &[u32]) -> usize {
        let mut periods = Periods::new(99);
        let sampled = set(sampled);
        for cpu in 0..64 {
            periods.begin(cpu, 0);
        }
        let wakes = (1..=600).map(|tick| wake(tick * 100, 100, tick % 2 == 0));
        wakes
            .map(|wake| {
                (0..64)
                    .filter(|cpu| periods.redraw(*cpu, &sampled, wake).is_some())
                    .count()
            })
            .sum()
    }

    #[test]
    fn cpus_without_a_sample_are_left_alone() {
        assert_eq!(draws_a_minute(&[]), 0);
        assert_eq!(draws_a_minute(&[7]), 600);
    }

    #[test]
    fn a_cpu_that_is_unknown_gets_no_period() {
        assert!(
            Periods::new(100)
                .redraw(5, &set(&[5]), wake(100, 100, false))
                .is_none()
        );
    }
}
