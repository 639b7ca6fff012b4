//! What the tests of this folder share: the real interpreters of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::recognise::version::Version;

/// Set where the interpreters are promised: a test that lacks something then fails instead of doing less.
const REQUIRE: &str = "PYEBPF_REQUIRE_PYTHONS";

/// Says what is not tested and why; fails where it was promised to be tested.
pub(crate) fn not_tested(reason: &str) {
    assert!(
        std::env::var_os(REQUIRE).is_none(),
        "{reason}, and {REQUIRE} is set"
    );
    eprintln!("not tested: {reason}");
}

/// An interpreter installed here, with what it says of itself.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    /// The program.
    pub(super) program: PathBuf,
    /// `sys.version_info[:3]`.
    pub(super) version: (u8, u8, u8),
    /// The file with the interpreter in it: the program, or its library.
    pub(crate) file: PathBuf,
    /// Whether the interpreter is a library.
    pub(super) is_shared: bool,
}

impl Installed {
    pub(super) fn release(&self) -> Version {
        let (major, minor, micro) = self.version;
        Version {
            micro: Some(micro),
            ..Version::minor_only(major, minor)
        }
    }

    pub(super) fn minor(&self) -> (u8, u8) {
        (self.version.0, self.version.1)
    }
}

/// Every interpreter of pyenv and of the distribution that starts.
pub(crate) fn installed() -> Vec<Installed> {
    let mut found: Vec<Installed> = programs().iter().filter_map(|program| ask(program)).collect();
    found.sort_by_key(|python| python.version);
    found
}

/// Minor versions of CPython 3 that are promised to be here. The tests of the whole matrix (`tests/`) have 2.7, and the
/// versions that only other distributions have.
const PROMISED: std::ops::RangeInclusive<u8> = 6..=13;

/// As [`installed`], only [`PROMISED`] versions; names those that are missing, or fails where they were promised.
pub(super) fn supported(test: &str) -> Vec<Installed> {
    let mut found = installed();
    found.retain(|python| python.version.0 == 3);
    let missing: Vec<String> = PROMISED
        .filter(|minor| !found.iter().any(|python| python.version.1 == *minor))
        .map(|minor| format!("3.{minor}"))
        .collect();
    if !missing.is_empty() {
        not_tested(&format!(
            "{test}: no CPython {} under pyenv or /usr/bin",
            missing.join(", ")
        ));
    }
    found
}

fn programs() -> Vec<PathBuf> {
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME")?;
        Some(Path::new(&home).join(".pyenv"))
    });
    let versions = pyenv.and_then(|root| std::fs::read_dir(root.join("versions")).ok());
    let mut programs: Vec<PathBuf> = versions
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin/python")))
        .collect();
    programs.extend((6..30).map(|minor| PathBuf::from(format!("/usr/bin/python3.{minor}"))));
    programs.retain(|program| program.is_file());
    programs
}

fn ask(program: &Path) -> Option<Installed> {
    const QUESTION: &str = "import sys, sysconfig as c; print('%d %d %d' % sys.version_info[:3]); \
        print(c.get_config_var('LIBDIR')); print(c.get_config_var('INSTSONAME')); \
        print('libpython' in open('/proc/self/maps').read()); print(sys.executable)";
    let output = Command::new(program).args(["-S", "-c", QUESTION]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines();
    let numbers: Vec<u8> = lines
        .next()?
        .split(' ')
        .filter_map(|number| number.parse().ok())
        .collect();
    let version = <[u8; 3]>::try_from(numbers).ok()?.into();
    let library = Path::new(lines.next()?).join(lines.next()?);
    let is_shared = lines.next()? == "True";
    let program = std::fs::canonicalize(lines.next()?).ok()?;
    let file = if is_shared { library } else { program.clone() };
    Some(Installed {
        program,
        version,
        file,
        is_shared,
    })
}

/// Files of further interpreters, for tests that only look into files: what `cargo xtask pythons` unpacked and built.
pub(super) fn unpacked_files() -> Vec<PathBuf> {
    const FOLDERS: [&str; 6] = [
        "bin",
        "lib",
        "root/usr/bin",
        "root/usr/lib",
        "root/usr/lib/x86_64-linux-gnu",
        "root/usr/lib/aarch64-linux-gnu",
    ];
    // Told by `cargo xtask test`; under sudo the home folder may be another one.
    let told = std::env::var_os("PYEBPF_PYTHONS").map(PathBuf::from);
    let usual = || Some(Path::new(&std::env::var_os("HOME")?).join(".cache/pyebpf/pythons"));
    let Some(pythons) = told.or_else(usual) else {
        return Vec::new();
    };
    let entries = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_complete = |root: &PathBuf| root.extension().is_none_or(|extension| extension != "partial");
    let mut files: Vec<PathBuf> = entries(pythons)
        .map(|entry| entry.path())
        .filter(is_complete)
        .flat_map(|root| FOLDERS.map(|folder| root.join(folder)))
        .flat_map(entries)
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| entry.path())
        .filter(|file| {
            let name = file
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            name.starts_with("python") || name.starts_with("libpython")
        })
        .collect();
    files.sort();
    files
}
