//! Live: the command line as its users meet it: commands, signals, owners, formats, failures.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::TempDir;
use tests::folded::Folded;
use tests::live::alone;
use tests::profiler::{Finished, Pyebpf, Recording, binary};
use tests::python;
use tests::workload::{Workload, script};

/// `nobody`, on every distribution.
const NOBODY: u32 = 65534;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("its owner");
    folder
}

fn pyebpf(arguments: &[&str]) -> Finished {
    Pyebpf::new(arguments)
        .expect("built")
        .run()
        .expect("ends in time")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// One `error:`, one `hint:`, this exit status, nothing on stdout and nothing left in the folder.
fn assert_fails(finished: &Finished, status: i32, says: &str, folder: &Path) {
    let stderr = &finished.stderr;
    assert_eq!(finished.status.code(), Some(status), "{stderr}");
    assert_eq!(finished.lines("error:").len(), 1, "{stderr}");
    assert_eq!(finished.lines("hint:").len(), 1, "{stderr}");
    assert!(
        finished.lines("error:")[0].contains(says),
        "no {says:?} in {stderr}"
    );
    assert!(finished.stdout.is_empty(), "stdout: {:?}", finished.stdout);
    let left: Vec<_> = std::fs::read_dir(folder).expect("still there").collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// `os.times` is in every version.
const BURN: &str = "import os\nend = sum(os.times()[:2]) + 1\nwhile sum(os.times()[:2]) < end: pass\n";

#[test]
fn a_command_is_recorded_and_its_exit_status_is_reported() {
    let _alone = alone();
    for python in python::all() {
        let folder = folder();
        let file = folder.path().join("out.txt");
        let code = format!("{BURN}raise SystemExit(7)");
        let words = python.words();
        let mut arguments = vec!["record", "-r", "1999", "-o", text(&file), "--"];
        arguments.extend(words.iter().map(String::as_str));
        arguments.extend(["-c", &code]);
        let finished = pyebpf(&arguments);
        assert_eq!(finished.status.code(), Some(7), "{python}: {}", finished.stderr);
        // `.txt` means folded stacks.
        let stacks = Folded::parse(&std::fs::read_to_string(&file).expect("written")).expect("folded stacks");
        let burning = stacks.count(|stack| stack.leaf() == "<module>" && stack.frames.len() == 1);
        let due = finished.report().expect("a report").rate_hz;
        // Nothing of it is missed: recording begins before the command does. One sigma is 2 %.
        assert!(
            burning as f64 > 0.88 * due,
            "{python}: {burning} of {due}:\n{}",
            stacks.most_frequent(5)
        );
        assert!(finished.stderr.contains("process exited"), "{}", finished.stderr);
    }
}

#[test]
fn a_command_that_goes_on_is_ended_with_the_recording() {
    let _alone = alone();
    let folder = folder();
    let (file, mark) = (folder.path().join("out.txt"), folder.path().join("pid"));
    let code = format!(
        "import os\nopen({:?}, 'w').write(str(os.getpid()))\nwhile True: pass",
        text(&mark)
    );
    let python = text(python::newest().program());
    let finished = pyebpf(&["record", "-d", "1", "-o", text(&file), "--", python, "-c", &code]);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let pid = std::fs::read_to_string(&mark).expect("the command ran");
    assert!(!Path::new("/proc").join(&pid).exists(), "process {pid} goes on");
    assert!(file.exists());
}

#[test]
fn a_command_runs_as_the_user_who_called_sudo_and_the_file_belongs_to_them() {
    let _alone = alone();
    let Some(python) = python::for_every_user() else {
        // Said loudly, and a failure where the matrix promises the distribution's interpreter.
        assert!(
            std::env::var_os(python::REQUIRE).is_none(),
            "no /usr/bin/python3.N"
        );
        eprintln!("!!! NOT TESTED: no interpreter that every user may run (apt-get install python3)");
        return;
    };
    let folder = folder();
    let (file, ids) = (folder.path().join("out.txt"), folder.path().join("ids"));
    let code = format!(
        "import os\nopen({:?}, 'w').write('%d %d' % (os.getuid(), os.getgid()))\n{BURN}",
        text(&ids)
    );
    let arguments = [
        "record",
        "-o",
        text(&file),
        "--",
        text(python.program()),
        "-c",
        &code,
    ];
    let mut call = Pyebpf::new(arguments).expect("built");
    call.command()
        .env("SUDO_UID", NOBODY.to_string())
        .env("SUDO_GID", NOBODY.to_string())
        .current_dir("/");
    let finished = call.run().expect("ends in time");
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert_eq!(
        std::fs::read_to_string(&ids).expect("the command ran"),
        format!("{NOBODY} {NOBODY}")
    );
    let owner = file.metadata().expect("written");
    assert_eq!((owner.uid(), owner.gid()), (NOBODY, NOBODY));
}

#[test]
fn children_of_a_command_are_recorded_with_subprocesses_only() {
    let _alone = alone();
    let code = format!(
        "import os\ndef child():\n    {}\npid = os.fork()\nif pid == 0: child(); os._exit(0)\nos.waitpid(pid, 0)\n{BURN}",
        BURN.trim_end().replace('\n', "\n    ")
    );
    for (options, least, most) in [(&["-r", "499"][..], 0, 0), (&["-r", "499", "-s"][..], 350, 650)] {
        let arguments = [
            &["record", "-f", "raw", "-o", "-"],
            options,
            &["--", text(python::newest().program()), "-c", &code],
        ];
        let finished = pyebpf(&arguments.concat());
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        // `-o -` is stdout, and nothing else is written there.
        let stacks =
            Folded::parse(&String::from_utf8(finished.stdout).expect("UTF-8")).expect("folded stacks");
        let child = stacks.count(|stack| stack.contains("child"));
        assert!(
            (least..=most).contains(&child),
            "{child} samples of the child:\n{}",
            stacks.most_frequent(5)
        );
        let parent = stacks.count(|stack| stack.frames.len() == 1 && stack.leaf() == "<module>");
        assert!(parent > 350, "{}", stacks.most_frequent(5));
    }
}

#[test]
fn children_that_run_already_are_recorded_with_subprocesses() {
    let _alone = alone();
    let mut parent = Workload::start(python::newest(), &script("prefork"), &["1"]).expect("it starts");
    let recording =
        Recording::start(["-s", "-r", "499", "-p", &parent.pid().to_string()]).expect("it starts");
    parent.release().expect("it waits");
    let facts = parent.finish().expect("it works").clone();
    let recorded = recording.stop().expect("it ends");
    for (pid, function) in facts.get::<Vec<(u32, String)>>("workers").expect("its children") {
        let own = recorded.stacks.of_process(pid);
        let burning = own.count(|stack| stack.contains(&function));
        assert!(
            burning > 350,
            "{function}: {burning} samples\n{}",
            recorded.stacks.most_frequent(5)
        );
        // The child also runs the line that calls the function and the one that ends it.
        assert!(burning * 50 >= own.total() * 49, "{}", own.most_frequent(5));
    }
}

#[test]
fn control_c_and_sigterm_stop_write_and_exit_with_0() {
    let _alone = alone();
    for signal in [Signal::INT, Signal::TERM] {
        let folder = folder();
        let file = folder.path().join("out.svg");
        let mut workload = Workload::start(python::newest(), &script("split"), &["100"]).expect("it starts");
        workload.release().expect("it waits");
        let pid = workload.pid().to_string();
        let mut running = Pyebpf::new(["record", "-p", &pid, "-o", text(&file)])
            .expect("built")
            .start()
            .expect("starts");
        running.wait_until_sampling().expect("it samples");
        std::thread::sleep(std::time::Duration::from_millis(500));
        running.signal(signal).expect("it runs");
        let finished = running.wait().expect("ends in time");
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        assert!(
            finished.stderr.contains("Wrote flamegraph data to"),
            "{}",
            finished.stderr
        );
        assert!(
            std::fs::read_to_string(&file)
                .expect("written")
                .contains("</svg>")
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("there").count(),
            1,
            "only the file is left"
        );
    }
}

#[test]
fn failures_say_what_and_what_next_and_leave_nothing_behind() {
    let _alone = alone();
    let folder = folder();
    let file = folder.path().join("out.svg");
    let output = text(&file);

    let mut gone = Command::new("true").spawn().expect("`true` exists");
    let pid = gone.id().to_string();
    gone.wait().expect("it ends");
    assert_fails(
        &pyebpf(&["record", "-p", &pid, "-o", output]),
        1,
        &pid,
        folder.path(),
    );

    let mut foreign = Command::new("sleep").arg("100").spawn().expect("`sleep` exists");
    let pid = foreign.id().to_string();
    let finished = pyebpf(&["record", "-d", "1", "-p", &pid, "-o", output]);
    foreign.kill().expect("it sleeps");
    foreign.wait().expect("it was killed");
    assert_fails(&finished, 1, "no Python", folder.path());

    let nowhere = folder.path().join("missing/out.svg");
    let finished = pyebpf(&["record", "--all", "-d", "1", "-o", text(&nowhere)]);
    assert_fails(&finished, 1, "cannot write", folder.path());
    let finished = pyebpf(&["record", "--all", "-d", "1", "-o", text(folder.path())]);
    assert_fails(&finished, 1, "cannot write", folder.path());

    let finished = pyebpf(&["record", "-o", output, "--", "/no/such/program"]);
    assert_fails(&finished, 127, "/no/such/program", folder.path());

    // An interpreter that does nothing gives no samples, and no empty picture.
    let workload = Workload::start(python::newest(), &script("split"), &["1"]).expect("it starts");
    let finished = pyebpf(&[
        "record",
        "-d",
        "0.5",
        "-p",
        &workload.pid().to_string(),
        "-o",
        output,
    ]);
    assert_eq!(
        (finished.status.code(), finished.lines("error:").len()),
        (Some(1), 1),
        "{}",
        finished.stderr
    );
    assert!(!file.exists());
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let folder = folder();
    for arguments in [
        &["record"][..],
        &["record", "--all", "--pid", "1"],
        &["record", "--pid", "1", "--", "python3"],
        &["record", "--all", "--function", "--nolineno"],
        &["record", "--all", "--rate", "0"],
        &["record", "--all", "--duration", "-3"],
        &["record", "--pid", "python"],
        &["record", "--all", "--format", "jpeg"],
        &["recording"],
    ] {
        let mut call = Pyebpf::new(arguments).expect("built");
        call.command().current_dir(folder.path());
        let finished = call.run().expect("ends in time");
        assert_fails(&finished, 2, "", folder.path());
    }
}

#[test]
fn without_privileges_it_says_how_to_get_them() {
    let folder = folder();
    let copy = folder.path().join("pyebpf");
    std::fs::copy(binary().expect("built"), &copy).expect("room");
    let work = tempfile::tempdir().expect("a writable temporary folder");
    std::fs::set_permissions(work.path(), Permissions::from_mode(0o777)).expect("its owner");
    let mut command = Command::new(&copy);
    command
        .args(["record", "--all", "-d", "1"])
        .current_dir(work.path());
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("it starts");
    let finished = Finished {
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    };
    assert_fails(&finished, 1, "permission", work.path());
    assert!(finished.lines("hint:")[0].contains("sudo"), "{}", finished.stderr);
}

#[test]
fn the_doctor_names_every_interpreter_that_runs() {
    let _alone = alone();
    let running: Vec<_> = python::all()
        .iter()
        .map(|python| {
            (
                python,
                Workload::start(python, &script("split"), &["1"]).expect("it starts"),
            )
        })
        .collect();
    let finished = pyebpf(&["doctor"]);
    let text = String::from_utf8(finished.stdout).expect("UTF-8");
    assert_eq!(finished.status.code(), Some(0), "{text}{}", finished.stderr);
    for (python, workload) in &running {
        let pid = workload.pid().to_string();
        let line = text
            .lines()
            .find(|line| line.split_whitespace().next() == Some(&pid));
        let line = line.unwrap_or_else(|| unreachable!("{python} (process {pid}) is missing in:\n{text}"));
        let version = format!("{}.{}", python.version.0, python.version.1);
        assert!(
            line.contains(&version) && !line.contains("not supported"),
            "{python}: {line}"
        );
    }
}

#[test]
fn a_recording_does_not_outlive_a_program_that_exits() {
    let _alone = alone();
    let mut workload = Workload::start(python::newest(), &script("split"), &["1"]).expect("it starts");
    let recording = Recording::start(["-p", &workload.pid().to_string()]).expect("the recording starts");
    workload.release().expect("it waits");
    workload.finish().expect("it works");
    drop(workload);
    let recorded = recording.wait().expect("it ends by itself");
    assert!(recorded.stderr.contains("process exited"), "{}", recorded.stderr);
    assert!(
        recorded.stacks.total() > 50,
        "{}",
        recorded.stacks.most_frequent(5)
    );
}
