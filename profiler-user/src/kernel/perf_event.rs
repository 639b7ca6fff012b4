//! Software perf events on one CPU: opening, the program they start, their period, their count.
//!
//! aya opens perf events too, but keeps to itself the descriptor that `PERF_EVENT_IOC_PERIOD` needs.
#![expect(
    unsafe_code,
    reason = "perf_event_open and its ioctls take raw pointers and descriptors"
)]

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use perf_event_open_sys as sys;
use rustix::io::Errno;

/// Why sampling cannot start on a CPU.
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

impl PerfError {
    /// Whether the CPU went offline in the meantime.
    #[must_use]
    pub fn is_cpu_gone(&self) -> bool {
        matches!(self, Self::Open { source, .. } if Errno::from_io_error(source) == Some(Errno::NODEV))
    }
}

/// What the kernel counts without hardware (`PERF_TYPE_SOFTWARE`, `include/uapi/linux/perf_event.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftwareEvent {
    /// Nanoseconds of a CPU's time.
    CpuClock,
    /// Page faults of every kind.
    PageFaults,
    /// Page faults that waited for no input.
    MinorFaults,
    /// Page faults that waited for input.
    MajorFaults,
    /// Times that a thread was taken off its CPU.
    ContextSwitches,
}

impl SoftwareEvent {
    fn config(self) -> u32 {
        match self {
            Self::CpuClock => sys::bindings::PERF_COUNT_SW_CPU_CLOCK,
            Self::PageFaults => sys::bindings::PERF_COUNT_SW_PAGE_FAULTS,
            Self::MinorFaults => sys::bindings::PERF_COUNT_SW_PAGE_FAULTS_MIN,
            Self::MajorFaults => sys::bindings::PERF_COUNT_SW_PAGE_FAULTS_MAJ,
            Self::ContextSwitches => sys::bindings::PERF_COUNT_SW_CONTEXT_SWITCHES,
        }
    }
}

/// An event of one CPU, for all processes, that starts a program after every `period` counts. Dropping it ends that.
#[derive(Debug)]
pub struct PerfEvent {
    cpu: u32,
    descriptor: File,
}

impl PerfEvent {
    /// Opens the event and attaches the program.
    ///
    /// # Errors
    /// [`PerfError::Open`], [`PerfError::Attach`].
    pub fn start(
        event: SoftwareEvent,
        cpu: u32,
        period: u64,
        program: BorrowedFd<'_>,
    ) -> Result<Self, PerfError> {
        let mut attributes = attributes(event, period);
        // What is counted before the program is there would be missing from its accounts.
        attributes.set_disabled(1);
        let descriptor =
            open_event(&mut attributes, cpu).map_err(|source| PerfError::Open { cpu, source })?;
        attach(&descriptor, program)
            .and_then(|()| enable(&descriptor))
            .map_err(|source| PerfError::Attach { cpu, source })?;
        Ok(Self {
            cpu,
            descriptor: descriptor.into(),
        })
    }

    /// Its CPU.
    #[must_use]
    pub fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Starts a new period of this length at once: a synchronous interrupt of the CPU.
    pub fn set_period(&self, period: u64) {
        set_period(&self.descriptor, period);
    }

    /// Counts so far.
    ///
    /// # Errors
    /// As `read(2)`.
    pub fn count(&self) -> io::Result<u64> {
        let mut bytes = [0; 8];
        (&self.descriptor).read_exact(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }
}

fn attributes(event: SoftwareEvent, period: u64) -> sys::bindings::perf_event_attr {
    let mut attributes = sys::bindings::perf_event_attr {
        type_: sys::bindings::PERF_TYPE_SOFTWARE,
        size: u32::try_from(size_of::<sys::bindings::perf_event_attr>()).unwrap_or(0),
        config: u64::from(event.config()),
        ..Default::default()
    };
    attributes.__bindgen_anon_1.sample_period = period;
    attributes
}

/// Whether the kernel refuses this process, with what it may do now, to sample all processes.
#[must_use]
pub fn sampling_is_forbidden() -> bool {
    let mut attributes = attributes(SoftwareEvent::CpuClock, 1_000_000_000);
    attributes.set_disabled(1);
    let opened = open_event(&mut attributes, 0).map_err(|error| Errno::from_io_error(&error));
    matches!(opened, Err(Some(Errno::ACCESS | Errno::PERM)))
}

/// Opens an event on one CPU, for all processes.
///
/// # Errors
/// As `perf_event_open(2)`.
pub(super) fn open_event(attributes: &mut sys::bindings::perf_event_attr, cpu: u32) -> io::Result<OwnedFd> {
    let cpu = i32::try_from(cpu).map_err(|_| io::Error::from(Errno::INVAL))?;
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
fn attach(event: &OwnedFd, program: BorrowedFd<'_>) -> io::Result<()> {
    let program = u32::try_from(program.as_raw_fd()).map_err(|_| io::Error::from(Errno::BADF))?;
    // SAFETY: both descriptors are open.
    let status = unsafe { sys::ioctls::SET_BPF(event.as_raw_fd(), program) };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Starts counting.
fn enable(event: &OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is open.
    let status = unsafe { sys::ioctls::ENABLE(event.as_raw_fd(), 0) };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn set_period(event: &File, period: u64) {
    // The ioctl takes the address of the value; the binding types it as a number.
    let pointer = (&raw const period).expose_provenance() as u64;
    // SAFETY: the descriptor is open, the value outlives the call.
    let status = unsafe { sys::ioctls::PERIOD(event.as_raw_fd(), pointer) };
    if status < 0 {
        log::debug!("setting the sampling period: {}", io::Error::last_os_error());
    }
}
