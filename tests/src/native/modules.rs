//! Extension modules of `tests/programs/modules`, compiled for one interpreter with its own headers, kept in the cache beside
//! the interpreters.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context as _, bail, ensure};

use crate::matrix::packages;
use crate::python::Python;
use crate::python::matrix::Places;

/// How a module is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    C,
    Cpp,
    Cython,
    Pybind11,
}

/// A module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module {
    /// What Python imports.
    pub name: &'static str,
    kind: Kind,
}

/// C functions that call back into Python, and burn.
pub const NEST: Module = Module {
    name: "nest",
    kind: Kind::C,
};
/// C++ with inlined functions.
pub const INLINES: Module = Module {
    name: "inlines",
    kind: Kind::Cpp,
};
/// By Cython.
pub const CYNEST: Module = Module {
    name: "cynest",
    kind: Kind::Cython,
};
/// By pybind11.
pub const PBNEST: Module = Module {
    name: "pbnest",
    kind: Kind::Pybind11,
};

impl Module {
    /// Why this interpreter cannot have it; `None` where it should.
    ///
    /// # Errors
    /// When the interpreter does not say where its headers are.
    pub fn excuse(&self, python: &Python) -> anyhow::Result<Option<String>> {
        let build = Build::of(python)?;
        if build.is_musl {
            return Ok(Some(format!("{}: there is no compiler for musl", self.name)));
        }
        if !build.headers.join("Python.h").is_file() {
            let headers = build.headers.display();
            ensure!(
                !python.is_of_pyenv(),
                "{python}: there is no Python.h in {headers}, where pyenv puts it"
            );
            return Ok(Some(format!("{}: there is no Python.h in {headers}", self.name)));
        }
        Ok(self
            .package()
            .and_then(|package| packages::missing(package, python))
            .map(|reason| format!("{}: {reason}", self.name)))
    }

    /// The folder to put on the interpreter's path. Compiles the module when that has not been done.
    ///
    /// # Errors
    /// When there is no compiler, or it fails.
    pub fn folder(&self, python: &Python) -> anyhow::Result<PathBuf> {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock();
        let build = Build::of(python)?;
        let source = self.source();
        let text = std::fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
        let mut hasher = DefaultHasher::new();
        (self.flags(), build.headers.as_os_str(), text).hash(&mut hasher);
        let cache = Places::from_env()?.folder.with_file_name("modules");
        let folder = cache.join(format!("{}-{python}-{:016x}", self.name, hasher.finish()));
        if folder.exists() {
            return Ok(folder);
        }
        eprintln!("  compiling {} for {python} in {}", self.name, folder.display());
        std::fs::create_dir_all(&cache)?;
        let unfinished = tempfile::tempdir_in(&cache)?;
        let library = unfinished.path().join(format!("{}{}", self.name, build.suffix));
        let (source, include) = self.prepare(python, &source, unfinished.path())?;
        let mut compiler = self.compiler(&build, include.as_deref());
        compiler.arg(source).arg("-o").arg(library);
        let output = compiler
            .output()
            .with_context(|| format!("cannot start {:?}", compiler.get_program()))?;
        ensure!(
            output.status.success(),
            "{} does not compile for {python}: {}",
            self.name,
            String::from_utf8_lossy(&output.stderr)
        );
        std::fs::rename(unfinished.keep(), &folder)?;
        Ok(folder)
    }

    fn package(&self) -> Option<&'static str> {
        match self.kind {
            Kind::C | Kind::Cpp => None,
            Kind::Cython => Some("cython"),
            Kind::Pybind11 => Some("pybind11"),
        }
    }

    fn source(&self) -> PathBuf {
        let extension = match self.kind {
            Kind::C => "c",
            Kind::Cpp | Kind::Pybind11 => "cpp",
            Kind::Cython => "pyx",
        };
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("programs/modules")
            .join(self.name)
            .with_extension(extension)
    }

    /// Functions of known names are there to be seen: those of Cython are otherwise inlined.
    fn flags(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::C => &["-O2", "-g"],
            Kind::Cpp => &["-O2", "-g", "-std=c++11"],
            Kind::Cython => &["-O1", "-g1", "-fno-inline", "-w"],
            Kind::Pybind11 => &["-O1", "-g1", "-std=c++17", "-fvisibility=hidden", "-w"],
        }
    }

    /// What to compile, and with which headers besides Python's.
    fn prepare(
        &self,
        python: &Python,
        source: &Path,
        scratch: &Path,
    ) -> anyhow::Result<(PathBuf, Option<PathBuf>)> {
        let Some(package) = self.package() else {
            return Ok((source.to_owned(), None));
        };
        let package = packages::folder(package, python)?;
        if self.kind == Kind::Pybind11 {
            return Ok((source.to_owned(), Some(package.join("pybind11/include"))));
        }
        let made = scratch.join(self.name).with_extension("c");
        let output = python
            .command()
            .args(["-m", "cython", "-o"])
            .arg(&made)
            .arg(source)
            .env("PYTHONPATH", package)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()?;
        ensure!(
            output.status.success(),
            "Cython for {python}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok((made, None))
    }

    fn compiler(&self, build: &Build, include: Option<&Path>) -> Command {
        let is_cpp = matches!(self.kind, Kind::Cpp | Kind::Pybind11);
        let mut command = Command::new(if is_cpp { "c++" } else { "cc" });
        command.args(["-shared", "-fPIC"]).args(self.flags());
        command.arg("-I").arg(&build.headers);
        if let Some(parent) = build.headers.parent() {
            // Debian keeps pyconfig.h in a folder per architecture, beside this one.
            command.arg("-idirafter").arg(parent);
        }
        if let Some(include) = include {
            command.arg("-I").arg(include);
        }
        if build.is_free_threaded {
            command.arg("-DPy_GIL_DISABLED=1");
        }
        command
    }
}

/// How modules for an interpreter are made.
struct Build {
    headers: PathBuf,
    suffix: String,
    is_free_threaded: bool,
    is_musl: bool,
}

/// Prints the folder of `Python.h`, the end of a module's file name, and what kind of build it is.
const PROBE: &str = "import sys, sysconfig
get = sysconfig.get_config_var
print(sysconfig.get_paths()['include'])
print(get('EXT_SUFFIX') or get('SO'))
print(int('free-threading' in sys.version))
print(int((get('SOABI') or '').endswith('-musl')))";

impl Build {
    fn of(python: &Python) -> anyhow::Result<Self> {
        let output = python.command().args(["-c", PROBE]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let [headers, suffix, free_threaded, musl] = text.lines().collect::<Vec<_>>()[..] else {
            bail!(
                "{python} does not say how modules are made for it: {}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        let headers = match python.root() {
            Some(root) => root.join(headers.trim_start_matches('/')),
            None => PathBuf::from(headers),
        };
        Ok(Self {
            headers,
            suffix: suffix.to_owned(),
            is_free_threaded: free_threaded == "1",
            is_musl: musl == "1",
        })
    }
}
