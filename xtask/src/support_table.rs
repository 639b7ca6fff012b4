//! The README's table of what works on which version of Python: made of what the live tests noted, never by hand.
//!
//! A test notes a line `VERSION<TAB>COLUMN<TAB>yes|no<TAB>INTERPRETER<TAB>TEST` in the file that the environment variable
//! [`CELLS`] names (`tests/src/matrix/cells.rs`). A cell is `yes` only when every test of it passed on every build of that
//! version in this run, `no` when one failed, and `-` when none ran. Only a run of every Python writes the table; the others
//! compare it with what they tested.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::workspace;

/// Environment variable of the tests.
pub(crate) const CELLS: &str = "PYEBPF_SUPPORT_CELLS";

/// In the order of the table; the names are those of `tests/src/matrix/cells.rs`.
const COLUMNS: &[&str] = &[
    "function",
    "file",
    "line",
    "qualified name",
    "GIL state",
    "generator",
    "subinterpreter",
    "free-threaded",
    "musl",
    "static",
];

const BEGIN: &str = "<!-- what works: written by `cargo xtask test --full --update-table` -->\n";
const END: &str = "<!-- end of what works -->\n";

type Version = (u32, u32);
type Row = BTreeMap<String, bool>;

/// The file for this run's notes, empty.
pub(crate) fn begin() -> anyhow::Result<PathBuf> {
    let path = workspace::target_dir()?.join("support-cells.tsv");
    fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

/// Prints the table of this run, and compares the README's with it or writes it there.
pub(crate) fn end(cells: &Path, update: bool) -> anyhow::Result<()> {
    let notes = fs::read_to_string(cells).with_context(|| format!("cannot read {}", cells.display()))?;
    let rows = read_notes(&notes)?;
    println!("\n{}", markdown(&rows));
    let path = workspace::root().join("README.md");
    let readme = fs::read_to_string(&path).context("cannot read README.md")?;
    let (before, old, after) = split(&readme)?;
    if update {
        let text = format!("{before}{}{after}", markdown(&rows));
        fs::write(&path, text).context("cannot write README.md")?;
        eprintln!("test: README.md has this table now");
        return Ok(());
    }
    let differences = differences(&read_markdown(old), &rows);
    if !differences.untested.is_empty() {
        eprintln!(
            "test: README.md says more than was tested here (cargo xtask test --full): {}",
            differences.untested.join("; ")
        );
    }
    if !differences.wrong.is_empty() {
        bail!(
            "README.md does not agree with the tests: {} (cargo xtask test --full --update-table)",
            differences.wrong.join(", ")
        );
    }
    eprintln!("test: README.md agrees with what was tested here");
    Ok(())
}

fn read_notes(notes: &str) -> anyhow::Result<BTreeMap<Version, Row>> {
    let mut rows: BTreeMap<Version, Row> = BTreeMap::new();
    for line in notes.lines() {
        let [version, column, passed, ..] = line.split('\t').collect::<Vec<_>>()[..] else {
            bail!("not a note: {line:?}");
        };
        let version = parse_version(version).with_context(|| format!("no version in {line:?}"))?;
        if !COLUMNS.contains(&column) {
            bail!("no such column: {line:?}");
        }
        let cell = rows
            .entry(version)
            .or_default()
            .entry(column.to_owned())
            .or_insert(true);
        *cell &= passed == "yes";
    }
    Ok(rows)
}

fn parse_version(text: &str) -> Option<Version> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn markdown(rows: &BTreeMap<Version, Row>) -> String {
    let mut text = format!(
        "| Python | {} |\n|---|{}\n",
        COLUMNS.join(" | "),
        "---|".repeat(COLUMNS.len())
    );
    for ((major, minor), row) in rows {
        let cells: Vec<&str> = COLUMNS
            .iter()
            .map(|column| match row.get(*column) {
                Some(true) => "yes",
                Some(false) => "no",
                None => "-",
            })
            .collect();
        text += &format!("| {major}.{minor} | {} |\n", cells.join(" | "));
    }
    text
}

fn read_markdown(table: &str) -> BTreeMap<Version, Row> {
    let mut lines = table.lines().map(|line| {
        line.trim_matches('|')
            .split('|')
            .map(str::trim)
            .collect::<Vec<_>>()
    });
    let header = lines.next().unwrap_or_default();
    let mut rows = BTreeMap::new();
    for line in lines {
        let Some(version) = line.first().and_then(|text| parse_version(text)) else {
            continue;
        };
        let cells = header.iter().zip(&line).skip(1);
        let row = cells
            .filter(|(_, cell)| **cell != "-")
            .map(|(column, cell)| ((*column).to_owned(), *cell == "yes"))
            .collect();
        rows.insert(version, row);
    }
    rows
}

/// The README before the table, the table, and what follows; the marks belong to their sides.
fn split(readme: &str) -> anyhow::Result<(&str, &str, &str)> {
    let start = readme
        .find(BEGIN)
        .context("README.md has no place for the table")?
        + BEGIN.len();
    let rest = &readme[start..];
    let length = rest.find(END).context("the table in README.md has no end")?;
    Ok((&readme[..start], &rest[..length], &rest[length..]))
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    /// Tested here, with another result.
    wrong: Vec<String>,
    /// Promised, and not tested here: the interpreter or build is missing, or of another tier. A text for each version:
    /// `3.6`, or `3.13 musl, static` where the others were tested.
    untested: Vec<String>,
}

fn differences(promised: &BTreeMap<Version, Row>, tested: &BTreeMap<Version, Row>) -> Differences {
    let mut differences = Differences::default();
    let versions: BTreeSet<&Version> = promised.keys().chain(tested.keys()).collect();
    for version in versions {
        let mut untested = Vec::new();
        for column in COLUMNS {
            let cell =
                |rows: &BTreeMap<Version, Row>| rows.get(version).and_then(|row| row.get(*column)).copied();
            let text = format!("{}.{} {column}", version.0, version.1);
            match (cell(promised), cell(tested)) {
                (Some(true), None) => untested.push(*column),
                (_, None) => {}
                (promised, tested) if promised == tested => {}
                (_, Some(_)) => differences.wrong.push(text),
            }
        }
        if !untested.is_empty() {
            let columns = if tested.contains_key(version) {
                format!(" {}", untested.join(", "))
            } else {
                String::new()
            };
            differences
                .untested
                .push(format!("{}.{}{columns}", version.0, version.1));
        }
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTES: &str = "3.9\tfunction\tyes\t3.9.18-pyenv\trecursion\n\
                         3.9\tfunction\tno\t3.9.2-debian\trecursion\n\
                         3.10\tfunction\tyes\t3.10.13-pyenv\trecursion\n\
                         3.10\tstatic\tyes\t3.10.13-pyenv\trecursion\n";

    #[test]
    fn a_cell_is_yes_only_where_every_test_of_it_passed() {
        let rows = read_notes(NOTES).expect("well-formed");
        let text = markdown(&rows);
        assert!(text.contains("| 3.9 | no | - |"), "{text}");
        assert!(
            text.ends_with("| 3.10 | yes | - | - | - | - | - | - | - | - | yes |\n"),
            "{text}"
        );
        assert_eq!(read_markdown(&text), rows);
    }

    #[test]
    fn a_promise_that_failed_or_is_missing_is_wrong_and_one_that_was_not_tested_is_named() {
        let tested = read_notes(NOTES).expect("well-formed");
        let mut promised = tested.clone();
        assert_eq!(differences(&promised, &tested), Differences::default());
        promised.insert((3, 11), Row::from([("line".to_owned(), true)]));
        promised
            .entry((3, 9))
            .or_default()
            .insert("musl".to_owned(), true);
        promised
            .entry((3, 9))
            .or_default()
            .insert("function".to_owned(), true);
        promised.entry((3, 10)).or_default().remove("static");
        let found = differences(&promised, &tested);
        assert_eq!(found.untested, ["3.9 musl", "3.11"]);
        assert_eq!(found.wrong, ["3.9 function", "3.10 static"]);
    }

    #[test]
    fn the_readme_has_a_table_with_every_column() {
        let readme = fs::read_to_string(workspace::root().join("README.md")).expect("a README");
        let (_, table, _) = split(&readme).expect("marks");
        let rows = read_markdown(table);
        assert!(!rows.is_empty());
        assert_eq!(
            markdown(&rows),
            table,
            "not as it is written by `--full --update-table`"
        );
    }

    #[test]
    fn an_unknown_column_is_an_error() {
        read_notes("3.9\tcolour\tyes\tx\ty\n").expect_err("no such column");
    }
}
