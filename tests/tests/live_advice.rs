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
        let finished = run(&[
            "-p",
            &pid,
            "-d",
            "0.3",
            "--event",
            event,
            "--period",
            "1000000000",
        ]);
        let finished = finished.expect("it ends");
        let error = finished.lines("error:").join(" ");
        assert!(error.contains(says), "{event}: {}", finished.stderr);
        assert!(says.contains("CPU") || !error.contains("CPU"), "{event}: {error}");
    }
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
