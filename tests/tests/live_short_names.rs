//! Live: the file names that people read. Two functions are never added up because their files have the same short name.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use tests::folded::Folded;
use tests::live::{alone, judge};
use tests::profiler::Pyebpf;
use tests::python::{self, Python};

/// Burns for as many seconds of CPU time as it is told.
const MODULE: &str = "import os\ndef handle(seconds):\n    end = sum(os.times()[:2]) + seconds\n    while sum(os.times()[:2]) < end: pass\n";

/// Runs `main` of both packages: the second one works three times as long as the first.
fn program(first: &str, second: &str) -> String {
    format!("import {first} as a, {second} as b\nfor _ in range(5):\n    a.handle(0.04); b.handle(0.12)\n")
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::create_dir_all(path.parent().context("a folder")?)?;
    Ok(fs::write(path, text)?)
}

/// Records the program; samples by the file of `handle`, in the order of the alphabet.
fn record(python: &Python, arguments: &[&str], folder: &Path) -> anyhow::Result<BTreeMap<String, u64>> {
    let words = python.words();
    let mut call = vec!["record", "-F", "-r", "499", "-f", "raw", "-o", "-", "--"];
    call.extend(words.iter().map(String::as_str));
    call.extend(arguments);
    let mut call = Pyebpf::new(call)?;
    call.command().current_dir(folder);
    let finished = call.run()?.success()?;
    let stacks = Folded::parse(&String::from_utf8(finished.stdout)?)?;
    let mut files = BTreeMap::new();
    for stack in &stacks.stacks {
        let handle = stack.frames.iter().find(|frame| frame.name == "handle");
        if let Some(file) = handle.and_then(|frame| frame.file.clone()) {
            *files.entry(file).or_default() += stack.count;
        }
    }
    Ok(files)
}

/// Both files by these names, and each with its own share of the time.
fn expect(files: &BTreeMap<String, u64>, first: &str, second: &str) -> anyhow::Result<String> {
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let mut wanted = [first, second];
    wanted.sort_unstable();
    ensure!(names == wanted, "{files:?}");
    let (one, three) = (files[first] as f64, files[second] as f64);
    let share = one / (one + three);
    ensure!((0.17..0.33).contains(&share), "a quarter is due: {files:?}");
    Ok(format!("{files:?}"))
}

/// Two folders without `__init__.py`.
fn namespaces(python: &Python) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    write(&at("corp/a/core.py"), MODULE)?;
    write(&at("corp/b/core.py"), MODULE)?;
    write(&at("main.py"), &program("corp.a.core", "corp.b.core"))?;
    expect(
        &record(python, &["main.py"], folder.path())?,
        "a/core.py",
        "b/core.py",
    )
}

/// Packages within one archive.
fn archive(python: &Python) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    for package in ["app", "app/views", "app/models"] {
        write(&at(&format!("source/{package}/__init__.py")), MODULE)?;
    }
    write(&at("source/__main__.py"), &program("app.views", "app.models"))?;
    let made = Command::new(python::newest().program())
        .args(["-m", "zipapp", "source", "-o", "app.pyz"])
        .current_dir(folder.path())
        .status()?;
    ensure!(made.success(), "zipapp: {made}");
    let files = record(python, &["app.pyz"], folder.path())?;
    expect(&files, "app/views/__init__.py", "app/models/__init__.py")
}

/// A folder of packages that gets another name while they run.
fn renamed(python: &Python) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let at = |name: &str| folder.path().join(name);
    for package in ["one", "two"] {
        write(&at(&format!("old/{package}/__init__.py")), MODULE)?;
    }
    let move_it = "import os, sys\nsys.path.insert(0, os.path.abspath('old'))\n";
    let go = "os.rename('old', 'new')\n";
    let run = program("one", "two").replacen('\n', &format!("\n{go}"), 1);
    write(&at("main.py"), &format!("{move_it}{run}"))?;
    let files = record(python, &["main.py"], folder.path())?;
    let old = at("old").canonicalize().unwrap_or_else(|_| at("old"));
    let whole = |package: &str| format!("{}/{package}/__init__.py", old.display());
    expect(&files, &whole("one"), &whole("two"))
}

#[test]
fn functions_of_two_files_with_the_same_short_name_are_told_apart() {
    let _alone = alone();
    let mut outcomes = Vec::new();
    for python in python::all().iter().filter(|python| python.version >= (3, 6, 0)) {
        for (name, check) in [
            (
                "folders without __init__.py",
                namespaces as fn(&Python) -> anyhow::Result<String>,
            ),
            ("archive", archive),
            ("renamed folder", renamed),
        ] {
            outcomes.push((format!("{python}: {name}"), check(python)));
        }
    }
    judge(outcomes);
}
