//! Packages that programs of the matrix import: wheels installed by pip into the cache, a folder for each package and kind of
//! interpreter. An interpreter without pip is served by another's.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, bail};

use crate::python::matrix::Places;
use crate::python::{self, Python};

/// What decides which wheels fit.
#[derive(Clone, Debug)]
struct Kind {
    /// `3.13`
    version: String,
    /// `cp313t`
    abi: String,
    musl: bool,
}

/// Prints version, ABI tag and C library. Debug builds from 3.8 on load extensions of release builds.
const PROBE: &str = "import sys, sysconfig
abi = sysconfig.get_config_var('SOABI')
abi = 'cp' + abi.split('-')[1].rstrip('d') if abi else 'cp27mu' if sys.maxunicode > 65535 else 'cp27m'
musl = (sysconfig.get_config_var('SOABI') or '').endswith('-musl')
sys.stdout.write('%d.%d %s %d' % (sys.version_info[:2] + (abi, musl)))";

/// Why there is no such package for this interpreter; `None` where there should be.
#[must_use]
pub fn missing(package: &str, python: &Python) -> Option<String> {
    let kind = kind(python).ok()?;
    let free_threaded = kind.abi.ends_with('t');
    let none = match package {
        "gevent" => free_threaded || kind.musl,
        // Its wheel needs a libstdc++ for musl, which Debian has not.
        "greenlet" => kind.musl,
        _ => false,
    };
    let libc = if kind.musl { " on musl" } else { "" };
    none.then(|| format!("{package} has no wheel that runs on {}{libc}", kind.abi))
}

/// The folder to put on the interpreter's path; installs the package when it is not there yet.
///
/// # Errors
/// When pip fails.
pub fn folder(package: &str, python: &Python) -> anyhow::Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let kind = kind(python)?;
    let libc = if kind.musl { "musl" } else { "glibc" };
    let folder = cache()?.join(format!("{package}-{}-{libc}", kind.abi));
    if folder.exists() {
        return Ok(folder);
    }
    eprintln!("  installing {package} for {python} in {}", folder.display());
    let unfinished = tempfile::tempdir_in(cache()?)?;
    let mut pip = pip()?;
    pip.args([
        "install",
        "--quiet",
        "--no-compile",
        "--only-binary=:all:",
        "--target",
    ])
    .arg(unfinished.path())
    .args([
        "--implementation",
        "cp",
        "--python-version",
        &kind.version,
        "--abi",
        &kind.abi,
    ]);
    for platform in platforms(kind.musl) {
        pip.args(["--platform", platform]);
    }
    let output = pip.arg(package).output().context("starting pip")?;
    if !output.status.success() {
        bail!(
            "pip found no {package} for {python}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    std::fs::rename(unfinished.keep(), &folder)?;
    readable_by_all(&folder)?;
    Ok(folder)
}

/// The folder of a program with all that it needs, as `pip` of this interpreter installs it, which may compile it;
/// installs it when it is not there yet. Its commands are in `bin`.
///
/// # Errors
/// When pip fails.
pub fn program(package: &str, python: &Python) -> anyhow::Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock();
    let folder = cache()?.join(format!("{package}-for-{}", python.slug()));
    if folder.exists() {
        return Ok(folder);
    }
    eprintln!("  installing {package} for {python} in {}", folder.display());
    let unfinished = tempfile::tempdir_in(cache()?)?;
    let output = python
        .command()
        .args(["-m", "pip", "install", "--quiet", "--target"])
        .arg(unfinished.path())
        .arg(package)
        .output()
        .context("starting pip")?;
    if !output.status.success() {
        bail!(
            "pip installs no {package} for {python}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    std::fs::rename(unfinished.keep(), &folder)?;
    readable_by_all(&folder)?;
    Ok(folder)
}

fn readable_by_all(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn platforms(musl: bool) -> &'static [&'static str] {
    if musl {
        &["musllinux_1_2_x86_64", "musllinux_1_1_x86_64"]
    } else {
        &[
            "manylinux_2_28_x86_64",
            "manylinux_2_24_x86_64",
            "manylinux_2_17_x86_64",
            "manylinux2014_x86_64",
            "manylinux2010_x86_64",
            "manylinux1_x86_64",
        ]
    }
}

/// `pip` of the newest interpreter that has it and can choose for others.
fn pip() -> anyhow::Result<Command> {
    let able = python::all().iter().rev().find(|python| {
        let version = python.command().args(["-m", "pip", "--version"]).output();
        version.is_ok_and(|output| output.status.success())
    });
    let mut pip = able.context("no interpreter has pip")?.command();
    pip.args(["-m", "pip"]);
    Ok(pip)
}

fn kind(python: &Python) -> anyhow::Result<Kind> {
    static KNOWN: Mutex<BTreeMap<String, Kind>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().map_err(|_| anyhow::anyhow!("another test failed"))?;
    if let Some(kind) = known.get(&python.to_string()) {
        return Ok(kind.clone());
    }
    let output = python.command().args(["-c", PROBE]).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let [version, abi, musl] = text.split(' ').collect::<Vec<_>>()[..] else {
        bail!(
            "{python} does not say what it is: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let kind = Kind {
        version: version.to_owned(),
        abi: abi.to_owned(),
        musl: musl == "1",
    };
    known.insert(python.to_string(), kind.clone());
    Ok(kind)
}

fn cache() -> anyhow::Result<PathBuf> {
    // Beside the interpreters, which are told to a test that runs as another user.
    let cache = Places::from_env()?.folder.with_file_name("packages");
    std::fs::create_dir_all(&cache)?;
    Ok(cache)
}
