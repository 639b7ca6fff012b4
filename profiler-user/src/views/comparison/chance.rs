//! How likely a difference is by chance alone: exact tests of counted samples, two-sided, and their correction for the number of
//! tests. Pure numbers.
//!
//! A tail is summed term by term from what was seen outwards, at most [`MOST_TERMS`] of them; what is left is bounded from above,
//! so a probability is never too small.

/// Terms of a tail that are added up.
const MOST_TERMS: u32 = 1 << 15;
/// Counts above this are divided by a power of two: beyond it logarithms of factorials lose the digits that matter.
const LARGEST: u64 = 1 << 40;

/// The probability that `a` of `all_a` and `b` of `all_b` samples, or numbers that are less alike, come from programs with the
/// same share (Fisher's exact test; the smaller tail counts twice).
pub(super) fn of_shares((a, all_a): (u64, u64), (b, all_b): (u64, u64)) -> f64 {
    let shift = shift_of(all_a.max(all_b));
    let [a, all_a, b, all_b] =
        [a.min(all_a), all_a, b.min(all_b), all_b].map(|count| (count >> shift) as f64);
    let (hits, all) = (a + b, all_a + all_b);
    if hits == 0.0 || hits >= all || all_a == 0.0 || all_b == 0.0 {
        return 1.0;
    }
    // Of all samples, `all_b` are drawn: how many hits are among them?
    let misses = all - hits;
    let log = ln_choose(hits, b) + ln_choose(misses, all_b - b) - ln_choose(all, all_b);
    let up = |k: f64| (hits - k) * (all_b - k) / ((k + 1.0) * (misses - all_b + k + 1.0));
    two_sided(b, hits * all_b / all, log.exp(), up)
}

/// The probability that `a` and `b`, or numbers that are less alike, come from equal amounts, `share` being the part of all
/// samples that is due to `b` then (the conditional test of two Poisson rates; the smaller tail counts twice).
pub(super) fn of_amounts(a: u64, b: u64, share: f64) -> f64 {
    let shift = shift_of(a.max(b));
    let [a, b] = [a, b].map(|count| (count >> shift) as f64);
    let all = a + b;
    if all == 0.0 || share.is_nan() || share <= 0.0 || share >= 1.0 {
        return 1.0;
    }
    let log = ln_choose(all, b) + b * share.ln() + a * (-share).ln_1p();
    let odds = share / (1.0 - share);
    two_sided(b, all * share, log.exp(), |k| (all - k) / (k + 1.0) * odds)
}

/// Holm's correction: what remains of each probability when the smallest of them all could be chance as well.
pub(super) fn corrected(chances: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..chances.len()).collect();
    order.sort_by(|a, b| chances[*a].total_cmp(&chances[*b]));
    let mut corrected = vec![1.0; chances.len()];
    let mut least = 0.0f64;
    for (before, at) in order.into_iter().enumerate() {
        let left = (chances.len() - before) as f64;
        least = least.max((chances[at] * left).min(1.0));
        corrected[at] = least;
    }
    corrected
}

/// Twice the tail from `seen` away from the `mean`; `up` is the ratio of the probability of `k + 1` to that of `k`.
fn two_sided(seen: f64, mean: f64, probability: f64, up: impl Fn(f64) -> f64) -> f64 {
    let tail = if seen >= mean {
        tail(seen, probability, 1.0, &up)
    } else {
        tail(seen, probability, -1.0, |k| 1.0 / up(k - 1.0))
    };
    (2.0 * tail).min(1.0)
}

/// The sum of the probabilities from `k` on, `ratio` being that of the next one to the one at `k`. Outwards it only falls.
fn tail(mut k: f64, first: f64, step: f64, ratio: impl Fn(f64) -> f64) -> f64 {
    let (mut sum, mut term) = (0.0, first);
    for _ in 0..MOST_TERMS {
        sum += term;
        let ratio = ratio(k);
        // At the end of what is possible the ratio is 0, or 1 divided by infinity.
        if ratio.is_nan() || ratio <= 0.0 || k < 0.0 {
            return sum;
        }
        term *= ratio;
        k += step;
        if ratio < 1.0 && term / (1.0 - ratio) < sum * 1e-17 {
            return sum;
        }
    }
    let ratio = ratio(k);
    if ratio < 1.0 {
        sum + term / (1.0 - ratio)
    } else {
        1.0
    }
}

fn shift_of(largest: u64) -> u32 {
    (LARGEST.leading_zeros()).saturating_sub(largest.leading_zeros())
}

fn ln_choose(n: f64, k: f64) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// Of a whole number; Stirling's series where it is exact to the last digit.
fn ln_factorial(n: f64) -> f64 {
    if n < 16.0 {
        return (2..=n as u32).map(f64::from).product::<f64>().ln();
    }
    let inverse = 1.0 / n;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (n + 0.5) * n.ln() - n + 0.5 * std::f64::consts::TAU.ln() + series
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{corrected, of_amounts, of_shares};

    fn assert_close(found: f64, exact: f64, what: &str) {
        assert!(
            (found / exact - 1.0).abs() < 1e-9,
            "{what}: {found}, and not {exact}"
        );
    }

    #[test]
    fn chances_are_those_of_exact_arithmetic() {
        // Sums of fractions of whole numbers, rounded at the end.
        for (a, all_a, b, all_b, exact) in [
            (3, 10, 9, 12, 0.091_212_193_379_376_04),
            (0, 100, 0, 100, 1.0),
            (10, 100, 30, 100, 0.000_650_410_707_603_421),
            (0, 50, 7, 60, 0.024_273_106_608_956_638),
            (900, 1_000, 950, 1_000, 2.747_498_052_166_885_8e-5),
            (1, 1, 0, 1, 1.0),
            (5, 1_000, 5, 1_000, 1.0),
            (200, 4_000, 300, 4_100, 1.707_318_595_238_287e-5),
            (1_200, 2_000, 2_400, 3_000, 7.588_490_042_717_636e-53),
            (0, 5, 5, 5, 0.007_936_507_936_507_936),
            (5, 5, 5, 6, 1.0),
        ] {
            let what = format!("{a} of {all_a}, {b} of {all_b}");
            assert_close(of_shares((a, all_a), (b, all_b)), exact, &what);
            assert_close(of_shares((b, all_b), (a, all_a)), exact, &what);
        }
        for (a, b, share, exact) in [
            (10, 30, 0.5, 0.002_221_433_773_229_364_3),
            (0, 12, 0.5, 0.000_488_281_25),
            (100, 100, 0.5, 1.0),
            (400, 520, 0.25, 2.214_171_697_537_674_8e-91),
            (7, 0, 1.0 / 3.0, 0.117_055_326_931_870_14),
            (1_000, 1_200, 0.5, 2.181_702_640_791_471_2e-5),
        ] {
            assert_close(of_amounts(a, b, share), exact, &format!("{a} and {b}"));
            assert_close(of_amounts(b, a, 1.0 - share), exact, &format!("{b} and {a}"));
        }
    }

    #[test]
    fn nothing_is_no_difference_and_no_number_is_too_large() {
        assert_eq!(of_shares((0, 0), (5, 10)).to_string(), "1");
        assert_eq!(of_shares((0, 0), (0, 0)).to_string(), "1");
        assert_eq!(of_amounts(0, 0, 0.5).to_string(), "1");
        assert!(of_amounts(0, u64::MAX, 0.5) < 1e-100);
        assert!(of_shares((u64::MAX / 2, u64::MAX), (u64::MAX / 2, u64::MAX)) > 0.99);
        assert!(of_shares((u64::MAX / 2, u64::MAX), (u64::MAX / 3, u64::MAX)) < 1e-100);
    }

    #[test]
    fn of_many_probabilities_the_smallest_counts_for_all_of_them() {
        let of = [0.01, 0.04, 0.03, 0.005];
        let found: Vec<String> = corrected(&of)
            .iter()
            .map(|chance| format!("{chance:.3}"))
            .collect();
        assert_eq!(found, ["0.030", "0.060", "0.060", "0.020"]);
        assert!(corrected(&[]).is_empty());
        assert_eq!(corrected(&[0.7, 0.9])[0].to_string(), "1");
    }

    /// The two-sided chance, by adding up every possible outcome.
    fn added_up(weights: &[f64], seen: usize, mean: f64) -> f64 {
        let all: f64 = weights.iter().sum();
        let tail: f64 = if seen as f64 >= mean {
            weights[seen..].iter().sum()
        } else {
            weights[..=seen].iter().sum()
        };
        (2.0 * tail / all).min(1.0)
    }

    fn choose(n: u64, k: u64) -> f64 {
        (0..k).fold(1.0, |product, at| product * (n - at) as f64 / (at + 1) as f64)
    }

    proptest! {
        #[test]
        fn chances_are_what_all_outcomes_add_up_to(a in 0u64..20, more_a in 0u64..20, b in 0u64..20, more_b in 0u64..20) {
            let (all_a, all_b) = (a + more_a, b + more_b);
            let (hits, all) = (a + b, all_a + all_b);
            let weights: Vec<f64> = (0..=hits.min(all_b))
                .map(|k| if hits - k <= all_a { choose(hits, k) * choose(all - hits, all_b - k) } else { 0.0 })
                .collect();
            let expected = if hits == 0 || hits == all || all_a == 0 || all_b == 0 {
                1.0
            } else {
                added_up(&weights, b as usize, hits as f64 * all_b as f64 / all as f64)
            };
            prop_assert!((of_shares((a, all_a), (b, all_b)) - expected).abs() < 1e-9);
            let weights: Vec<f64> = (0..=hits)
                .map(|k| choose(hits, k) * 0.3f64.powf(k as f64) * 0.7f64.powf((hits - k) as f64))
                .collect();
            let expected = if hits == 0 { 1.0 } else { added_up(&weights, b as usize, hits as f64 * 0.3) };
            prop_assert!((of_amounts(a, b, 0.3) - expected).abs() < 1e-9);
        }
    }
}
