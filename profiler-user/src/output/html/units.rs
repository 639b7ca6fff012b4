//! What the page's numbers can be: each is one source's samples or weights, or the time of several. Used by the page.

use profiler_common::contract::sources::{self, Source};
use serde::Serialize;

use crate::output::amounts::{AmountUnit, Measure};
use crate::profile::{Profile, Recording};

/// Of a recording without samples.
pub(super) const NONE: AmountUnit = AmountUnit::Samples;

/// One choice.
#[derive(Debug, Serialize)]
pub(super) struct Unit {
    label: String,
    unit: &'static str,
    /// Of one.
    one: &'static str,
    /// Positions of profiles.
    sources: Vec<usize>,
    value: Value,
    #[serde(skip)]
    pub(super) amount: AmountUnit,
}

/// Which of the numbers of a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Value {
    Samples,
    Weight,
}

/// All of them, and which is shown at first: what the flame graph of the same recording shows.
pub(super) fn of(recording: &Recording, measure: Measure) -> (Vec<Unit>, usize) {
    let mut units = Vec::new();
    let mut of_time = Vec::new();
    for (position, profile) in recording.profiles.iter().enumerate() {
        let source = profile.source;
        let is_time = source.unit() == sources::Unit::Nanoseconds;
        let (has_samples, has_weight) = (profile.samples() != 0, profile.weight() != 0);
        // What was read from another tool's file may be one of them only, and then it is not known to be CPU time.
        let name = match (has_samples && has_weight, source) {
            (true, Source::OnCpu) => "CPU: ",
            (true, Source::OffCpu) => "waiting: ",
            _ => "",
        };
        let mut add =
            |label: String, value, amount| units.push(Unit::new(label, vec![position], value, amount));
        if is_time && source.is_even() && has_samples {
            add(format!("{name}samples"), Value::Samples, AmountUnit::Samples);
        }
        if is_time && has_weight {
            add(format!("{name}time"), Value::Weight, AmountUnit::Nanoseconds);
            of_time.push(position);
        }
        if !is_time {
            let label = source.name().replace('-', " ");
            add(label, Value::Weight, AmountUnit::of(source, measure));
        }
    }
    if of_time.len() > 1 {
        let label = "CPU and waiting: time".to_owned();
        units.push(Unit::new(label, of_time, Value::Weight, AmountUnit::Nanoseconds));
        let all = units.len() - 1;
        return (units, all);
    }
    let is_first = |unit: &Unit| measure == Measure::Samples || unit.amount != AmountUnit::Samples;
    let first = units.iter().position(is_first).unwrap_or(0);
    (units, first)
}

impl Unit {
    fn new(label: String, sources: Vec<usize>, value: Value, amount: AmountUnit) -> Self {
        Self {
            label,
            unit: amount.text(),
            one: amount.text_of_one(),
            sources,
            value,
            amount,
        }
    }

    /// What the whole recording is in it.
    pub(super) fn total(&self, recording: &Recording) -> u64 {
        let profiles = self.sources.iter().filter_map(|at| recording.profiles.get(*at));
        let of = |profile: &Profile| match self.value {
            Value::Samples => profile.samples(),
            Value::Weight => profile.weight(),
        };
        profiles.map(of).fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::sources::Source;

    use super::of;
    use crate::output::Measure;
    use crate::output::test_recording::hand_made;
    use crate::profile::{Profile, Recording};

    fn labels(recording: &Recording, measure: Measure) -> (Vec<String>, String) {
        let (units, first) = of(recording, measure);
        let labels: Vec<String> = units.into_iter().map(|unit| unit.label).collect();
        let first = labels[first].clone();
        (labels, first)
    }

    #[test]
    fn a_recording_has_the_units_that_its_sources_measure() {
        let mut recording = hand_made();
        let both = ["CPU: samples", "CPU: time"];
        assert_eq!(
            labels(&recording, Measure::Samples),
            (both.map(str::to_owned).to_vec(), both[0].to_owned())
        );
        assert_eq!(labels(&recording, Measure::Time).1, both[1]);
        recording.profiles.push(Profile {
            source: Source::OffCpu,
            counts: recording.profiles[0].counts.clone(),
        });
        let (all, first) = labels(&recording, Measure::Samples);
        assert_eq!(all[2..], ["waiting: time", "CPU and waiting: time"]);
        assert_eq!(first, "CPU and waiting: time");
        recording.profiles[0].source = Source::PageFaults;
        let (all, first) = labels(&recording, Measure::Samples);
        assert_eq!(
            (all, first.as_str()),
            (
                vec!["page faults".to_owned(), "waiting: time".to_owned()],
                "page faults"
            )
        );
    }

    #[test]
    fn what_a_file_does_not_say_is_no_unit() {
        let mut recording = hand_made();
        for count in &mut recording.profiles[0].counts {
            count.weight = 0;
        }
        assert_eq!(labels(&recording, Measure::Samples).0, ["samples"]);
    }
}
