//! What a picture shows of each stack: how many samples, or what they stand for. Used by the formats that have one number
//! for a stack.

use clap::ValueEnum;
use profiler_common::contract::sources::{Source, Unit};

use crate::output::error::OutputError;
use crate::profile::{Profile, Recording, StackId, ThreadId};

const NANOSECONDS_PER_SECOND: u128 = 1_000_000_000;

/// What numbers mean, if the source leaves a choice. Sources that count events show events either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// How often a stack was seen
    #[default]
    Samples,
    /// The time that these samples stand for
    Time,
}

/// What the numbers of a picture are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AmountUnit {
    /// Samples.
    Samples,
    /// Nanoseconds.
    Nanoseconds,
    /// Page faults.
    Faults,
    /// Context switches.
    Switches,
}

impl AmountUnit {
    /// For people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Nanoseconds => "nanoseconds",
            Self::Faults => "page faults",
            Self::Switches => "context switches",
        }
    }

    /// For people, of one.
    pub(super) fn text_of_one(self) -> &'static str {
        match self {
            Self::Samples => "sample",
            Self::Nanoseconds => "nanosecond",
            Self::Faults => "page fault",
            Self::Switches => "context switch",
        }
    }

    /// The unit that one source's numbers have in a picture.
    pub(super) fn of(source: Source, measure: Measure) -> Self {
        match (source.unit(), measure) {
            (Unit::Nanoseconds, Measure::Samples) => Self::Samples,
            (Unit::Nanoseconds, Measure::Time) => Self::Nanoseconds,
            (Unit::Faults, _) => Self::Faults,
            (Unit::Switches, _) => Self::Switches,
        }
    }
}

/// The number of one stack of one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    /// Which thread.
    pub(super) thread: ThreadId,
    /// With which stack.
    pub(super) stack: StackId,
    /// How many of the unit.
    pub(super) value: u64,
}

/// The numbers of a picture.
#[derive(Debug)]
pub(super) struct Amounts {
    pub(super) unit: AmountUnit,
    pub(super) values: Vec<Amount>,
}

/// What the numbers of a recording mean.
///
/// # Errors
/// [`OutputError::MixedUnits`].
pub(super) fn unit(recording: &Recording, measure: Measure) -> Result<AmountUnit, OutputError> {
    let mut units = recording
        .profiles
        .iter()
        .map(|profile| AmountUnit::of(profile.source, measure));
    let unit = units.next().unwrap_or(AmountUnit::Samples);
    if units.any(|other| other != unit) {
        return Err(OutputError::MixedUnits);
    }
    Ok(unit)
}

impl Amounts {
    /// All sources together.
    ///
    /// # Errors
    /// [`OutputError::MixedUnits`].
    pub(super) fn of(recording: &Recording, measure: Measure) -> Result<Self, OutputError> {
        let unit = unit(recording, measure)?;
        let is_mixed = recording.profiles.len() > 1;
        let mut values = Vec::new();
        for profile in &recording.profiles {
            match unit {
                AmountUnit::Samples if is_mixed || !profile.source.is_even() => {
                    add_periods(profile, recording.rate_hz, &mut values);
                }
                AmountUnit::Samples => add(profile, |count| count.samples, &mut values),
                _ => add(profile, |count| count.weight, &mut values),
            }
        }
        values.retain(|amount| amount.value != 0);
        Ok(Self { unit, values })
    }
}

fn add(profile: &Profile, value: impl Fn(&crate::profile::Count) -> u64, values: &mut Vec<Amount>) {
    values.extend(profile.counts.iter().map(|count| Amount {
        thread: count.thread,
        stack: count.stack,
        value: value(count),
    }));
}

/// Samples of different sources of time, or of time off the CPU, are alike only as the time that they stand for, counted in
/// periods of the rate.
/// What rounding takes from one stack it gives to the next, so that sums hold.
fn add_periods(profile: &Profile, rate_hz: u32, values: &mut Vec<Amount>) {
    let mut remainder = 0;
    add(profile, |_| 0, values);
    let start = values.len() - profile.counts.len();
    for (amount, count) in values[start..].iter_mut().zip(&profile.counts) {
        let total = u128::from(count.weight) * u128::from(rate_hz) + remainder;
        amount.value = u64::try_from(total / NANOSECONDS_PER_SECOND).unwrap_or(u64::MAX);
        remainder = total % NANOSECONDS_PER_SECOND;
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::sources::Source;

    use super::{AmountUnit, Amounts, Measure};
    use crate::output::OutputError;
    use crate::output::test_recording::hand_made;
    use crate::profile::{Count, Profile};

    #[test]
    fn samples_and_time_are_two_views_of_the_same_counts() {
        let recording = hand_made();
        let samples = Amounts::of(&recording, Measure::Samples).expect("one source");
        let time = Amounts::of(&recording, Measure::Time).expect("one source");
        assert_eq!(
            (samples.unit, time.unit),
            (AmountUnit::Samples, AmountUnit::Nanoseconds)
        );
        let sum = |amounts: &Amounts| amounts.values.iter().map(|amount| amount.value).sum::<u64>();
        assert_eq!(sum(&samples), recording.samples());
        assert_eq!(sum(&time), recording.profiles[0].weight());
    }

    #[test]
    fn events_are_events_whatever_is_asked_for() {
        let mut recording = hand_made();
        recording.profiles[0].source = Source::MinorFaults;
        for measure in [Measure::Samples, Measure::Time] {
            let amounts = Amounts::of(&recording, measure).expect("one source");
            let sum = amounts.values.iter().map(|amount| amount.value).sum::<u64>();
            assert_eq!(
                (amounts.unit, sum),
                (AmountUnit::Faults, recording.profiles[0].weight())
            );
        }
    }

    #[test]
    fn time_off_the_cpu_is_counted_as_if_it_had_been_sampled_at_the_rate() {
        let mut recording = hand_made();
        let mut profile = recording.profiles[0].clone();
        profile.source = Source::OffCpu;
        for count in &mut profile.counts {
            (count.samples, count.weight) = (1, 2_000_000_000);
        }
        let due = 2 * u64::from(recording.rate_hz) * profile.counts.len() as u64;
        recording.profiles = vec![profile];
        let amounts = Amounts::of(&recording, Measure::Samples).expect("one source");
        let sum = amounts.values.iter().map(|amount| amount.value).sum::<u64>();
        assert_eq!((amounts.unit, sum), (AmountUnit::Samples, due));
    }

    #[test]
    fn different_units_do_not_add_up() {
        let mut recording = hand_made();
        let mut faults = recording.profiles[0].clone();
        faults.source = Source::PageFaults;
        recording.profiles.push(faults);
        let error = Amounts::of(&recording, Measure::Samples).expect_err("two units");
        assert!(matches!(error, OutputError::MixedUnits));
    }

    #[test]
    fn rounding_to_periods_keeps_the_sum() {
        let mut recording = hand_made();
        let count = recording.profiles[0].counts[0];
        // Seven stacks of 3.7 ms at 100 Hz: 2.59 periods in all.
        let counts: Vec<Count> = (0..7)
            .map(|_| Count {
                weight: 3_700_000,
                ..count
            })
            .collect();
        let profile = Profile {
            source: Source::OnCpu,
            counts,
        };
        recording.profiles = vec![profile.clone(), profile];
        let amounts = Amounts::of(&recording, Measure::Samples).expect("one unit");
        let sum: u64 = amounts.values.iter().map(|amount| amount.value).sum();
        assert_eq!(sum, 2 * 2);
    }
}
