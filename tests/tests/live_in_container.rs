//! Live: `pyebpf` itself in a container that shares the host's pids.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;

use anyhow::ensure;
use serde_json::Value;
use tests::cgroup::Cgroup;
use tests::container::{self, ContainedProfiler, Container, Options, unique, unique_hexadecimal};
use tests::live::{alone, expect_stack, judge};
use tests::profiler::{Pyebpf, Recording};
use tests::python;
use tests::workload::{Workload, script};

/// What `ps` says with a filter in the container, if it is the same as on the host.
fn same_rows(profiler: &ContainedProfiler, filter: &[&str]) -> anyhow::Result<BTreeMap<u32, Value>> {
    let arguments = [&["ps", "--format", "json"], filter].concat();
    let mut both = [
        Pyebpf::new(&arguments)?.rows()?,
        profiler.call(&arguments)?.rows()?,
    ];
    for row in both.iter_mut().flat_map(BTreeMap::values_mut) {
        // It goes on.
        row["cpu_seconds"].take();
    }
    let [host, inside] = both;
    ensure!(
        inside == host,
        "{filter:?}, on the host: {host:?}\n  in the container: {inside:?}"
    );
    Ok(inside)
}

/// With and without a cgroup namespace: docker gives one where only cgroup v2 is mounted.
fn check(cgroup_namespace: bool) -> anyhow::Result<String> {
    let in_docker = |id: &str| Options {
        cgroup: Some(format!("/docker/{id}")),
        ..Options::default()
    };
    let privileged = Options {
        privileged: true,
        host_pids: true,
        cgroup_namespace,
        ..in_docker(&unique_hexadecimal(0xebbf))
    };
    let profiler = ContainedProfiler::new(&unique("profiler"), &privileged)?;
    let home = Cgroup::new("of-host")?;
    let mut on_host = Workload::start(python::newest(), &script("known_stack"), &["1.5"])?;
    home.take_in(on_host.pid())?;
    let target_id = unique_hexadecimal(0x7a26);
    let options = in_docker(&target_id);
    let mut target = Container::start(
        &unique("target"),
        container::pythons()[0],
        "known_stack",
        &["1.5"],
        &options,
    )?;

    let cgroup = options.cgroup.unwrap_or_default();
    let number = home.directory().metadata()?.ino().to_string();
    let (pids, both) = (
        [on_host.pid(), target.pid],
        [on_host.pid().to_string(), target.pid.to_string()],
    );
    for (filter, expected) in [
        (&["-p", &both[0], "-p", &both[1], "--user", "root"][..], &pids[..]),
        (&["--container", &target_id], &pids[1..]),
        (&["--cgroup", &cgroup], &pids[1..]),
        (&["--cgroup", &number], &pids[..1]),
    ] {
        let rows = same_rows(&profiler, filter)?;
        let expected: std::collections::BTreeSet<&u32> = expected.iter().collect();
        ensure!(rows.keys().eq(expected), "{filter:?}: {rows:?}");
    }

    let recording = Recording::start_by(
        |arguments| profiler.call(arguments),
        [
            "--cgroup",
            home.path(),
            "--cgroup",
            &cgroup,
            "--full-filenames",
            "--group-by",
            "container,process",
        ],
    )?;
    on_host.release()?;
    target.workload.release()?;
    let truths = [on_host.finish()?.stack()?, target.workload.finish()?.stack()?];
    let recorded = recording.stop()?;
    let [of_host, of_target] = pids.map(|pid| recorded.stacks.of_process(pid));
    let root = format!("container {} (docker)", &target_id[..12]);
    ensure!(
        recorded.stacks.count(|stack| stack.groups.contains(&root)) == of_target.total()
            && of_target.count(|stack| stack.groups.contains(&root)) == of_target.total()
            && of_host.total() + of_target.total() == recorded.stacks.total(),
        "{root}: {:?}\n{}",
        recorded.stacks.stacks.first(),
        recorded.stacks.most_frequent(5)
    );
    Ok(format!(
        "of the host {}, of the container {}",
        expect_stack(&of_host, &truths[0], 0.95)?,
        expect_stack(&of_target, &truths[1], 0.95)?
    ))
}

#[test]
fn pyebpf_in_a_privileged_container_with_the_hosts_pids_sees_and_records_what_it_does_on_the_host() {
    let _alone = alone();
    judge(vec![
        ("with the host's cgroups".to_owned(), check(false)),
        ("with a cgroup namespace".to_owned(), check(true)),
    ]);
}
