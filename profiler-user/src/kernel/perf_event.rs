//! The event source: one `cpu-clock` perf event on every online CPU, with a period that is drawn anew all the time.
//!
//! aya attaches perf events too, but keeps the descriptor that `PERF_EVENT_IOC_PERIOD` needs.
#![expect(
    unsafe_code,
    reason = "perf_event_open and its ioctls take raw pointers and descriptors"
)]

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::time::Duration;

use perf_event_open_sys as sys;

/// The period is drawn from this range around the mean, parts per thousand: a fixed one locks into step with
/// periodic programs and reads 0 % or 50 % for a true 20 %.
const DITHER_PERMILLE: u32 = 300;
/// Mean time between two draws, at least; itself drawn from half to one and a half of it, so that no program can be in
/// step with the draws either.
const REDRAW_EVERY: Duration = Duration::from_millis(50);
/// Periods between two draws, at least.
const PERIODS_PER_DRAW: u32 = 5;

/// Why sampling cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PerfError {
    /// `perf_event_open` refused.
    #[error("perf_event_open on CPU {cpu}: {source}")]
    Open {
        /// The CPU.
        cpu: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// The program could not be attached.
    #[error("attaching the sampler to CPU {cpu}: {source}")]
    Attach {
        /// The CPU.
        cpu: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// The list of CPUs is not readable.
    #[error("reading the online CPUs: {0}")]
    Cpus(io::Error),
}

/// Perf events on all online CPUs. Dropping it stops sampling.
#[derive(Debug)]
pub struct Sampler {
    program: OwnedFd,
    mean_rate_millihz: u64,
    redraw_every: Duration,
    events: BTreeMap<u32, Event>,
    random: u64,
    /// How long the periods last that are in force now, and whether they mirror those before.
    interval: Duration,
    is_mirrored: bool,
}

/// The event of one CPU.
#[derive(Debug)]
struct Event {
    descriptor: OwnedFd,
    /// Its rate, parts per thousand of the mean one.
    rate_permille: u32,
}

impl Sampler {
    /// Starts sampling every online CPU `rate_hz` times a second on average.
    ///
    /// # Errors
    /// The first CPU that refuses; nothing is left running.
    pub fn start(program: BorrowedFd<'_>, rate_hz: u32) -> Result<Self, PerfError> {
        let program = program
            .try_clone_to_owned()
            .map_err(|source| PerfError::Attach { cpu: 0, source })?;
        let mut sampler = Self::new(program, rate_hz.max(1));
        sampler.follow_hotplug()?;
        Ok(sampler)
    }

    fn new(program: OwnedFd, rate_hz: u32) -> Self {
        let redraw_every = REDRAW_EVERY.max(Duration::from_secs(1) * PERIODS_PER_DRAW / rate_hz);
        // A new period starts from zero, which loses half a period on average at each draw.
        let lost_millihz = 500.0 / redraw_every.as_secs_f64();
        Self {
            program,
            mean_rate_millihz: u64::from(rate_hz) * 1_000 + lost_millihz as u64,
            redraw_every,
            events: BTreeMap::new(),
            interval: redraw_every,
            // The first draw is a fresh one.
            is_mirrored: true,
            random: u64::from(std::process::id()) << 32 | 0x2545_f491,
        }
    }

    /// CPUs being sampled.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.events.len()
    }

    /// Opens events on CPUs that came online and closes those of CPUs that went.
    ///
    /// # Errors
    /// The first CPU that refuses.
    pub fn follow_hotplug(&mut self) -> Result<(), PerfError> {
        let online = aya::util::online_cpus().map_err(|(_, source)| PerfError::Cpus(source))?;
        self.events.retain(|cpu, _| online.contains(cpu));
        for cpu in online {
            if !self.events.contains_key(&cpu) {
                let rate_permille = self.draw(DITHER_PERMILLE);
                match open(cpu, self.period_ns(rate_permille)) {
                    Ok(descriptor) => {
                        attach(&descriptor, &self.program)
                            .map_err(|source| PerfError::Attach { cpu, source })?;
                        self.events.insert(
                            cpu,
                            Event {
                                descriptor,
                                rate_permille,
                            },
                        );
                    }
                    // The CPU went offline between the two looks.
                    Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                    Err(source) => return Err(PerfError::Open { cpu, source }),
                }
            }
        }
        Ok(())
    }

    /// Gives every CPU a new period, and says when to do so again.
    ///
    /// Every second time the rates mirror those before around the mean, for as long as those were in force: so a
    /// recording of a second, too, has the rate asked for.
    pub fn redraw(&mut self) -> Duration {
        self.is_mirrored = !self.is_mirrored;
        if !self.is_mirrored {
            self.interval = self.redraw_every * self.draw(500) / 1_000;
        }
        let mut events = std::mem::take(&mut self.events);
        for event in events.values_mut() {
            event.rate_permille = if self.is_mirrored {
                2_000 - event.rate_permille
            } else {
                self.draw(DITHER_PERMILLE)
            };
            set_period(&event.descriptor, self.period_ns(event.rate_permille));
        }
        self.events = events;
        self.interval
    }

    /// The period of a rate in parts per thousand of the mean one.
    fn period_ns(&self, rate_permille: u32) -> u64 {
        let rate_microhz = self.mean_rate_millihz * u64::from(rate_permille);
        (1_000_000_000_000_000 / rate_microhz.max(1)).max(1)
    }

    /// A number around 1,000, at most `spread` away from it.
    fn draw(&mut self, spread: u32) -> u32 {
        // xorshift64: quality beyond "not periodic" is not needed.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let offset = self.random % (2 * u64::from(spread) + 1);
        1_000 - spread + u32::try_from(offset).unwrap_or(spread)
    }
}

/// Opens the CPU clock of one CPU, for all processes.
fn open(cpu: u32, period_ns: u64) -> io::Result<OwnedFd> {
    let mut attributes = sys::bindings::perf_event_attr {
        type_: sys::bindings::PERF_TYPE_SOFTWARE,
        size: u32::try_from(size_of::<sys::bindings::perf_event_attr>()).unwrap_or(0),
        config: u64::from(sys::bindings::PERF_COUNT_SW_CPU_CLOCK),
        ..Default::default()
    };
    attributes.__bindgen_anon_1.sample_period = period_ns;
    open_event(&mut attributes, cpu)
}

/// Opens an event on one CPU, for all processes.
///
/// # Errors
/// As `perf_event_open(2)`.
pub(super) fn open_event(attributes: &mut sys::bindings::perf_event_attr, cpu: u32) -> io::Result<OwnedFd> {
    let cpu = i32::try_from(cpu).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let flags = sys::bindings::PERF_FLAG_FD_CLOEXEC;
    // SAFETY: the attributes are initialised and outlive the call.
    let fd = unsafe { sys::perf_event_open(attributes, -1, cpu, -1, flags.into()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just returned this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches the program; it then runs at every overflow. Works on every kernel, unlike perf links (5.15+).
fn attach(event: &OwnedFd, program: &OwnedFd) -> io::Result<()> {
    let program =
        u32::try_from(program.as_raw_fd()).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
    // SAFETY: both descriptors are open.
    let status = unsafe { sys::ioctls::SET_BPF(event.as_raw_fd(), program) };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn set_period(event: &OwnedFd, period_ns: u64) {
    // The ioctl takes the address of the value; the binding types it as a number.
    let pointer = (&raw const period_ns).expose_provenance() as u64;
    // SAFETY: the descriptor is open, the value outlives the call.
    let status = unsafe { sys::ioctls::PERIOD(event.as_raw_fd(), pointer) };
    if status < 0 {
        log::debug!("setting the sampling period: {}", io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::{Event, Sampler};
    use std::os::fd::OwnedFd;

    #[test]
    fn drawn_rates_average_to_the_one_asked_for_after_every_pair_of_draws() {
        let program: OwnedFd = std::fs::File::open("/dev/null").expect("/dev/null").into();
        let mut sampler = Sampler::new(program, 99);
        // 10 Hz more than asked for make up for what every draw loses.
        assert!((1e9 / sampler.period_ns(1_000) as f64 - 109.0).abs() < 0.5);
        sampler.events.insert(
            0,
            Event {
                descriptor: std::fs::File::open("/dev/null").expect("/dev/null").into(),
                rate_permille: 1_250,
            },
        );
        let mut rates = std::collections::BTreeSet::new();
        for _ in 0..1_000 {
            let [one, mirrored] = [(); 2].map(|()| {
                let interval = sampler.redraw();
                (interval, sampler.events[&0].rate_permille)
            });
            assert_eq!((one.0, one.1 + mirrored.1), (mirrored.0, 2_000));
            rates.insert(one.1);
        }
        assert!(rates.len() > 300 && rates.first() < Some(&710) && rates.last() > Some(&1_290));
    }

    #[test]
    fn low_rates_are_redrawn_less_often_than_they_sample() {
        let program: OwnedFd = std::fs::File::open("/dev/null").expect("/dev/null").into();
        let mut sampler = Sampler::new(program, 1);
        assert!((0..1_000).all(|_| sampler.redraw().as_secs_f64() >= 2.5));
    }
}
