//! `cargo xtask pythons`: obtains the interpreters of `tests/pythons.toml` that this machine lacks, or lists them.
//!
//! One file for each way to obtain one. A folder of an interpreter holds `version` once it is complete, and `recipe`,
//! what it was made from: when the row says something else, it is made again.

mod program;
mod root;
mod source;
mod table;

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use test_pythons::matrix::{self, Found, From, Matrix, Places, Row};
use test_pythons::{Selection, is_supported};

use crate::hint::{self, hinted};
use crate::plan::{self, Step};
use crate::{command, debian, times, workspace};

const HEADING: &str = "not here yet:";

/// Obtains the Pythons of tests/pythons.toml that this machine lacks
///
/// Unpacks packages of other Debian suites, and builds source packages of Debian, into `~/.cache/pyebpf/pythons`.
/// pyenv's builds are found, not built. Without a name, those that CI tests; `cargo xtask test` does the same first.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask pythons                   what CI tests
  cargo xtask pythons --all             every one
  cargo xtask pythons 3.13t-built       these
  cargo xtask pythons --list            which there are, and which are here")]
pub(crate) struct Args {
    /// Every Python of the file
    #[arg(long)]
    all: bool,
    /// Only say which there are, and which are here
    #[arg(long)]
    list: bool,
    /// Obtain them again, in today's version
    #[arg(long)]
    refresh: bool,
    /// Rows of the file
    #[arg(value_name = "NAME", conflicts_with = "all")]
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let pythons = Pythons::open()?;
    let rows = match (args.names.is_empty(), args.all || args.list) {
        (false, _) => pythons.named(&args.names)?,
        (true, true) => pythons.selected(Selection::Every),
        (true, false) => pythons.selected(Selection::Ci),
    };
    if args.list {
        return table::print(&pythons, &rows);
    }
    if args.refresh {
        for row in &rows {
            pythons.forget(row)?;
        }
    }
    let missing = pythons.missing(&rows)?;
    plan::announce("pythons", HEADING, &steps(&missing))?;
    let failed = pythons.obtain(&missing)?;
    if !failed.is_empty() {
        return Err(hinted(
            format!("not obtained: {}", failed.join(", ")),
            format!(
                "see the message about each of them above, then: cargo xtask pythons {}",
                failed.join(" ")
            ),
        ));
    }
    eprintln!("pythons: all {} are here", rows.len());
    Ok(())
}

/// What a run of the tests would obtain.
pub(crate) fn plan_for_tests(selection: Selection) -> anyhow::Result<Vec<Step>> {
    let pythons = Pythons::open()?;
    let missing = pythons.missing(&pythons.to_obtain(selection)?)?;
    Ok(steps(&missing))
}

/// Obtains what was announced. What cannot be had is said loudly; the tests decide whether they can do without.
pub(crate) fn obtain_for_tests(selection: Selection) -> anyhow::Result<()> {
    let pythons = Pythons::open()?;
    let missing = pythons.missing(&pythons.to_obtain(selection)?)?;
    pythons.obtain(&missing)?;
    Ok(())
}

/// Announces and obtains what a run of the tests needs.
pub(crate) fn ensure_for_tests(selection: Selection) -> anyhow::Result<()> {
    plan::announce("pythons", HEADING, &plan_for_tests(selection)?)?;
    obtain_for_tests(selection)
}

/// Obtains these rows, in the same way.
pub(crate) fn ensure_named(names: &[String]) -> anyhow::Result<()> {
    let pythons = Pythons::open()?;
    let missing = pythons.missing(&pythons.named(names)?)?;
    plan::announce("pythons", HEADING, &steps(&missing))?;
    pythons.obtain(&missing)?;
    Ok(())
}

/// Tells the tests which interpreters they have, and where: as root, the user's home is no longer the place to look.
pub(crate) fn tell(tests: &mut Command, selection: Selection) -> anyhow::Result<()> {
    let places = Places::from_env()?;
    tests.env(Selection::VARIABLE, selection.name());
    tests.env(matrix::FOLDER, places.folder);
    if let Some(pyenv) = places.pyenv {
        tests.env("PYENV_ROOT", pyenv);
    }
    Ok(())
}

/// The interpreter of a row, if it is here.
pub(crate) fn find(name: &str) -> anyhow::Result<Option<Found>> {
    let pythons = Pythons::open()?;
    pythons.find(pythons.matrix.row(name)?)
}

/// What is here of these rows and supported, with the newest version first.
pub(crate) fn found(wanted: impl Fn(&Row) -> bool) -> anyhow::Result<Vec<Found>> {
    let pythons = Pythons::open()?;
    let mut all = Vec::new();
    for row in pythons.matrix.rows.iter().filter(|row| wanted(row)) {
        if let Some(found) = pythons.find(row)? {
            let version = test_pythons::numbers(&found.version)?;
            if is_supported(row, version) {
                all.push((version, found));
            }
        }
    }
    all.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    Ok(all.into_iter().map(|(_, found)| found).collect())
}

/// Whether this machine has pyenv's interpreters at all.
pub(crate) fn has_pyenv() -> anyhow::Result<bool> {
    Ok(Places::from_env()?.pyenv.is_some())
}

/// The matrix, and where its interpreters are on this machine.
struct Pythons {
    matrix: Matrix,
    places: Places,
}

impl Pythons {
    fn open() -> anyhow::Result<Self> {
        Ok(Self {
            matrix: Matrix::read(&workspace::root())?,
            places: Places::from_env()?,
        })
    }

    fn selected(&self, selection: Selection) -> Vec<&Row> {
        let rows = self.matrix.rows.iter();
        rows.filter(|row| selection.has(row)).collect()
    }

    /// What a run of the tests cannot do without: for one on this machine's own interpreters, that there is one at all.
    fn to_obtain(&self, selection: Selection) -> anyhow::Result<Vec<&Row>> {
        let mut rows = self.selected(selection);
        if selection != Selection::Own {
            return Ok(rows);
        }
        for row in &rows {
            if self.find(row)?.is_some() {
                return Ok(Vec::new());
            }
        }
        rows.retain(|row| matches!(row.from, From::System));
        Ok(rows)
    }

    fn named(&self, names: &[String]) -> anyhow::Result<Vec<&Row>> {
        let rows = names.iter().map(|name| {
            let row = self.matrix.row(name);
            row.map_err(|error| hinted(format!("{error:#}"), "cargo xtask pythons --list"))
        });
        rows.collect()
    }

    /// The row's interpreter, if it is here and made as the row says now.
    fn find(&self, row: &Row) -> anyhow::Result<Option<Found>> {
        let Some(found) = self.matrix.find(row, &self.places)? else {
            return Ok(None);
        };
        let outdated = match row.from {
            From::Pyenv | From::System | From::Variant { .. } => false,
            _ => fs::read_to_string(self.places.of(row).join("recipe")).ok() != Some(self.recipe(row)?),
        };
        Ok((!outdated).then_some(found))
    }

    /// What it is made from.
    fn recipe(&self, row: &Row) -> anyhow::Result<String> {
        let mut recipe = format!("{:?}\n", row.from);
        if let From::Program { source, base } = &row.from {
            let base = self.matrix.find(self.matrix.row(base)?, &self.places)?;
            recipe += &format!("{:?}\n", base.map(|base| base.program));
            recipe += &program::text(source)?;
        }
        Ok(recipe)
    }

    fn forget(&self, row: &Row) -> anyhow::Result<()> {
        match fs::remove_file(self.places.of(row).join("version")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot obtain {} again", row.name))
            }
            _ => Ok(()),
        }
    }

    /// Those of these rows that are not here, and what they build on.
    fn missing<'a>(&'a self, rows: &[&'a Row]) -> anyhow::Result<Vec<&'a Row>> {
        let mut missing = Vec::new();
        for row in rows {
            self.add_missing(row, &mut missing)?;
        }
        Ok(missing)
    }

    /// Obtains what is missing, and returns the names of those that could not be had.
    fn obtain(&self, missing: &[&Row]) -> anyhow::Result<Vec<String>> {
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let _alone = lock(&self.places.folder)?;
        let mut failed = Vec::new();
        for row in missing {
            // Another checkout may have been quicker.
            if self.find(row)?.is_some() {
                continue;
            }
            eprintln!("pythons: {}: {}", row.name, plan(row));
            if let Err(error) = times::measured(&step_name(row), || self.obtain_one(row)) {
                eprintln!("pythons: {} cannot be had", row.name);
                hint::report(&error);
                failed.push(row.name.clone());
            }
        }
        Ok(failed)
    }

    /// Adds the row, after what it builds on.
    fn add_missing<'a>(&'a self, row: &'a Row, missing: &mut Vec<&'a Row>) -> anyhow::Result<()> {
        if self.find(row)?.is_some() || missing.iter().any(|other| other.name == row.name) {
            return Ok(());
        }
        if let Some(base) = row.base() {
            self.add_missing(self.matrix.row(base)?, missing)?;
        }
        missing.push(row);
        Ok(())
    }

    fn obtain_one(&self, row: &Row) -> anyhow::Result<()> {
        let place = Place {
            name: &row.name,
            folder: self.places.of(row),
        };
        match &row.from {
            From::Pyenv => {
                let version = &row.version;
                return Err(hinted(
                    format!("pyenv has no Python {version}"),
                    format!("pyenv install {version}"),
                ));
            }
            From::System => return debian::install(&["python3"]),
            From::Variant { base } => {
                let found = self.find(self.matrix.row(base)?)?;
                found.with_context(|| format!("{base} could not be had"))?;
                return Ok(());
            }
            From::DebianRoot { suite, packages, .. } => root::unpack(&place, suite, packages)?,
            From::DebianSource(source) => source::build(&place, &row.version, source)?,
            From::Program { source, base } => {
                let base = self
                    .find(self.matrix.row(base)?)?
                    .with_context(|| format!("{base} could not be had"))?;
                program::compile(&place, source, &row.version, &base)?;
            }
        }
        fs::write(place.folder.join("recipe"), self.recipe(row)?)?;
        self.finish(row, &place)
    }

    /// Starts it for the first time, and declares it complete.
    fn finish(&self, row: &Row, place: &Place) -> anyhow::Result<()> {
        let mark = place.folder.join("version");
        fs::write(&mark, "").with_context(|| format!("cannot write {}", mark.display()))?;
        let found = self.matrix.find(row, &self.places)?;
        fs::remove_file(&mark)?;
        let found = found.context("what was obtained is not found")?;
        let mut command = match &found.root {
            Some(root) => {
                let words = matrix::words_in_root(root, &found.program);
                let mut command = command::as_root(words[0].as_ref())?;
                command.args(&words[1..]);
                command
            }
            None => Command::new(&found.program),
        };
        let version = matrix::said_version(&mut command)?;
        let wanted = format!("{}.", row.version);
        if !version.starts_with(&wanted) {
            bail!("it is Python {version}, not {}", row.version);
        }
        // All of it at once: a reader finds the whole version or none.
        let partial = place.folder.join("version.partial");
        fs::write(&partial, &version)?;
        fs::rename(&partial, &mark)?;
        eprintln!("pythons: {} is Python {version}", row.name);
        Ok(())
    }
}

/// Where a row's interpreter goes.
struct Place<'a> {
    name: &'a str,
    folder: std::path::PathBuf,
}

impl Place<'_> {
    /// An empty folder beside it to work in. What an earlier, stopped run left is removed.
    fn scratch(&self) -> anyhow::Result<std::path::PathBuf> {
        let scratch = self.folder.with_file_name(format!("{}.partial", self.name));
        remove(&scratch)?;
        fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
        Ok(scratch)
    }

    /// Puts a finished folder in place of what was there.
    fn replace_by(&self, finished: &Path) -> anyhow::Result<()> {
        remove(&self.folder)?;
        fs::rename(finished, &self.folder).with_context(|| format!("cannot create {}", self.folder.display()))
    }

    fn say(&self, text: &str) {
        eprintln!("pythons: {}: {text}", self.name);
    }
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// For an announcement.
fn steps(missing: &[&Row]) -> Vec<Step> {
    let steps = missing
        .iter()
        .map(|row| Step::new(step_name(row), format!("obtain {}: {}", row.name, plan(row))));
    steps.collect()
}

fn step_name(row: &Row) -> String {
    format!("obtain {}", row.name)
}

/// What will be done.
fn plan(row: &Row) -> String {
    match &row.from {
        From::Pyenv => "a build of pyenv's, which is not made from here".to_owned(),
        From::System => "Debian's package python3 (apt-get install)".to_owned(),
        From::DebianRoot { suite, packages, .. } => format!(
            "{} of Debian {suite} with all it needs, unpacked",
            packages.join(" and ")
        ),
        From::DebianSource(source) => format!("{} of Debian {}, built", source.package, source.suite),
        From::Program { source, .. } => format!("tests/programs/{source}, compiled"),
        From::Variant { base } => format!("needs {base}"),
    }
}

/// Held while interpreters are obtained: checkouts share the folder.
fn lock(folder: &Path) -> anyhow::Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let path = folder.join(".lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    if let Err(error) = file.try_lock() {
        anyhow::ensure!(
            matches!(error, TryLockError::WouldBlock),
            "cannot lock {}",
            path.display()
        );
        eprintln!("pythons: waiting for another checkout that is obtaining some");
        file.lock()?;
    }
    Ok(file)
}
