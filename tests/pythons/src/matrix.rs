//! `tests/pythons.toml` and where its rows are on this machine. `cargo xtask pythons` obtains what is missing.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

/// Environment variable: the folder of what `cargo xtask pythons` obtained, where it is not the caller's own cache.
pub const FOLDER: &str = "PYEBPF_PYTHONS";

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    /// Versions that pyebpf supports.
    pub supported: Supported,
    /// The rows, in the order of the file.
    #[serde(rename = "python")]
    pub rows: Vec<Row>,
}

/// Major and minor numbers of the oldest and the newest version.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supported {
    /// The first.
    pub oldest: (u8, u8),
    /// The last.
    pub newest: (u8, u8),
}

/// One interpreter.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// `3.13t-built`: starts with `version`.
    pub name: String,
    /// `3.13`, or `3` for any.
    pub version: String,
    /// How it is obtained.
    pub from: From,
    /// What it is.
    #[serde(default)]
    pub traits: Vec<Trait>,
    /// Environment variables it is started with.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether it is one of the representative interpreters that every ordinary run of the tests has.
    #[serde(default)]
    pub ci: bool,
}

/// How an interpreter is obtained.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum From {
    /// The newest such folder of pyenv's.
    Pyenv,
    /// The distribution's `/usr/bin/python3`.
    System,
    /// Packages of a Debian suite, unpacked with all they need.
    DebianRoot {
        /// As in `sources.list`.
        suite: String,
        /// Their files win over those of what they need, later ones over earlier ones.
        packages: Vec<String>,
        /// Path in the root; `usr/bin/python` with the version when absent.
        program: Option<String>,
    },
    /// A Debian source package, built.
    DebianSource(Source),
    /// A C program of `tests/programs`.
    Program {
        /// Its file.
        source: String,
        /// The row whose libpython it opens.
        base: String,
    },
    /// Another row in another environment.
    Variant {
        /// That row.
        base: String,
    },
}

/// How a source package is built.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// As in `sources.list`.
    pub suite: String,
    /// The source package.
    pub package: String,
    /// Arguments of `configure`.
    #[serde(default)]
    pub configure: Vec<String>,
    /// C compiler; `cc` when absent.
    pub cc: Option<String>,
    /// Flags of the linker.
    #[serde(default)]
    pub ldflags: String,
    /// Packages of the build machine's own release that it needs beyond the usual ones.
    #[serde(default)]
    pub needs: Vec<String>,
}

/// What tests tell interpreters apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trait {
    /// The runtime is in the program, not in a shared library.
    Static,
    /// Fixed addresses.
    NonPie,
    /// `--disable-gil`.
    FreeThreaded,
    /// `--with-pydebug`.
    Debug,
    /// `--with-trace-refs`.
    TraceRefs,
    /// musl instead of glibc.
    Musl,
    /// Runs with its just-in-time compiler on.
    Jit,
    /// `--with-tail-call-interp`.
    TailCall,
    /// No symbols but the dynamic ones.
    Stripped,
    /// Optimised at link time.
    Lto,
    /// A program of another name that links libpython.
    Embedded,
    /// ... and opens it a while after its start.
    Late,
}

impl Trait {
    /// As in the file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::NonPie => "non-pie",
            Self::FreeThreaded => "free-threaded",
            Self::Debug => "debug",
            Self::TraceRefs => "trace-refs",
            Self::Musl => "musl",
            Self::Jit => "jit",
            Self::TailCall => "tail-call",
            Self::Stripped => "stripped",
            Self::Lto => "lto",
            Self::Embedded => "embedded",
            Self::Late => "late",
        }
    }
}

/// Where interpreters are.
#[derive(Clone, Debug)]
pub struct Places {
    /// pyenv's folder.
    pub pyenv: Option<PathBuf>,
    /// What `cargo xtask pythons` obtained: a folder for each row.
    pub folder: PathBuf,
}

/// An interpreter that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `3.13.5`.
    pub version: String,
    /// Its executable; inside `root` if there is one.
    pub program: PathBuf,
    /// What must be `/` when it runs.
    pub root: Option<PathBuf>,
}

impl Matrix {
    /// Reads the file of the checkout `checkout`.
    ///
    /// # Errors
    /// When it is not as this module describes it.
    pub fn read(checkout: &Path) -> anyhow::Result<Self> {
        let path = checkout.join("tests/pythons.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not as expected", path.display()))
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let matrix: Self = toml::from_str(text)?;
        let mut earlier: Vec<&Row> = Vec::new();
        for row in &matrix.rows {
            let name = &row.name;
            ensure!(
                name.starts_with(&row.version),
                "{name} does not start with its version {}",
                row.version
            );
            ensure!(
                name.chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-'),
                "{name} is not a file name"
            );
            ensure!(
                !earlier.iter().any(|other| other.name == *name),
                "{name} is there twice"
            );
            if let Some(base) = row.base() {
                // So there is no circle.
                ensure!(
                    earlier.iter().any(|other| other.name == base),
                    "{name} builds on {base}, which is not above it"
                );
            }
            earlier.push(row);
        }
        Ok(matrix)
    }

    /// The row with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn row(&self, name: &str) -> anyhow::Result<&Row> {
        match self.rows.iter().find(|row| row.name == name) {
            Some(row) => Ok(row),
            None => bail!("tests/pythons.toml has no row {name}"),
        }
    }

    /// The row's interpreter, if it is there.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn find(&self, row: &Row, places: &Places) -> anyhow::Result<Option<Found>> {
        match &row.from {
            From::Pyenv => places.newest_of_pyenv(&row.version),
            From::System => system(),
            From::Variant { base } => self.find(self.row(base)?, places),
            From::DebianRoot { program, .. } => {
                let program = program
                    .clone()
                    .unwrap_or_else(|| format!("usr/bin/python{}", row.version));
                places.obtained(row, &Path::new("/").join(program), true)
            }
            From::DebianSource(_) => {
                let program = format!("bin/python{}", row.version);
                places.obtained(row, &places.of(row).join(program), false)
            }
            From::Program { .. } => places.obtained(row, &places.of(row).join("bin/program"), false),
        }
    }
}

impl Row {
    /// Whether it is on this machine or not, and never obtained for the tests.
    #[must_use]
    pub fn is_of_this_machine(&self) -> bool {
        matches!(self.from, From::Pyenv | From::System)
    }

    /// The row this one is made of.
    #[must_use]
    pub fn base(&self) -> Option<&str> {
        match &self.from {
            From::Variant { base } | From::Program { base, .. } => Some(base),
            _ => None,
        }
    }
}

impl Places {
    /// pyenv's usual place, and the cache of this machine.
    ///
    /// # Errors
    /// When the environment names no home folder.
    pub fn from_env() -> anyhow::Result<Self> {
        let absolute = |name: &str| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = absolute("HOME");
        let cache = absolute("XDG_CACHE_HOME").or_else(|| home.as_ref().map(|home| home.join(".cache")));
        let folder = absolute(FOLDER).or_else(|| cache.map(|cache| cache.join("pyebpf/pythons")));
        Ok(Self {
            pyenv: env::var_os("PYENV_ROOT")
                .map(PathBuf::from)
                .or_else(|| home.map(|home| home.join(".pyenv")))
                .filter(|root| root.join("versions").is_dir()),
            folder: folder.context("neither XDG_CACHE_HOME nor HOME names a directory")?,
        })
    }

    /// The folder of a row that `cargo xtask pythons` obtains. It holds `version`, written last.
    #[must_use]
    pub fn of(&self, row: &Row) -> PathBuf {
        self.folder.join(&row.name)
    }

    fn obtained(&self, row: &Row, program: &Path, in_root: bool) -> anyhow::Result<Option<Found>> {
        let folder = self.of(row);
        let path = folder.join("version");
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(Found {
            version: fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?,
            program: program.to_owned(),
            root: in_root.then(|| folder.join("root")),
        }))
    }

    fn newest_of_pyenv(&self, version: &str) -> anyhow::Result<Option<Found>> {
        let Some(root) = &self.pyenv else {
            return Ok(None);
        };
        let versions = root.join("versions");
        let mut newest = None;
        for entry in fs::read_dir(&versions).with_context(|| format!("cannot read {}", versions.display()))? {
            let entry = entry?;
            // Plain releases only: `3.13.0t` and `3.13-dev` are other interpreters.
            let name = entry.file_name().to_string_lossy().into_owned();
            let micro = name
                .strip_prefix(version)
                .and_then(|rest| rest.strip_prefix('.'))
                .and_then(|micro| micro.parse::<u32>().ok());
            let program = entry.path().join(format!("bin/python{version}"));
            if let Some(micro) = micro
                && program.exists()
                && newest.as_ref().is_none_or(|(other, _)| micro > *other)
            {
                newest = Some((
                    micro,
                    Found {
                        version: name,
                        program,
                        root: None,
                    },
                ));
            }
        }
        Ok(newest.map(|(_, found)| found))
    }
}

fn system() -> anyhow::Result<Option<Found>> {
    // `/usr/bin/python3` is a link to `python3.11`.
    let Ok(program) = fs::canonicalize("/usr/bin/python3") else {
        return Ok(None);
    };
    Ok(Some(Found {
        version: said_version(&mut Command::new(&program))?,
        program,
        root: None,
    }))
}

/// What an interpreter says its version is: `3.11.2`.
///
/// # Errors
/// When it does not run.
pub fn said_version(command: &mut Command) -> anyhow::Result<String> {
    let script = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
    let output = command
        .args(["-S", "-E", "-c", script])
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    ensure!(
        output.status.success() && text.starts_with(|c: char| c.is_ascii_digit()),
        "{} does not say its version: {}",
        command.get_program().display(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(text)
}

/// The command words that run `program` with `root` as `/`, and everything of the host that is not part of its
/// distribution where it is: `/proc`, `/dev`, `/tmp`, people's folders. The process that is started becomes `program`,
/// and its mounts go with it. Needs root.
#[must_use]
pub fn words_in_root(root: &Path, program: &Path) -> Vec<String> {
    const SCRIPT: &str = r#"root=$1; shift
for host in /*; do
    case $host in
        /bin | /sbin | /lib* | /usr | /etc | /var | /boot | /lost+found) continue ;;
    esac
    [ -d "$host" ] && [ ! -L "$host" ] || continue
    mkdir -p "$root$host" && mount --rbind "$host" "$root$host" || exit 125
done
[ -d "$root$PWD" ] && folder=$PWD || folder=/
exec unshare --root="$root" --wd="$folder" -- "$@""#;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let words = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--",
        "sh",
        "-c",
        SCRIPT,
        "sh",
    ];
    let mut words: Vec<String> = words.map(str::to_owned).into();
    words.extend([text(root), text(program)]);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(pyenv: &Path) -> Places {
        Places {
            pyenv: Some(pyenv.to_owned()),
            folder: pyenv.join("cache"),
        }
    }

    /// What every file begins with.
    const SUPPORTED: &str = "supported = { oldest = [2, 7], newest = [3, 15] }\n";

    fn one_row(from: &str) -> Matrix {
        Matrix::parse(&format!(
            "{SUPPORTED}[[python]]\nname = \"3.13t-x\"\nversion = \"3.13\"\n{from}\n"
        ))
        .expect("a row")
    }

    #[test]
    fn the_file_of_the_checkout_reads() {
        let matrix = crate::matrix().expect("as this module describes");
        assert!(matrix.rows.iter().any(|row| row.ci));
    }

    #[test]
    fn a_row_builds_on_an_earlier_one_only() {
        let row = "[[python]]\nname = \"3-x\"\nversion = \"3\"\nfrom.variant = { base = \"3-x\" }\n";
        let error = Matrix::parse(&format!("{SUPPORTED}{row}")).expect_err("it builds on itself");
        assert!(error.to_string().contains("3-x"), "{error}");
    }

    #[test]
    fn the_newest_plain_release_of_pyenv_is_found() {
        let folder = env::temp_dir().join(format!("pyebpf-matrix-{}", std::process::id()));
        for name in ["3.13.9", "3.13.10", "3.13.11t", "3.1.30", "3.13-dev"] {
            let bin = folder.join("versions").join(name).join("bin");
            fs::create_dir_all(&bin).expect("a temporary folder");
            fs::write(bin.join("python3.13"), "").expect("a temporary file");
        }
        let matrix = one_row("from = \"pyenv\"");
        let found = matrix.find(&matrix.rows[0], &places(&folder));
        fs::remove_dir_all(&folder).expect("a temporary folder");
        assert_eq!(found.expect("readable").expect("there").version, "3.13.10");
    }

    #[test]
    fn what_is_half_obtained_is_not_there() {
        let folder = env::temp_dir().join(format!("pyebpf-matrix-half-{}", std::process::id()));
        let matrix = one_row("from.debian-source = { suite = \"sid\", package = \"python3.13\" }");
        let row = &matrix.rows[0];
        let places = places(&folder);
        fs::create_dir_all(places.of(row).join("bin")).expect("a temporary folder");
        let before = matrix.find(row, &places).expect("readable");
        fs::write(places.of(row).join("version"), "3.13.5").expect("a temporary file");
        let after = matrix.find(row, &places).expect("readable");
        fs::remove_dir_all(&folder).expect("a temporary folder");
        assert_eq!(before, None);
        assert_eq!(after.expect("there").version, "3.13.5");
    }
}
