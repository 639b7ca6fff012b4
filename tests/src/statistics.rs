//! How far a measured share may be from the true one by chance, and when a whole test has to fail.
//!
//! A sample is one draw: of `n` samples, the share `p` of a function is `p n +- sqrt(p (1 - p) n)` at one standard
//! deviation (sigma). Periodic sampling does a little better, never worse, as long as it does not lock into step with the
//! program; so these bounds are safe for a correct profiler, and catch one that is biased.

/// A single deviation beyond this many sigma is a failure. By chance: 1 in 1.7 million.
pub const LIMIT: f64 = 5.0;
/// Deviations beyond this many sigma are counted.
pub const NOTABLE: f64 = 2.0;
/// Chance that one deviation is beyond [`NOTABLE`].
const NOTABLE_CHANCE: f64 = 0.0455;
/// Chance of failing a correct profiler by the count of notable deviations.
const FALSE_ALARM: f64 = 1e-5;

/// What was measured against what is true, in sigma.
#[derive(Clone, Debug, Default)]
pub struct Deviations {
    rows: Vec<(String, f64)>,
}

impl Deviations {
    /// Compares `hits` of `total` samples with the true share.
    pub fn share(&mut self, what: impl Into<String>, hits: u64, total: u64, truth: f64) {
        let expected = truth * total as f64;
        // Below half a sample the normal approximation would turn one stray sample into an alarm.
        let sigma = (expected * (1.0 - truth)).sqrt().max(0.5);
        self.rows.push((what.into(), (hits as f64 - expected) / sigma));
    }

    /// Compares a number of samples with the number due.
    pub fn count(&mut self, what: impl Into<String>, hits: u64, due: f64) {
        self.rows
            .push((what.into(), (hits as f64 - due) / due.sqrt().max(0.5)));
    }

    /// Adds what another comparison found.
    pub fn extend(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }

    /// The largest deviation, sigma; 0 without any.
    #[must_use]
    pub fn largest(&self) -> f64 {
        self.rows.iter().map(|(_, z)| z.abs()).fold(0.0, f64::max)
    }

    /// Whether chance explains the deviations: none beyond [`LIMIT`], and not too many beyond [`NOTABLE`]. For up to a
    /// hundred comparisons a correct profiler fails this less than once in 10^4 runs.
    ///
    /// # Errors
    /// The deviations that are too large, or all when there are too many.
    pub fn verdict(&self) -> anyhow::Result<String> {
        let notable = self.rows.iter().filter(|(_, z)| z.abs() > NOTABLE).count();
        let allowed = allowed_notable(self.rows.len());
        let summary = format!(
            "{} shares: largest deviation {:.1} sigma, {notable} beyond {NOTABLE} sigma ({allowed} are chance)",
            self.rows.len(),
            self.largest()
        );
        anyhow::ensure!(!self.rows.is_empty(), "nothing was compared");
        let floor = if notable > allowed { NOTABLE } else { LIMIT };
        let wrong: Vec<String> = self
            .rows
            .iter()
            .filter(|(_, z)| z.abs() > floor)
            .map(|(what, z)| format!("{what}: {z:+.1} sigma"))
            .collect();
        anyhow::ensure!(wrong.is_empty(), "{summary}\n    {}", wrong.join("\n    "));
        Ok(summary)
    }
}

/// Notable deviations that `comparisons` have by chance: more of them are rarer than [`FALSE_ALARM`].
fn allowed_notable(comparisons: usize) -> usize {
    let n = comparisons as f64;
    let mut probability = (1.0 - NOTABLE_CHANCE).powf(n);
    let mut cumulated = probability;
    for k in 0..comparisons {
        if 1.0 - cumulated < FALSE_ALARM {
            return k;
        }
        let k = k as f64;
        probability *= (n - k) / (k + 1.0) * NOTABLE_CHANCE / (1.0 - NOTABLE_CHANCE);
        cumulated += probability;
    }
    comparisons
}

#[cfg(test)]
mod tests {
    use super::{Deviations, allowed_notable};

    #[test]
    fn chance_is_let_through_and_bias_is_not() {
        let mut fair = Deviations::default();
        fair.share("30 % of 1000", 320, 1000, 0.3);
        fair.verdict().expect("1.4 sigma");
        let mut biased = fair.clone();
        biased.share("20 % of 400, read as 0", 0, 400, 0.2);
        assert!(biased.verdict().is_err());
    }

    #[test]
    fn many_small_biases_are_caught_although_each_could_be_chance() {
        let mut biased = Deviations::default();
        for _ in 0..20 {
            biased.share("30 % of 1000, read as 34 %", 340, 1000, 0.3);
        }
        assert!(biased.largest() < 3.0);
        assert!(biased.verdict().is_err());
    }

    #[test]
    fn the_allowed_number_of_notable_deviations_follows_the_binomial_distribution() {
        // P(Binomial(20, 0.0455) > 6) = 1.9e-5, P(> 7) = 1.7e-6.
        assert_eq!(allowed_notable(20), 7);
        assert_eq!(allowed_notable(1), 1);
        assert!((10..20).contains(&allowed_notable(100)));
    }

    #[test]
    fn comparing_nothing_proves_nothing() {
        assert!(Deviations::default().verdict().is_err());
    }
}
