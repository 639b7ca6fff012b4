//! Live: what `pyebpf report` says of a recording is what the program measured of itself, and what `record` wrote in the
//! other formats.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::folded::Folded;
use tests::live::{alone, cpu_by_function};
use tests::profiler::Pyebpf;
use tests::statistics::Deviations;
use tests::workload::{Facts, Workload, script};
use tests::{python, reader};

/// A program's recording, and what it says of itself.
struct Recorded {
    folder: TempDir,
    facts: Facts,
}

impl Recorded {
    /// Of a program that measures the CPU time of its three functions.
    fn new(options: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut workload = Workload::start(python::newest(), &script("split"), &["2"])?;
        let pid = workload.pid().to_string();
        let [pprof, folded] =
            ["out.pb.gz", "out.txt"].map(|name| folder.path().join(name).to_string_lossy().into_owned());
        let mut arguments = vec!["record", "-r", "499", "-p", &pid, "-o", &pprof, "-o", &folded];
        arguments.extend(options);
        let mut running = Pyebpf::new(arguments)?.start()?;
        running.wait_until_sampling()?;
        workload.release()?;
        let facts = workload.finish()?.clone();
        // The recording ends with it.
        drop(workload);
        running.wait()?.success()?;
        Ok(Self { folder, facts })
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    /// What `report` prints of the pprof file.
    fn report(&self, options: &[&str]) -> anyhow::Result<String> {
        report(&self.file("out.pb.gz"), options)
    }

    fn json(&self, options: &[&str]) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(
            &self.report(&[options, &["--format", "json"]].concat())?,
        )?)
    }
}

fn report(file: &str, options: &[&str]) -> anyhow::Result<String> {
    let finished = Pyebpf::new([&["report", file], options].concat())?
        .run()?
        .success()?;
    Ok(String::from_utf8(finished.stdout)?)
}

fn number(of: &Value, key: &str) -> anyhow::Result<u64> {
    of[key].as_u64().with_context(|| format!("no {key} in {of}"))
}

#[test]
fn a_report_has_the_shares_that_the_program_measured() -> anyhow::Result<()> {
    let _alone = alone();
    let recorded = Recorded::new(&[])?;
    let truth = cpu_by_function(&recorded.facts)?;
    let cpu: f64 = truth.values().sum();
    let functions = recorded.json(&["--functions"])?;
    ensure!(functions["value"]["name"] == "samples", "{}", functions["value"]);
    let rows = functions["rows"].as_array().context("rows")?;
    let own = |name: &str| {
        let row = rows.iter().find(|row| row["function"] == name);
        number(row.with_context(|| format!("no {name}: {functions}"))?, "own")
    };
    let total: u64 = truth.keys().map(|name| own(name)).sum::<anyhow::Result<_>>()?;
    let mut deviations = Deviations::default();
    for (name, seconds) in &truth {
        deviations.share(name, own(name)?, total, seconds / cpu);
    }
    println!("{}", deviations.verdict()?);
    // In nanoseconds each function has the time that it measured, within 1 % plus the error of counting.
    let times = recorded.json(&["--sample-type", "cpu"])?;
    for row in times["rows"].as_array().context("rows")? {
        let Some(seconds) = row["function"].as_str().and_then(|name| truth.get(name)) else {
            continue;
        };
        let measured = number(row, "own")? as f64 / 1e9;
        let error = 0.01 * seconds + 5.0 * (seconds / 499.0).sqrt();
        ensure!((measured - seconds).abs() < error, "{row}: {seconds} s");
    }
    // All of them were called by the module, from their own lines, in this process.
    let callers = recorded.json(&["--callers", "red"])?;
    ensure!(callers["rows"][0]["function"] == "<module>", "{callers}");
    ensure!(number(&callers, "total")? == own("red")?, "{callers}");
    let source = std::fs::read_to_string(script("split"))?;
    let lines = recorded.json(&["--lines"])?;
    for row in lines["rows"].as_array().context("rows")?.iter().take(3) {
        let line = source.lines().nth(number(row, "line")? as usize - 1);
        ensure!(row["source"].as_str() == line.map(str::trim), "{row}: {line:?}");
    }
    let by = recorded.json(&["--by", "process"])?;
    ensure!(by["rows"][0]["percent"] == 100.0, "{by}");
    let tree = recorded.report(&["--tree"])?;
    ensure!(tree.contains("─ ") && tree.contains(" red  split.py:"), "{tree}");
    ensure!(!tree.contains('\x1b'), "colours in a pipe: {tree:?}");
    Ok(())
}

#[test]
fn files_made_of_a_recording_say_what_the_recording_itself_says() -> anyhow::Result<()> {
    let _alone = alone();
    let recorded = Recorded::new(&["--timestamps"])?;
    let folded = Folded::parse(&std::fs::read_to_string(recorded.file("out.txt"))?)?;
    let again = Folded::parse(&recorded.report(&["-f", "raw", "-o", "-"])?)?;
    ensure!(again.stacks == folded.stacks, "{again:?}, and not {folded:?}");
    // Folded stacks are read as well.
    let of_folded: Value = serde_json::from_str(&report(&recorded.file("out.txt"), &["--format", "json"])?)?;
    ensure!(of_folded["total"] == recorded.json(&[])?["total"], "{of_folded}");
    // The order of time came along.
    let speedscope = recorded.file("again.json");
    recorded.report(&["-o", &speedscope])?;
    let speedscope: Value = serde_json::from_str(&std::fs::read_to_string(speedscope)?)?;
    let profiles = speedscope["profiles"].as_array().context("profiles")?;
    let samples = profiles.iter().flat_map(|profile| profile["samples"].as_array());
    let samples = samples
        .flatten()
        .filter(|stack| stack.as_array().is_some_and(|stack| !stack.is_empty()));
    ensure!(
        samples.count() as u64 == number(&of_folded, "total")?,
        "{of_folded}"
    );
    Ok(())
}

#[test]
fn what_go_writes_is_read_as_go_reads_it() -> anyhow::Result<()> {
    if !reader::is_here("go") {
        return Ok(());
    }
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/recordings");
    for (name, unit) in [("go-cpu.pb.gz", "-unit=ns"), ("go-heap.pb.gz", "-unit=B")] {
        let file = seeds.join(name);
        let home = tempfile::tempdir()?;
        let mut go = Command::new("go");
        go.args([
            "tool",
            "pprof",
            "-top",
            "-nodefraction=0",
            "-symbolize=none",
            unit,
        ]);
        let top = reader::output(go.arg(&file).env("PPROF_TMPDIR", home.path()))?;
        let path = file.to_string_lossy();
        let ours: Value = serde_json::from_str(&report(&path, &["--format", "json", "--top", "1000"])?)?;
        let rows = ours["rows"].as_array().context("rows")?;
        let mut compared = 0;
        // FLAT FLAT% SUM% CUM CUM% NAME
        for line in top.lines().skip_while(|line| !line.contains("flat%")).skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [flat, _, _, cum, _, function, ..] = words[..] else {
                continue;
            };
            let of = |text: &str| text.trim_end_matches(char::is_alphabetic).parse::<i64>();
            let row = rows.iter().find(|row| row["function"] == function);
            let row = row.with_context(|| format!("no {function} of {top}"))?;
            let (own, total) = (row["own"].as_i64(), row["total"].as_i64());
            ensure!((own, total) == (of(flat).ok(), of(cum).ok()), "{line}: {row}");
            compared += 1;
        }
        ensure!(compared >= 3, "{top}");
    }
    Ok(())
}

#[test]
fn what_cannot_be_done_is_an_error_with_a_hint() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> anyhow::Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, text)?;
        Ok(path.to_string_lossy().into_owned())
    };
    let folded = file("a.txt", "process 7:\"a\";main (a.py:1);f\u{1b}[2J (a.py:2) 3\n")?;
    let page = file("a.svg", "<?xml version=\"1.0\"?><svg/>")?;
    let (folded, page) = (&*folded, &*page);
    for (arguments, code, error, hint) in [
        (&[page][..], 1, "this is a picture or a page", "record"),
        (&["/nonexistent"], 1, "cannot read '/nonexistent'", ""),
        (&[folded, "--by", "task"], 1, "which task", "command, pid"),
        (
            &[folded, "--label", "user=x"],
            1,
            "no sample has a label user",
            "command, pid",
        ),
        (&[folded, "--label", "process=b"], 1, "no samples", "--by process"),
        (
            &[folded, "--callers", "ma"],
            1,
            "no function is called ma",
            "main",
        ),
        (
            &[folded, "--sample-type", "cpu"],
            2,
            "no values called cpu",
            "--sample-type samples",
        ),
        (
            &[folded, "-f", "speedscope"],
            1,
            "speedscope shows time",
            "-f raw",
        ),
        (
            &[folded, "-o", "x.csv"],
            2,
            "no format has the extension .csv",
            "",
        ),
        (&[], 2, "required", "pyebpf report --help"),
    ] {
        let finished = Pyebpf::new([&["report"], arguments].concat())?.run()?;
        let stderr = &finished.stderr;
        ensure!(finished.status.code() == Some(code), "{arguments:?}: {stderr}");
        let said = stderr.split_once("\nhint: ").unwrap_or((stderr, ""));
        ensure!(
            said.0.starts_with("error: ") && said.0.contains(error),
            "{arguments:?}: {stderr}"
        );
        ensure!(said.1.contains(hint), "{arguments:?}: {stderr}");
    }
    // Orders to the terminal do not reach it, in colour or without.
    for colour in ["0", "1"] {
        let mut call = Pyebpf::new(["report", folded, "--tree"])?;
        call.command().env("CLICOLOR_FORCE", colour);
        let stdout = String::from_utf8(call.run()?.success()?.stdout)?;
        ensure!(stdout.contains("f\\x1b[2J"), "{stdout:?}");
        ensure!(stdout.contains('\x1b') == (colour == "1"), "{stdout:?}");
    }
    Ok(())
}
