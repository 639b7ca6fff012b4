//! Live: what runs out or goes away while a recording goes on. It costs that process or that CPU, is named, and the file is
//! there.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use tests::live::{alone, judge};
use tests::profiler::{Finished, Pyebpf, Recorded, Recording, binary};
use tests::python;
use tests::workload::{Workload, script};

/// A program that uses a CPU until it is dropped.
fn busy() -> anyhow::Result<Workload> {
    let mut workload = Workload::start(python::newest(), &script("split"), &["1000"])?;
    workload.release()?;
    Ok(workload)
}

fn seconds(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

/// The lines about what was not recorded.
fn refusals(recorded: &Recorded) -> Vec<&str> {
    let lines = recorded.stderr.lines();
    lines.filter(|line| line.contains("not recorded: ")).collect()
}

#[test]
fn a_process_without_room_in_the_map_is_named_and_counted_and_the_others_go_on() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let first = busy()?;
        let late = [busy()?, busy()?];
        let mut arguments = ["-r", "499", "--max-interpreters", "1"]
            .map(str::to_owned)
            .to_vec();
        for workload in [&first, &late[0], &late[1]] {
            arguments.extend(["-p".to_owned(), workload.pid().to_string()]);
        }
        let recording = Recording::start(arguments)?;
        seconds(2.0);
        let recorded = recording.stop()?;
        let own = recorded.stacks.of_process(first.pid()).total();
        // Three programs share two CPUs for two seconds.
        ensure!(own > 400, "{own} samples:\n{}", recorded.stacks.most_frequent(5));
        for other in &late {
            let samples = recorded.stacks.of_process(other.pid()).total();
            ensure!(samples == 0, "{samples} samples of a process that has no room");
        }
        let refused = refusals(&recorded);
        let [line] = refused.as_slice() else {
            anyhow::bail!("one reason was to be named:\n{}", recorded.stderr);
        };
        ensure!(
            line.contains("no room") && line.contains("and another"),
            "{}",
            recorded.stderr
        );
        let is_named = late.iter().any(|other| line.contains(&other.pid().to_string()));
        ensure!(is_named, "{}", recorded.stderr);
        Ok(format!("{own} samples of the one that has room; {line}"))
    };
    judge(vec![("full map of processes".to_owned(), check())]);
}

#[test]
fn a_forked_child_without_room_in_the_map_is_named() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let mut parent = Workload::start(python::newest(), &script("children"), &["0.3", "2", "fork"])?;
        let pid = parent.pid().to_string();
        let recording = Recording::start(["-s", "-r", "499", "--max-interpreters", "1", "-p", &pid])?;
        parent.release()?;
        parent.finish()?;
        let recorded = recording.stop()?;
        let refused = refusals(&recorded);
        ensure!(
            refused
                .iter()
                .any(|line| line.contains("no room") && line.contains("and another")),
            "{}",
            recorded.stderr
        );
        Ok(refused.join("; "))
    };
    judge(vec![("full map, forked children".to_owned(), check())]);
}

#[test]
fn a_limit_of_descriptors_that_is_reached_later_costs_nobody() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let first = busy()?;
        let recording = Recording::start(["--all", "-r", "499"])?;
        let pid = i32::try_from(recording.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.context("a process id")?;
        let open = std::fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero()))?.count();
        let none_left = Rlimit {
            current: Some(3),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        prlimit(Some(pid), Resource::Nofile, none_left)?;
        let late = busy()?;
        seconds(1.5);
        let recorded = recording.stop()?;
        let own = recorded.stacks.of_process(first.pid()).total();
        ensure!(own > 400, "{own} samples:\n{}", recorded.stacks.most_frequent(5));
        // Workers look at it, and have limits of their own.
        let late = recorded.stacks.of_process(late.pid()).total();
        ensure!(late > 200, "{late} samples:\n{}", recorded.stderr);
        ensure!(!recorded.stderr.contains("not sampled"), "{}", recorded.stderr);
        Ok(format!(
            "{open} descriptors were open, none was free: {own} and {late} samples"
        ))
    };
    judge(vec![("limit of descriptors".to_owned(), check())]);
}

/// `pyebpf record ARGUMENTS` by a shell that limits itself first.
fn limited(limit: &str, arguments: &[&str]) -> anyhow::Result<Finished> {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")])
        .arg(binary()?)
        .arg("record")
        .args(arguments);
    Pyebpf::of_command(command).run()
}

#[test]
fn a_limit_that_is_too_low_is_named_with_the_command_that_helps() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let file = folder.path().join("out.txt");
    let file = file.to_str().expect("a plain name");
    // From one at which nothing is loaded to one at which the rings cannot be read.
    let outcomes = (14..90)
        .step_by(5)
        .filter_map(|limit| {
            let finished = limited(&format!("-n {limit}"), &["--all", "-d", "0.2", "-o", file]);
            let finished = finished.expect("it ends");
            let error = finished.lines("error:").join(" ");
            (!error.contains("no samples") && !finished.status.success()).then(|| {
                let is_named = error.contains("ulimit -n") && error.contains(&limit.to_string());
                let is_helped = finished.lines("hint:").join(" ").contains("prlimit --nofile=");
                let outcome = if is_named && is_helped {
                    Ok(error)
                } else {
                    Err(anyhow::anyhow!("{}", finished.stderr))
                };
                (format!("ulimit -n {limit}"), outcome)
            })
        })
        .collect();
    judge(outcomes);
}

#[test]
fn the_soft_limit_is_raised_for_the_recording_and_not_for_the_command() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let program = "import resource, os, sys\n\
            print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n\
            stat = open('/proc/%d/stat' % os.getppid()).read()\n\
            recorder = int(stat.rsplit(')', 1)[1].split()[1])\n\
            print([line.split()[3] for line in open('/proc/%d/limits' % recorder) if 'open files' in line][0])\n\
            end = sum(os.times()[:2]) + 0.5\n\
            while sum(os.times()[:2]) < end: pass\n";
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("out.txt");
        let python = python::newest().program().to_string_lossy();
        let arguments = [
            "-n",
            "-f",
            "raw",
            "-o",
            &*file.to_string_lossy(),
            "--",
            &python,
            "-c",
            program,
        ];
        // Fewer than native frames take, so that the command is started when more than these are open.
        let finished = limited("-Sn 40", &arguments)?.success()?;
        let text = String::from_utf8(finished.stdout)?;
        let limits: Vec<u64> = text.lines().map(str::parse).collect::<Result<_, _>>()?;
        let [command, recording] = limits.as_slice() else {
            anyhow::bail!("{text}");
        };
        ensure!(*command == 40 && *recording > 40, "{text}");
        ensure!(finished.stderr.contains("Samples: "), "{}", finished.stderr);
        Ok(format!("{command} and {recording}"))
    };
    judge(vec![("limits of open files".to_owned(), check())]);
}

/// A CPU that was switched off, and on again when dropped.
struct Offline(u32);

impl Offline {
    /// `None` where CPUs cannot be switched off.
    fn switch(cpu: u32) -> Option<Self> {
        std::fs::write(Self::path(cpu), "0").ok().map(|()| Self(cpu))
    }

    fn path(cpu: u32) -> String {
        format!("/sys/devices/system/cpu/cpu{cpu}/online")
    }
}

impl Drop for Offline {
    fn drop(&mut self) {
        std::fs::write(Self::path(self.0), "1").expect("a CPU that was switched off can be switched on");
    }
}

#[test]
fn a_cpu_that_goes_offline_and_comes_back_costs_nothing_but_its_time() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let workloads = [busy()?, busy()?];
        let recording = Recording::start(["--all", "-r", "499"])?;
        seconds(1.0);
        let Some(offline) = Offline::switch(1) else {
            return Ok("!!! NOT TESTED: this machine cannot switch a CPU off".to_owned());
        };
        // CPUs are looked for every second.
        seconds(2.0);
        drop(offline);
        seconds(2.5);
        let recorded = recording.stop()?;
        let report = recorded.report;
        ensure!(report.dropped == 0 && report.cpus == 2, "{report:?}");
        // One second on two CPUs, two on one, and at least one and a half on two again.
        let (due, total) = (499.0 * (1.0 + 2.0 / 2.0 + 1.5) * 2.0, recorded.stacks.total());
        ensure!(
            total as f64 > 0.85 * due,
            "{total} samples of {due} due:\n{}",
            recorded.stderr
        );
        for workload in &workloads {
            let own = recorded.stacks.of_process(workload.pid()).total();
            ensure!(
                own as f64 > 0.3 * due,
                "{own} samples of process {}",
                workload.pid()
            );
        }
        Ok(format!("{total} samples, at least {due} due"))
    };
    judge(vec![("a CPU goes and comes back".to_owned(), check())]);
}
