//! What a verb is going to do, said before it starts: each step with the time it took where it was last measured.
//!
//! Only words; the steps are done by those who announce them.

use std::collections::BTreeMap;

use crate::times::{self, Times};

/// One step.
pub(crate) struct Step {
    /// What it is called in the file of times: `obtain 3.13-musl`.
    pub(crate) name: String,
    /// For people: `obtain 3.13-musl: python3.13 of Debian trixie, built`.
    pub(crate) text: String,
}

impl Step {
    pub(crate) fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }
}

/// Prints the steps on stderr, each line after `by: `. Silent when there is none.
pub(crate) fn announce(by: &str, heading: &str, steps: &[Step]) -> anyhow::Result<()> {
    for line in lines(heading, steps, &Times::open()?) {
        eprintln!("{by}: {line}");
    }
    Ok(())
}

fn lines(heading: &str, steps: &[Step], times: &Times) -> Vec<String> {
    if steps.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![heading.to_owned()];
    // When it was measured on each kind of machine: first and last day.
    let mut places: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let (mut sum, mut unknown) = (0, 0);
    for step in steps {
        let time = match times.of(&step.name) {
            Some(time) => {
                let days = places.entry(&time.machine).or_insert((&time.date, &time.date));
                *days = (days.0.min(&time.date), days.1.max(&time.date));
                sum += time.seconds;
                times::text(time.seconds)
            }
            None => {
                unknown += 1;
                "not measured yet".to_owned()
            }
        };
        lines.push(format!("  {} ({time})", step.text));
    }
    if !places.is_empty() {
        let more = if unknown == 0 {
            String::new()
        } else {
            format!(" and {unknown} that were not measured yet")
        };
        let places = places.into_iter().map(|(machine, (first, last))| {
            let until = if first == last {
                String::new()
            } else {
                format!(" to {last}")
            };
            format!("{machine}, {first}{until}")
        });
        let places: Vec<String> = places.collect();
        lines.push(format!(
            "together {}{more}; times as last measured on {}",
            times::text(sum),
            places.join("; ")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_its_time_and_where_it_was_measured_or_says_that_there_is_none() {
        let times = Times::parse(
            "[steps]\n\"build\" = { seconds = 90, date = \"2026-01-31\", machine = \"2 CPUs\" }\n\
             \"run\" = { seconds = 40, date = \"2026-01-31\", machine = \"2 CPUs\" }\n",
        );
        let steps = ["build", "run", "fuzz"].map(|name| Step::new(name, name.to_uppercase()));
        let expected = [
            "to do:",
            "  BUILD (1 min 30 s)",
            "  RUN (40 s)",
            "  FUZZ (not measured yet)",
            "together 2 min 10 s and 1 that were not measured yet; times as last measured on 2 CPUs, 2026-01-31",
        ];
        assert_eq!(lines("to do:", &steps, &times), expected);
    }

    #[test]
    fn nothing_to_do_is_not_announced() {
        assert!(lines("to do:", &[], &Times::parse("[steps]\n")).is_empty());
    }
}
