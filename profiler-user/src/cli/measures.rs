//! Options that are for one kind of source only: given for another, they would be ignored without a word.

use std::time::Duration;

use profiler_common::contract::sources::{Source, Unit};

use super::announcement::events;
use super::failure::Failure;
use super::invocation;
use super::words::{with_flag, without_flag, without_option};
use crate::output::Measure;

/// Which times off the CPU are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    /// Only those for the GIL.
    pub(super) only_gil: bool,
    /// Only those that last so long.
    pub(super) threshold: Option<Duration>,
}

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

/// Fails when `--threshold` was given for what it does not fit, or `--gil` where it would leave nothing.
pub(super) fn check_waits(sources: &[Source], waits: Waits, only_with_gil: bool) -> Result<(), Failure> {
    let words = invocation::arguments();
    let (what, words) = match waits {
        Waits { only_gil: true, .. } if only_with_gil => (
            "-g keeps samples of threads that hold the GIL, and --mode gil is about those that wait for it",
            without_flag(&words, 'g', "--gil"),
        ),
        Waits {
            only_gil: true,
            threshold: Some(_),
        } => (
            "--threshold does not fit --mode gil: a thread that waits for the GIL wakes up every few milliseconds",
            without_option(&words, "--threshold"),
        ),
        Waits {
            threshold: Some(_), ..
        } if !sources.contains(&Source::OffCpu) => (
            "--threshold is for time off the CPU, which is not recorded",
            with_flag(&without_option(&words, "--mode"), "--mode=off-cpu"),
        ),
        _ => return Ok(()),
    };
    Err(Failure::usage(what).hint(invocation::with_words(words)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use profiler_common::contract::sources::Source;

    use super::{Waits, check, check_waits};
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

    #[test]
    fn a_threshold_is_for_time_off_the_cpu_of_any_kind() {
        let (on, off) = (Source::OnCpu, Source::OffCpu);
        let threshold = Some(Duration::from_millis(50));
        for (sources, only_gil, threshold, only_with_gil, is_fine) in [
            (&[off][..], false, threshold, false, true),
            (&[on, off], false, threshold, true, true),
            (&[on], false, threshold, false, false),
            (&[on, off], true, threshold, false, false),
            (&[on, off], true, None, true, false),
            (&[on, off], true, None, false, true),
            (&[on], false, None, true, true),
        ] {
            let waits = Waits { only_gil, threshold };
            let checked = check_waits(sources, waits, only_with_gil);
            assert_eq!(checked.is_ok(), is_fine, "{sources:?} {waits:?} {only_with_gil}");
        }
    }
}
