//! Runs the profiler and reads what it says about itself.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::console;
use crate::plan::environment;

const PYEBPF: &str = "/usr/bin/pyebpf";

/// How long a recording lasts.
pub(super) const RECORD_SECONDS: &str = "4";

/// Fewer samples than this in `RECORD_SECONDS` at 99 Hz is not a recording, however slow the emulated CPU is.
pub(super) const FEWEST_SAMPLES: u64 = 20;

/// Longest run of one command: an emulated CPU verifies BPF programs slowly.
const DEADLINE: Duration = Duration::from_secs(120);

/// Runs `pyebpf ARGUMENTS` to its end. A non-zero exit is an error with what it said.
pub(super) fn run(arguments: &[&str]) -> anyhow::Result<Output> {
    run_with(arguments, &[])
}

/// The same with further environment variables.
pub(super) fn run_with(arguments: &[&str], variables: &[(&str, &str)]) -> anyhow::Result<Output> {
    let child = Command::new(PYEBPF)
        .args(arguments)
        .env_clear()
        .envs(environment())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {PYEBPF}"))?;
    let (sender, receiver) = mpsc::channel();
    // The reader outlives a command that never ends; the machine is about to be powered off then.
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let output = receiver
        .recv_timeout(DEADLINE)
        .map_err(|_| anyhow::anyhow!("pyebpf {} did not end within {DEADLINE:?}", arguments.join(" ")))?
        .context("cannot wait for pyebpf")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    for line in stderr.lines() {
        console::say(format_args!("  {line}"));
    }
    ensure!(
        output.status.success(),
        "pyebpf {} ended with {}: {} {}",
        arguments.join(" "),
        output.status,
        stderr.trim(),
        String::from_utf8_lossy(&output.stdout).trim()
    );
    Ok(output)
}

/// `record ... -f raw -o -`: the folded stacks. Fails unless the accounting on stderr adds up.
pub(super) fn record(target: &[&str]) -> anyhow::Result<String> {
    let mut arguments = vec!["record"];
    arguments.extend(target);
    arguments.extend(["-d", RECORD_SECONDS, "-f", "raw", "-o", "-"]);
    let output = run(&arguments)?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    check_accounting(&stderr)?;
    String::from_utf8(output.stdout).context("the folded stacks are not UTF-8")
}

/// What the accounts begin with: of time on the CPU, and off it.
const EVENTS: [&str; 2] = [" interrupts = ", " times off the CPU = "];

/// `100 interrupts = 60 samples + 30 other processes + 10 idle + 0 dropped`, or
/// `off-cpu: 100 times off the CPU = 60 samples + ...`; seconds, which are not whole numbers, may follow.
fn check_accounting(stderr: &str) -> anyhow::Result<()> {
    let has_events = |line: &&str| EVENTS.iter().any(|events| line.contains(events));
    let line = stderr.lines().find(has_events);
    let line = line.context("no line of accounting (`N interrupts = ...`) on stderr")?;
    let mut numbers = line
        .split_whitespace()
        .filter_map(|word| word.parse::<u64>().ok());
    let interrupts = numbers.next().context("no number of interrupts")?;
    let parts: u64 = numbers.sum();
    ensure!(
        interrupts == parts && interrupts > 0,
        "the accounting does not add up: {}",
        line.trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accounting_that_adds_up_passes_and_no_other() {
        let line = "note\n100 interrupts = 60 samples + 30 other processes + 9 idle + 1 dropped\n";
        assert!(check_accounting(line).is_ok());
        assert!(check_accounting(&line.replace("1 dropped", "0 dropped")).is_err());
        assert!(check_accounting("0 interrupts = 0 samples").is_err());
        assert!(check_accounting("wrote x.svg").is_err());
        let off_cpu = "off-cpu: 9 times off the CPU = 5 samples + 4 left out (others stand for them) + \
                       0 other processes + 0 dropped; 1.250 s blocked, 0.003 s waiting for a CPU\n";
        assert!(check_accounting(off_cpu).is_ok());
        assert!(check_accounting(&off_cpu.replace("4 left", "5 left")).is_err());
    }
}
