//! `/proc/PID` of a process that a test watches: its status (`proc_pid_status(5)`), and what it has open in the kernel.

use anyhow::Context as _;

/// The text of one field, without spaces around it: `38104 kB` of `VmHWM`.
///
/// # Errors
/// When the process is gone, or the kernel does not report the field.
pub fn field(pid: u32, name: &str) -> anyhow::Result<String> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let of_field = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
    let found = status.lines().find_map(of_field);
    found.with_context(|| format!("{path} has no {name}"))
}

/// A field that is an amount of memory (`VmRSS`, `VmHWM`), KiB.
///
/// # Errors
/// As [`field`].
pub fn kib(pid: u32, name: &str) -> anyhow::Result<u64> {
    let text = field(pid, name)?;
    let number = text.strip_suffix(" kB").unwrap_or(&text);
    number.parse().with_context(|| format!("{name} is {text:?}"))
}

/// The ids of the BPF objects that a process has open: of maps by `map_id`, of programs by `prog_id`.
///
/// # Errors
/// When the process is gone.
pub fn bpf_ids(pid: u32, name: &str) -> anyhow::Result<Vec<u32>> {
    let mut ids = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // A descriptor may be closed meanwhile.
        let text = std::fs::read_to_string(entry?.path()).unwrap_or_default();
        let id = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        ids.extend(id.map(str::trim).and_then(|id| id.parse::<u32>().ok()));
    }
    Ok(ids)
}
