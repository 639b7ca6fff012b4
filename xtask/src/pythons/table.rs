//! The list of interpreters, for people.

use test_pythons::Selection;
use test_pythons::matrix::{From, Row};

use super::{Pythons, plan};

pub(super) fn print(pythons: &Pythons, rows: &[&Row]) -> anyhow::Result<()> {
    let mut lines = vec![["name", "found", "tested", "traits", "from"].map(str::to_owned)];
    for row in rows {
        let found = pythons.find(row)?;
        lines.push([
            row.name.clone(),
            found.map_or_else(|| "-".to_owned(), |found| found.version),
            tiers(row),
            row.traits
                .iter()
                .map(|one| one.name())
                .collect::<Vec<_>>()
                .join(","),
            match &row.from {
                From::Pyenv => "pyenv".to_owned(),
                From::System => "/usr/bin/python3".to_owned(),
                From::Variant { base } => {
                    let env = row.env.iter().map(|(name, value)| format!("{name}={value}"));
                    format!("{base} with {}", env.collect::<Vec<_>>().join(" "))
                }
                _ => plan(row),
            },
        ]);
    }
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    for [name, found, tested, traits, from] in &lines {
        println!(
            "{name:0$}  {found:1$}  {tested:2$}  {traits:3$}  {from}",
            widths[0], widths[1], widths[2], widths[3]
        );
    }
    Ok(())
}

/// Of `cargo xtask test`; without an option it is `test`.
fn tiers(row: &Row) -> String {
    let tiers = [
        (Selection::Own, "quick"),
        (Selection::Ci, "test"),
        (Selection::Every, "full"),
    ];
    let has = tiers.into_iter().filter(|(selection, _)| selection.has(row));
    has.map(|(_, tier)| tier).collect::<Vec<_>>().join(",")
}
