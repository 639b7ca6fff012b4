//! Live: what pyebpf says when a right is missing, and what rights its processes have.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tests::live::{alone, judge};
use tests::profiler::{Pyebpf, Recording, binary};
use tests::python;
use tests::status::field;
use tests::workload::{Workload, script};

/// To the kernel these stand in for others.
const STAND_INS: &str = "cap_sys_admin,cap_dac_override";
/// A user without any rights.
const NOBODY: &str = "65534";

/// `pyebpf` without some capabilities.
fn without(capabilities: &str, arguments: &[&str]) -> anyhow::Result<Pyebpf> {
    let mut command = Command::new("capsh");
    command
        .arg(format!("--drop={STAND_INS},{capabilities}"))
        .args(["--", "-c", "exec \"$0\" \"$@\""])
        .arg(binary()?)
        .args(arguments);
    Ok(Pyebpf::of_command(command))
}

#[test]
fn each_capability_that_is_missing_is_named() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("out.txt");
    let output = output.to_string_lossy();
    let mut workload = Workload::start(python::newest(), &script("split"), &["60"]).expect("it starts");
    workload.release().expect("it is there");
    let pid = workload.pid().to_string();
    let arguments = [
        "record", "-d", "1", "--kernel", "-f", "raw", "-o", &output, "-p", &pid,
    ];
    let check = |capability: &str, goes_on: bool| -> anyhow::Result<String> {
        let finished = without(&capability.to_lowercase(), &arguments)?.run()?;
        let named = format!("this process lacks {capability}");
        ensure!(
            finished.stderr.contains(&named),
            "{named} in\n{}",
            finished.stderr
        );
        ensure!(
            finished.status.success() == goes_on,
            "{}\n{}",
            finished.status,
            finished.stderr
        );
        Ok(named)
    };
    let mut outcomes = Vec::new();
    for (capability, goes_on) in [
        ("CAP_BPF", false),
        ("CAP_PERFMON", false),
        ("CAP_SYS_PTRACE", false),
        ("CAP_DAC_READ_SEARCH", true),
        ("CAP_CHECKPOINT_RESTORE", true),
        ("CAP_SYSLOG", true),
    ] {
        outcomes.push((capability.to_owned(), check(capability, goes_on)));
    }
    let nothing_else = without("cap_sys_boot", &arguments)
        .and_then(Pyebpf::run)
        .and_then(|finished| {
            ensure!(!finished.stderr.contains("lacks"), "{}", finished.stderr);
            ensure!(finished.status.success(), "{}", finished.stderr);
            Ok("recorded".to_owned())
        });
    outcomes.push(("none of them".to_owned(), nothing_else));
    judge(outcomes);
}

#[test]
fn where_proc_hides_processes_of_others_they_are_recorded_all_the_same() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        // Without the user's own group, which root belongs to.
        let hiding = "mount -t proc -o hidepid=2,gid=27 proc /proc && exec \"$@\"";
        let prepare = |arguments: &[OsString]| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "sh", "-c", hiding, "sh"]);
            command.arg(binary()?).args(arguments);
            Ok(Pyebpf::of_command(command))
        };
        let recording = Recording::start_by(prepare, ["--all", "-r", "499"])?;
        let program = "import os, time\n\
            os.setgroups([]); os.setgid(65534); os.setuid(65534)\n\
            end = time.process_time() + 0.5\n\
            while time.process_time() < end: pass\n";
        let mut child = python::newest().command().args(["-S", "-c", program]).spawn()?;
        let pid = child.id();
        ensure!(child.wait()?.success(), "the program failed");
        let recorded = recording.stop()?;
        let samples = recorded.stacks.of_process(pid).total();
        ensure!(
            samples > 200,
            "{samples} samples of 250 due:\n{}",
            recorded.stderr
        );
        Ok(format!("{samples} samples"))
    };
    judge(vec![("hidepid".to_owned(), check())]);
}

/// Processes whose arguments end with the name of a role, and belong to this recording.
fn workers(main: u32, role: &str) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if !arguments.ends_with(format!("\0{role}\0").as_bytes()) {
            continue;
        }
        let parent: u32 = field(pid, "PPid")?.parse()?;
        if field(parent, "PPid")? == main.to_string() {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Waits for a worker of a role.
fn worker(main: u32, role: &str) -> anyhow::Result<u32> {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if let Some(pid) = workers(main, role)?.first() {
            // It has taken on its own user.
            if field(*pid, "Seccomp")? == "2" {
                return Ok(*pid);
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("no worker {role}")
}

/// All user ids of all processes but one.
fn users_but_of(pid: u32) -> anyhow::Result<BTreeSet<String>> {
    let mut users = BTreeSet::new();
    for entry in std::fs::read_dir("/proc")? {
        let other: Option<u32> = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(other) = other.filter(|other| *other != pid) {
            let ids = field(other, "Uid").unwrap_or_default();
            users.extend(ids.split_ascii_whitespace().map(str::to_owned));
        }
    }
    Ok(users)
}

/// What a process of this user finds when it does this, by a shell.
fn attempt(user: &str, script: &str) -> anyhow::Result<bool> {
    let status = Command::new("setpriv")
        .args([
            "--reuid",
            user,
            "--regid",
            user,
            "--clear-groups",
            "--bounding-set=-all",
        ])
        .args(["sh", "-c", script])
        .stderr(std::process::Stdio::null())
        .status()
        .context("setpriv is part of util-linux")?;
    Ok(status.success())
}

/// Nobody can hold up, look into or end a worker that reads what strangers wrote, and it can do nothing but read.
fn is_confined(pid: u32) -> anyhow::Result<String> {
    for (name, expected) in [
        ("CapPrm", "0000000000000000"),
        ("CapEff", "0000000000000000"),
        ("CapBnd", "0000000000000000"),
        ("CapAmb", "0000000000000000"),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
        ("Groups", ""),
    ] {
        let found = field(pid, name)?;
        ensure!(found == expected, "{name} is {found:?}");
    }
    let ids = field(pid, "Uid")?;
    let user = ids
        .split_ascii_whitespace()
        .next()
        .context("it has a user")?
        .to_owned();
    ensure!(ids.split_ascii_whitespace().all(|id| id == user), "{ids}");
    ensure!(!users_but_of(pid)?.contains(&user), "{user} has other processes");
    let passwd = std::fs::read_to_string("/etc/passwd")?;
    ensure!(!passwd.contains(&format!(":{user}:")), "{user} is in /etc/passwd");
    // Its memory is closed even to somebody with its own user id, who could not exist without root's help.
    for (who, can_kill) in [(NOBODY, false), (user.as_str(), true)] {
        ensure!(
            !attempt(who, &format!("cat /proc/{pid}/maps"))?,
            "{who} looks into it"
        );
        ensure!(
            !attempt(who, &format!("ls /proc/{pid}/fd/"))?,
            "{who} sees its files"
        );
        ensure!(
            attempt(who, &format!("kill -0 {pid}"))? == can_kill,
            "{who} ends it"
        );
    }
    let limits = format!("prlimit --pid {pid} --nofile=1:1");
    ensure!(!attempt(NOBODY, &limits)?, "its limits can be changed");
    Ok(format!("user {user}"))
}

#[test]
fn workers_that_read_foreign_files_have_a_user_of_their_own_and_no_rights() {
    let _alone = alone();
    let mut workload = Workload::start(python::newest(), &script("split"), &["60"]).expect("it starts");
    let recording =
        Recording::start(["--native-all", "-p", &workload.pid().to_string()]).expect("it records");
    workload.release().expect("it is there");
    let roles = ["parse-symbols", "parse-tables"];
    let pids = roles.map(|role| (role, worker(recording.pid(), role)));
    let mut users = BTreeSet::new();
    let mut outcomes = Vec::new();
    for (role, pid) in pids {
        let outcome = pid.and_then(is_confined);
        users.extend(outcome.as_ref().ok().cloned());
        outcomes.push((role.to_owned(), outcome));
    }
    assert!(
        users.len() == roles.len() || outcomes.iter().any(|(_, outcome)| outcome.is_err()),
        "one user for two workers: {users:?}"
    );
    let main = field(recording.pid(), "CapEff").and_then(|sets| {
        let held = u64::from_str_radix(&sets, 16)?;
        // CAP_SETUID, CAP_NET_ADMIN, CAP_SYS_MODULE, CAP_SYS_ADMIN.
        ensure!(
            [7, 12, 16, 21].iter().all(|bit| held >> bit & 1 == 0),
            "the main process has {sets}"
        );
        Ok(sets)
    });
    outcomes.push(("the main process".to_owned(), main));
    let recorded = recording.stop().expect("it ends in order");
    let total = recorded.stacks.total();
    let named = recorded.stacks.count(|stack| stack.text().contains("Py_"));
    let is_named = move || {
        ensure!(total > 0 && named * 10 > total * 9, "{named} of {total} samples");
        Ok(format!("{named} of {total} samples"))
    };
    outcomes.push(("native frames with names".to_owned(), is_named()));
    judge(outcomes);
}
