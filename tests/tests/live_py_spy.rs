//! Live: what py-spy's own tests check, where it has a meaning for samples of running threads. The programs and the checks
//! are new; flags, names and fields are those that py-spy's users know.

use std::collections::BTreeSet;

use serde_json::Value;
use tests::live::alone;
use tests::profiler::{Finished, Pyebpf};
use tests::python;
use tests::workload::{Workload, script};

fn pyebpf(arguments: &[&str]) -> Finished {
    Pyebpf::new(arguments)
        .expect("built")
        .run()
        .expect("ends in time")
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
        finished.stderr.contains("Sampling process 99 times a second."),
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
    let hint = format!("hint: sudo pyebpf record -p {list}");
    assert!(finished.stderr.contains(&hint), "{}", finished.stderr);
}

#[test]
fn every_verb_has_a_page_for_man() {
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
