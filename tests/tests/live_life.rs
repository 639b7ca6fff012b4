//! Live: processes that begin, end and change in unusual ways.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use tests::folded::Folded;
use tests::live::{alone, cpu_by_function, judge};
use tests::profiler::{Pyebpf, Recorded, Recording};
use tests::python::{self, Python, Trait};
use tests::workload::{Workload, script};

/// Fails unless nearly all of the samples due for `seconds` of `function` are there.
fn expect_part(stacks: &Folded, function: &str, seconds: f64, recorded: &Recorded) -> anyhow::Result<String> {
    let due = seconds * recorded.report.rate_hz;
    let found = stacks.count(|stack| stack.contains(function)) as f64;
    ensure!(
        found >= 0.95 * due - 3.0 * due.sqrt() && found <= 1.02 * due + 5.0 * due.sqrt(),
        "{found} samples in {function}, {due:.0} due:\n{}",
        stacks.most_frequent(5)
    );
    Ok(format!("{function} {found} of {due:.0}"))
}

fn on_every_python(wanted: impl Fn(&&Python) -> bool, check: impl Fn(&Python) -> anyhow::Result<String>) {
    let _alone = alone();
    judge(
        python::all()
            .iter()
            .filter(wanted)
            .map(|python| (python.to_string(), check(python)))
            .collect(),
    );
}

#[test]
fn a_program_executed_by_a_thread_is_recorded_before_and_after() {
    on_every_python(
        |_| true,
        |python| {
            let mut workload = Workload::start(python, &script("exec_in_thread"), &["0.7"])?;
            let recording = Recording::start(["-s", "-p", &workload.pid().to_string(), "-r", "499"])?;
            workload.release()?;
            let cpu = cpu_by_function(workload.finish()?)?;
            let recorded = recording.stop()?;
            let own = recorded.stacks.of_process(workload.pid());
            let texts: anyhow::Result<Vec<_>> = cpu
                .iter()
                .map(|(function, seconds)| expect_part(&own, function, *seconds, &recorded))
                .collect();
            Ok(texts?.join(", "))
        },
    );
}

#[test]
fn a_process_whose_first_thread_is_gone_is_found_and_recorded() {
    // The workload ends its first thread by ctypes, which that build of musl lacks.
    on_every_python(
        |python| !python.is(Trait::Musl),
        |python| {
            let mut workload = Workload::start(python, &script("leaderless"), &["1"])?;
            let pid = workload.pid().to_string();
            let rows = Pyebpf::new(["ps", "-p", &pid])?.run()?.success()?.stdout;
            ensure!(
                String::from_utf8(rows)?.contains("leaderless.py"),
                "pyebpf ps does not list it"
            );
            let recording = Recording::start(["-p", &pid])?;
            workload.release()?;
            let cpu = cpu_by_function(workload.finish()?)?;
            let recorded = recording.stop()?;
            let seconds = *cpu.get("orphan").context("a measured function")?;
            expect_part(&recorded.stacks, "orphan", seconds, &recorded)
        },
    );
}

/// Starts a program under a process id that was used before.
fn start_as(pid: u32, python: &Python, code: &str) -> anyhow::Result<Child> {
    for _ in 0..500 {
        // Whatever else starts on this machine in between takes it.
        std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())
            .context("choosing the next process id")?;
        let mut child = spawn(python.program(), &["-S", "-c", code])?;
        if child.id() == pid {
            return Ok(child);
        }
        child.kill()?;
        child.wait()?;
    }
    bail!("process id {pid} was never free")
}

fn spawn(program: &Path, arguments: &[&str]) -> anyhow::Result<Child> {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}

#[test]
fn a_process_id_that_is_used_again_is_another_process() {
    let _alone = alone();
    let code = |function: &str| {
        format!(
            "import time\ndef {function}():\n end = time.thread_time() + 0.7\n while time.thread_time() < end: pass\n{function}()\n"
        )
    };
    let is_old = |python: &&Python| python.is_of_pyenv() && python.version >= (3, 8, 0);
    let old = python::all()
        .iter()
        .find(is_old)
        .expect("an interpreter of pyenv");
    let new = python::newest();
    let recording = Recording::start(["--comm", "python3*", "-r", "499"]).expect("the recording starts");
    let mut first = spawn(old.program(), &["-S", "-c", &code("first")]).expect("it starts");
    let pid = first.id();
    first.wait().expect("it ends");
    let mut second = start_as(pid, new, &code("second")).expect("it starts");
    second.wait().expect("it ends");
    let recorded = recording.stop().expect("the recording ends");
    let own = recorded.stacks.of_process(pid);
    let mut outcomes = Vec::new();
    for (function, other) in [("first", "second"), ("second", "first")] {
        let under = own.filter(|stack| {
            stack
                .process
                .as_ref()
                .is_some_and(|text| text.contains(&format!("def {function}(")))
        });
        let outcome = expect_part(&under, function, 0.7, &recorded);
        let astray = under.count(|stack| stack.contains(other));
        outcomes.push((
            function.to_owned(),
            outcome.and_then(|text| {
                ensure!(astray == 0, "{astray} samples of {other}");
                Ok(text)
            }),
        ));
    }
    judge(outcomes);
}

#[test]
fn a_child_that_runs_something_else_after_vfork_is_not_recorded_and_its_parent_is() {
    let _alone = alone();
    let code = "import os, time\n\
        def waiting():\n \
         pid = os.posix_spawn('/bin/sh', ['sh', '-c', 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'], {})\n \
         end = time.thread_time() + 0.7\n \
         while time.thread_time() < end: pass\n \
         os.waitpid(pid, 0)\n\
        waiting()\n";
    let recording = Recording::start(["--user", "0", "-r", "499"]).expect("the recording starts");
    let mut parent = spawn(python::newest().program(), &["-S", "-c", code]).expect("it starts");
    let pid = parent.id();
    parent.wait().expect("it ends");
    let recorded = recording.stop().expect("the recording ends");
    let text = expect_part(&recorded.stacks.of_process(pid), "waiting", 0.7, &recorded)
        .expect("the parent is recorded");
    let shell = recorded.stacks.filter(|stack| {
        stack
            .process
            .as_ref()
            .is_some_and(|text| text.contains("300000; do"))
            && stack.pid != Some(pid)
    });
    assert!(shell.total() == 0, "{text}: {}", shell.most_frequent(5));
}

#[test]
fn a_zombie_is_no_interpreter() {
    let _alone = alone();
    let mut child = spawn(python::newest().program(), &["-S", "-c", "pass"]).expect("it starts");
    let pid = child.id().to_string();
    let stat = || std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("not reaped yet");
    while !stat().contains(") Z ") {
        std::thread::yield_now();
    }
    for arguments in [
        &["ps", "-p", &pid][..],
        &["record", "-d", "1", "-o", "/dev/null", "-p", &pid],
    ] {
        let finished = Pyebpf::new(arguments).and_then(Pyebpf::run).expect("it runs");
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        assert!(
            finished.stderr.contains("has ended: it is a zombie"),
            "{}",
            finished.stderr
        );
    }
    child.wait().expect("it is ours");
}
