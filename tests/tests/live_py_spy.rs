//! Live: what py-spy's own tests check, where it has a meaning for samples of running threads. The programs and the checks
//! are new; flags, names and fields are those that py-spy's users know.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::live::alone;
use tests::profiler::{Finished, Pyebpf, binary};
use tests::python;
use tests::workload::{Workload, script};

fn pyebpf(arguments: &[&str]) -> Finished {
    Pyebpf::new(arguments)
        .expect("built")
        .run()
        .expect("ends in time")
}

/// How a hint spells a call: as this test has started it, and root needs no sudo.
fn command_line(arguments: &str) -> String {
    format!("{} {arguments}", binary().expect("built").display())
}

/// Records into a speedscope file and returns it.
fn speedscope(what: &[&str]) -> Value {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let file = folder.path().join("out.json");
    let path = file.to_str().expect("temporary folders have plain names");
    let options = ["record", "-o", path, "--format", "speedscope", "--rate", "100"];
    let finished = pyebpf(&[&options, what].concat());
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    serde_json::from_str(&std::fs::read_to_string(&file).expect("written")).expect("JSON")
}

/// Samples of a file as names of functions, outermost first; pauses left out.
fn samples(file: &Value) -> Vec<Vec<&str>> {
    let frames = file["shared"]["frames"].as_array().expect("frames");
    let name = |index: &Value| {
        frames[index.as_u64().expect("an index") as usize]["name"]
            .as_str()
            .expect("a name")
    };
    let profiles = file["profiles"].as_array().expect("profiles");
    let stacks = profiles
        .iter()
        .flat_map(|profile| profile["samples"].as_array().expect("samples"));
    stacks
        .map(|stack| stack.as_array().expect("a stack").iter().map(name).collect())
        .filter(|stack: &Vec<&str>| !stack.is_empty())
        .collect()
}

#[test]
fn a_busy_loop_has_nearly_every_sample_it_could_have() {
    let _alone = alone();
    let code = "import time\ndef busy_loop():\n    while time.thread_time() < 1: pass\nbusy_loop()";
    let python = python::newest().program().to_string_lossy();
    let file = speedscope(&["-d", "60", "--gil", "--", &python, "-c", code]);
    let samples = samples(&file);
    let busy = samples
        .iter()
        .filter(|stack| stack.ends_with(&["busy_loop"]))
        .count();
    // Start-up is part of the second; the rest is chance.
    assert!((65..=130).contains(&busy), "{busy} of {} samples", samples.len());
}

#[test]
fn the_root_of_a_recursion_is_always_the_module() {
    let _alone = alone();
    let mut workload =
        Workload::start(python::newest(), &script("recursion"), &["100", "20"]).expect("it starts");
    workload.release().expect("it waits");
    workload.wait_for("stack").expect("it recurses");
    let file = speedscope(&["-d", "1", "--pid", &workload.pid().to_string()]);
    let samples = samples(&file);
    assert!(samples.len() > 30, "{} samples", samples.len());
    for stack in samples {
        assert_eq!(stack.first(), Some(&"<module>"), "{stack:?}");
        assert_eq!(stack.len(), 22, "{stack:?}");
    }
}

#[test]
fn threads_are_told_apart_by_id_and_name() {
    let _alone = alone();
    let code = "import threading, time\n\
        finish = threading.Barrier(10)\n\
        def work():\n    \
            end = time.thread_time() + .2\n    \
            while time.thread_time() < end: pass\n    \
            finish.wait()\n\
        for n in range(10): threading.Thread(target=work, name='worker-%d' % n).start()";
    let python = python::newest().program().to_string_lossy();
    let file = speedscope(&["-d", "60", "-t", "--", &python, "-c", code]);
    let names: BTreeSet<&str> = file["profiles"]
        .as_array()
        .expect("profiles")
        .iter()
        .filter_map(|profile| profile["name"].as_str())
        .collect();
    for n in 0..10 {
        let worker = format!("\"worker-{n}\"");
        let named = names
            .iter()
            .filter(|name| name.ends_with(&worker))
            .collect::<Vec<_>>();
        assert_eq!(named.len(), 1, "{worker} in {names:?}");
        let id = named[0]
            .strip_prefix("Thread ")
            .and_then(|rest| rest.split(' ').next());
        assert!(id.is_some_and(|id| id.parse::<u32>().is_ok()), "{named:?}");
    }
}

#[test]
fn short_verbs_hexadecimal_pids_and_flags_without_effect_are_accepted() {
    let _alone = alone();
    let mut workload = Workload::start(python::newest(), &script("split"), &["100"]).expect("it starts");
    workload.release().expect("it waits");
    let pid = format!("{:#x}", workload.pid());
    let finished = pyebpf(&[
        "rec",
        "-d",
        "1",
        "--nonblocking",
        "-f",
        "raw",
        "-o",
        "-",
        "-p",
        &pid,
    ]);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(
        String::from_utf8_lossy(&finished.stdout).contains("red (split.py:"),
        "{}",
        finished.stderr
    );
    assert_eq!(
        finished
            .stderr
            .lines()
            .filter(|line| line.contains("--nonblocking"))
            .count(),
        1
    );
    assert!(
        finished
            .stderr
            .contains(&format!("Sampling process {} (", workload.pid()))
            && finished
                .stderr
                .contains(") 99 times a second for 1 s. Press Control-C to exit."),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_command_needs_no_dashes_and_keeps_its_own_options() {
    let _alone = alone();
    let code = "import time\ndef busy_loop():\n    while time.thread_time() < .3: pass\nbusy_loop()";
    let python = python::newest().program().to_string_lossy();
    let finished = pyebpf(&["record", "-f", "RAW", "-o", "-", &python, "-S", "-c", code]);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let stacks = String::from_utf8_lossy(&finished.stdout);
    assert!(stacks.contains("busy_loop"), "{stacks}");
}

#[test]
fn processes_are_given_in_a_list_and_a_number_is_no_command() {
    let _alone = alone();
    let workloads = [(); 2].map(|()| {
        let mut workload = Workload::start(python::newest(), &script("split"), &["100"]).expect("it starts");
        workload.release().expect("it waits");
        workload
    });
    let pids = workloads.iter().map(|workload| workload.pid().to_string());
    let list = pids.collect::<Vec<_>>().join(",");
    let finished = pyebpf(&["record", "-d", "1", "-f", "raw", "-o", "-", "-p", &list]);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let stacks = String::from_utf8_lossy(&finished.stdout);
    for workload in &workloads {
        let root = format!("process {}:", workload.pid());
        assert!(stacks.contains(&root), "{stacks}");
    }
    let finished = pyebpf(&["record", &list]);
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    assert_eq!(
        finished.hinted_command(),
        command_line(&format!("record -p {list}"))
    );
}

#[test]
fn every_verb_has_a_page_for_man() {
    let help = String::from_utf8(pyebpf(&["--help"]).stdout).expect("UTF-8");
    assert!(
        help.contains("\n  manual ") && help.contains("\n  completions "),
        "{help}"
    );
    for verb in [None, Some("record"), Some("ps"), Some("doctor")] {
        let arguments: Vec<&str> = ["manual"].into_iter().chain(verb).collect();
        let finished = pyebpf(&arguments);
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        let page = String::from_utf8(finished.stdout).expect("UTF-8");
        let title = verb.map_or("pyebpf".to_owned(), |verb| format!("pyebpf-{verb}"));
        assert!(
            page.contains(&format!(".TH {title} 1")) && page.contains("Examples"),
            "{page}"
        );
    }
}

#[test]
fn completions_exist_for_the_shells_that_people_use() {
    for shell in ["bash", "zsh", "fish"] {
        let finished = pyebpf(&["completions", shell]);
        assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
        let script = String::from_utf8(finished.stdout).expect("UTF-8");
        assert!(
            script.contains("pyebpf") && script.contains("record"),
            "{shell}: {script}"
        );
    }
}

#[test]
fn what_the_fingers_know_is_answered_with_the_command_that_works() {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    std::fs::write(folder.path().join("svc.py"), "pass").expect("room");
    let pid = std::process::id();
    let with_pid = format!("record -p {pid} -- sleep 5");
    let expected_with_pid = format!("record -p {pid} -d 5");
    for (call, status, expected) in [
        ("record -F 99 -a", 2, "record -r 99 -a"),
        ("record -F99 -a", 2, "record -r99 -a"),
        ("record -a -- sleep 5", 2, "record -a -d 5"),
        (with_pid.as_str(), 2, expected_with_pid.as_str()),
        ("record -p 1 2", 2, "record -p 1,2"),
        ("record -d 5 7178", 2, "record -d 5 -p 7178"),
        ("record -a -p 1", 2, "record -p 1"),
        (
            "record -s svc.py --port 80",
            127,
            "record -s python3 svc.py --port 80",
        ),
        ("record python3\u{a0}svc.py", 127, "record python3 svc.py"),
        ("record -a --subproceses", 2, "record -a --subprocesses"),
        ("record -a --frob", 2, "record --help"),
        ("record -a -f png", 2, "record -a -f flamegraph"),
        ("record -a --period 100", 2, "record -a"),
        (
            "record -a --event page-faults --unit time",
            2,
            "record -a --event page-faults",
        ),
        ("recrod -a -d 5", 2, "record -a -d 5"),
        ("-p 1 -d 5", 2, "record -p 1 -d 5"),
        ("python3 svc.py", 2, "record python3 svc.py"),
        ("1234", 2, "record -p 1234"),
        ("doctor 1234", 2, "doctor -p1234"),
        ("top", 2, "top --all"),
        ("t --pid 1234", 1, "record -d 10 -p 1234"),
        ("top -r 50 -- python3 svc.py", 1, "record -d 10 -- python3 svc.py"),
    ] {
        // A space that does not part words.
        let words = call.split(' ').map(|word| word.replace('\u{a0}', " "));
        let mut call = Pyebpf::new(words.collect::<Vec<_>>()).expect("built");
        call.command().current_dir(folder.path());
        let finished = call.run().expect("ends in time");
        assert_eq!(finished.status.code(), Some(status), "{}", finished.stderr);
        assert_eq!(finished.lines("error:").len(), 1, "{}", finished.stderr);
        assert_eq!(
            finished.hinted_command(),
            command_line(expected),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn a_hint_can_be_pasted_whatever_is_in_it() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let file = folder.path().join("it's\nhere.txt");
    let path = file.to_str().expect("plain enough");
    let python = python::newest().program().to_string_lossy();
    let code = "import time\nwhile time.thread_time() < .3:\n\tpass";
    let mistaken = pyebpf(&[
        "record", "-f", "raw", "-o", path, "--period", "2", "--", &python, "-c", code,
    ]);
    assert_eq!(mistaken.status.code(), Some(2), "{}", mistaken.stderr);
    let mut shell = std::process::Command::new("bash");
    shell.args(["-c", mistaken.hinted_command()]);
    let finished = Pyebpf::of_command(shell).run().expect("ends in time");
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    assert!(
        std::fs::read_to_string(&file)
            .expect("written")
            .contains("<module>"),
        "{}",
        finished.stderr
    );
}
