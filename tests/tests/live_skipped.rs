//! Live: what the kernel does not run of the profiler's BPF programs, because it is at another one on that CPU, is in the
//! accounts. Each kind of program has a rule of its own (`kernel/trace/bpf_trace.c`, Linux 6.18): those of perf events exclude
//! each other, and system calls that change a map exclude them; the program of a raw tracepoint excludes itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use aya::maps::{HashMap, Map, MapData, MapInfo};
use aya::programs::{RawTracePoint, loaded_programs};
use profiler_common::contract::process::Incarnation;
use tests::live::{alone, judge};
use tests::profiler::Recording;
use tests::workload::{Workload, script};
use tests::{python, status};

/// How long the kernel is kept busy.
const BUSY: Duration = Duration::from_secs(3);
/// A process id that no process can have: more than `PID_MAX_LIMIT`.
const NOBODY: u32 = u32::MAX;

/// The kernel half's map of which process has which id now, its values unread.
type Incarnations = HashMap<MapData, u32, [u8; size_of::<Incarnation>()]>;

/// Does something on two threads for a while.
fn keep_busy<W: FnMut()>(start: impl Fn() -> W + Sync) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut work = start();
                while !is_over.load(Ordering::Relaxed) {
                    work();
                }
            });
        }
        std::thread::sleep(BUSY);
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A program to record. Without one there is nothing to write, which is an error.
fn busy() -> anyhow::Result<Workload> {
    let mut workload = Workload::start(python::newest(), &script("split"), &["1000"])?;
    workload.release()?;
    Ok(workload)
}

fn other_system_call() {
    let _ = rustix::process::getppid();
}

/// The first number of the line of a report that has these words; 0 where no line has them.
fn reported(stderr: &str, words: &str) -> f64 {
    let line = stderr.lines().find(|line| line.contains(words));
    let number = line.and_then(|line| line.split_whitespace().find_map(|word| word.parse().ok()));
    number.unwrap_or(0.0)
}

/// The seconds that a recording could not sample beside threads that make system calls: to change a map, or others.
fn not_sampled(changes_map: bool) -> anyhow::Result<f64> {
    let _workload = busy()?;
    let recording = Recording::start(["--all", "-r", "997"])?;
    let ids = status::bpf_ids(recording.pid(), "map_id")?;
    let is_it = |id: &u32| MapInfo::from_id(*id).is_ok_and(|map| map.name_as_str() == Some("INCARNATIONS"));
    let id = ids.into_iter().find(is_it).context("pyebpf has no such map")?;
    if changes_map {
        keep_busy(|| {
            let map = Map::HashMap(MapData::from_id(id).expect("the recording goes on"));
            let mut map = Incarnations::try_from(map).expect("keys and values of this size");
            move || {
                map.insert(NOBODY, [0; size_of::<Incarnation>()], 0)
                    .expect("there is room");
            }
        });
    } else {
        keep_busy(|| other_system_call);
    }
    Ok(reported(&recording.stop()?.stderr, " s of CPU time not sampled"))
}

#[test]
fn cpu_time_in_which_the_kernel_skipped_samples_is_accounted_for() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let (skipped, taken) = (not_sampled(true)?, not_sampled(false)?);
        // The kernel is at the change itself for a good part of such a system call.
        let least = 0.02 * 2.0 * BUSY.as_secs_f64();
        ensure!(
            skipped >= taken + least,
            "{skipped} s not sampled beside changes of a map, {taken} s beside other system calls"
        );
        Ok(format!(
            "{skipped} s not sampled, {taken} s beside other system calls"
        ))
    };
    judge(vec![("map".to_owned(), check())]);
}

#[test]
fn events_of_processes_that_the_kernel_skipped_are_counted() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let _workload = busy()?;
        let recording = Recording::start(["--all"])?;
        let ids = status::bpf_ids(recording.pid(), "prog_id")?;
        let exit = loaded_programs()
            .filter_map(Result::ok)
            .find(|program| ids.contains(&program.id()) && program.name_as_str() == Some("process_exit"));
        let exit = exit.context("pyebpf has no such program")?;
        let mut exit = RawTracePoint::from_program_info(exit, "process_exit".into())?;
        // It does nothing where no process ends. While a system call makes it run, a timer asks for it again.
        for tracepoint in ["sys_enter", "local_timer_entry"] {
            exit.attach(tracepoint)?;
        }
        keep_busy(|| other_system_call);
        drop(exit);
        let recorded = recording.stop()?;
        let skipped = reported(&recorded.stderr, "events of processes skipped by the kernel");
        ensure!(skipped > 0.0, "none is reported:\n{}", recorded.stderr);
        Ok(format!("{skipped} skipped"))
    };
    judge(vec![("exit".to_owned(), check())]);
}
