//! How long the steps of the verbs took where they were last measured: said before a verb starts them.
//!
//! Every step that succeeds is timed and noted for this machine, in the cache. `xtask/times.toml` holds what was measured
//! elsewhere, for a machine that has measured nothing yet; `cargo xtask times --update` copies this machine's notes there.
//! Nothing here is estimated: a step that was never measured has no time.

mod file;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) use self::file::Time;
use crate::{command, workspace};

/// Shows how long the steps of the verbs took where they were last measured
///
/// Verbs note what they measure in the cache of this machine (`~/.cache/pyebpf/times.toml`).
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask times            every step, and where and when it was measured
  cargo xtask times --update   copy what this machine measured into xtask/times.toml")]
pub(crate) struct Args {
    /// Write what this machine measured into xtask/times.toml
    #[arg(long)]
    update: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let times = Times::open()?;
    if args.update {
        let path = committed_path();
        let mut steps = times.committed;
        steps.extend(times.own);
        file::write(&path, &steps)?;
        eprintln!("times: {} holds what this machine measured", path.display());
        return Ok(());
    }
    let steps: BTreeMap<&String, &Time> = times.committed.iter().chain(&times.own).collect();
    let width = steps.keys().map(|name| name.len()).max().unwrap_or(0);
    for (name, time) in steps {
        let Time { date, machine, .. } = time;
        println!("{name:width$}  {:>12}  {date}  {machine}", text(time.seconds));
    }
    Ok(())
}

/// What is known: this machine's own notes take precedence over the committed ones.
pub(crate) struct Times {
    committed: BTreeMap<String, Time>,
    own: BTreeMap<String, Time>,
}

impl Times {
    pub(crate) fn open() -> anyhow::Result<Self> {
        Ok(Self {
            committed: file::read(&committed_path())?,
            own: file::read(&own_path()?)?,
        })
    }

    /// Of the text of a file.
    #[cfg(test)]
    pub(crate) fn parse(text: &str) -> Self {
        Self {
            committed: file::parse(text).expect("a file of times"),
            own: BTreeMap::new(),
        }
    }

    /// The last measurement of this step.
    pub(crate) fn of(&self, step: &str) -> Option<&Time> {
        self.own.get(step).or_else(|| self.committed.get(step))
    }
}

/// Does a step. When it succeeds, its time is noted for this machine.
pub(crate) fn measured<T>(step: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let start = Instant::now();
    let done = work()?;
    note(step, start.elapsed());
    Ok(done)
}

/// Notes how long a step took here.
pub(crate) fn note(step: &str, took: Duration) {
    let noted = (|| {
        let path = own_path()?;
        let mut own = file::read(&path)?;
        own.insert(
            step.to_owned(),
            Time {
                seconds: took.as_millis().div_ceil(1000).try_into()?,
                date: command::output(Command::new("date").arg("+%Y-%m-%d"))?
                    .trim()
                    .to_owned(),
                machine: machine(),
            },
        );
        file::write(&path, &own)
    })();
    // What was to be done is done.
    if let Err(error) = noted {
        eprintln!("times: cannot note how long `{step}` took: {error:#}");
    }
}

fn committed_path() -> PathBuf {
    workspace::root().join("xtask/times.toml")
}

fn own_path() -> anyhow::Result<PathBuf> {
    Ok(workspace::cache_dir()?.join("times.toml"))
}

/// `2 min 5 s`.
pub(crate) fn text(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// `2 CPUs (AMD EPYC), 23 GiB`: what decides how long a build takes. No name of a machine.
fn machine() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let model =
        value(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = value(&read("/proc/meminfo"), "MemTotal");
    let memory = memory
        .and_then(|text| text.split(' ').next()?.parse::<u64>().ok())
        .map_or_else(String::new, |kib| format!(", {} GiB", kib / 1024 / 1024));
    format!("{cpus} CPUs ({model}){memory}")
}

/// The first value of a file of `key : value` lines, as the kernel writes them.
fn value(text: &str, key: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_said_in_the_units_that_people_use() {
        assert_eq!(text(59), "59 s");
        assert_eq!(text(125), "2 min 5 s");
        assert_eq!(text(3725), "1 h 2 min");
    }

    #[test]
    fn this_machines_own_measurement_goes_before_the_committed_one() {
        let time = |seconds| Time {
            seconds,
            date: "2026-01-31".to_owned(),
            machine: "2 CPUs".to_owned(),
        };
        let committed = BTreeMap::from([("build".to_owned(), time(9)), ("run".to_owned(), time(8))]);
        let times = Times {
            committed,
            own: BTreeMap::from([("build".to_owned(), time(3))]),
        };
        let seconds = |step| times.of(step).map(|time| time.seconds);
        assert_eq!(
            (seconds("build"), seconds("run"), seconds("fuzz")),
            (Some(3), Some(8), None)
        );
    }

    #[test]
    fn the_committed_times_read_and_are_written_as_they_are() {
        let path = committed_path();
        let steps = file::read(&path).expect("xtask/times.toml");
        assert!(!steps.is_empty());
        let text = std::fs::read_to_string(&path).expect("xtask/times.toml");
        assert_eq!(
            file::text(&steps),
            text,
            "not as it is written by `cargo xtask times --update`"
        );
    }

    #[test]
    fn the_kind_of_machine_is_what_the_kernel_says() {
        let text = "processor\t: 0\nmodel name\t: AMD EPYC\n\nprocessor\t: 1\nmodel name\t: other\n";
        assert_eq!(value(text, "model name").as_deref(), Some("AMD EPYC"));
        assert_eq!(value(text, "model"), None);
    }
}
