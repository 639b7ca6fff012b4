//! What this host offers: kernel, BTF, privileges, cgroups. Read once, for `doctor` and for hints.

mod namespaces;
pub mod root;
pub mod stdout;
pub mod subordinates;
pub mod users;

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::thread::CapabilitySet;

/// Oldest kernel that the kernel half is tested on.
pub const OLDEST_KERNEL: (u32, u32) = (5, 10);

/// Where the kernel describes its structures, if it does.
pub const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// A right that pyebpf uses: root has them all, unless somebody took one away.
#[derive(Clone, Copy, Debug)]
pub struct Capability {
    /// As in `capabilities(7)`.
    pub name: &'static str,
    /// As a set.
    pub set: CapabilitySet,
    /// What the kernel accepts instead.
    pub instead: CapabilitySet,
    /// Nothing can be recorded without it.
    pub is_required: bool,
    /// What it is for.
    pub why: &'static str,
}

/// Those that stand in for root.
pub const CAPABILITIES: &[Capability] = &[
    Capability {
        name: "CAP_BPF",
        set: CapabilitySet::BPF,
        instead: CapabilitySet::SYS_ADMIN,
        is_required: true,
        why: "load BPF programs",
    },
    Capability {
        name: "CAP_PERFMON",
        set: CapabilitySet::PERFMON,
        instead: CapabilitySet::SYS_ADMIN,
        is_required: true,
        why: "sample every process, read target memory",
    },
    Capability {
        name: "CAP_SYS_PTRACE",
        set: CapabilitySet::SYS_PTRACE,
        instead: CapabilitySet::empty(),
        is_required: true,
        why: "see other users' processes",
    },
    Capability {
        name: "CAP_DAC_READ_SEARCH",
        set: CapabilitySet::DAC_READ_SEARCH,
        instead: CapabilitySet::DAC_OVERRIDE,
        is_required: false,
        why: "open interpreters and libraries that only their owners may read",
    },
    Capability {
        name: "CAP_CHECKPOINT_RESTORE",
        set: CapabilitySet::CHECKPOINT_RESTORE,
        instead: CapabilitySet::SYS_ADMIN,
        is_required: false,
        why: "open deleted and overlaid executables",
    },
    Capability {
        name: "CAP_SYSLOG",
        set: CapabilitySet::SYSLOG,
        instead: CapabilitySet::empty(),
        is_required: false,
        why: "name functions of the kernel",
    },
];

/// Which cgroup hierarchy is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupMounts {
    /// Unified.
    V2,
    /// Both.
    Hybrid,
    /// Legacy only.
    V1,
    /// None.
    None,
}

/// What this host offers.
#[derive(Clone, Debug)]
pub struct Host {
    /// `uname -r`.
    pub kernel_release: String,
    /// Major and minor number of the kernel; `None` when the release does not start with them.
    pub kernel_version: Option<(u32, u32)>,
    /// Whether the kernel describes its structures.
    pub btf: bool,
    /// Those of [`CAPABILITIES`] that this process lacks.
    pub missing_capabilities: Vec<&'static Capability>,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<i32>,
    /// Mounted cgroup hierarchies.
    pub cgroups: CgroupMounts,
    /// Whether there is a hardware PMU (sampling itself uses the CPU clock everywhere).
    pub pmu: bool,
    /// Whether this process sees the host's pids.
    pub initial_pid_namespace: bool,
}

impl Host {
    /// Reads it all; what cannot be read counts as absent.
    #[must_use]
    pub fn inspect() -> Self {
        let uname = rustix::system::uname();
        let kernel_release = uname.release().to_string_lossy().into_owned();
        let effective = rustix::thread::capabilities(None).map(|sets| sets.effective).ok();
        let lacks = |wanted: &&Capability| {
            !effective.is_some_and(|held| held.intersects(wanted.set | wanted.instead))
        };
        Self {
            kernel_version: version(&kernel_release),
            kernel_release,
            btf: Path::new(KERNEL_BTF).exists(),
            missing_capabilities: CAPABILITIES
                .iter()
                .filter(|capability| lacks(capability))
                .collect(),
            perf_event_paranoid: read_trimmed("/proc/sys/kernel/perf_event_paranoid")
                .and_then(|text| text.parse().ok()),
            cgroups: cgroups(),
            pmu: Path::new("/sys/bus/event_source/devices/cpu").exists()
                || Path::new("/sys/bus/event_source/devices/armv8_pmuv3_0").exists(),
            initial_pid_namespace: namespaces::initial_pid_namespace(),
        }
    }

    /// Whether the kernel is older than tested.
    #[must_use]
    pub fn kernel_too_old(&self) -> bool {
        self.kernel_version.is_some_and(|version| version < OLDEST_KERNEL)
    }

    /// Whether recording can work with the privileges of this process.
    #[must_use]
    pub fn privileged(&self) -> bool {
        self.missing_capabilities
            .iter()
            .all(|capability| !capability.is_required)
    }
}

/// Whether this process was told to go on when its terminal goes away (`nohup`).
#[must_use]
pub fn ignores_hang_up() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignores(&status, rustix::process::Signal::HUP)
}

/// `SigIgn:` and a set of bits, the lowest one for signal 1 (`proc_pid_status(5)`).
fn ignores(status: &str, signal: rustix::process::Signal) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    ignored.is_some_and(|set| set >> (signal.as_raw() - 1) & 1 == 1)
}

/// Whether `/proc` shows processes of others only to those who may trace them (`hidepid`).
#[must_use]
pub fn hides_processes() -> bool {
    hides(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// The fifth field of a line is where something is mounted; the options of the file system are its last
/// (`proc_pid_mountinfo(5)`).
fn hides(mounts: &str) -> bool {
    // What was mounted last there is what one sees.
    let proc = mounts
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some("/proc"));
    let mut options = proc
        .and_then(|line| line.rsplit(' ').next())
        .unwrap_or_default()
        .split(',');
    options.any(|option| {
        option
            .strip_prefix("hidepid=")
            .is_some_and(|who| who != "0" && who != "off")
    })
}

/// CPU time that all CPUs together have spent on anything but idling, since boot; zero when `/proc/stat` is unreadable.
///
/// An idle CPU takes no (or fewer) sampling interrupts, so this is what a sampling rate is measured against.
#[must_use]
pub fn busy_time() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let ticks: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .skip(1)
        .map_while(|field| field.parse().ok())
        .collect();
    // user nice system (idle iowait) irq softirq: proc_stat(5).
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|field| ticks.get(*field)).sum();
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_millis(busy.saturating_mul(1_000) / per_second)
}

fn cgroups() -> CgroupMounts {
    let mount = root::root().join("sys/fs/cgroup");
    let unified = mount.join("cgroup.controllers").exists();
    let hybrid = mount.join("unified/cgroup.procs").exists();
    let legacy = mount.join("cpu").exists() || mount.join("memory").exists();
    match (unified, hybrid, legacy) {
        (true, ..) => CgroupMounts::V2,
        (false, true, _) => CgroupMounts::Hybrid,
        (false, false, true) => CgroupMounts::V1,
        (false, false, false) => CgroupMounts::None,
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn read_trimmed(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use rustix::process::Signal;

    use super::{Host, hides, ignores, version};

    #[test]
    fn whether_processes_are_hidden_is_an_option_of_the_last_mount() {
        let root = "20 1 0:18 / / rw,relatime shared:1 - ext4 /dev/vda rw,hidepid=2\n";
        let plain = "21 20 0:19 / /proc rw,nosuid - proc proc rw\n";
        let hidden = "22 20 0:20 / /proc rw - proc proc rw,gid=27,hidepid=invisible\n";
        let off = "23 20 0:21 / /proc rw - proc proc rw,hidepid=off\n";
        assert!(hides(&[root, plain, hidden].concat()));
        for mounts in [&[root, plain][..], &[root, hidden, plain], &[hidden, off], &[]] {
            assert!(!hides(&mounts.concat()), "{mounts:?}");
        }
    }

    #[test]
    fn ignored_signals_are_read_from_the_kernels_set() {
        let nohup = "Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(nohup, Signal::HUP) && ignores(nohup, Signal::PIPE));
        assert!(!ignores(nohup, Signal::INT) && !ignores("", Signal::HUP));
    }

    #[test]
    fn kernel_releases_of_distributions_are_understood() {
        assert_eq!(version("5.10.0-35-cloud-amd64"), Some((5, 10)));
        assert_eq!(version("6.18.44-fc-v669"), Some((6, 18)));
        assert_eq!(version("7.0-rc3+"), Some((7, 0)));
        assert_eq!(version("custom"), None);
    }

    #[test]
    fn this_host_is_described() {
        let host = Host::inspect();
        assert!(
            host.kernel_version.is_some_and(|found| found >= (4, 0)),
            "{host:?}"
        );
    }
}
