//! `pyebpf doctor`: what this host has and lacks, which interpreters run here, and what to do. On stdout.

use std::fmt::Write as _;

use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::Reporting;

use super::accounts::PRIORITY_REFUSED;
use super::failure::{Failure, exit_code};
use super::unanswered::UnansweredLooks;
use super::{data, invocation, left_behind, permission};
use crate::escape::{printable, printable_lines};
use crate::host::{CAPABILITIES, CgroupMounts, Host, OLDEST_KERNEL};
use crate::inspect::{About, Found, InspectFailure, Inspectors};
use crate::kernel::{Kernel, Native, Options, SampledSource};
use crate::limits;
use crate::priority::{self, Priority};
use crate::processes::halt::{Halt, parent_of_zombie};
use crate::processes::survey;
use crate::table_maps::Capacity;

/// Say what this host has and lacks, and which interpreters run on it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo pyebpf doctor          everything\n  \
    sudo pyebpf doctor -p 1234  why is this process (not) recorded?\n\n\
    Exit status: 0 when recording works here, of all processes that -p names, 1 when it does not.")]
pub(super) struct Args {
    /// Only this process; several are separated by commas, or given one by one
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = super::pid::parse)]
    pid: Vec<u32>,
}

/// One line of the first part.
struct Check {
    good: bool,
    what: String,
    /// What to do when it is not good.
    remedy: Option<String>,
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let host = Host::inspect();
    let checks = checks(&host);
    let mut text = String::from("Host\n");
    for check in &checks {
        let mark = if check.good { "ok  " } else { "MISS" };
        let _ = writeln!(text, "  {mark} {}", check.what);
        if let (false, Some(remedy)) = (check.good, &check.remedy) {
            let _ = writeln!(text, "       hint: {remedy}");
        }
    }
    text.push_str("\nInterpreters\n");
    let found = interpreters(&args.pid);
    text.push_str(&found.text);
    let works = checks.iter().all(|check| check.good || check.remedy.is_none());
    let pids: Vec<String> = args.pid.iter().map(ToString::to_string).collect();
    let pids = pids.join(",");
    let answer = match (works, found.recordable) {
        (false, _) => "Recording does not work here yet: see the hints above.".to_owned(),
        (true, _) if args.pid.is_empty() => {
            format!(
                "Recording works here: {}",
                invocation::with_rights("record --all -d 10")
            )
        }
        (true, count) if count == args.pid.len() => {
            let command = invocation::with_rights(&format!("record -p {pids} -d 10"));
            format!("It can be recorded: {command}")
        }
        (true, 0) => "It cannot be recorded: see above.".to_owned(),
        (true, count) => format!("{count} of {} can be recorded: see above.", args.pid.len()),
    };
    let _ = writeln!(text, "\n{answer}");
    data::print(&printable_lines(&text))?;
    left_behind::mention();
    let is_yes = works && found.recordable >= args.pid.len();
    Ok(if is_yes { 0 } else { exit_code::FAILURE })
}

/// What is said of the interpreters, and how many of them can be recorded.
#[derive(Debug, Default)]
struct Interpreters {
    text: String,
    recordable: usize,
}

fn checks(host: &Host) -> Vec<Check> {
    let (major, minor) = OLDEST_KERNEL;
    let good = |what: String| Check {
        good: true,
        what,
        remedy: None,
    };
    let mut checks = vec![
        Check {
            good: !host.kernel_too_old(),
            what: format!("kernel {} (needs {major}.{minor})", host.kernel_release),
            remedy: Some("a newer kernel; py-spy works without BPF".to_owned()),
        },
        Check {
            good: host.btf,
            what: "kernel type information (BTF) in /sys/kernel/btf/vmlinux".to_owned(),
            remedy: Some("a kernel with CONFIG_DEBUG_INFO_BTF=y, and /sys mounted".to_owned()),
        },
    ];
    for capability in CAPABILITIES {
        let mut missing = host.missing_capabilities.iter();
        checks.push(Check {
            good: missing.all(|missing| missing.name != capability.name),
            what: format!("{}: {}", capability.name, capability.why),
            // Without the others recording still works, but not for everything.
            remedy: capability
                .is_required
                .then(|| format!("run as root: {}", invocation::again())),
        });
    }
    checks.push(Check {
        good: host.initial_pid_namespace,
        what: "the host's pid namespace".to_owned(),
        remedy: Some("start the container with `--pid=host`".to_owned()),
    });
    if host.privileged() {
        checks.push(load_check());
    }
    let paranoid = host
        .perf_event_paranoid
        .map_or("unknown".to_owned(), |level| level.to_string());
    checks.push(good(format!(
        "perf_event_paranoid is {paranoid} (of no importance with the capabilities above)"
    )));
    let clock = if host.pmu {
        "hardware counters present; sampling uses the CPU clock"
    } else {
        "no hardware counters: sampling by the CPU clock"
    };
    checks.push(good(clock.to_owned()));
    checks.push(good(format!("cgroups: {}", cgroups(host.cgroups))));
    checks.push(priority_check());
    let open_files = limits::open_files().map_or("no limit".to_owned(), |limit| limit.to_string());
    checks.push(good(format!("open files at most (ulimit -n): {open_files}")));
    checks
}

/// The proof: load everything, attach it, drop it.
fn load_check() -> Check {
    let sources = Source::ALL.iter();
    let options = Options {
        sources: sources
            .map(|source| SampledSource {
                source: *source,
                period: 1,
            })
            .collect(),
        all_processes: false,
        watch_cgroups: true,
        watch_names: true,
        sample_ring_bytes: 4 << 20,
        max_processes: 1024,
        max_interpreters: 1024,
        max_threads: 1024,
        reporting: Reporting::ALL,
        measure_self: false,
        native: Native::User(Capacity {
            mappings: 1,
            blocks: 1,
            row_pages: 1,
        }),
    };
    match Kernel::load(&options) {
        Ok((kernel, _)) => {
            let costs = kernel.program_costs();
            let most = costs
                .iter()
                .map(|cost| cost.verified_instructions)
                .max()
                .unwrap_or(0);
            let verified = if most > 0 {
                format!(", at most {most} verified instructions each")
            } else {
                String::new()
            };
            Check {
                good: true,
                what: format!("{} BPF programs load{verified}", costs.len()),
                remedy: None,
            }
        }
        Err(error) => Check {
            good: false,
            what: format!("BPF programs load: {error}"),
            remedy: Some(format!(
                "{}   # prints the verifier's reason",
                invocation::again_in_detail()
            )),
        },
    }
}

/// Raises this process, as a recording does.
fn priority_check() -> Check {
    match priority::raise() {
        Priority::Raised => Check {
            good: true,
            what: "samples are read before other programs run".to_owned(),
            remedy: None,
        },
        // Recording works, so there is nothing that must be done.
        Priority::Ordinary => Check {
            good: false,
            what: PRIORITY_REFUSED.to_owned(),
            remedy: None,
        },
    }
}

fn cgroups(cgroups: CgroupMounts) -> &'static str {
    match cgroups {
        CgroupMounts::V2 => "v2",
        CgroupMounts::Hybrid => "v1 and v2 (hybrid)",
        CgroupMounts::V1 => "v1",
        CgroupMounts::None => "not mounted",
    }
}

/// A table of every interpreter, or why there is none.
fn interpreters(pids: &[u32]) -> Interpreters {
    let everyone = pids.is_empty();
    let Interpreters {
        mut text,
        mut recordable,
    } = Interpreters::default();
    let mut denied = Vec::new();
    let mut unanswered = UnansweredLooks::default();
    let inspectors = Inspectors::start();
    for (pid, look) in survey::looks(&inspectors, pids) {
        if !everyone && let Some(parent) = parent_of_zombie(pid) {
            let _ = writeln!(
                text,
                "  {pid:>7}  it has ended: a zombie, which its parent, process {parent}, has not waited for"
            );
            continue;
        }
        let look = match look {
            Ok(look) => look,
            Err(InspectFailure::Denied) if everyone => {
                denied.push(pid);
                continue;
            }
            Err(InspectFailure::Denied) => {
                let _ = writeln!(
                    text,
                    "  {pid:>7}  no permission to look at it: {}",
                    permission::reason()
                );
                continue;
            }
            Err(InspectFailure::Unanswered(reason)) if everyone => {
                unanswered.add(pid, &reason);
                continue;
            }
            Err(_) if everyone => continue,
            Err(failure) => {
                let _ = writeln!(text, "  {pid:>7}  {}", printable(&failure.to_string()));
                continue;
            }
        };
        let command = |about: Option<About>| command(about.or_else(|| inspectors.about(pid)));
        let line = match look.found {
            Found::Python(interpreter) => {
                recordable += 1;
                let what = printable(&interpreter.describe());
                let halt = Halt::of(pid).map_or(String::new(), |halt| format!(", but it {}", halt.text()));
                format!("{what}{halt}  {}", command(look.about))
            }
            Found::Refused(refused) => {
                let why = printable(&refused.text);
                format!("not supported: {why}  {}", command(look.about))
            }
            Found::NotPython { .. } if everyone => continue,
            Found::NotPython { .. } => format!("no Python interpreter is mapped  {}", command(None)),
        };
        let _ = writeln!(text, "  {pid:>7}  {line}");
    }
    for (pid, reason) in unanswered.named() {
        let _ = writeln!(text, "  {pid:>7}  {}", printable(reason));
    }
    if let Some(others) = unanswered.others() {
        let _ = writeln!(text, "           {others}");
    }
    if text.is_empty() {
        text.push_str("  none found\n");
    }
    if let Some(denied) = permission::denied_text(&denied) {
        let _ = writeln!(text, "  {denied}");
    }
    Interpreters { text, recordable }
}

/// The start of a command line.
fn command(about: Option<About>) -> String {
    let arguments = about.map(|about| about.arguments).unwrap_or_default();
    printable(&arguments.join(" ").chars().take(80).collect::<String>())
}
