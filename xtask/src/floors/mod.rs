//! Which part of `profiler-user` may use which: dependencies point downwards, and no two files use each other, not even by
//! way of others. Part of `cargo xtask tidy`.
//!
//! The floors are those of the table in `ARCHITECTURE.md`. The sources are read as the compiler resolves them, as far as
//! that takes no types: `use` declarations, paths, re-exports. A method that another file adds to a type is not seen. Tests
//! may use anything.

mod circles;
mod modules;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, ensure};

use self::modules::{Modules, Use};

/// Where the sources are.
const SOURCES: &str = "profiler-user/src";
/// Where the floors are told.
const MAP: &str = "ARCHITECTURE.md";

/// One file uses another: how it says so.
type Uses = BTreeMap<(String, String), String>;

/// The floor of each folder and file right below the sources, 1 for the lowest.
type Floors = BTreeMap<String, u32>;

/// What breaks the rules.
pub(crate) fn breaches(root: &Path) -> anyhow::Result<Vec<String>> {
    let map = std::fs::read_to_string(root.join(MAP)).with_context(|| format!("cannot read {MAP}"))?;
    let floors = floors(&map)?;
    let modules = Modules::read(&root.join(SOURCES))?;
    Ok(judge(&modules.uses(), &floors))
}

/// The table whose first column is `floor`.
fn floors(map: &str) -> anyhow::Result<Floors> {
    let rows = map.lines().skip_while(|line| !line.starts_with("| floor |"));
    let mut floors = Floors::new();
    for row in rows.take_while(|line| line.starts_with('|')).skip(2) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, number, names, ..] = cells[..] else {
            continue;
        };
        let number = number
            .parse()
            .with_context(|| format!("{MAP}: no floor: {row}"))?;
        // Every other part is between backticks.
        for name in names.split('`').skip(1).step_by(2) {
            let folder = name.split('/').next().unwrap_or(name);
            let is_new = floors.insert(folder.to_owned(), number).is_none();
            ensure!(is_new, "{MAP}: `{folder}` stands on two floors");
        }
    }
    ensure!(!floors.is_empty(), "{MAP} has no table of floors");
    Ok(floors)
}

fn judge(uses: &[Use], floors: &Floors) -> Vec<String> {
    let mut breaches = BTreeSet::new();
    let mut within = Uses::new();
    for used in uses {
        breaches.extend(upwards(used, floors));
        // Who only hands a name on does not depend on it.
        if !used.is_re_export {
            let edge = (used.from.clone(), used.to.clone());
            within.entry(edge).or_insert_with(|| used.path.clone());
        }
    }
    let circles = circles::find(&within);
    breaches.extend(
        circles
            .into_iter()
            .map(|circle| format!("{SOURCES}: a circle: {circle}")),
    );
    breaches.into_iter().collect()
}

/// What is wrong with a use of another folder.
fn upwards(used: &Use, floors: &Floors) -> Option<String> {
    let (from, to) = (folder(&used.from), folder(&used.to));
    // The root of the crate and the program only put it together.
    if from == to || matches!(from, "lib" | "main") {
        return None;
    }
    let missing = [from, to]
        .into_iter()
        .find(|folder| !floors.contains_key(*folder));
    if let Some(folder) = missing {
        return Some(format!(
            "{SOURCES}: `{folder}` stands on no floor of the table in {MAP}"
        ));
    }
    (floors.get(from) <= floors.get(to)).then(|| {
        format!(
            "{SOURCES}/{}: uses `{}`, which is not below `{from}`",
            used.from, used.path
        )
    })
}

/// The folder right below the sources, or the file without its suffix.
fn folder(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::modules::Modules;
    use super::{floors, judge};

    const MAP: &str = "| file | what it is |\n|---|---|\n| `x` | |\n\n\
        | floor | folder or file | what it is |\n|---|---|---|\n\
        | 1 | `ids`, `clock` | names |\n| 2 | `elf` | |\n| 3 | `proc` | |\n| 4 | `language/python` | `recognise` |\n\
        | 5 | `native` | |\n\n| 9 | `other` |\n";

    /// The breaches of a crate of these files.
    fn breaches(files: &[(&str, &str)]) -> Vec<String> {
        let directory = std::env::temp_dir().join(format!(
            "pyebpf-floors-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        for (name, text) in files {
            let path = directory.join(name);
            std::fs::create_dir_all(path.parent().expect("below the directory")).expect("writable");
            std::fs::write(path, text).expect("writable");
        }
        let found = Modules::read(&directory).expect("valid").uses();
        std::fs::remove_dir_all(&directory).expect("writable");
        judge(&found, &floors(MAP).expect("a table"))
    }

    const LIB: &str = "pub mod ids;\npub mod proc;\npub mod native;\npub mod language;\n";

    #[test]
    fn arrows_downwards_are_fine_and_arrows_upwards_are_named() {
        let down = [
            ("lib.rs", LIB),
            ("ids.rs", "pub struct Key;"),
            ("proc.rs", "use crate::ids::Key; pub fn find(_: Key) {}"),
            ("language.rs", "pub fn f() { crate::proc::find(todo) }"),
            (
                "native.rs",
                "use crate::{ids::Key, proc}; fn f() { proc::find(Key) }",
            ),
        ];
        assert_eq!(breaches(&down), Vec::<String>::new());
        for up in [
            "use crate::native::unwind;",
            "fn f() { crate::native::unwind() }",
            "use crate::{ids, native::{self, unwind as other}};",
            "use crate::native; fn f(_: native::Kind) {}",
            "pub use crate::native::unwind;",
            "fn f() { call!(crate::native::unwind()) }",
        ] {
            let files = [
                ("lib.rs", LIB),
                ("ids.rs", ""),
                ("proc.rs", up),
                ("language.rs", ""),
                ("native.rs", "pub fn unwind() {} pub struct Kind;"),
            ];
            let found = breaches(&files);
            assert!(
                matches!(&found[..], [breach] if breach.contains("proc.rs") && breach.contains("native")),
                "{up}: {found:?}"
            );
        }
    }

    #[test]
    fn what_a_test_uses_does_not_count() {
        let files = [
            ("lib.rs", LIB),
            ("ids.rs", "#[cfg(test)]\nmod tests { use crate::native::unwind; }"),
            (
                "proc.rs",
                "#[cfg(test)]\nuse crate::native::unwind;\n#[cfg(test)] mod tests;",
            ),
            ("proc/tests.rs", "use crate::native::unwind;"),
            (
                "language.rs",
                "#[cfg(test)] impl X { fn f() { crate::native::unwind() } }",
            ),
            ("native.rs", "pub fn unwind() {}"),
        ];
        assert_eq!(breaches(&files), Vec::<String>::new());
    }

    #[test]
    fn files_that_use_each_other_are_a_circle_and_names_handed_on_are_not() {
        let facade = [
            ("lib.rs", "pub mod elf;"),
            (
                "elf/mod.rs",
                "mod one; mod two; pub use one::One; pub use two::*;",
            ),
            ("elf/one.rs", "use super::Two; pub struct One(Two);"),
            ("elf/two.rs", "pub struct Two;"),
        ];
        assert_eq!(breaches(&facade), Vec::<String>::new());
        let circle = [
            ("lib.rs", "pub mod elf;"),
            (
                "elf/mod.rs",
                "mod one; mod two; pub use one::One; pub use two::*;",
            ),
            ("elf/one.rs", "use super::Two; pub struct One(Two);"),
            ("elf/two.rs", "pub struct Two(Box<super::one::One>);"),
        ];
        let found = breaches(&circle);
        assert!(
            matches!(&found[..], [breach] if breach.contains("elf/one.rs") && breach.contains("elf/two.rs")),
            "{found:?}"
        );
    }

    #[test]
    fn neighbours_on_a_floor_and_folders_without_one_are_named() {
        let files = [
            ("lib.rs", "pub mod ids; pub mod clock; pub mod attic;"),
            ("ids.rs", "use crate::clock::now;"),
            ("clock.rs", "pub fn now() {}"),
            ("attic.rs", "use crate::clock::now;"),
        ];
        let found = breaches(&files);
        assert!(
            matches!(&found[..], [one, other] if one.contains("ids.rs") && other.contains("attic")),
            "{found:?}"
        );
    }

    #[test]
    fn the_floors_are_those_of_the_table() {
        let found = floors(MAP).expect("a table");
        let expected = [
            ("clock", 1),
            ("elf", 2),
            ("ids", 1),
            ("language", 4),
            ("native", 5),
            ("proc", 3),
        ];
        assert!(
            found.iter().map(|(name, floor)| (&**name, *floor)).eq(expected),
            "{found:?}"
        );
        assert!(floors("no table").is_err());
        assert!(floors(&MAP.replace("`proc`", "`proc`, `elf`")).is_err());
    }
}
