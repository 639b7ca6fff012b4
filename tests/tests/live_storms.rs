//! Live: processes by the hundreds and thousands. Nothing of them is misplaced, and nothing of them stays behind.

use std::path::Path;

use anyhow::ensure;
use aya::maps::{HashMap, Map, MapData, MapInfo};
use profiler_common::contract::process::{ProcessEntry, ProcessId};
use tests::live::{alone, judge};
use tests::profiler::{Recorded, Recording};
use tests::python;
use tests::status;
use tests::workload::{Facts, Workload, script};
use zerocopy::FromBytes as _;

/// A key of the kernel half's map of processes, unread.
type Key = [u8; size_of::<ProcessId>()];
/// A value of it.
type Entry = [u8; size_of::<ProcessEntry>()];

fn storm(forks: &str, shells: &str, pythons: &str) -> anyhow::Result<Workload> {
    Workload::start(python::newest(), &script("storm"), &[forks, shells, pythons])
}

/// The processes that the kernel half of this profiler knows.
fn known_processes(profiler: u32) -> anyhow::Result<Vec<u32>> {
    for id in status::bpf_ids(profiler, "map_id")? {
        if MapInfo::from_id(id)?.name_as_str() == Some("PROCESSES") {
            let map = Map::HashMap(MapData::from_id(id)?);
            let map = HashMap::<_, Key, Entry>::try_from(map)?;
            let ids = map.keys().map(|key| {
                let key: Key = key?;
                ProcessId::read_from_bytes(&key).map_err(|_| anyhow::anyhow!("a key of another size"))
            });
            return ids.map(|id| Ok(id?.tgid)).collect();
        }
    }
    anyhow::bail!("process {profiler} has no map of processes")
}

/// Open descriptors, and resident KiB.
fn resources(profiler: u32) -> anyhow::Result<(usize, u64)> {
    let descriptors = std::fs::read_dir(format!("/proc/{profiler}/fd"))?.count();
    Ok((descriptors, status::kib(profiler, "VmRSS")?))
}

fn run(mut workload: Workload) -> anyhow::Result<Facts> {
    workload.release()?;
    Ok(workload.finish()?.clone())
}

#[test]
fn thousands_of_processes_leave_nothing_behind() {
    let _alone = alone();
    let recording = Recording::start(["--all", "--exclude-comm", "nothing*"]).expect("the recording starts");
    let outcome = || -> anyhow::Result<String> {
        // Caches and buffers get their size.
        run(storm("300", "200", "60")?)?;
        let before = resources(recording.pid())?;
        run(storm("3000", "1500", "300")?)?;
        // The last looks at processes that are gone.
        std::thread::sleep(std::time::Duration::from_millis(1500));
        let after = resources(recording.pid())?;
        let gone: Vec<u32> = known_processes(recording.pid())?
            .into_iter()
            .filter(|pid| !Path::new(&format!("/proc/{pid}")).exists())
            .collect();
        // One may end between the two readings.
        ensure!(
            gone.len() <= 2,
            "{} entries of processes that are gone: {gone:?}",
            gone.len()
        );
        ensure!(
            after.0 == before.0,
            "descriptors: {} before, {} after",
            before.0,
            after.0
        );
        // Each of them that was sampled is part of the profile: a few hundred bytes.
        ensure!(
            after.1 < before.1 + 4096,
            "KiB resident: {} before, {} after",
            before.1,
            after.1
        );
        Ok(format!(
            "{} descriptors, {} KiB before and {} after",
            after.0, before.1, after.1
        ))
    };
    let outcome = outcome();
    let recorded = recording.stop().expect("the recording ends");
    judge(vec![
        ("4800 processes".to_owned(), outcome),
        ("events".to_owned(), no_loss(&recorded)),
    ]);
}

/// MiB, of a host with that many processes: the promise of design and README.
const MOST_MEMORY: u64 = 100;

#[test]
fn a_thousand_idle_processes_cost_little_memory_and_all_of_fifty_busy_ones_are_recorded() {
    let _alone = alone();
    let crowd = ["1000", "5", "50", "0.2"];
    let mut crowd = Workload::start(python::newest(), &script("crowd"), &crowd).expect("a crowd");
    let recording = Recording::start(["--all", "-r", "499"]).expect("the recording starts");
    let mut outcome = || -> anyhow::Result<(Vec<u32>, u64)> {
        crowd.release()?;
        let workers = crowd.finish()?.get("workers")?;
        Ok((workers, status::kib(recording.pid(), "VmHWM")?))
    };
    let outcome = outcome();
    let recorded = recording.stop().expect("the recording ends");
    let verdict = outcome.and_then(|(workers, peak_kib)| {
        let found = recorded
            .stderr
            .split_once(" now)")
            .and_then(|(text, _)| text.rsplit_once('(')?.1.parse::<u32>().ok());
        ensure!(found.is_some_and(|found| found > 1050), "{}", recorded.stderr);
        for pid in &workers {
            let own = recorded
                .stacks
                .of_process(*pid)
                .filter(|stack| stack.leaf() == "spin");
            // 100 are due.
            ensure!(own.total() > 40, "{} samples of process {pid}", own.total());
        }
        ensure!(peak_kib < MOST_MEMORY << 10, "{peak_kib} KiB at most");
        Ok(format!(
            "{} busy ones recorded, {peak_kib} KiB at most",
            workers.len()
        ))
    });
    judge(vec![
        ("1050 processes with 5050 threads".to_owned(), verdict),
        ("events".to_owned(), no_loss(&recorded)),
    ]);
}

fn no_loss(recorded: &Recorded) -> anyhow::Result<String> {
    for text in ["events of processes lost", "just forked that found no room"] {
        ensure!(!recorded.stderr.contains(text), "{}", recorded.stderr);
    }
    Ok("none lost".to_owned())
}

/// Four parents with short-lived children at the same time, and a fifth that starts shells without a pause.
fn under_a_storm(way: &str) -> anyhow::Result<String> {
    let start = || Workload::start(python::newest(), &script("children"), &["0.02", "60", way]);
    let mut parents = (0..4).map(|_| start()).collect::<anyhow::Result<Vec<_>>>()?;
    let mut noise = storm("1000", "1000", "0")?;
    let recording = Recording::start(["--all", "-r", "1999"])?;
    for parent in parents.iter_mut().chain([&mut noise]) {
        parent.release()?;
    }
    let mut children: Vec<(u32, f64)> = Vec::new();
    for parent in &mut parents {
        children.extend(parent.finish()?.get::<Vec<(u32, f64)>>("children")?);
    }
    noise.finish()?;
    let recorded = recording.stop()?;
    no_loss(&recorded)?;
    let (pids, seconds): (std::collections::BTreeSet<u32>, Vec<f64>) = children.iter().copied().unzip();
    let due = seconds.iter().sum::<f64>() * recorded.report.rate_hz;
    let named = recorded
        .stacks
        .count(|stack| stack.leaf() == "short_job" && stack.pid.is_some_and(|pid| pids.contains(&pid)));
    let elsewhere = recorded
        .stacks
        .filter(|stack| stack.leaf() == "short_job" && !stack.pid.is_some_and(|pid| pids.contains(&pid)));
    let text = format!("{named} of {due:.0} samples due are under the name of their process");
    ensure!(named as f64 > 0.95 * due - 3.0 * due.sqrt(), "{text}");
    ensure!(
        (named as f64) < 1.02 * due + 5.0 * due.sqrt(),
        "more than can be: {text}"
    );
    ensure!(elsewhere.total() == 0, "{}", elsewhere.most_frequent(5));
    Ok(text)
}

#[test]
fn short_lived_children_keep_their_cpu_time_in_a_storm_of_processes() {
    let _alone = alone();
    judge(
        ["fork", "exec"]
            .map(|way| (way.to_owned(), under_a_storm(way)))
            .into(),
    );
}
