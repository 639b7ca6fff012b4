//! What the tests of this folder share: the real interpreters of this machine, and memory that holds anything at all.

use std::path::{Path, PathBuf};
use std::process::Command;

use profiler_common::memory::{Fault, Memory, RemoteAddr};

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

/// Every word is made from its address; some pages are not there.
pub(crate) struct Noise {
    pub(crate) seed: u64,
    /// Bits that every word has.
    pub(crate) set: u64,
}

impl Noise {
    fn word(&self, address: u64) -> u64 {
        let mixed = (address ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)) & 0xffff | self.set
    }

    fn fill(&self, address: RemoteAddr, out: &mut [u8]) -> Result<(), Fault> {
        if self.word(address.0 >> 12).is_multiple_of(7) {
            return Err(Fault);
        }
        for (at, chunk) in (0..).step_by(8).zip(out.chunks_mut(8)) {
            let word = self.word(address.0.wrapping_add(at));
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }

    fn fill_words(&self, address: RemoteAddr, out: &mut [u64]) -> Result<(), Fault> {
        let mut bytes = vec![0; 8 * out.len()];
        self.fill(address, &mut bytes)?;
        for (word, chunk) in out.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().map_err(|_| Fault)?);
        }
        Ok(())
    }
}

impl Memory for Noise {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        self.fill_words(addr, out)
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        let words = (bytes as usize).div_ceil(8).min(N);
        self.fill_words(addr, &mut out[..words])
    }

    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        self.fill(addr, &mut out[..(len as usize).min(N)])
    }
}
