//! Live: two versions of a program, one function of which takes a larger share in the second. `pyebpf diff` finds that one, by as
//! much as the program measured, and not the one that did not change.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::chromium::Browser;
use tests::live::{alone, cpu_by_function};
use tests::profiler::{Finished, Pyebpf};
use tests::workload::{Workload, folder, script};
use tests::{python, reader};

/// A user who may read nothing of root's.
const NOBODY: u32 = 65534;
/// Samples per second.
const RATE: &str = "499";

/// Recordings of both versions, and what share of its CPU time each function had in them, per cent.
struct Versions {
    folder: TempDir,
    shares: [Vec<(String, f64)>; 2],
}

impl Versions {
    fn record() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let before = record(folder.path(), "before", "20", "")?;
        // Its functions stand further down, in another folder.
        let after = record(folder.path(), "after", "40", "# A longer introduction.\n\n\n")?;
        Ok(Self {
            folder,
            shares: [before, after],
        })
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    fn diff(&self, options: &[&str]) -> anyhow::Result<Finished> {
        let files = [self.file("before.pb.gz"), self.file("after.pb.gz")];
        Pyebpf::new([&["diff", &files[0], &files[1]], options].concat())?.run()
    }

    fn json(&self, options: &[&str]) -> anyhow::Result<Value> {
        let finished = self.diff(&[options, &["-f", "json"]].concat())?.success()?;
        Ok(serde_json::from_slice(&finished.stdout)?)
    }

    fn share(&self, side: usize, name: &str) -> anyhow::Result<f64> {
        let found = self.shares[side].iter().find(|(of, _)| of == name);
        Ok(found.with_context(|| format!("no {name}"))?.1)
    }
}

/// Runs a version from a folder of its own, and records it as pprof and as folded stacks.
fn record(to: &Path, name: &str, share: &str, introduction: &str) -> anyhow::Result<Vec<(String, f64)>> {
    let home = to.join(format!("of-{name}"));
    fs::create_dir(&home)?;
    let program = home.join("versions.py");
    fs::write(
        &program,
        introduction.to_owned() + &fs::read_to_string(script("versions"))?,
    )?;
    let files = ["pb.gz", "txt"].map(|kind| to.join(format!("{name}.{kind}")).to_string_lossy().into_owned());
    let mut workload = Workload::spawn(python::newest(), &program, &["3", share], &[folder()])?;
    workload.wait_for("ready")?;
    let pid = workload.pid().to_string();
    let mut running = Pyebpf::new([
        "record",
        "-r",
        RATE,
        "-p",
        &pid,
        "--timestamps",
        "-o",
        &files[0],
        "-o",
        &files[1],
    ])?
    .start()?;
    running.wait_until_sampling()?;
    workload.release()?;
    let cpu = cpu_by_function(&workload.finish()?.clone())?;
    drop(workload);
    running.wait()?.success()?;
    let all: f64 = cpu.values().sum();
    Ok(cpu
        .into_iter()
        .map(|(name, seconds)| (name, seconds / all * 100.0))
        .collect())
}

fn row<'v>(of: &'v Value, name: &str) -> anyhow::Result<&'v Value> {
    let rows = of["rows"].as_array().context("rows")?;
    let row = rows.iter().find(|row| row["function"] == name);
    row.with_context(|| format!("no {name}: {of}"))
}

fn number(of: &Value, key: &str) -> anyhow::Result<f64> {
    of[key].as_f64().with_context(|| format!("no {key} in {of}"))
}

#[test]
fn the_function_that_changed_is_found_by_as_much_as_the_program_measured_and_the_other_one_is_not()
-> anyhow::Result<()> {
    let _alone = alone();
    let versions = Versions::record()?;
    let functions = versions.json(&[])?;
    let samples = [&functions["before"]["samples"], &functions["after"]["samples"]];
    for (side, samples) in samples.iter().enumerate() {
        let due = 3.0 * RATE.parse::<f64>()?;
        let samples = samples.as_f64().context("samples")?;
        ensure!(
            (samples / due - 1.0).abs() < 0.2,
            "side {side}: {samples} of {due}"
        );
    }
    for (name, is_changed) in [("parse", true), ("render", true), ("store", false)] {
        let row = row(&functions, name)?;
        let truth = versions.share(1, name)? - versions.share(0, name)?;
        let change = number(row, "own_change_percent")?;
        // Five standard deviations of two shares, and what is not in any of the three functions.
        let deviation = (2.0f64 * 50.0 * 50.0 / (3.0 * 499.0)).sqrt();
        ensure!(
            (change - truth).abs() < 5.0 * deviation,
            "{name}: {change}, and not {truth}"
        );
        ensure!(row["own_significant"] == is_changed, "{row}");
        ensure!((number(row, "own_chance")? < 0.01) == is_changed, "{row}");
    }
    ensure!(
        row(&functions, "parse")?["own_significant"] == true
            && functions["rows"][0]["own_significant"] == true
    );
    // Its callers took as much as before, with all they called.
    ensure!(
        row(&functions, "main")?["total_significant"] == false,
        "{functions}"
    );
    // Sums are those of `report`.
    for (side, name) in ["before", "after"].iter().enumerate() {
        let whole = Pyebpf::new(["report", &versions.file(&format!("{name}.pb.gz")), "-f", "json"])?.run()?;
        let whole: Value = serde_json::from_slice(&whole.success()?.stdout)?;
        ensure!(whole["total"] == functions[*name]["total"], "{side}: {whole}");
    }
    // The line that changed is one line in both, although it stands elsewhere.
    let lines = versions.json(&["--lines"])?;
    let line = row(&lines, "parse")?;
    ensure!(
        number(line, "own_before")? > 100.0 && number(line, "own_after")? > 300.0,
        "{line}"
    );
    ensure!(line["own_significant"] == true, "{line}");
    let source = fs::read_to_string(versions.folder.path().join("of-after/versions.py"))?;
    let text = source
        .lines()
        .nth(number(line, "line")? as usize - 1)
        .unwrap_or_default();
    ensure!(text.contains("while clock() < end"), "{text}");
    // In seconds: twice as much, within 1 % and the error of counting.
    let absolute = versions.json(&["--absolute", "--sample-type", "cpu"])?;
    let parse = row(&absolute, "parse")?;
    let ratio = number(parse, "own_after")? / number(parse, "own_before")?;
    ensure!(
        (1.6..2.5).contains(&ratio) && parse["own_significant"] == true,
        "{parse}"
    );
    ensure!(row(&absolute, "store")?["own_significant"] == false, "{absolute}");
    // One of them as folded stacks, with short names and without lines of `def`.
    let (before, after) = (versions.file("before.txt"), versions.file("after.pb.gz"));
    let mixed = Pyebpf::new(["diff", &before, &after, "-f", "json"])?
        .run()?
        .success()?;
    let mixed: Value = serde_json::from_slice(&mixed.stdout)?;
    for name in ["parse", "store"] {
        let (one, other) = (row(&mixed, name)?, row(&functions, name)?);
        for key in ["own_before", "own_after", "total_before", "own_significant"] {
            ensure!(one[key] == other[key], "{key}: {one}, and not {other}");
        }
    }
    check_status(&versions)?;
    check_files(&versions, &functions)?;
    check_page(&versions, &functions)
}

/// `--fail-above` has a status of its own.
fn check_status(versions: &Versions) -> anyhow::Result<()> {
    let failed = versions.diff(&["--fail-above", "10%"])?;
    ensure!(failed.status.code() == Some(3), "{}", failed.stderr);
    ensure!(
        failed
            .stderr
            .contains("error: grew by more than 10 percentage points: parse (versions.py"),
        "{}",
        failed.stderr
    );
    ensure!(!failed.stderr.contains("store"), "{}", failed.stderr);
    ensure!(!failed.stdout.is_empty(), "the table is there all the same");
    let fine = versions.diff(&["--fail-above", "40%"])?;
    ensure!(fine.status.code() == Some(0), "{}", fine.stderr);
    let (missing, file) = (versions.file("missing.pb.gz"), versions.file("after.pb.gz"));
    let missing = Pyebpf::new(["diff", &missing, &file, "--fail-above", "5"])?.run()?;
    ensure!(missing.status.code() == Some(1), "{}", missing.stderr);
    Ok(())
}

/// The stacks with both numbers add up to both recordings, and the picture is red where it took more.
fn check_files(versions: &Versions, functions: &Value) -> anyhow::Result<()> {
    let (folded, svg) = (versions.file("diff.folded"), versions.file("diff.svg"));
    versions.diff(&["-o", &folded, "-o", &svg])?.success()?;
    let mut sums = [0.0f64; 2];
    for line in fs::read_to_string(&folded)?.lines() {
        let mut words = line.rsplitn(3, ' ');
        for side in [1, 0] {
            sums[side] += words.next().context("a number")?.parse::<f64>()?;
        }
        ensure!(
            words.next().is_some_and(|stack| stack.contains("(versions.py:")),
            "{line}"
        );
    }
    let after = number(&functions["after"], "total")?;
    ensure!(sums == [after, after], "{sums:?}, and not {after}");
    let absolute = versions
        .diff(&["--absolute", "-f", "folded", "-o", "-"])?
        .success()?;
    let mut sum = 0.0;
    for line in String::from_utf8(absolute.stdout)?.lines() {
        sum += line.rsplit(' ').nth(1).context("a number")?.parse::<f64>()?;
    }
    ensure!(sum == number(&functions["before"], "total")?, "{sum}");
    let svg = fs::read_to_string(&svg)?;
    let frame = |name: &str| {
        let rest = svg.split("<title>").find(|rest| rest.starts_with(name));
        rest.and_then(|rest| rest.split("fill=\"").nth(1)?.split('"').next())
    };
    let channels = |name: &str| -> anyhow::Result<Vec<u32>> {
        let fill = frame(name).with_context(|| format!("no {name}"))?;
        let numbers = fill.trim_start_matches("rgb(").trim_end_matches(')').split(',');
        Ok(numbers.map(str::parse::<u32>).collect::<Result<_, _>>()?)
    };
    let (parse, store) = (channels("parse (versions.py")?, channels("store (versions.py")?);
    ensure!(parse[0] == 255 && parse[2] < 150, "{parse:?}");
    ensure!(store == [250, 250, 250], "{store:?}");
    Ok(())
}

/// The page has the same numbers as the table, and marks the same functions.
fn check_page(versions: &Versions, functions: &Value) -> anyhow::Result<()> {
    let page = versions.file("diff.html");
    versions.diff(&["-o", &page])?.success()?;
    if !reader::is_here("chromium") {
        return Ok(());
    }
    let mut browser = Browser::start(1200, 800)?;
    browser.open(Path::new(&page))?;
    browser.press(&["2"])?;
    let names = browser.texts("#functions tbody th")?;
    for name in ["parse", "render", "store"] {
        let at = names
            .iter()
            .position(|text| text.starts_with(&format!("{name} (versions.py")));
        let at = at.with_context(|| format!("no {name} in {names:?}"))? + 1;
        let cells = browser.texts(&format!("#functions tbody tr:nth-child({at}) td"))?;
        let row = row(functions, name)?;
        let change = number(row, "own_change_percent")?;
        let sign = if change < 0.0 { "−" } else { "+" };
        let mark = if row["own_significant"] == true { "*" } else { "" };
        let expected = [
            format!("{sign}{:.1}{mark}", change.abs()),
            format!("{:.1} %", number(row, "own_percent_before")?),
            format!("{:.1} %", number(row, "own_percent_after")?),
        ];
        // Shares are rounded twice in the table.
        ensure!(
            cells[0].ends_with('*') == expected[0].ends_with('*'),
            "{name}: {cells:?}, and not {expected:?}"
        );
        let digits = |text: &str| {
            text.replace('−', "-")
                .trim_end_matches(['*', '%', ' '])
                .parse::<f64>()
        };
        for (cell, expected) in cells.iter().zip(&expected) {
            let difference = digits(cell)? - digits(expected)?;
            ensure!(difference.abs() < 0.11, "{name}: {cells:?}, and not {expected:?}");
        }
    }
    // The test in the page is that of the table.
    for (expression, exact) in [
        ("chanceOfShares(10, 100, 30, 100)", 0.000_650_410_707_603_421),
        ("chanceOfShares(900, 1000, 950, 1000)", 2.747_498_052_166_885_8e-5),
        ("chanceOfShares(0, 50, 7, 60)", 0.024_273_106_608_956_638),
        ("chanceOfAmounts(10, 30, 0.5)", 0.002_221_433_773_229_364_3),
        ("chanceOfAmounts(400, 520, 0.25)", 2.214_171_697_537_674_8e-91),
    ] {
        let found = browser.evaluate(expression)?.as_f64().context("a number")?;
        ensure!((found / exact - 1.0).abs() < 1e-9, "{expression}: {found}");
    }
    // As wide as the first one, what is wide is another function.
    let is_widest = "page.graph.look.text(page.graph.tree.key[page.graph.tree.rows[3][0]])";
    let after = browser.evaluate(is_widest)?;
    ensure!(
        after.as_str().is_some_and(|text| text.starts_with("parse (")),
        "{after}"
    );
    browser.press(&["1"])?;
    browser.evaluate("document.getElementById('side').value = 0; document.getElementById('side').dispatchEvent(new Event('change'))")?;
    let before = browser.evaluate(is_widest)?;
    ensure!(
        before.as_str().is_some_and(|text| text.starts_with("render (")),
        "{before}"
    );
    ensure!(browser.complaints()?.is_empty(), "{:?}", browser.complaints()?);
    Ok(())
}

#[test]
fn under_sudo_files_are_opened_with_the_rights_of_whoever_called_it() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
    let file = |name: &str, mode: u32| -> anyhow::Result<String> {
        let path = folder.path().join(name);
        fs::write(&path, "main (a.py:1);f (a.py:2) 3\n")?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        Ok(path.to_string_lossy().into_owned())
    };
    let (open, closed) = (file("open.txt", 0o644)?, file("closed.txt", 0o600)?);
    let nowhere = folder.path().join("diff.folded").to_string_lossy().into_owned();
    let run = |arguments: &[&str]| -> anyhow::Result<Finished> {
        let mut call = Pyebpf::new(arguments)?;
        let ids = [("SUDO_UID", NOBODY.to_string()), ("SUDO_GID", NOBODY.to_string())];
        call.command().envs(ids).current_dir("/");
        call.run()
    };
    for arguments in [
        &["report", &closed][..],
        &["diff", &open, &closed],
        &["diff", &closed, &open, "-o", "-", "-f", "folded"],
        &["view", &closed, "--no-browser"],
    ] {
        let finished = run(arguments)?;
        ensure!(
            finished.status.code() == Some(1),
            "{arguments:?}: {}",
            finished.stderr
        );
        ensure!(
            finished
                .stderr
                .contains(&format!("cannot read '{closed}': Permission denied")),
            "{arguments:?}: {}",
            finished.stderr
        );
    }
    run(&["report", &open])?.success()?;
    run(&["diff", &open, &open])?.success()?;
    // What is written is written with their rights as well.
    let finished = run(&["diff", &open, &open, "-o", &nowhere])?;
    ensure!(finished.status.code() == Some(1), "{}", finished.stderr);
    ensure!(!Path::new(&nowhere).exists());
    Ok(())
}
