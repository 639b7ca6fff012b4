//! What attacks are made with, in one folder that everybody may read: their programs, compiled, and an interpreter.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use crate::python::{self, Python};

/// Version of the interpreter of attacks, whose memory they know (`tests/hostile/shared/cpython313.py`).
const PYTHON: (u8, u8) = (3, 13);

/// The folder; removed when dropped.
#[derive(Debug)]
pub struct Workshop {
    folder: TempDir,
    program: PathBuf,
}

impl Workshop {
    /// Compiles and copies everything of `tests/hostile`.
    ///
    /// # Errors
    /// When something does not compile, or the interpreter is missing.
    pub fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("pyebpf-hostile-").tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("hostile");
        for kind in fs::read_dir(&source).with_context(|| format!("reading {}", source.display()))? {
            for file in fs::read_dir(kind?.path())? {
                make(&file?.path(), folder.path())?;
            }
        }
        make_fuse_device(&folder.path().join("fuse-device"))?;
        let mut workshop = Self {
            program: PathBuf::new(),
            folder,
        };
        let python = python::all()
            .iter()
            .find(|python| python.is_of_pyenv() && (python.version.0, python.version.1) == PYTHON);
        workshop.program = workshop.bind_python(python.context("pyenv's Python 3.13")?)?;
        Ok(workshop)
    }

    /// The interpreter may lie in a home folder that is closed to others.
    fn bind_python(&self, python: &Python) -> anyhow::Result<PathBuf> {
        let program = python.program();
        let root = program
            .ancestors()
            .nth(2)
            .context("an interpreter in PREFIX/bin")?;
        let prefix = self.path().join("python");
        fs::create_dir(&prefix)?;
        mount(&["--bind", &root.to_string_lossy()], &prefix)?;
        Ok(prefix.join("bin").join(program.file_name().context("a file")?))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The interpreter of attacks.
    #[must_use]
    pub fn python(&self) -> &Path {
        &self.program
    }

    /// Where it finds its library.
    #[must_use]
    pub fn library_path(&self) -> PathBuf {
        self.path().join("python/lib")
    }

    /// A command of the registry as it can be started.
    #[must_use]
    pub fn resolve(&self, words: &[&str]) -> Vec<OsString> {
        let one = |word: &&str| {
            let path = self.path().join(word);
            if *word == "python" {
                self.program.clone().into()
            } else if !word.contains('/') && path.is_file() || *word == "fuse-device" {
                path.into()
            } else {
                OsString::from(word)
            }
        };
        words.iter().map(one).collect()
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let path = self.folder.path().join("python");
        let status = Command::new("umount").arg("--lazy").arg(&path).status();
        if !status.is_ok_and(|status| status.success()) {
            eprintln!("!!! {} stays mounted", path.display());
        }
    }
}

/// A C file becomes a program, or a library if it has no `main`; anything else is copied.
fn make(source: &Path, to: &Path) -> anyhow::Result<()> {
    let (Some(name), Some(stem)) = (source.file_name(), source.file_stem()) else {
        bail!("{} is no file", source.display());
    };
    if source.extension().is_none_or(|extension| extension != "c") {
        fs::copy(source, to.join(name)).with_context(|| format!("copying {}", source.display()))?;
        return Ok(());
    }
    let is_program = fs::read_to_string(source)?.contains("int main(");
    let output = to.join(stem).with_extension(if is_program { "" } else { "so" });
    let kind: &[&str] = if is_program { &[] } else { &["-shared", "-fPIC"] };
    let mut compiler = Command::new("cc");
    compiler
        .args(["-O1", "-pthread"])
        .args(kind)
        .arg("-o")
        .arg(&output)
        .arg(source)
        .arg("-ldl");
    let status = compiler.status().context("starting the C compiler")?;
    ensure!(status.success(), "{} does not compile", source.display());
    Ok(())
}

/// As distributions have it: everybody may open it. (Linux, admin-guide/devices.txt: 10, 229.)
fn make_fuse_device(path: &Path) -> anyhow::Result<()> {
    let status = Command::new("mknod")
        .arg("--mode=666")
        .arg(path)
        .args(["c", "10", "229"])
        .status()?;
    ensure!(status.success(), "making {} failed", path.display());
    // Less the umask.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    Ok(())
}

fn mount(arguments: &[&str], target: &Path) -> anyhow::Result<()> {
    let status = Command::new("mount").args(arguments).arg(target).status()?;
    ensure!(status.success(), "mounting {} failed", target.display());
    Ok(())
}
