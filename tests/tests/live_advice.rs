//! Live: what pyebpf says when a recording does not show what its user expects: each message says what it was, and what to
//! do.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use tests::live::{alone, judge};
use tests::profiler::{Finished, Pyebpf, Recording};
use tests::python;
use tests::workload::{Workload, script};

/// Uses half a second of CPU time.
const BURN: &str = "import os\nend = sum(os.times()[:2]) + 0.5\nwhile sum(os.times()[:2]) < end: pass\n";

fn python() -> String {
    python::newest().program().to_string_lossy().into_owned()
}

fn run(arguments: &[&str]) -> anyhow::Result<Finished> {
    Pyebpf::new(
        ["record", "-f", "raw", "-o", "/dev/null", "-r", "499"]
            .iter()
            .chain(arguments),
    )?
    .run()
}

/// It says that this many children ran Python, and which option shows them.
fn expect_children(finished: &Finished, count: u32) -> anyhow::Result<String> {
    let line = finished
        .stderr
        .lines()
        .find(|line| line.contains("not recorded: "));
    let line = line.with_context(|| finished.stderr.clone())?;
    ensure!(
        line.contains(&format!("ran Python ({count})")),
        "{}",
        finished.stderr
    );
    ensure!(line.contains("add -s"), "{}", finished.stderr);
    Ok(line.to_owned())
}

#[test]
fn children_that_ran_python_unseen_are_counted_however_they_came() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let wrapper = folder.path().join("wrap.sh");
    let python = python();
    std::fs::write(&wrapper, format!("#!/bin/sh\n'{python}' -c '{BURN}'\ntrue\n")).expect("room");
    let fork = format!(
        "import os\nfor i in range(3):\n    if os.fork() == 0:\n        {}\n        os._exit(0)\nfor i in range(3): os.wait()\n{BURN}",
        BURN.trim_end().replace('\n', "\n        ")
    );
    let started = format!(
        "import subprocess, sys\nsubprocess.call([sys.executable, '-c', {BURN:?}])\nsubprocess.call(['true'])\n{BURN}"
    );
    let commands: [(&str, Vec<&str>, u32); 5] = [
        ("timeout", vec!["timeout", "9", &python, "-c", BURN], 1),
        ("shell script", vec!["sh", wrapper.to_str().expect("plain")], 1),
        ("forks", vec![&python, "-c", &fork], 3),
        ("subprocess", vec![&python, "-c", &started], 1),
        ("none", vec![&python, "-c", BURN], 0),
    ];
    let mut outcomes = Vec::new();
    for (name, command, count) in commands {
        let check = || -> anyhow::Result<String> {
            let mut arguments = vec!["--"];
            arguments.extend(command.iter().copied());
            let finished = run(&arguments)?;
            if count == 0 {
                ensure!(!finished.stderr.contains("ran Python"), "{}", finished.stderr);
                return Ok("nothing said".to_owned());
            }
            let said = expect_children(&finished, count)?;
            // What it says is true.
            arguments.insert(0, "-s");
            let finished = run(&arguments)?.success()?;
            ensure!(!finished.stderr.contains("ran Python"), "{}", finished.stderr);
            let samples = finished.report()?.samples;
            ensure!(samples > 100 * u64::from(count), "{}", finished.stderr);
            Ok(format!("{said}; with -s {samples} samples"))
        };
        outcomes.push((name.to_owned(), check()));
    }
    judge(outcomes);
}

#[test]
fn a_process_that_leaves_the_work_to_children_is_told_about_them() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let mut parent = Workload::start(python::newest(), &script("prefork"), &["1"])?;
        let recording = Pyebpf::new([
            "record",
            "-f",
            "raw",
            "-o",
            "/dev/null",
            "-p",
            &parent.pid().to_string(),
            "-d",
            "1",
        ])?;
        let mut running = recording.start()?;
        running.wait_until_sampling()?;
        parent.release()?;
        let workers = parent.finish()?.get::<Vec<(u32, String)>>("workers")?.len();
        expect_children(&running.wait()?, u32::try_from(workers)?)
    };
    judge(vec![("children that were there before".to_owned(), check())]);
}

#[test]
fn with_subprocesses_a_program_that_starts_python_later_is_waited_for() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let mut shell = Command::new("sh")
            .args(["-c", &format!("sleep 2; '{}' -c '{BURN}'; true", python())])
            .stdout(Stdio::null())
            .spawn()?;
        let recording = Recording::start(["-s", "-r", "499", "-p", &shell.id().to_string()])?;
        let status = shell.wait()?;
        ensure!(status.success(), "{status}");
        let recorded = recording.wait()?;
        ensure!(recorded.stacks.total() > 150, "{}", recorded.stderr);
        Ok(format!("{} samples", recorded.stacks.total()))
    };
    judge(vec![("a shell".to_owned(), check())]);
}

#[test]
fn the_id_of_a_thread_is_refused_with_that_of_its_process() {
    let _alone = alone();
    let workload = Workload::start(python::newest(), &script("threads100"), &["5"]).expect("it starts");
    let pid = workload.pid();
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let thread = threads
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .find(|tid| *tid != pid)
        .expect("it has threads");
    let finished = run(&["-p", &thread.to_string(), "-d", "1"]).expect("it ends");
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let error = finished.lines("error:").join(" ");
    assert!(
        error.contains(&format!("{thread} is a thread of process {pid}")),
        "{error}"
    );
    assert!(
        finished.lines("hint:").join(" ").contains(&format!("-p {pid}")),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_place_that_takes_no_file_is_refused_before_anything_is_recorded() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let gone = folder.path().join("gone");
    std::fs::create_dir(&gone).expect("room");
    // The shell's own folder is removed before pyebpf starts in it.
    let in_removed = |arguments: &str| {
        let mut command = Command::new("sh");
        let binary = tests::profiler::binary().expect("built");
        command
            .args([
                "-c",
                &format!(
                    "mkdir -p '{0}' && cd '{0}' && rmdir '{0}' && exec \"$0\" record --all -d 60 {arguments}",
                    gone.display()
                ),
            ])
            .arg(binary);
        Pyebpf::of_command(command).run().expect("it ends")
    };
    for arguments in ["", "-o profile.svg", "-o ./profile.svg"] {
        let finished = in_removed(arguments);
        assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
        let error = finished.lines("error:").join(" ");
        assert!(
            error.contains("current directory was removed"),
            "{}",
            finished.stderr
        );
        assert!(!finished.stderr.contains("mkdir"), "{}", finished.stderr);
    }
    let name = folder.path().join("n".repeat(300));
    let mut call = Pyebpf::new([
        Path::new("record"),
        Path::new("--all"),
        Path::new("-d"),
        Path::new("60"),
        Path::new("-o"),
        &name,
    ])
    .expect("built");
    let finished = call.command().output().expect("it ends");
    let stderr = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("too long") && stderr.contains("300 bytes"),
        "{stderr}"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("there").count(),
        0,
        "nothing is left"
    );
}

#[test]
fn the_end_says_which_signal_it_was() {
    let _alone = alone();
    let check = |signal: Signal, says: &str| -> anyhow::Result<String> {
        let mut workload = Workload::start(python::newest(), &script("split"), &["100"])?;
        workload.release()?;
        let recording = Recording::start(["-p", &workload.pid().to_string()])?;
        std::thread::sleep(Duration::from_millis(300));
        recording.signal(signal)?;
        let recorded = recording.wait()?;
        ensure!(recorded.stderr.contains(says), "{}", recorded.stderr);
        let is_ctrl_c = recorded.stderr.contains("Control-C pressed");
        ensure!(is_ctrl_c == (signal == Signal::INT), "{}", recorded.stderr);
        Ok(says.to_owned())
    };
    judge(
        [
            (Signal::INT, "Control-C pressed"),
            (Signal::TERM, "SIGTERM"),
            (Signal::HUP, "SIGHUP"),
        ]
        .into_iter()
        .map(|(signal, says)| (says.to_owned(), check(signal, says)))
        .collect(),
    );
}

#[test]
fn without_samples_it_says_what_no_process_did() {
    let _alone = alone();
    let workload = Workload::start(python::newest(), &script("split"), &["1"]).expect("it starts");
    let pid = workload.pid().to_string();
    for (event, says) in [
        ("cpu", "used the CPU"),
        ("page-faults", "page faults"),
        ("major-faults", "major page faults"),
        ("minor-faults", "minor page faults"),
        ("context-switches", "gave up the CPU"),
    ] {
        let period: &[&str] = match event {
            "cpu" => &[],
            _ => &["--period", "1000000000"],
        };
        let finished = run(&[&["-p", &pid, "-d", "0.3", "--event", event], period].concat());
        let finished = finished.expect("it ends");
        let error = finished.lines("error:").join(" ");
        assert!(error.contains(says), "{event}: {}", finished.stderr);
        assert!(says.contains("CPU") || !error.contains("CPU"), "{event}: {error}");
    }
}

/// A short recording of one process is empty, and says this; the command that helps.
fn expect_empty(pid: u32, says: &str) -> anyhow::Result<String> {
    let pid = pid.to_string();
    let finished = run(&["-p", &pid, "-d", "0.2"])?;
    ensure!(finished.status.code() == Some(1), "{}", finished.stderr);
    let error = finished.lines("error:").join(" ");
    ensure!(
        error.contains(says) && !error.contains("used the CPU"),
        "{}",
        finished.stderr
    );
    Ok(finished.hinted_command().to_owned())
}

#[test]
fn a_process_that_cannot_run_is_not_said_to_be_idle() {
    let _alone = alone();
    let mut workload = Workload::start(python::newest(), &script("split"), &["100"]).expect("it starts");
    workload.release().expect("it waits");
    let pid = workload.pid();
    let stopped = || -> anyhow::Result<String> {
        let raw = i32::try_from(pid)?;
        let id = rustix::process::Pid::from_raw(raw).context("not 0")?;
        rustix::process::kill_process(id, Signal::STOP)?;
        std::thread::sleep(Duration::from_millis(50));
        let hint = expect_empty(pid, &format!("process {pid} is stopped"))?;
        let doctor = Pyebpf::new(["doctor", "-p", &pid.to_string()])?.run()?;
        let doctor = String::from_utf8(doctor.stdout)?;
        ensure!(doctor.contains("but it is stopped"), "{doctor}");
        ensure!(
            Command::new("sh").args(["-c", &hint]).status()?.success(),
            "{hint}"
        );
        let finished = run(&["-p", &pid.to_string(), "-d", "0.5"])?;
        ensure!(
            finished.report()?.samples > 50,
            "after {hint}: {}",
            finished.stderr
        );
        Ok(hint)
    };
    let frozen = || -> anyhow::Result<String> {
        let cgroup = tests::cgroup::Cgroup::new("frozen")?;
        cgroup.take_in(pid)?;
        std::fs::write(cgroup.directory().join("cgroup.freeze"), "1")?;
        std::thread::sleep(Duration::from_millis(100));
        let says = format!(
            "process {pid} is frozen, with all of its cgroup {}",
            cgroup.path()
        );
        let hint = expect_empty(pid, &says);
        let filter = run(&["--cgroup", cgroup.path(), "-d", "0.3"]);
        let hint = hint.and_then(|hint| {
            let thawed = Command::new("sh")
                .args(["-c", &hint])
                .stdout(Stdio::null())
                .status()?;
            ensure!(thawed.success(), "{hint}");
            Ok(hint)
        });
        // Whatever happened: the next test is to find it running.
        std::fs::write(cgroup.directory().join("cgroup.freeze"), "0")?;
        let finished = run(&["-p", &pid.to_string(), "-d", "0.5"]);
        std::fs::write(cgroup.directory().with_file_name("cgroup.procs"), pid.to_string())?;
        let filter = filter?;
        ensure!(filter.stderr.contains(&says), "{}", filter.stderr);
        ensure!(finished?.report()?.samples > 50, "after {hint:?}");
        hint
    };
    let zombie = || -> anyhow::Result<String> {
        let mut child = Command::new("true").spawn()?;
        std::thread::sleep(Duration::from_millis(200));
        let zombie = child.id();
        let parent = std::process::id();
        let hint = expect_empty(zombie, &format!("zombie, which its parent, process {parent}"));
        child.wait()?;
        hint
    };
    judge(vec![
        ("stopped".to_owned(), stopped()),
        ("frozen".to_owned(), frozen()),
        ("zombie".to_owned(), zombie()),
    ]);
}

#[test]
fn a_rate_that_is_too_low_is_not_taken_for_an_idle_program() {
    let _alone = alone();
    let mut workload = Workload::start(python::newest(), &script("split"), &["100"]).expect("it starts");
    workload.release().expect("it waits");
    std::thread::sleep(Duration::from_millis(200));
    let pid = workload.pid().to_string();
    // The first sample is due after 0.7 s at least.
    let finished = Pyebpf::new([
        "record",
        "-f",
        "raw",
        "-o",
        "/dev/null",
        "-r",
        "1",
        "-d",
        "0.4",
        "-p",
        &pid,
    ])
    .and_then(Pyebpf::run)
    .expect("it ends");
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("of CPU time were used"),
        "{}",
        finished.stderr
    );
    let hint = finished.hinted_command().to_owned();
    let mut shell = Command::new("sh");
    shell.args(["-c", &hint]);
    let finished = Pyebpf::of_command(shell).run().expect("it ends");
    assert_eq!(finished.status.code(), Some(0), "{hint}: {}", finished.stderr);
}

#[test]
fn samples_without_the_gil_are_in_the_accounts() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        // Hashing releases the GIL.
        let code = "import hashlib, time\ndata = bytes(10 << 20)\n\
            while time.thread_time() < .5: hashlib.sha256(data)\n\
            while time.thread_time() < 1: pass";
        let finished = run(&["-g", "--", &python(), "-c", code])?.success()?;
        let report = finished.report()?;
        report.check()?;
        ensure!(
            report.samples > 150 && report.without_gil > 100,
            "{}",
            finished.stderr
        );
        let written = format!("Samples: {} ", report.samples);
        ensure!(finished.stderr.contains(&written), "{}", finished.stderr);
        Ok(format!("{report:?}"))
    };
    judge(vec![("half of the time".to_owned(), check())]);
}

#[test]
fn the_doctor_says_when_the_event_loop_may_not_go_first() {
    let _alone = alone();
    let doctor = |prefix: &[&str]| {
        let binary = tests::profiler::binary().expect("built");
        let mut words = prefix
            .iter()
            .map(std::ffi::OsStr::new)
            .chain([binary.as_os_str(), "doctor".as_ref()]);
        let mut command = Command::new(words.next().expect("at least the binary"));
        command.args(words);
        String::from_utf8(command.output().expect("it starts").stdout).expect("UTF-8")
    };
    let free = doctor(&[]);
    assert!(
        free.contains("ok   samples are read before other programs run"),
        "{free}"
    );
    let bound = doctor(&["setpriv", "--bounding-set", "-sys_nice"]);
    assert!(
        bound.contains("CAP_SYS_NICE") && bound.contains("lost and counted"),
        "{bound}"
    );
    assert!(bound.contains("Recording works here"), "{bound}");
}
