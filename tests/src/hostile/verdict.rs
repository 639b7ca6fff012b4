//! What is allowed: of one row, and of all of them together.

use std::time::Duration;

use super::attack::Attack;
use super::trial::Measured;

/// Peak memory, against that of a recording without an attack.
pub const MEMORY_RATIO: f64 = 1.1;
/// A deviation of the samples beyond this many standard deviations is no chance: 1 in 150,000.
pub const MOST_SIGMA: f64 = 4.5;
/// The average of all deviations, in standard errors.
pub const MOST_AVERAGE: f64 = 3.0;
/// CPU time of the innocent program without a sample; 2 ms lie between two of them on average.
pub const LONGEST_GAP: Duration = Duration::from_millis(100);
/// `ps`, `dump` and `doctor`.
pub const LONGEST_COMMAND: Duration = Duration::from_secs(10);

/// What is wrong with a row; empty if nothing is.
#[must_use]
pub fn breaches(attack: &Attack, measured: &Measured, quiet_bytes: u64) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut check = |is_right: bool, text: String| {
        if !is_right {
            breaches.push(text);
        }
    };
    let sigma = measured.sigma();
    check(
        sigma.abs() <= MOST_SIGMA,
        format!(
            "{} samples, {:.0} due ({sigma:+.1} sigma)",
            measured.samples, measured.due
        ),
    );
    let allowed = quiet_bytes as f64 * MEMORY_RATIO + (attack.allowed.extra_mib << 20) as f64;
    check(
        measured.peak_bytes as f64 <= allowed,
        format!(
            "{} MiB, {:.0} allowed",
            measured.peak_bytes >> 20,
            allowed / f64::from(1 << 20)
        ),
    );
    check(
        measured.longest_gap <= LONGEST_GAP,
        format!("no sample in {:?} of CPU time", measured.longest_gap),
    );
    check(
        measured.ending <= attack.allowed.ending,
        format!("the end took {:?}", measured.ending),
    );
    check(
        measured.command <= LONGEST_COMMAND,
        format!("another command took {:?}", measured.command),
    );
    breaches
}

/// How far the deviations of all rows are from 0 on average, in standard errors.
#[must_use]
pub fn average(sigmas: &[f64]) -> f64 {
    sigmas.iter().sum::<f64>() / (sigmas.len() as f64).sqrt().max(1.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{average, breaches};
    use crate::hostile::attack::{Allowed, Attack, Whom};
    use crate::hostile::trial::Measured;

    const ATTACK: Attack = Attack::new("one", Whom::Nobody, "what", &["true"]);

    fn measured() -> Measured {
        Measured {
            samples: 1480,
            due: 1500.0,
            peak_bytes: 104 << 20,
            longest_gap: Duration::from_millis(9),
            ending: Duration::from_millis(300),
            command: Duration::from_secs(1),
            taken: 0.0,
        }
    }

    #[test]
    fn what_is_allowed_passes_and_each_thing_that_is_not_is_named() {
        assert!(breaches(&ATTACK, &measured(), 100 << 20).is_empty());
        let worse: [fn(&mut Measured); 5] = [
            |row| row.samples = 1000,
            |row| row.peak_bytes = 120 << 20,
            |row| row.longest_gap = Duration::from_millis(300),
            |row| row.ending = Duration::from_secs(11),
            |row| row.command = Duration::from_secs(11),
        ];
        for change in worse {
            let mut row = measured();
            change(&mut row);
            assert_eq!(breaches(&ATTACK, &row, 100 << 20).len(), 1);
        }
    }

    #[test]
    fn a_budget_allows_more_memory() {
        let attack = ATTACK.allowed(Allowed::USUAL.memory(20, "why"));
        let row = Measured {
            peak_bytes: 125 << 20,
            ..measured()
        };
        assert!(breaches(&attack, &row, 100 << 20).is_empty());
    }

    #[test]
    fn a_small_bias_of_every_row_shows_in_the_average() {
        assert!(average(&[0.5; 60]) > 3.0);
        assert!(average(&[1.0, -1.2, 0.4, 0.1]).abs() < 1.0);
    }
}
