//! Live: programs whose memory or files give no answer, as anybody can arrange who may mount a file system of its own.
//! Whoever looks at them hangs in the kernel and cannot be killed. They cost nobody else anything.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use tests::live::{alone, cpu_by_function, judge};
use tests::profiler::{Finished, Pyebpf, Recording};
use tests::python;
use tests::workload::{Workload, script};

/// A user without any rights.
const NOBODY: &str = "65534";

/// Processes that cannot be looked at; `tests/programs/deaf_files.c` says how.
struct Deaf {
    child: Child,
    pids: Vec<u32>,
    folder: TempDir,
}

impl Deaf {
    fn start(count: usize, how: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/programs/deaf_files.c");
        // Where nobody may enter nothing is executed.
        let program = folder.path().join("deaf_files");
        let compiled = Command::new("cc")
            .args(["-O1", "-o"])
            .args([program.as_os_str(), source.as_ref()])
            .status()?;
        ensure!(compiled.success(), "{source} does not compile");
        let mounted = folder.path().join("mounted");
        std::fs::create_dir(&mounted)?;
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let mut child = Command::new(program)
            .arg(&mounted)
            .args([&count.to_string(), NOBODY, how])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("it is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let pids: Vec<u32> = line
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        ensure!(pids.len() == count, "{count} processes were asked for: {line}");
        Ok(Self { child, pids, folder })
    }
}

impl Deaf {
    /// A file of the file system.
    fn file(&self) -> String {
        self.folder
            .path()
            .join("mounted/f")
            .to_string_lossy()
            .into_owned()
    }

    /// From now on the file system answers nothing at all.
    fn fall_silent(&mut self) -> anyhow::Result<()> {
        let stdin = self.child.stdin.as_mut().context("it is piped")?;
        stdin.write_all(b"\n").context("telling it")
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        // The program releases whoever waits for its file system.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Runs pyebpf; how long that took.
fn timed(arguments: &[&str]) -> anyhow::Result<(Finished, Duration)> {
    let started = Instant::now();
    let finished = Pyebpf::new(arguments)?.run()?.success()?;
    Ok((finished, started.elapsed()))
}

#[test]
fn ps_lists_everybody_else_and_names_those_that_do_not_answer() {
    let _alone = alone();
    let check = |how: &str| -> anyhow::Result<String> {
        let deaf = Deaf::start(10, how)?;
        let workload = Workload::start(python::newest(), &script("split"), &["1"])?;
        let (finished, took) = timed(&["ps", "--format", "json"])?;
        let rows = String::from_utf8(finished.stdout)?;
        ensure!(rows.contains(&format!("\"pid\": {}", workload.pid())), "{rows}");
        for pid in &deaf.pids {
            let start = format!("process {pid}: ");
            ensure!(
                finished.stderr.contains(&start),
                "{start} in\n{}",
                finished.stderr
            );
        }
        ensure!(took < Duration::from_secs(5), "it took {took:?}");
        Ok(format!("{took:?}"))
    };
    judge(["page", "code"].map(|how| (how.to_owned(), check(how))).into());
}

#[test]
fn a_recording_of_all_gets_every_sample_of_an_innocent_program_and_ends_in_time() {
    let _alone = alone();
    let check = |how: &str| -> anyhow::Result<String> {
        let deaf = Deaf::start(10, how)?;
        let mut workload = Workload::start(python::newest(), &script("split"), &["2"])?;
        let recording = Recording::start(["--all", "-n", "-r", "499"])?;
        let started = Instant::now();
        workload.release()?;
        let cpu = cpu_by_function(workload.finish()?)?;
        let late = Workload::start(python::newest(), &script("split"), &["0.5"])?;
        let late_pid = late.pid();
        let late_cpu = {
            let mut late = late;
            late.release()?;
            cpu_by_function(late.finish()?)?
        };
        let burned = started.elapsed();
        let stopping = Instant::now();
        let recorded = recording.stop()?;
        let ending = stopping.elapsed();
        ensure!(ending < Duration::from_secs(10), "the end took {ending:?}");
        let mut texts = Vec::new();
        for (pid, cpu) in [(workload.pid(), &cpu), (late_pid, &late_cpu)] {
            let own = recorded.stacks.of_process(pid);
            let due = cpu.values().sum::<f64>() * recorded.report.rate_hz;
            let found =
                own.count(|stack| ["red", "green", "blue"].iter().any(|name| stack.contains(name))) as f64;
            ensure!(
                found >= 0.95 * due - 4.0 * due.sqrt() && found <= 1.02 * due + 5.0 * due.sqrt(),
                "{found} samples, {due:.0} due, in {burned:?}"
            );
            texts.push(format!("{found} of {due:.0}"));
        }
        for pid in &deaf.pids {
            let name = format!("(process {pid})");
            ensure!(recorded.stderr.contains(&name), "{name} in\n{}", recorded.stderr);
        }
        Ok(format!("{}; the end took {ending:?}", texts.join(", ")))
    };
    judge(["page", "code"].map(|how| (how.to_owned(), check(how))).into());
}

#[test]
fn a_recording_of_one_process_that_does_not_answer_says_so() {
    let _alone = alone();
    let deaf = Deaf::start(1, "page").expect("it starts");
    let started = Instant::now();
    let pid = deaf.pids[0].to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out.txt");
    let finished = Pyebpf::new([
        "record",
        "-d",
        "1",
        "-f",
        "raw",
        "-o",
        &output.to_string_lossy(),
        "-p",
        &pid,
    ])
    .and_then(Pyebpf::run)
    .expect("it runs");
    assert!(!finished.status.success(), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("its memory or its files do not answer"),
        "{}",
        finished.stderr
    );
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn native_frames_of_a_recognised_program_whose_files_fall_silent_cost_nobody_else_anything() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let deaf = Deaf::start(0, "page")?;
        let python = python::newest();
        let mut guilty = Workload::start(python, &script("deaf_code"), &["4", &deaf.file()])?;
        // Dropped before `guilty`, which cannot end while its file system says nothing.
        let mut deaf = deaf;
        let mut innocent = Workload::start(python, &script("split"), &["3"])?;
        deaf.fall_silent()?;
        let recording = Recording::start(["--all", "-n", "-r", "499"])?;
        guilty.release()?;
        innocent.release()?;
        let cpu = cpu_by_function(innocent.finish()?)?;
        guilty.finish()?;
        let stopping = Instant::now();
        let recorded = recording.stop()?;
        let ending = stopping.elapsed();
        ensure!(ending < Duration::from_secs(10), "the end took {ending:?}");
        let due = cpu.values().sum::<f64>() * recorded.report.rate_hz;
        let own = recorded.stacks.of_process(innocent.pid());
        let found =
            own.count(|stack| ["red", "green", "blue"].iter().any(|name| stack.contains(name))) as f64;
        ensure!(
            found >= 0.95 * due - 4.0 * due.sqrt() && found <= 1.02 * due + 5.0 * due.sqrt(),
            "{found} samples, {due:.0} due"
        );
        let others = recorded.stacks.of_process(guilty.pid());
        ensure!(
            others.count(|stack| stack.contains("red")) > 0,
            "its Python frames are there"
        );
        Ok(format!("{found} of {due:.0} samples; the end took {ending:?}"))
    };
    judge(vec![("a file that fell silent".to_owned(), check())]);
}
