//! The second line of a picture: how much of what was recorded, where and when.

use std::time::SystemTime;

use jiff::Timestamp;
use profiler_common::contract::sources::Source;

use crate::escape;
use crate::output::amounts::AmountUnit;
use crate::profile::Recording;

/// `497 samples in 5.0 s on 2 CPUs of web-7, 2026-11-21 04:47:25 UTC`; `total` is what the picture adds up to.
pub(super) fn subtitle(recording: &Recording, total: u64, unit: AmountUnit) -> String {
    let amount = match unit {
        AmountUnit::Nanoseconds => format!("{:.2} s of {}", total as f64 / 1e9, which_time(recording)),
        unit if total == 1 => format!("1 {}", unit.text_of_one()),
        unit => format!("{total} {}", unit.text()),
    };
    let cpus = match recording.cpus {
        0 => String::new(),
        1 => " on 1 CPU".to_owned(),
        cpus => format!(" on {cpus} CPUs"),
    };
    let host = match &*recording.host {
        "" => String::new(),
        host => format!(" of {}", escape::printable(host)),
    };
    let seconds = recording.duration.as_secs_f64();
    format!(
        "{amount} in {seconds:.1} s{cpus}{host}, {}",
        when(recording.started)
    )
}

/// What the time was spent on, as far as one word says it.
fn which_time(recording: &Recording) -> &'static str {
    let all = |source| recording.profiles.iter().all(|profile| profile.source == source);
    if all(Source::OnCpu) {
        "CPU time"
    } else if all(Source::OffCpu) {
        "time off the CPU"
    } else {
        "time"
    }
}

/// In UTC: the file is looked at elsewhere.
fn when(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(
        |_| "at an unknown time".to_owned(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use profiler_common::contract::sources::Source;

    use super::subtitle;
    use crate::output::amounts::AmountUnit;
    use crate::output::test_recording::hand_made;

    #[test]
    fn it_says_how_much_for_how_long_where_and_when() {
        let mut recording = hand_made();
        recording.started = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_236_445);
        assert_eq!(
            subtitle(&recording, 15, AmountUnit::Samples),
            "15 samples in 2.0 s on 2 CPUs of web-7, 2026-11-21 04:47:25 UTC"
        );
        let one = subtitle(&recording, 1, AmountUnit::Switches);
        assert!(one.starts_with("1 context switch in 2.0 s"), "{one}");
        recording.cpus = 1;
        recording.host = String::new();
        assert_eq!(
            subtitle(&recording, 1_234_567_890, AmountUnit::Nanoseconds),
            "1.23 s of CPU time in 2.0 s on 1 CPU, 2026-11-21 04:47:25 UTC"
        );
        recording.profiles[0].source = Source::OffCpu;
        assert!(
            subtitle(&recording, 7, AmountUnit::Nanoseconds).starts_with("0.00 s of time off the CPU in")
        );
    }
}
