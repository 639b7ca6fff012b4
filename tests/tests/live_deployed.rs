//! Live: programs as they are deployed: behind servers with workers, in a virtual environment, packed into one file.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use tests::live::{alone, judge};
use tests::matrix::{Case, OPTIONS, check_burns, packages};
use tests::profiler::{Pyebpf, Recording};
use tests::python::{self, Python};
use tests::server::Server;
use tests::workload::{Workload, folder};

const WORKERS: usize = 2;

/// The newest interpreter that has all that installing takes. Says so loudly when there is none.
fn python() -> Option<&'static Python> {
    let found = python::all().iter().rev().find(|python| python.is_of_pyenv());
    if found.is_none() {
        println!("!!! NOT TESTED: no interpreter of pyenv, which has pip, venv and headers");
        assert!(
            std::env::var_os(python::REQUIRE).is_none_or(|value| value != "1"),
            "no interpreter of pyenv"
        );
    }
    found
}

/// Records a process and its children, with what can be compared.
fn record(pid: u32) -> anyhow::Result<Recording> {
    let pid = pid.to_string();
    Recording::start([OPTIONS, &["-r", "499", "-p", &pid]].concat())
}

/// Each worker's functions and lines, under its own process id.
fn check_server(command: &mut Command, socket: &Path, script: &str) -> anyhow::Result<String> {
    let server = Server::start(command, WORKERS, socket)?;
    let rows = Pyebpf::new(["ps", "--format", "json"])?.rows()?;
    let row = rows.get(&server.pid()).context("the server is not listed")?;
    let found = row["script"].as_str().unwrap_or_default();
    ensure!(found.ends_with(script), "{row}");
    let recording = record(server.pid())?;
    let burned = server.burn_in_every_worker(socket)?;
    check_burns(&burned, &recording.stop()?)
}

/// A virtual environment that has a package.
fn virtual_environment(python: &Python, package: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let environment = folder.join("environment");
    let made = python
        .command()
        .args(["-m", "venv", "--without-pip"])
        .arg(&environment)
        .status()?;
    ensure!(made.success(), "venv ended with {made}");
    let (major, minor, _) = python.version;
    let packages = environment.join(format!("lib/python{major}.{minor}/site-packages"));
    let copied = Command::new("cp")
        .arg("-rT")
        .arg(packages::program(package, python)?)
        .arg(packages)
        .status()?;
    ensure!(copied.success(), "cp ended with {copied}");
    Ok(environment.join("bin/python"))
}

fn gunicorn(python: &Python) -> anyhow::Result<String> {
    let temporary = tempfile::tempdir()?;
    let socket = temporary.path().join("socket");
    let mut command = Command::new(virtual_environment(python, "gunicorn", temporary.path())?);
    command
        .args(["-m", "gunicorn", "--workers", &WORKERS.to_string(), "--chdir"])
        .arg(folder())
        .arg("--bind")
        .arg(format!("unix:{}", socket.display()))
        .args(["--log-level", "warning", "served:application"]);
    check_server(&mut command, &socket, "-m gunicorn")
}

fn uwsgi(python: &Python) -> anyhow::Result<String> {
    let temporary = tempfile::tempdir()?;
    let socket = temporary.path().join("socket");
    let mut command = Command::new(packages::program("uwsgi", python)?.join("bin/uwsgi"));
    let root = python
        .program()
        .ancestors()
        .nth(2)
        .context("a folder above bin")?;
    command
        .env("LD_LIBRARY_PATH", root.join("lib"))
        .arg("--home")
        .arg(root)
        .args(["--master", "--die-on-term", "--disable-logging", "--processes"])
        .arg(WORKERS.to_string())
        .arg("--http-socket")
        .arg(&socket)
        .arg("--logto")
        .arg(temporary.path().join("log"))
        .arg("--pythonpath")
        .arg(folder())
        .args(["--module", "served"]);
    check_server(&mut command, &socket, "/uwsgi")
}

/// The bootloader unpacks an interpreter into a temporary folder and starts itself again as a child, which loads it.
fn one_file(python: &Python) -> anyhow::Result<String> {
    let temporary = tempfile::tempdir()?;
    let program = temporary.path().join("packed");
    let output = python
        .command()
        .env("PYTHONPATH", packages::program("pyinstaller", python)?)
        .env("PYINSTALLER_CONFIG_DIR", temporary.path().join("cache"))
        .args([
            "-m",
            "PyInstaller",
            "--onefile",
            "--log-level",
            "WARN",
            "--name",
            "packed",
        ])
        .arg("--distpath")
        .arg(temporary.path())
        .arg("--workpath")
        .arg(temporary.path().join("work"))
        .arg("--specpath")
        .arg(temporary.path())
        .arg("--paths")
        .arg(folder())
        .arg(Case::named("recursion")?.script())
        .output()?;
    ensure!(
        output.status.success(),
        "PyInstaller: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut command = Command::new(program);
    command.arg("1");
    let mut workload = Workload::of_command(command)?;
    workload.wait_for("ready")?;
    let recording = record(workload.pid())?;
    workload.release()?;
    let burned = workload.finish()?.clone();
    check_burns(&burned, &recording.stop()?)
}

fn run(name: &str, program: impl Fn(&Python) -> anyhow::Result<String>) {
    let _alone = alone();
    if let Some(python) = python() {
        judge(vec![(format!("{name} on {python}"), program(python))]);
    }
}

#[test]
fn every_worker_of_gunicorn_in_a_virtual_environment_has_its_functions_and_lines() {
    run("gunicorn", gunicorn);
}

#[test]
fn every_worker_of_uwsgi_has_its_functions_and_lines() {
    run("uWSGI", uwsgi);
}

#[test]
fn a_program_packed_into_one_file_has_its_functions_and_lines() {
    run("PyInstaller", one_file);
}
