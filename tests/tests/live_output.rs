//! Live: where recordings go, whatever the other side does: pipes, closed streams, strangers' files, signals at any time.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tests::folded::Folded;
use tests::live::alone;
use tests::profiler::{Pyebpf, Running, binary};
use tests::python;
use tests::workload::{Workload, script};

/// `nobody`, on every distribution.
const NOBODY: u32 = 65534;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a writable temporary folder")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).expect("there").count()
}

fn busy() -> Workload {
    let mut workload = Workload::start(python::newest(), &script("split"), &["100"]).expect("it starts");
    workload.release().expect("it waits");
    workload
}

/// Records a busy program into `file` for half a second.
fn recording(workload: &Workload, file: &Path) -> Running {
    let pid = workload.pid().to_string();
    let mut running = Pyebpf::new(["record", "-p", &pid, "-o", text(file)])
        .expect("built")
        .start()
        .expect("starts");
    running.wait_until_sampling().expect("it samples");
    std::thread::sleep(Duration::from_millis(500));
    running
}

/// A program, ended when dropped: a test that fails leaves nothing behind that takes a CPU from the next one.
struct Burning(Child);

impl Drop for Burning {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_terminal_that_is_closed_ends_the_recording_like_sigterm() {
    let _alone = alone();
    let (folder, workload) = (folder(), busy());
    let file = folder.path().join("out.svg");
    let running = recording(&workload, &file);
    running.signal(Signal::HUP).expect("it runs");
    let finished = running.wait().expect("ends").success().expect("works");
    assert!(
        std::fs::read_to_string(&file)
            .expect("written")
            .contains("</svg>"),
        "{}",
        finished.stderr
    );
    assert_eq!(count(folder.path()), 1);
}

#[test]
fn a_recording_that_is_killed_leaves_nothing_behind() {
    let _alone = alone();
    let (folder, workload) = (folder(), busy());
    for signal in [Signal::KILL, Signal::QUIT, Signal::ABORT] {
        let running = recording(&workload, &folder.path().join("out.svg"));
        running.signal(signal).expect("it runs");
        running.wait().expect("ends");
        assert_eq!(count(folder.path()), 0, "{signal:?}");
    }
}

/// Functions with names of 3,000 bytes, no two alike.
const LONG_NAMES: &str = "
import os, sys
print('ready', flush=True)
n = 0
while True:
    n += 1
    name = '%sx%d' % ('f' * 3000, n)
    space = {}
    exec('def %s(work):\\n end = work() + 0.002\\n while work() < end: pass' % name, space)
    space[name](lambda: sum(os.times()[:2]))
";

/// Starts that program and records it into a pipe; `options` are more of pyebpf's.
fn record_to_pipe(options: &[&str]) -> (Child, Child) {
    let program = Command::new(python::newest().program())
        .args(["-c", LONG_NAMES])
        .stdout(Stdio::null())
        .spawn()
        .expect("starts");
    let pyebpf = Command::new(binary().expect("built"))
        .args([
            "record",
            "-r",
            "499",
            "-f",
            "raw",
            "-o",
            "-",
            "-p",
            &program.id().to_string(),
        ])
        .args(options)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    (program, pyebpf)
}

#[test]
fn a_pipe_that_nobody_reads_keeps_no_signal_from_ending_it() {
    let _alone = alone();
    for (signals, within) in [(&[Signal::INT, Signal::INT][..], 3), (&[Signal::TERM], 14)] {
        let (mut program, mut pyebpf) = record_to_pipe(&[]);
        std::thread::sleep(Duration::from_secs(3));
        for (position, signal) in signals.iter().enumerate() {
            if position > 0 {
                std::thread::sleep(Duration::from_millis(1_500));
            }
            kill_process(Pid::from_child(&pyebpf), *signal).expect("it runs");
        }
        let began = Instant::now();
        let status = loop {
            match pyebpf.try_wait().expect("a child") {
                Some(status) => break status,
                None if began.elapsed() > Duration::from_secs(30) => {
                    pyebpf.kill().expect("a child");
                    break pyebpf.wait().expect("a child");
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let took = began.elapsed();
        program.kill().expect("a child");
        program.wait().expect("a child");
        let stderr = std::io::read_to_string(pyebpf.stderr.take().expect("a pipe")).expect("text");
        assert_eq!(status.code(), Some(1), "{signals:?}: {stderr}");
        assert!(
            stderr.contains("error:") && stderr.contains("not complete"),
            "{signals:?}: {stderr}"
        );
        assert!(took < Duration::from_secs(within), "{signals:?}: {took:?}");
    }
}

#[test]
fn long_names_are_cut_and_the_report_says_so() {
    let _alone = alone();
    let (mut program, pyebpf) = record_to_pipe(&["-d", "2"]);
    let output = pyebpf.wait_with_output().expect("it ends");
    program.kill().expect("a child");
    program.wait().expect("a child");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let stacks = Folded::parse(&String::from_utf8(output.stdout.clone()).expect("UTF-8")).expect("folded");
    assert!(stacks.total() > 500, "{stderr}");
    // Each has the module, the function and perhaps the lambda.
    let longest = output.stdout.split(|byte| *byte == b'\n').map(<[u8]>::len).max();
    assert!(
        longest.is_some_and(|bytes| (900..1_200).contains(&bytes)),
        "{longest:?}"
    );
    assert!(stderr.contains("is cut"), "{stderr}");
}

#[test]
fn a_closed_standard_output_is_an_error_before_anything_is_recorded() {
    let _alone = alone();
    let workload = busy();
    let pyebpf = binary().expect("built");
    let pid = workload.pid().to_string();
    for (arguments, redirection, status) in [
        (
            &["record", "-d", "1", "-f", "raw", "-o", "-", "-p", &pid][..],
            ">&-",
            1,
        ),
        (
            &["record", "-d", "1", "-f", "raw", "-o", "-", "-p", &pid],
            ">/dev/full",
            1,
        ),
        (
            &["record", "-d", "1", "-f", "raw", "-o", "-", "-p", &pid],
            ">/dev/null",
            0,
        ),
        (&["ps"], ">&-", 1),
        (&["ps"], ">/dev/full", 1),
    ] {
        let output = Command::new("sh")
            .args(["-c", &format!("exec \"$0\" \"$@\" {redirection}"), text(&pyebpf)])
            .args(arguments)
            .output()
            .expect("it starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?} {redirection}: {stderr}"
        );
        assert_eq!(stderr.contains("error:"), status != 0, "{stderr}");
    }
}

#[test]
fn a_pipe_that_a_stranger_made_in_a_shared_folder_is_refused() {
    let _alone = alone();
    let (folder, workload) = (folder(), busy());
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).expect("its owner");
    let pipe = folder.path().join("out.svg");
    let made = Command::new("mkfifo").arg(&pipe).uid(NOBODY).gid(NOBODY).status();
    assert!(made.expect("mkfifo runs").success());
    let began = Instant::now();
    let finished = Pyebpf::new([
        "record",
        "-d",
        "1",
        "-p",
        &workload.pid().to_string(),
        "-o",
        text(&pipe),
    ])
    .expect("built")
    .run()
    .expect("ends in time");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    assert!(
        finished.lines("error:")[0].contains("named pipe of user 65534"),
        "{}",
        finished.stderr
    );
}

#[test]
fn orders_to_a_terminal_in_foreign_names_are_shown_and_not_sent() {
    let _alone = alone();
    let folder = folder();
    // The file that is mapped is the copy, with this name.
    let program = folder.path().join("p\u{1b}[2J\u{9b}31m\u{202e}\u{200f}\n");
    let python = python::newest().program().canonicalize().expect("there");
    std::fs::copy(&python, &program).expect("room");
    let home = python.ancestors().nth(2).expect("PREFIX/bin/python");
    let mut command = Command::new(&program);
    command
        .args(["-S", "-c", "while True: pass", "\u{1b}]0;title\u{7}\u{2066}"])
        .env("PYTHONHOME", home)
        .env("LD_LIBRARY_PATH", home.join("lib"));
    let child = Burning(command.spawn().expect("starts"));
    std::thread::sleep(Duration::from_millis(500));
    let pid = child.0.id().to_string();
    for arguments in [
        &["doctor", "-p", &pid][..],
        &["doctor"],
        &["ps", "-p", &pid],
        &["ps", "-p", &pid, "--format", "json"],
        &["record", "-d", "1", "-f", "raw", "-o", "-", "-p", &pid],
        &[
            "record",
            "-d",
            "1",
            "-f",
            "raw",
            "-t",
            "--group-by",
            "process,script",
            "-o",
            "-",
            "-p",
            &pid,
        ],
        &[
            "record",
            "-d",
            "1",
            "-o",
            "/no/\u{1b}[2J\u{202e}/x.svg",
            "-p",
            &pid,
        ],
    ] {
        let finished = Pyebpf::new(arguments)
            .expect("built")
            .run()
            .expect("ends in time");
        let stdout = String::from_utf8_lossy(&finished.stdout);
        assert!(!stdout.is_empty() || !finished.stderr.is_empty(), "{arguments:?}");
        for shown in [&*stdout, &finished.stderr] {
            let bad = |c: char| pyebpf::escape::is_unprintable(c) && c != '\n';
            assert!(!shown.contains(bad), "{arguments:?}: {shown:?}");
        }
    }
}
