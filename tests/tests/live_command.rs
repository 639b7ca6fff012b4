//! Live: the command after `--` has its own signals, users, groups and status, as with `time` and `strace`.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tests::folded::Folded;
use tests::live::alone;
use tests::profiler::{Finished, Pyebpf, Running, binary};
use tests::python;
use tests::workload::script;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("its owner");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

fn python() -> &'static str {
    text(python::newest().program())
}

fn start(arguments: &[&str]) -> Running {
    Pyebpf::new(arguments).expect("built").start().expect("it starts")
}

fn run(arguments: &[&str]) -> Finished {
    start(arguments).wait().expect("it ends in time")
}

/// Waits until a program has written a whole file.
fn wait_for(path: &Path) -> String {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match std::fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text.trim_end().to_owned(),
            _ => assert!(Instant::now() < deadline, "{} was not written", path.display()),
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Whether the process runs; one that nobody has waited for yet does not.
fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

fn end(pid: &str) {
    let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a process id");
    // It may have ended by itself.
    let _ = kill_process(pid, Signal::KILL);
}

/// At Ctrl-C it uses 0.3 s of CPU time in `clean_up` and ends with 5.
const CLEANS_UP: &str = "
import os, sys
def clean_up():
    end = sum(os.times()[:2]) + 0.3
    while sum(os.times()[:2]) < end: pass
print('ready', flush=True)
try:
    while True: sum(range(1000))
except KeyboardInterrupt:
    clean_up()
    print('cleaned', 'up', flush=True)
    sys.exit(5)
";

/// Runs pyebpf in a terminal, where Ctrl-C is pressed `presses` times; what was shown, and the exit status.
fn in_terminal(presses: u32, arguments: &[&str]) -> (String, i32) {
    let output: Output = Command::new(python())
        .arg(script("in_terminal"))
        .args([&presses.to_string(), "1.5", text(&binary().expect("built"))])
        .args(arguments)
        .env_remove("SUDO_UID")
        .output()
        .expect("it starts");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let status = shown.lines().last().and_then(|line| line.trim().parse().ok());
    let status = status.unwrap_or_else(|| unreachable!("{shown}{}", String::from_utf8_lossy(&output.stderr)));
    (shown, status)
}

#[test]
fn control_c_is_the_commands_and_its_clean_up_is_recorded() {
    let _alone = alone();
    let folder = folder();
    let file = folder.path().join("out.txt");
    let (shown, status) = in_terminal(
        1,
        &[
            "record",
            "-r",
            "499",
            "-F",
            "-o",
            text(&file),
            "--",
            python(),
            "-c",
            CLEANS_UP,
        ],
    );
    assert_eq!(status, 5, "{shown}");
    assert!(shown.contains("cleaned up"), "{shown}");
    let stacks = Folded::parse(&std::fs::read_to_string(&file).expect("written")).expect("folded stacks");
    let cleaning = stacks.count(|stack| stack.contains("clean_up"));
    assert!(
        cleaning > 100,
        "{cleaning} samples of 150 due:\n{}",
        stacks.most_frequent(5)
    );
}

#[test]
fn a_second_control_c_ends_a_command_that_ignores_the_first() {
    let _alone = alone();
    let folder = folder();
    let file = folder.path().join("out.txt");
    let code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('ready', flush=True)\nwhile True: pass";
    let (shown, status) = in_terminal(2, &["record", "-o", text(&file), "--", python(), "-c", code]);
    // SIGTERM, as a shell shows it.
    assert_eq!(status, 143, "{shown}");
    assert!(shown.contains("Control-C is left to the command"), "{shown}");
    assert!(file.exists(), "{shown}");
}

#[test]
fn the_status_of_a_command_is_passed_on_whatever_it_did() {
    let _alone = alone();
    let folder = folder();
    let file = folder.path().join("out.txt");
    let record =
        |command: &[&str]| run(&[&["record", "-f", "raw", "-o", text(&file), "--"], command].concat());
    for (command, status) in [
        (&["true"][..], 0),
        (&["sh", "-c", "exit 3"], 3),
        (&["sh", "-c", "kill -KILL $$"], 137),
        (&[python(), "-S", "-E", "-c", "pass"], 0),
        (&[python(), "-S", "-E", "-c", "pass"], 0),
    ] {
        let finished = record(command);
        assert_eq!(
            finished.status.code(),
            Some(status),
            "{command:?}: {}",
            finished.stderr
        );
        assert!(finished.lines("error:").is_empty(), "{}", finished.stderr);
        // One that never ran Python has no samples, and that is said.
        assert!(
            file.exists() || finished.stderr.contains("no samples"),
            "{}",
            finished.stderr
        );
    }
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "text").expect("written");
    for (command, status) in [
        ("/no/such/program", 127),
        ("no-such-program", 127),
        (text(&plain), 126),
    ] {
        let finished = record(&[command]);
        assert_eq!(finished.status.code(), Some(status), "{}", finished.stderr);
        assert!(
            finished.lines("error:")[0].contains(command),
            "{}",
            finished.stderr
        );
        assert_eq!(finished.lines("hint:").len(), 1, "{}", finished.stderr);
    }
}

/// Writes its process id, then goes on.
fn busy(mark: &Path) -> String {
    format!(
        "import os\nopen({:?}, 'w').write('%d\\n' % os.getpid())\nwhile True: pass",
        text(mark)
    )
}

#[test]
fn a_signal_to_pyebpf_alone_ends_the_command() {
    let _alone = alone();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let folder = folder();
        let (file, mark) = (folder.path().join("out.txt"), folder.path().join("pid"));
        let mut running = start(&["record", "-o", text(&file), "--", python(), "-c", &busy(&mark)]);
        running.wait_until_sampling().expect("it samples");
        let pid = wait_for(&mark);
        std::thread::sleep(Duration::from_millis(500));
        running.signal(signal).expect("it runs");
        let finished = running.wait().expect("it ends");
        assert_eq!(
            finished.status.code(),
            Some(143),
            "{signal:?}: {}",
            finished.stderr
        );
        assert!(!runs(&pid), "{signal:?}: process {pid} goes on");
        assert!(file.exists(), "{signal:?}: {}", finished.stderr);
    }
}

#[test]
fn what_a_command_has_started_is_ended_with_it_and_what_left_its_group_is_named() {
    let _alone = alone();
    let folder = folder();
    let marks = ["child", "orphan", "daemon"].map(|name| folder.path().join(name));
    let programs = ["child.py", "orphan.py", "daemon.py"].map(|name| folder.path().join(name));
    for (program, mark) in programs.iter().zip(&marks) {
        std::fs::write(program, busy(mark)).expect("written");
    }
    let [child, orphan, daemon] = programs.each_ref().map(|program| text(program));
    let python = python();
    let code = format!(
        "{python} {child} & (({python} {orphan} &)) ; setsid {python} {daemon} >/dev/null 2>&1 & wait"
    );
    let file = folder.path().join("out.txt");
    let finished = run(&[
        "record",
        "-s",
        "-d",
        "2",
        "-o",
        text(&file),
        "--",
        "sh",
        "-c",
        &code,
    ]);
    let [child, orphan, daemon] = marks.map(|mark| wait_for(&mark));
    let daemon_goes_on = runs(&daemon);
    end(&daemon);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(
        !runs(&child) && !runs(&orphan),
        "children go on: {}",
        finished.stderr
    );
    assert!(daemon_goes_on, "{}", finished.stderr);
    assert!(
        finished.stderr.contains("left running") && finished.stderr.contains(&format!("(process {daemon})")),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_command_that_is_kept_goes_on_when_its_recording_ends() {
    let _alone = alone();
    let folder = folder();
    let (file, mark) = (folder.path().join("out.txt"), folder.path().join("pid"));
    // It would hold the pipes of this test open.
    let code = format!(
        "exec {} -c '{}' >/dev/null 2>&1",
        python(),
        busy(&mark).replace('\'', "\"")
    );
    let finished = run(&[
        "record",
        "--keep",
        "-d",
        "1",
        "-o",
        text(&file),
        "--",
        "sh",
        "-c",
        &code,
    ]);
    let pid = wait_for(&mark);
    let goes_on = runs(&pid);
    end(&pid);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(goes_on, "{}", finished.stderr);
    assert!(
        finished.stderr.contains(&format!("(process {pid})")),
        "{}",
        finished.stderr
    );
    assert!(file.exists());
}

/// A user that only this test knows, in files that take the place of the real ones for pyebpf alone.
#[test]
fn under_sudo_the_command_has_the_groups_and_the_home_of_the_user() {
    let _alone = alone();
    let folder = folder();
    let [passwd, group] = ["passwd", "group"].map(|name| folder.path().join(name));
    std::fs::write(
        &passwd,
        "root:x:0:0::/root:/bin/sh\nann:x:12345:12346::/home/ann:/bin/dash\n",
    )
    .expect("written");
    std::fs::write(
        &group,
        "root:x:0:\nann:x:12346:\nvideo:x:44:ann\nadm:x:4:bob\nplugdev:x:46:bob,ann\n",
    )
    .expect("written");
    let program =
        "id -u; id -g; grep Groups /proc/self/status; echo $HOME $USER $LOGNAME $SHELL ${SUDO_UID:-none}";
    let namespace = format!(
        "mount --bind {} /etc/passwd && mount --bind {} /etc/group && exec {} record -o {} -- sh -c '{program}'",
        text(&passwd),
        text(&group),
        text(&binary().expect("built")),
        text(&folder.path().join("out.txt")),
    );
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", &namespace])
        .envs([("SUDO_UID", "12345"), ("SUDO_GID", "12346"), ("SUDO_USER", "ann")])
        .envs([("HOME", "/root"), ("USER", "root"), ("LOGNAME", "root")])
        .output()
        .expect("unshare runs");
    let (shown, errors) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert_eq!(output.status.code(), Some(0), "{shown}{errors}");
    let words: Vec<&str> = shown.split_whitespace().collect();
    assert_eq!(
        words,
        [
            "12345",
            "12346",
            "Groups:",
            "44",
            "46",
            "12346",
            "/home/ann",
            "ann",
            "ann",
            "/bin/dash",
            "none"
        ],
        "{errors}"
    );
}
