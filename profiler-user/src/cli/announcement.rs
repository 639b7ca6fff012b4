//! The first line of a recording: what is sampled, how often, and until when.

use std::time::Duration;

use profiler_common::contract::sources::{Source, Unit};

use super::filters::FilterArgs;
use super::terminal::{self, counted};
use crate::processes::filter::Filter;

/// Samples per second on each CPU, unless the user says something else: not a divisor of what programs do at round times.
pub(super) const DEFAULT_RATE_HZ: u32 = 99;

/// Characters of a command line, at most.
const MAX_CHARACTERS: usize = 80;

/// How often samples are taken.
#[derive(Clone, Debug)]
pub(super) struct HowOften {
    /// What is sampled.
    pub(super) sources: Vec<Source>,
    /// For sources of time.
    pub(super) rate_hz: u32,
    /// For sources that count.
    pub(super) period: u64,
}

/// Whose samples are taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who<'a> {
    /// Not only the processes in `pids`.
    pub(super) everyone: bool,
    pub(super) pids: &'a [u32],
    /// The arguments of the first of them, if they are known.
    pub(super) command_line: Option<&'a str>,
    pub(super) filter: &'a Filter,
    /// How many of them run now.
    pub(super) now: usize,
}

/// Says it of processes.
pub(super) fn say(who: &Who<'_>, how: &HowOften, duration: Option<Duration>) {
    let (who, how, time) = (who.text(), how.text(who.is_one()), length(duration));
    terminal::status(&format!("Sampling {who} {how}{time}. Press Control-C to exit."));
}

/// Says it of a command that has been started.
pub(super) fn say_of_command(name: &str, pid: u32, how: &HowOften, duration: Option<Duration>) {
    let (how, time) = (how.text(true), length(duration));
    terminal::status(&format!(
        "Sampling process {pid} ({name}) {how}{time}, until it ends."
    ));
}

/// ` for 30 s`.
fn length(duration: Option<Duration>) -> String {
    duration.map_or(String::new(), |time| format!(" for {} s", time.as_secs_f64()))
}

/// Says which cgroups are waited for.
pub(super) fn say_what_is_missing(filters: &FilterArgs) {
    for path in filters.cgroups_not_there() {
        terminal::status(&format!("there is no cgroup {path} now: waiting for it"));
    }
}

impl Who<'_> {
    fn text(&self) -> String {
        let Self { filter, now, .. } = *self;
        match (self.everyone, self.pids) {
            _ if !filter.is_empty() && now == 0 => {
                format!("nothing yet, waiting for a Python process that fits {filter},")
            }
            _ if !filter.is_empty() => format!("Python processes that fit {filter} ({now} now)"),
            (true, _) if now == 0 => "no Python process yet, waiting for some,".to_owned(),
            (true, _) => format!("all Python processes ({now} now)"),
            (false, _) if now == 0 => {
                "no Python process yet, waiting for a child that runs Python,".to_owned()
            }
            (false, [pid]) => match self.command_line {
                Some(text) => format!("process {pid} ({})", cut(text)),
                None => format!("process {pid}"),
            },
            (false, pids) => counted(pids.len(), "process", "processes"),
        }
    }

    fn is_one(&self) -> bool {
        !self.everyone && self.pids.len() == 1
    }
}

impl HowOften {
    fn text(&self, is_one: bool) -> String {
        let of = |source: &Source| self.text_of(*source, is_one);
        self.sources.iter().map(of).collect::<Vec<_>>().join(" and ")
    }

    fn text_of(&self, source: Source, is_one: bool) -> String {
        let whose = if is_one { "its" } else { "their" };
        match (source, self.period) {
            (Source::OffCpu, _) => format!(
                "whenever {} off the CPU",
                if is_one { "it is" } else { "they are" }
            ),
            (time, _) if time.unit() == Unit::Nanoseconds => match self.rate_hz {
                1 => "once a second".to_owned(),
                rate_hz => format!("{rate_hz} times a second"),
            },
            (event, 1) => format!("at each of {whose} {}", events(event)),
            (event, period) => format!("at every {} of {whose} {}", ordinal(period), events(event)),
        }
    }
}

/// What the events of a source are called in a sentence.
pub(super) fn events(source: Source) -> String {
    // `page-faults` is how the option is spelled.
    source.name().replace('-', " ")
}

/// The beginning of a command line.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

/// `2nd`, `100th`.
fn ordinal(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::sources::Source;

    use super::{HowOften, Who, ordinal};
    use crate::processes::filter::Filter;

    fn who(everyone: bool, pids: &[u32], now: usize) -> String {
        let filter = Filter::default();
        let who = Who {
            everyone,
            pids,
            command_line: Some("python3 app.py"),
            filter: &filter,
            now,
        };
        who.text()
    }

    fn how(sources: &[Source], rate_hz: u32, period: u64) -> String {
        let how = HowOften {
            sources: sources.to_vec(),
            rate_hz,
            period,
        };
        how.text(period > 1)
    }

    #[test]
    fn it_says_whom_in_the_right_number() {
        assert_eq!(who(true, &[], 1), "all Python processes (1 now)");
        assert_eq!(who(true, &[], 0), "no Python process yet, waiting for some,");
        assert_eq!(who(false, &[12], 1), "process 12 (python3 app.py)");
        assert_eq!(who(false, &[12, 13], 2), "2 processes");
    }

    #[test]
    fn it_says_how_often_in_words() {
        assert_eq!(how(&[Source::OnCpu], 99, 1), "99 times a second");
        assert_eq!(how(&[Source::OnCpu], 1, 1), "once a second");
        assert_eq!(how(&[Source::PageFaults], 99, 1), "at each of their page faults");
        assert_eq!(
            how(&[Source::ContextSwitches], 99, 100),
            "at every 100th of its context switches"
        );
        assert_eq!(
            how(&[Source::OnCpu, Source::OffCpu], 99, 1),
            "99 times a second and whenever they are off the CPU"
        );
    }

    #[test]
    fn numbers_have_their_endings() {
        let ordinals = [1, 2, 3, 4, 11, 12, 13, 21, 102, 113].map(ordinal);
        assert_eq!(
            ordinals,
            [
                "1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "113th"
            ]
        );
    }
}
