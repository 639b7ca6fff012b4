//! Amounts and shares for people.

/// How an amount of this unit is written: `1.25 s`, `3.0 MiB`, `12`.
pub(in crate::cli) fn amount(value: i64, unit: &str) -> String {
    let steps: &[(f64, &str)] = match unit {
        "nanoseconds" => &[(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")],
        "bytes" => &[
            ((1u64 << 30) as f64, "GiB"),
            ((1u64 << 20) as f64, "MiB"),
            (1024.0, "KiB"),
            (1.0, "B"),
        ],
        _ => return value.to_string(),
    };
    let fits = |step: &&(f64, &str)| value.unsigned_abs() as f64 >= step.0;
    let Some((size, name)) = steps.iter().find(fits) else {
        return if unit == "bytes" { "0 B" } else { "0 s" }.to_owned();
    };
    let digits = if *size > 1.0 { 2 } else { 0 };
    format!("{:.digits$} {name}", value as f64 / size)
}

/// A part of a whole, per cent, to a hundredth; 0 of nothing.
pub(in crate::cli) fn percent(value: i64, total: i64) -> f64 {
    if total == 0 {
        return 0.0;
    }
    let percent = value as f64 / total.unsigned_abs() as f64 * 100.0;
    (percent * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::{amount, percent};

    #[test]
    fn amounts_have_the_unit_that_people_would_choose() {
        for (value, unit, text) in [
            (1_250_000_000, "nanoseconds", "1.25 s"),
            (-20_000_000, "nanoseconds", "-20.00 ms"),
            (7, "nanoseconds", "7 ns"),
            (0, "nanoseconds", "0 s"),
            (0, "bytes", "0 B"),
            (3 << 20, "bytes", "3.00 MiB"),
            (12, "count", "12"),
            (i64::MIN, "", "-9223372036854775808"),
        ] {
            assert_eq!(amount(value, unit), text);
        }
    }

    #[test]
    fn shares_of_nothing_are_nothing() {
        assert_eq!(percent(1, 3).to_string(), "33.33");
        assert_eq!(percent(1, 0).to_string(), "0");
        assert_eq!(percent(i64::MIN, i64::MIN).to_string(), "-100");
    }
}
