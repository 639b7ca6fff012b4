//! Which processes are Python, and which are not yet: renamed, deleted, embedded, elsewhere, just started,
//! known, refused.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use profiler_common::contract::reasons::StackStatus;

use super::target::{Target, known_stack, walk};
use super::{assert_reads_the_truth, start};
use crate::language::python::test_support::{Installed, installed, not_tested, supported};
use crate::language::python::{Finding, Inspector, Linkage};

const SLEEP: &str = "import sys, time; print('started'); sys.stdout.flush(); time.sleep(100000)";

/// The distribution's static interpreter.
fn static_python() -> Option<Installed> {
    let found = supported("static builds")
        .into_iter()
        .find(|python| !python.is_shared);
    if found.is_none() {
        not_tested("no static CPython in /usr/bin");
    }
    found
}

fn copy_program(from: &Path, to: &Path) {
    std::fs::copy(from, to).expect("room in the temporary directory");
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755)).expect("own file");
}

#[test]
fn a_renamed_and_deleted_static_interpreter_is_recognised_by_its_content() {
    let Some(python) = static_python() else { return };
    let directory = tempfile::tempdir().expect("a writable temporary directory");
    let program = directory.path().join("innocent\nname");
    copy_program(&python.program, &program);
    let prefix = python
        .program
        .parent()
        .and_then(Path::parent)
        .expect("PREFIX/bin/python");
    let mut target = Target::start(
        Command::new(&program)
            .arg(known_stack())
            .env("PYTHONHOME", prefix),
    );
    let report = target.report();
    std::fs::remove_file(&program).expect("own file");
    let interpreter = target.interpreter(&mut Inspector::new());
    assert_eq!(
        (interpreter.linkage, &interpreter.file),
        (Linkage::Static, &program)
    );
    assert_reads_the_truth(&target, &interpreter, &report);
}

#[test]
fn a_renamed_and_deleted_library_is_recognised_by_its_content() {
    for python in supported("deleted libraries")
        .iter()
        .filter(|python| python.is_shared)
    {
        let directory = tempfile::tempdir().expect("a writable temporary directory");
        let library = directory.path().join("innocent.bin");
        copy_program(&python.file, &library);
        // The copy's soname stops the loader from loading the original too.
        let mut target = Target::start(
            Command::new(&python.program)
                .arg(known_stack())
                .env("LD_PRELOAD", &library),
        );
        let report = target.report();
        std::fs::remove_file(&library).expect("own file");
        let interpreter = target.interpreter(&mut Inspector::new());
        assert_eq!(
            (interpreter.linkage, &interpreter.file),
            (Linkage::Shared, &library)
        );
        assert_reads_the_truth(&target, &interpreter, &report);
    }
}

#[test]
fn a_file_that_exists_only_in_another_mount_namespace_is_read() {
    let Some(python) = static_python() else { return };
    let directory = tempfile::tempdir().expect("a writable temporary directory");
    let script = "mount -t tmpfs none \"$1\" && cp \"$2\" \"$1/hidden\" && exec \"$1/hidden\" \"$3\"";
    let prefix = python
        .program
        .parent()
        .and_then(Path::parent)
        .expect("PREFIX/bin/python");
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(directory.path());
    command
        .arg(&python.program)
        .arg(known_stack())
        .env("PYTHONHOME", prefix);
    if !rustix::process::geteuid().is_root() {
        return not_tested("mount namespaces: not root");
    }
    let mut target = Target::start(&mut command);
    let report = target.report();
    let interpreter = target.interpreter(&mut Inspector::new());
    assert!(!interpreter.file.exists(), "{}", interpreter.file.display());
    assert_reads_the_truth(&target, &interpreter, &report);
}

/// A copy of the newest shared interpreter here, in which `change` altered the file's version numbers: `Py_Version`,
/// that of `_Py_DebugOffsets`, and what else holds the same.
fn with_changed_versions(
    directory: &Path,
    change: impl Fn(usize, u64) -> u64,
) -> Option<(Command, Installed)> {
    let python = installed()
        .into_iter()
        .rfind(|python| python.is_shared && python.version >= (3, 13, 0))?;
    let (major, minor, micro) = python.version;
    let hex = u64::from(u32::from_be_bytes([major, minor, micro, 0xf0]));
    let mut bytes = std::fs::read(&python.file).expect("the library is readable");
    let places: Vec<usize> = (0..bytes.len() - 8)
        .step_by(8)
        .filter(|at| bytes[*at..*at + 8] == hex.to_le_bytes())
        .collect();
    assert!(places.len() >= 2, "{places:x?}");
    for (index, at) in places.into_iter().enumerate() {
        bytes[at..at + 8].copy_from_slice(&change(index, hex).to_le_bytes());
    }
    let name = python.file.file_name().expect("a file");
    std::fs::write(directory.join(name), bytes).expect("writable");
    let mut command = Command::new(&python.program);
    command.args(["-c", SLEEP]).env("LD_LIBRARY_PATH", directory);
    Some((command, python))
}

#[test]
fn future_versions_pre_releases_and_files_that_contradict_themselves_are_refused_by_name() {
    type Change = fn(usize, u64) -> u64;
    let cases: [(Change, &str); 3] = [
        (|_, _| 0x0363_00f0, "CPython 3.99.0 is not supported yet"),
        (
            |_, hex| hex - 0x30,
            "is a pre-release; its memory layout may differ from the release's",
        ),
        (
            |index, hex| hex + (index as u64) * 0x100,
            "CPython tells several versions: 3.",
        ),
    ];
    for (change, text) in cases {
        let directory = tempfile::tempdir().expect("a writable temporary directory");
        let Some((mut command, _)) = with_changed_versions(directory.path(), change) else {
            return not_tested("refusals: no shared CPython 3.13 or later");
        };
        let mut target = Target::start(&mut command);
        target.line();
        let finding = Inspector::new().inspect(target.pid()).expect("the program runs");
        assert!(
            matches!(&finding, Finding::Refused(refused) if refused.to_string().contains(text)),
            "{text}: {finding:?}"
        );
    }
}

/// A process is asked about from the moment its `exec` is done until it is Python: before that it must never
/// be written off.
#[test]
fn an_interpreter_that_is_still_being_loaded_is_never_written_off() {
    let mut inspector = Inspector::new();
    let mut still_loading = 0;
    for python in supported("starting interpreters") {
        for _ in 0..20 {
            // `spawn` returns when the child has executed the program.
            let target = Target::start(Command::new(&python.program).args(["-c", SLEEP]));
            let found =
                (0..10_000).find_map(
                    |_| match inspector.inspect(target.pid()).expect("the program runs") {
                        Finding::Python(found) => Some(found),
                        other => {
                            assert_eq!(
                                other,
                                Finding::NotPython { may_still_load: true },
                                "{}",
                                python.program.display()
                            );
                            still_loading += 1;
                            None
                        }
                    },
                );
            let found = found.expect("it is Python");
            assert_eq!((found.version.major, found.version.minor), python.minor());
        }
    }
    println!("seen loading {still_loading} times");
}

#[test]
fn a_program_without_python_is_done_loading_sooner_or_later() {
    let mut inspector = Inspector::new();
    let target = Target::start(Command::new("sleep").arg("1000"));
    let settled = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        inspector.inspect(target.pid()).expect("the program runs")
            == Finding::NotPython {
                may_still_load: false,
            }
    });
    assert!(settled);
}

#[test]
fn a_program_that_does_not_exist_any_more_is_gone() {
    let mut child = Command::new("true").spawn().expect("installed");
    let pid = child.id();
    child.wait().expect("own child");
    assert!(Inspector::new().inspect(pid).expect_err("it exited").is_gone());
}

#[test]
fn kernel_threads_and_zombies_are_not_python() {
    let mut inspector = Inspector::new();
    let nothing = Finding::NotPython {
        may_still_load: false,
    };
    let mut child = Command::new("true").spawn().expect("installed");
    while crate::proc::stat(child.id()).expect("not reaped yet").state != 'Z' {
        std::thread::yield_now();
    }
    assert_eq!(
        inspector.inspect(child.id()).expect("it is still listed"),
        nothing
    );
    child.wait().expect("own child");
    // kthreadd, where the pid namespace is the initial one.
    if crate::proc::stat(2).is_ok_and(|stat| stat.name == "kthreadd") {
        assert_eq!(inspector.inspect(2).expect("root may look"), nothing);
    }
}

#[test]
fn a_storm_of_known_programs_analyses_no_file_again() {
    let mut inspector = Inspector::new();
    let pythons = supported("the cache");
    let look = |inspector: &mut Inspector| {
        for python in &pythons {
            let mut target = Target::start(Command::new(&python.program).args(["-c", SLEEP]));
            target.line();
            target.interpreter(inspector);
        }
        let target = Target::start(Command::new("cat").stdin(Stdio::piped()));
        while inspector.inspect(target.pid()).expect("it runs")
            != (Finding::NotPython {
                may_still_load: false,
            })
        {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    look(&mut inspector);
    let first_time = inspector.analyses();
    assert!(first_time >= pythons.len() as u64);
    for _ in 0..3 {
        look(&mut inspector);
    }
    assert_eq!(inspector.analyses(), first_time);
}

#[test]
fn a_program_that_was_replaced_in_place_is_analysed_again() {
    let Some(python) = static_python() else { return };
    let directory = tempfile::tempdir().expect("a writable temporary directory");
    let program = directory.path().join("program");
    let prefix = python
        .program
        .parent()
        .and_then(Path::parent)
        .expect("PREFIX/bin/python");
    let mut inspector = Inspector::new();

    copy_program(Path::new("/bin/cat"), &program);
    let target = Target::start(&mut Command::new(&program));
    while inspector.inspect(target.pid()).expect("it runs")
        != (Finding::NotPython {
            may_still_load: false,
        })
    {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(target);

    // The same inode with another content.
    copy_program(&python.program, &program);
    let mut target = Target::start(
        Command::new(&program)
            .args(["-c", SLEEP])
            .env("PYTHONHOME", prefix),
    );
    target.line();
    assert_eq!(target.interpreter(&mut inspector).linkage, Linkage::Static);
}

fn build_embedder(directory: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/language/python/live_test/embed.c");
    let program = directory.join("embed");
    let built = Command::new("cc")
        .arg(source)
        .arg("-o")
        .arg(&program)
        .args(["-ldl", "-lpthread"])
        .output();
    match built {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(program)
        }
        Err(error) => {
            not_tested(&format!("embedding: no C compiler: {error}"));
            None
        }
    }
}

/// Also the only place where the thread key lies in glibc's second level (key 40 or above).
#[test]
fn an_interpreter_embedded_by_dlopen_is_found_once_it_is_there() {
    let directory = tempfile::tempdir().expect("a writable temporary directory");
    let Some(program) = build_embedder(directory.path()) else {
        return;
    };
    let mut inspector = Inspector::new();
    for python in supported("embedding").iter().filter(|python| python.is_shared) {
        let prefix = python
            .program
            .parent()
            .and_then(Path::parent)
            .expect("PREFIX/bin/python");
        let mut command = Command::new(&program);
        command
            .arg(&python.file)
            .arg(known_stack())
            .env("PYTHONHOME", prefix);
        let mut target = Target::start(&mut command);
        target.line();
        assert_eq!(
            inspector.inspect(target.pid()).expect("it runs"),
            Finding::NotPython {
                may_still_load: false
            },
            "only a later dlopen can bring an interpreter"
        );
        target.say("go on");
        let report = target.report();
        let interpreter = target.interpreter(&mut inspector);
        assert_eq!(interpreter.linkage, Linkage::Shared);
        assert_reads_the_truth(&target, &interpreter, &report);
    }
}

#[test]
fn a_forked_child_keeps_the_interpreter_and_its_addresses() {
    const FORK: &str = "import os, sys, threading, time\nr = os.fork()\n\
        if not r:\n def child():\n  print(os.getpid(), threading.get_ident(), flush=True); time.sleep(30)\n child()\nelse: time.sleep(30)";
    let mut inspector = Inspector::new();
    for python in supported("forks") {
        let mut command = Command::new(&python.program);
        let mut target = Target::start(command.args(["-c", FORK]).process_group(0));
        let line = target.line();
        let (pid, thread_pointer) = line.split_once(' ').expect("two numbers");
        let (pid, thread_pointer) = (
            pid.parse().expect("a pid"),
            thread_pointer.parse().expect("an address"),
        );
        let parent = target.interpreter(&mut inspector);
        let finding = inspector.inspect(pid).expect("it sleeps");
        assert_eq!(finding, Finding::Python(Box::new(parent.clone())));
        let stack = (0..100).map(|_| {
            std::thread::sleep(Duration::from_millis(2));
            walk(pid, &parent, thread_pointer)
        });
        let complete = stack
            .into_iter()
            .find(|stack| stack.status == StackStatus::Complete)
            .expect("it sleeps");
        assert_eq!(complete.python_frames().len(), 2);
        let group = rustix::process::Pid::from_raw(target.pid().cast_signed()).expect("a pid");
        rustix::process::kill_process_group(group, rustix::process::Signal::KILL).expect("own children");
    }
}

#[test]
fn the_description_names_version_linkage_library_and_file() {
    for python in supported("descriptions") {
        let mut target = start(&python);
        target.report();
        let text = target.interpreter(&mut Inspector::new()).describe();
        let (major, minor, micro) = python.version;
        let linkage = if python.is_shared { "shared" } else { "static" };
        assert!(
            text.starts_with(&format!("CPython {major}.{minor}.{micro}, {linkage}, glibc, /")),
            "{text}"
        );
    }
}
