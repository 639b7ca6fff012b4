//! Lines of the end report: how long processes and threads waited for the GIL, and held it.

use std::time::Duration;

use profiler_common::contract::sources::Source;

use super::terminal::counted;
use crate::pipeline::GilShare;
use crate::session::Summary;

/// Characters of a command line.
const MAX_CHARACTERS: usize = 60;

/// A line for each process whose threads waited longest, and for each of these threads.
pub(super) fn lines(summary: &Summary) -> Vec<String> {
    let gil = &summary.gil;
    // Who holds the GIL is on a CPU: where that is not sampled, nothing is known of it.
    let knows_holders = summary
        .sources
        .iter()
        .any(|source| source.source == Source::OnCpu);
    let seconds = summary.duration.as_secs_f64();
    let mut lines = Vec::new();
    for process in &gil.processes {
        lines.extend(of_process(process, knows_holders, seconds));
    }
    if gil.others > 0 {
        lines.push(format!(
            "GIL: {} waited for theirs, too",
            counted(gil.others, "other process", "other processes")
        ));
    }
    if !gil.untold.is_zero() {
        lines.push(format!(
            "GIL: {:.3} s were waited by further threads, too many to tell apart",
            gil.untold.as_secs_f64()
        ));
    }
    lines
}

fn of_process(process: &GilShare, knows_holders: bool, seconds: f64) -> Vec<String> {
    let held = |held: Duration| match knows_holders {
        true => format!(", held it for {}", share(held, seconds)),
        false => String::new(),
    };
    let command = process.command_line.chars().take(MAX_CHARACTERS);
    let mut lines = vec![format!(
        "GIL of process {} ({}): its threads waited for it for {}{}",
        process.pid,
        command.collect::<String>(),
        share(process.waited, seconds),
        held(process.held)
    )];
    for thread in &process.threads {
        lines.push(format!(
            "  thread {} ({}): waited for {}{}",
            thread.tid,
            thread.name,
            share(thread.waited, seconds),
            held(thread.held)
        ));
    }
    if process.others > 0 {
        lines.push(format!(
            "  and {}",
            counted(process.others, "other thread", "other threads")
        ));
    }
    lines
}

/// `1.234 s (41 %)`: of the time that was recorded.
fn share(time: Duration, seconds: f64) -> String {
    let time = time.as_secs_f64();
    if seconds > 0.0 {
        format!("{time:.3} s ({:.0} %)", time / seconds * 100.0)
    } else {
        format!("{time:.3} s")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::of_process;
    use crate::pipeline::{GilShare, GilThread};

    #[test]
    fn waiting_and_holding_are_told_of_the_process_and_of_its_threads() {
        let process = GilShare {
            pid: 7,
            command_line: "python3 app.py".to_owned(),
            waited: Duration::from_millis(1_500),
            held: Duration::from_millis(1_900),
            threads: vec![GilThread {
                tid: 8,
                name: "worker".to_owned(),
                waited: Duration::from_millis(1_000),
                held: Duration::from_millis(400),
            }],
            others: 1,
        };
        assert_eq!(
            of_process(&process, true, 2.0),
            [
                "GIL of process 7 (python3 app.py): its threads waited for it for 1.500 s (75 %), held it for 1.900 s (95 %)",
                "  thread 8 (worker): waited for 1.000 s (50 %), held it for 0.400 s (20 %)",
                "  and 1 other thread",
            ]
        );
        assert_eq!(
            of_process(&process, false, 2.0)[1],
            "  thread 8 (worker): waited for 1.000 s (50 %)"
        );
    }
}
