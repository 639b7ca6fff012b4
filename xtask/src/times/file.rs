//! Files of times: TOML with one line for each step, so that a difference is readable.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

const HEAD: &str = "\
# How long steps of `cargo xtask` took where they were last measured, by the clock on the wall, in seconds.
# Written by `cargo xtask times --update`; not by hand, and nothing is estimated.

[steps]
";

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Time {
    /// Rounded up.
    pub(crate) seconds: u64,
    /// `2026-01-31`.
    pub(crate) date: String,
    /// What kind of machine it was.
    pub(crate) machine: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    steps: BTreeMap<String, Time>,
}

/// Nothing, when there is no such file.
pub(super) fn read(path: &Path) -> anyhow::Result<BTreeMap<String, Time>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    parse(&text).with_context(|| format!("{} is not as `cargo xtask times` writes it", path.display()))
}

pub(super) fn parse(text: &str) -> anyhow::Result<BTreeMap<String, Time>> {
    let file: File = toml::from_str(text)?;
    Ok(file.steps)
}

/// A reader finds the old file or the new one.
pub(super) fn write(path: &Path, steps: &BTreeMap<String, Time>) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    fs::write(&partial, text(steps)).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
}

pub(super) fn text(steps: &BTreeMap<String, Time>) -> String {
    let mut text = HEAD.to_owned();
    for (name, time) in steps {
        let Time {
            seconds,
            date,
            machine,
        } = time;
        let (name, date, machine) = (quoted(name), quoted(date), quoted(machine));
        // Writing to a text cannot fail.
        let _ = writeln!(
            text,
            "{name} = {{ seconds = {seconds}, date = {date}, machine = {machine} }}"
        );
    }
    text
}

/// A basic string of TOML. What would need an escape says nothing about a machine, and is left out.
fn quoted(text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '"' | '\\'))
        .collect();
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let time = Time {
            seconds: 75,
            date: "2026-01-31".to_owned(),
            machine: "2 CPUs (AMD EPYC), 23 GiB".to_owned(),
        };
        let steps = BTreeMap::from([("obtain 3.13t-built".to_owned(), time)]);
        let folder = std::env::temp_dir().join(format!("pyebpf-times-{}", std::process::id()));
        let path = folder.join("times.toml");
        assert!(read(&path).expect("no file is no times").is_empty());
        write(&path, &steps).expect("a temporary folder");
        let back = read(&path);
        fs::remove_dir_all(&folder).expect("a temporary folder");
        assert_eq!(back.expect("as written"), steps);
    }

    #[test]
    fn a_name_that_would_end_its_text_is_cut_short() {
        assert_eq!(quoted("a\"b\\c\n"), "\"abc\"");
    }
}
