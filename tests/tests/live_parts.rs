//! Live: what was recorded is written, in parts or as a whole, whatever the disk does.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use tests::folded::Folded;
use tests::live::{alone, judge};
use tests::profiler::Pyebpf;
use tests::workload::{Workload, script};

/// Samples in each file of a folder, by name.
fn samples_by_file(folder: &Path) -> anyhow::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let text = std::fs::read_to_string(&path)?;
        files.push((name.into_owned(), Folded::parse(&text)?.total()));
    }
    files.sort();
    Ok(files)
}

fn busy() -> anyhow::Result<Workload> {
    let mut workload = Workload::start(tests::python::newest(), &script("split"), &["4"])?;
    workload.release()?;
    Ok(workload)
}

/// Records a busy program into `folder`, lets `during` act, and gives the files and the number of delivered samples.
fn record(
    folder: &Path,
    options: &[&str],
    during: impl FnOnce(&tests::profiler::Running) -> anyhow::Result<()>,
) -> anyhow::Result<(Vec<(String, u64)>, u64)> {
    let workload = busy()?;
    let (pid, out) = (workload.pid().to_string(), folder.join("web.txt"));
    let mut arguments = vec!["record", "-r", "199", "-p", &pid, "-o"];
    let out = out.to_string_lossy().into_owned();
    arguments.push(&out);
    arguments.extend(options);
    let mut running = Pyebpf::new(arguments)?.start()?;
    running.wait_until_sampling()?;
    during(&running)?;
    running.signal(Signal::INT)?;
    let finished = running.wait()?.success()?;
    let report = finished.report()?;
    report.check()?;
    Ok((samples_by_file(folder)?, report.samples))
}

fn pause(seconds: f64) {
    std::thread::sleep(Duration::from_secs_f64(seconds));
}

#[test]
fn files_of_intervals_hold_together_every_sample_once() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        let (files, samples) = record(folder.path(), &["--every", "0.7"], |_| {
            pause(3.0);
            Ok(())
        })?;
        ensure!(files.len() >= 4, "{files:?}");
        ensure!(files[0].0 == "web-1.txt" && files.iter().all(|(name, _)| name.starts_with("web-")));
        let sum: u64 = files.iter().map(|(_, samples)| samples).sum();
        ensure!(sum == samples, "{sum} in {files:?} of {samples}");
        Ok(format!("{samples} samples in {files:?}"))
    };
    judge(vec![("--every".to_owned(), check())]);
}

#[test]
fn each_interval_has_one_file_for_each_output() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let (folder, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let compressed = other.path().join("web.folded.gz");
        let compressed = compressed.to_string_lossy();
        let during = |running: &tests::profiler::Running| {
            pause(1.2);
            running.signal(Signal::USR1)?;
            pause(0.8);
            Ok(())
        };
        let options = ["--every", "0.7", "-o", &*compressed];
        let (files, samples) = record(folder.path(), &options, during)?;
        let sum: u64 = files.iter().map(|(_, samples)| samples).sum();
        ensure!(sum == samples, "{sum} in {files:?} of {samples}");
        for (name, samples) in &files {
            let twin = name.replace(".txt", ".folded.gz");
            let bytes = std::fs::read(other.path().join(&twin)).context(twin)?;
            let mut text = String::new();
            flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text)?;
            let total = Folded::parse(&text)?.total();
            ensure!(total == *samples, "{name}: {samples}, compressed {total}");
        }
        let twins = std::fs::read_dir(other.path())?.count();
        ensure!(twins == files.len(), "{twins} files beside {files:?}");
        Ok(format!("{samples} samples in {files:?}, each twice"))
    };
    judge(vec![("two outputs".to_owned(), check())]);
}

#[test]
fn a_signal_writes_what_there_is_and_the_recording_goes_on() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let folder = tempfile::tempdir()?;
        let (files, samples) = record(folder.path(), &[], |running| {
            pause(0.8);
            for _ in 0..2 {
                running.signal(Signal::USR1)?;
                pause(0.8);
            }
            Ok(())
        })?;
        let names: Vec<&str> = files.iter().map(|(name, _)| &**name).collect();
        ensure!(names == ["web-1.txt", "web-2.txt", "web.txt"], "{names:?}");
        let sum: u64 = files.iter().map(|(_, samples)| samples).sum();
        ensure!(
            sum == samples && files.iter().all(|(_, samples)| *samples > 0),
            "{sum} in {files:?} of {samples}"
        );
        Ok(format!("{samples} samples in {files:?}"))
    };
    judge(vec![("SIGUSR1".to_owned(), check())]);
}

/// A file system with room for so many KiB, and no more.
struct Small(PathBuf);

impl Small {
    fn mount(kib: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?.keep();
        let size = format!("size={kib}k");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder)
            .status()?;
        ensure!(status.success(), "mounting a small file system");
        Ok(Self(folder))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        if unmounted.is_ok_and(|status| status.success()) {
            // Nothing is left in it.
            let _ = std::fs::remove_dir(&self.0);
        }
    }
}

#[test]
fn a_disk_that_is_full_costs_neither_the_recording_nor_its_end() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let small = Small::mount(4)?;
        let elsewhere = tempfile::tempdir()?;
        let workload = busy()?;
        let out = small.0.join("web.txt");
        // Long paths: more than the file system holds.
        let arguments = [
            "record",
            "-r",
            "199",
            "-f",
            "raw",
            "-p",
            &workload.pid().to_string(),
            "-d",
            "2",
            "-o",
        ]
        .map(str::to_owned);
        std::fs::write(small.0.join("filler"), [0; 4096])?;
        let mut pyebpf = Pyebpf::new(arguments.into_iter().chain([out.to_string_lossy().into_owned()]))?;
        pyebpf.command().env("TMPDIR", elsewhere.path());
        let finished = pyebpf.run()?;
        ensure!(finished.status.code() == Some(1), "{}", finished.stderr);
        let rescued = elsewhere.path().join("web.txt");
        let text = std::fs::read_to_string(&rescued)
            .with_context(|| format!("nothing was rescued:\n{}", finished.stderr))?;
        let (report, total) = (finished.report()?, Folded::parse(&text)?.total());
        ensure!(total == report.samples, "{total} of {}", report.samples);
        ensure!(
            finished.stderr.contains(&*rescued.to_string_lossy()),
            "it does not say where:\n{}",
            finished.stderr
        );
        Ok(format!("{total} samples, rescued"))
    };
    judge(vec![("full disk".to_owned(), check())]);
}

#[test]
fn a_temporary_folder_that_is_full_costs_only_the_order_of_time() {
    let _alone = alone();
    let check = |rate: &str, says: &str| -> anyhow::Result<String> {
        let small = Small::mount(64)?;
        std::fs::write(small.0.join("filler"), [0; 56 << 10])?;
        let folder = tempfile::tempdir()?;
        let workload = busy()?;
        let out = folder.path().join("web.json");
        let arguments = [
            "record",
            "-r",
            rate,
            "-p",
            &workload.pid().to_string(),
            "-d",
            "2",
            "-o",
        ]
        .map(str::to_owned);
        let mut pyebpf = Pyebpf::new(arguments.into_iter().chain([out.to_string_lossy().into_owned()]))?;
        pyebpf.command().env("TMPDIR", &small.0);
        let finished = pyebpf.run()?.success()?;
        let report = finished.report()?;
        ensure!(finished.stderr.contains(says), "{}", finished.stderr);
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&out)?)?;
        let profiles = document["profiles"].as_array().context("profiles")?;
        let weights = profiles.iter().flat_map(|profile| profile["weights"].as_array());
        let seconds: f64 = weights.flatten().filter_map(serde_json::Value::as_f64).sum();
        let due = report.samples as f64 / rate.parse::<f64>()?;
        ensure!((seconds - due).abs() < 0.01, "{seconds} s for {due} s");
        Ok(format!("{} samples", report.samples))
    };
    let cases = [
        ("4999", "missing from the order of time"),
        // They are in a buffer until the end.
        ("499", "no order of time"),
    ];
    judge(
        cases
            .map(|(rate, says)| (format!("at {rate} Hz"), check(rate, says)))
            .into(),
    );
}
