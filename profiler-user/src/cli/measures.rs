//! Options that are for one kind of source only: given for another, they would be ignored without a word.

use profiler_common::contract::sources::{Source, Unit};

use super::announcement::events;
use super::failure::Failure;
use super::invocation;
use super::words::without_option;
use crate::output::Measure;

/// Fails when `--period` was given for time, or `--unit` for events.
pub(super) fn check(sources: &[Source], period: Option<u64>, unit: Option<Measure>) -> Result<(), Failure> {
    let mut counted = sources.iter().filter(|source| source.unit() != Unit::Nanoseconds);
    let (what, option) = match (counted.next(), period, unit) {
        (None, Some(_), _) => (
            "--period counts events, and CPU time has a rate: -r".to_owned(),
            "--period",
        ),
        (Some(event), _, Some(_)) => (
            format!(
                "--unit is for time; {} are counted, in samples and in sums",
                events(*event)
            ),
            "--unit",
        ),
        _ => return Ok(()),
    };
    let without = without_option(&invocation::arguments(), option);
    Err(Failure::usage(what).hint(invocation::with_words(without)))
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::sources::Source;

    use super::check;
    use crate::output::Measure;

    #[test]
    fn options_without_effect_are_refused() {
        for (event, period, unit, is_fine) in [
            (Source::OnCpu, None, Some(Measure::Time), true),
            (Source::OnCpu, Some(100), None, false),
            (Source::OffCpu, Some(100), None, false),
            (Source::OffCpu, None, Some(Measure::Time), true),
            (Source::PageFaults, Some(100), None, true),
            (Source::PageFaults, None, Some(Measure::Time), false),
            (Source::PageFaults, None, Some(Measure::Samples), false),
        ] {
            let checked = check(&[event], period, unit);
            assert_eq!(checked.is_ok(), is_fine, "{event:?}");
        }
    }
}
