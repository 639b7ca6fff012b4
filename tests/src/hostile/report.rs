//! The campaign, and the table of `docs/hostile.md`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::attack::{Against, Attack};
use super::attacks::KINDS;
use super::trial::{self, Measured};
use super::verdict::{MOST_AVERAGE, average, breaches};
use super::workshop::Workshop;

/// How often a recording without an attack is measured, for its memory.
const QUIET_RUNS: usize = 3;
/// A row that is wrong is run again if the host took more than this share of the CPUs' time from this machine.
const MOST_TAKEN: f64 = 0.02;

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// Of which attack.
    pub attack: &'static Attack,
    /// What was measured, if it came to that.
    pub measured: Option<Measured>,
    /// What is wrong; empty if nothing is.
    pub breaches: Vec<String>,
}

/// What is stated for an attack, for people.
fn budget(attack: &Attack) -> String {
    match attack.allowed.extra_mib {
        0 => String::new(),
        mib => format!(" (budget {mib} MiB more: {})", attack.allowed.because),
    }
}

/// The same for its end.
fn late(attack: &Attack) -> String {
    match attack.allowed.late_because {
        "" => String::new(),
        because => format!(" (at most {} s: {because})", attack.allowed.ending.as_secs()),
    }
}

/// Recordings that take different amounts of memory without an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Quiet {
    Usual,
    Wall,
    Formats,
}

impl Quiet {
    fn of(against: Against) -> Self {
        match against {
            Against::Wall => Self::Wall,
            Against::Formats => Self::Formats,
            Against::Recording | Against::Dump | Against::Doctor | Against::Output => Self::Usual,
        }
    }
}

/// Runs attacks, one after another.
#[derive(Debug)]
pub struct Campaign {
    workshop: Workshop,
    quiet: BTreeMap<Quiet, u64>,
    rows: Vec<Row>,
}

impl Campaign {
    /// Prepares.
    ///
    /// # Errors
    /// When something that attacks need is missing.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self {
            workshop: Workshop::new()?,
            quiet: BTreeMap::new(),
            rows: Vec::new(),
        })
    }

    /// Runs one; what is wrong is part of the row.
    ///
    /// # Errors
    /// When a recording without an attack fails.
    pub fn run(&mut self, attack: &'static Attack) -> anyhow::Result<&Row> {
        let mut quiet_bytes = self.quiet_bytes(attack.against)?;
        let mut row = self.once(attack, quiet_bytes);
        if let Some(measured) = row.measured.as_ref().filter(|_| !row.breaches.is_empty()) {
            // A recording of all processes takes more on a host that is busier by now.
            let is_disturbed = measured.taken > MOST_TAKEN;
            let now = trial::run(&self.workshop, None, attack.against)?.peak_bytes;
            if is_disturbed || now > quiet_bytes {
                eprintln!("hostile: {} is run again: the host has changed", attack.name);
                quiet_bytes = quiet_bytes.max(now);
                self.quiet.insert(Quiet::of(attack.against), quiet_bytes);
                row = self.once(attack, quiet_bytes);
            }
        }
        self.rows.push(row);
        Ok(&self.rows[self.rows.len() - 1])
    }

    fn once(&self, attack: &'static Attack, quiet_bytes: u64) -> Row {
        let measured = trial::run(&self.workshop, Some(attack), attack.against);
        let (measured, breaches) = match measured {
            Ok(measured) => {
                let breaches = breaches(attack, &measured, quiet_bytes);
                (Some(measured), breaches)
            }
            Err(error) => (None, vec![format!("{error:#}")]),
        };
        Row {
            attack,
            measured,
            breaches,
        }
    }

    /// What a recording without an attack takes at most.
    fn quiet_bytes(&mut self, against: Against) -> anyhow::Result<u64> {
        let quiet = Quiet::of(against);
        if let Some(bytes) = self.quiet.get(&quiet) {
            return Ok(*bytes);
        }
        let mut most = 0;
        for _ in 0..QUIET_RUNS {
            most = trial::run(&self.workshop, None, against)?.peak_bytes.max(most);
        }
        self.quiet.insert(quiet, most);
        Ok(most)
    }

    /// The rows so far.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Memory of a recording without an attack, as it was measured; 0 if it was not.
    fn quiet_of(&self, attack: &Attack) -> u64 {
        self.quiet.get(&Quiet::of(attack.against)).copied().unwrap_or(0)
    }

    /// The average deviation of the samples, in standard errors.
    #[must_use]
    pub fn average(&self) -> f64 {
        let sigmas: Vec<f64> = self
            .rows
            .iter()
            .filter_map(|row| Some(row.measured.as_ref()?.sigma()))
            .collect();
        average(&sigmas)
    }

    /// Everything that is wrong.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        let of_row = |row: &Row| {
            let name = row.attack.name;
            row.breaches
                .iter()
                .map(move |breach| format!("{name}: {breach}"))
                .collect::<Vec<_>>()
        };
        let mut all: Vec<String> = self.rows.iter().flat_map(of_row).collect();
        let average = self.average();
        if average.abs() > MOST_AVERAGE {
            all.push(format!(
                "all rows: the samples are {average:+.1} standard errors from those due on average"
            ));
        }
        all
    }

    /// The tables, a heading for each kind.
    #[must_use]
    pub fn tables(&self) -> String {
        let mut text = String::new();
        for kind in KINDS {
            let of_kind = |row: &&Row| kind.attacks.iter().any(|attack| attack.name == row.attack.name);
            let rows: Vec<&Row> = self.rows.iter().filter(of_kind).collect();
            if rows.is_empty() {
                continue;
            }
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "### {}\n\n| attack | what it does | as | samples of those due | memory | longest gap | end | |\n\
                 |---|---|---|---|---|---|---|---|\n",
                kind.heading
            );
            for row in rows {
                text.push_str(&self.line(row));
            }
            text.push('\n');
        }
        text
    }

    fn line(&self, row: &Row) -> String {
        let Attack { name, what, whom, .. } = row.attack;
        let result = if row.breaches.is_empty() {
            "ok".to_owned()
        } else {
            let text = row.breaches.join("; ").replace('|', "\\|");
            format!("**{}**", text.lines().next().unwrap_or_default())
        };
        let numbers = row.measured.as_ref().map_or(" | | | ".to_owned(), |measured| {
            let quiet = self.quiet_of(row.attack).max(1);
            format!(
                "{} of {:.0} ({:+.1} sigma) | {:.2}x{} | {} ms | {:.1} s{}",
                measured.samples,
                measured.due,
                measured.sigma(),
                measured.peak_bytes as f64 / quiet as f64,
                budget(row.attack),
                measured.longest_gap.as_millis(),
                measured.ending.as_secs_f64(),
                late(row.attack)
            )
        });
        format!("| {name} | {what} | {} | {numbers} | {result} |\n", whom.text())
    }

    /// What all rows come to.
    #[must_use]
    pub fn summary(&self) -> String {
        let right = self.rows.iter().filter(|row| row.breaches.is_empty()).count();
        let quiet = self.quiet.get(&Quiet::Usual).copied().unwrap_or(0) as f64 / f64::from(1 << 20);
        format!(
            "{right} of {} attacks cost nobody else anything. The innocent program's samples are {:+.1} standard errors from \
             those due on average. Without an attack the recording takes {quiet:.0} MiB.",
            self.rows.len(),
            self.average()
        )
    }
}
