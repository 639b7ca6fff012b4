//! Live: what stands around the stacks, with `--group-by`.

use anyhow::ensure;
use tests::cgroup::Cgroup;
use tests::live::{alone, judge};
use tests::profiler::Recording;
use tests::python;
use tests::workload::{Workload, script};

/// Root frames as the recording writes them, in its order.
type Roots = (Option<String>, Option<String>, Vec<String>);

fn recorded(groups: &str, cgroup: &Cgroup) -> anyhow::Result<(Workload, Vec<Roots>)> {
    let mut workload = Workload::start(python::newest(), &script("threads100"), &["0.5"])?;
    cgroup.take_in(workload.pid())?;
    let recording = Recording::start(["--cgroup", cgroup.path(), "--group-by", groups])?;
    workload.release()?;
    workload.finish()?;
    let stacks = recording.stop()?.stacks;
    ensure!(
        stacks.count(|stack| stack.contains("burning")) > 20,
        "{}",
        stacks.most_frequent(5)
    );
    let roots = stacks
        .stacks
        .into_iter()
        .filter(|stack| stack.contains("burning"))
        .map(|stack| (stack.process, stack.thread.map(|(_, name)| name), stack.groups))
        .collect();
    Ok((workload, roots))
}

#[test]
fn stacks_are_put_together_by_what_was_asked_for() {
    let _alone = alone();
    let cgroup = Cgroup::new("groups").expect("cgroups v2");
    let path = script("threads100").display().to_string();
    let (user, script) = ("user root".to_owned(), format!("script {path}"));
    let mut outcomes = Vec::new();
    for (groups, process, thread, others) in [
        ("user,script", false, false, vec![user.clone(), script.clone()]),
        ("process", true, false, vec![]),
        ("script,thread", false, true, vec![script]),
        ("pod", false, false, vec!["no pod".to_owned()]),
        ("user,process,thread", true, true, vec![user]),
        ("none", false, false, vec![]),
    ] {
        let outcome = recorded(groups, &cgroup).and_then(|(workload, roots)| {
            for (found_process, found_thread, found) in &roots {
                let start = format!("process {}:", workload.pid());
                let right = match found_process {
                    Some(text) => process && text.starts_with(&start),
                    None => !process,
                };
                ensure!(right, "process {found_process:?}");
                ensure!(
                    *found_thread == thread.then(|| "the-busy-one".to_owned()),
                    "thread {found_thread:?}"
                );
                ensure!(*found == others, "{found:?}");
            }
            Ok(format!("{} stacks", roots.len()))
        });
        outcomes.push((groups.to_owned(), outcome));
    }
    judge(outcomes);
}

/// What `--group-by script` puts above the stacks of a program's workers.
fn roots_of_workers(method: &str) -> anyhow::Result<Vec<String>> {
    let mut parent = Workload::start(python::newest(), &script("workers"), &["0.5", method])?;
    let pid = parent.pid().to_string();
    let recording = Recording::start(["-s", "-p", &pid, "--group-by", "script"])?;
    parent.release()?;
    parent.finish()?;
    let recorded = recording.stop()?;
    let working = recorded
        .stacks
        .stacks
        .iter()
        .filter(|stack| stack.contains("work"));
    let mut roots: Vec<String> = working.flat_map(|stack| stack.groups.clone()).collect();
    roots.sort();
    roots.dedup();
    Ok(roots)
}

#[test]
fn workers_are_put_together_with_the_script_that_they_work_for() {
    let _alone = alone();
    let path = script("workers").display().to_string();
    let outcomes = [
        ("spawn", format!("script {path} (spawn worker)")),
        ("forkserver", format!("script {path} (forkserver worker)")),
        ("fork", format!("script {path}")),
    ]
    .map(|(method, expected)| {
        let outcome = roots_of_workers(method).and_then(|roots| {
            ensure!(roots == [expected.as_str()], "{roots:?}, not {expected}");
            Ok(expected)
        });
        (method.to_owned(), outcome)
    });
    judge(outcomes.into());
}
