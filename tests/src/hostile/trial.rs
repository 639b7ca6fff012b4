//! One row: an attack beside an innocent program, recorded, and what came of it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use pyebpf::escape::is_unprintable;

use super::attack::{Against, Attack};
use super::innocent::{Innocent, read_times};
use super::memory::{MemoryWatch, family};
use super::scene::Scene;
use super::workshop::Workshop;
use crate::host;
use crate::profiler::{Pyebpf, Recorded, Recording, binary};

/// How long the innocent program works.
const SECONDS: f64 = 3.0;
/// High enough that a loss of some percent is seen.
const RATE_HZ: &str = "499";
/// What a recording is called that is written into the folder of the attack.
pub const OUTPUT: &str = "out.pyebpf.json";
/// A file of root's in that folder, and what is in it.
const OF_ROOT: &str = "of-root";
const SECRET: &str = "of root\n";
/// The formats besides those that are always written, by their extensions.
const FORMATS: &[(&str, &str)] = &[
    ("flamegraph", "svg"),
    ("speedscope", "speedscope.json"),
    ("chrometrace", "chrometrace.json"),
    ("firefox", "firefox.json"),
    ("json", "pyebpf.json"),
    ("callgrind", "callgrind"),
    ("pstats", "pstats"),
    ("html", "html"),
];
/// The recording with the time of each sample.
const TIMES: &str = "times.pb";
/// How many processes of the attack are dumped.
const MOST_DUMPED: usize = 8;
/// How long processes of pyebpf may be there once the attack is gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// What came of it.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Samples of the innocent program.
    pub samples: u64,
    /// Those that its CPU time is worth.
    pub due: f64,
    /// The most that all processes of the recording and its maps had at one time.
    pub peak_bytes: u64,
    /// The most CPU time of the innocent program without a sample.
    pub longest_gap: Duration,
    /// From the signal to the end of the recording.
    pub ending: Duration,
    /// The longest of the other commands.
    pub command: Duration,
    /// Share of the CPUs' time that the host of this machine took, of 1.
    pub taken: f64,
}

impl Measured {
    /// How far the samples are from those due, in standard deviations.
    #[must_use]
    pub fn sigma(&self) -> f64 {
        (self.samples as f64 - self.due) / self.due.sqrt().max(1.0)
    }
}

/// Runs an attack, or none: then all that is measured is what pyebpf takes anyway.
///
/// # Errors
/// When pyebpf ends early, hangs, fails, or writes what is wrong; when the attack does not run.
pub fn run(workshop: &Workshop, attack: Option<&Attack>, against: Against) -> anyhow::Result<Measured> {
    let mut innocent = Innocent::start(SECONDS)?;
    let mut scene = attack.map(|attack| Scene::start(workshop, attack)).transpose()?;
    let files = tempfile::tempdir()?;
    let with_times = files.path().join(TIMES);
    let recording = Recording::start(options(against, files.path(), scene.as_ref()))?;
    let memory = MemoryWatch::start(recording.pid());
    let host = host::Watch::start()?;
    innocent.release()?;
    if let Some(scene) = &mut scene {
        scene.go();
    }
    let command = ask(against, &innocent, scene.as_ref())?;
    let truth = innocent.finish()?;
    if let Some(scene) = &mut scene {
        scene.is_still_there()?;
    }
    let taken = host.taken()?;
    let own = family(recording.pid());
    let stopping = Instant::now();
    let recorded = match against {
        Against::Output => recording.stop_although_another_file_may_fail()?,
        _ => recording.stop()?,
    };
    let ending = stopping.elapsed();
    let peak_bytes = memory.peak_bytes();
    check_words(&recorded.stderr)?;
    if against == Against::Formats {
        check_formats(files.path())?;
    }
    innocent.check_rows(&recorded.stacks)?;
    let (samples, mut times_ns) = samples(&innocent, against, &recorded, &with_times)?;
    if let (Against::Output, Some(scene)) = (against, &scene) {
        let text = std::fs::read_to_string(scene.folder().join(OF_ROOT))?;
        ensure!(text == SECRET, "root's file now has {text:?}");
    }
    drop(scene);
    all_gone(&own)?;
    Ok(Measured {
        samples,
        due: truth.cpu_seconds * recorded.report.rate_hz,
        peak_bytes,
        longest_gap: truth.longest_gap(innocent.pid(), &mut times_ns)?,
        ending,
        command,
        taken,
    })
}

/// Makes the file that an attack on the output would like to be written to.
///
/// # Errors
/// When it cannot be made.
pub fn make_file_of_root(folder: &Path) -> anyhow::Result<()> {
    std::fs::write(folder.join(OF_ROOT), SECRET)?;
    Ok(())
}

fn options(against: Against, files: &Path, scene: Option<&Scene>) -> Vec<OsString> {
    let mut options: Vec<OsString> = Vec::new();
    let mut write = |format: &str, path: PathBuf| {
        options.extend(["-f".into(), format.into(), "-o".into(), path.into()]);
    };
    write("pprof", files.join(TIMES));
    match (against, scene) {
        (Against::Formats, _) => FORMATS.iter().for_each(|(format, extension)| {
            write(format, files.join("out").with_extension(extension));
        }),
        (Against::Output, Some(scene)) => write("json", scene.folder().join(OUTPUT)),
        _ => {}
    }
    options.extend(["--timestamps", "--all", "-n", "-r", RATE_HZ].map(Into::into));
    if against == Against::Wall {
        options.extend(["--mode", "wall"].map(Into::into));
    }
    options
}

/// Whether the files of all formats are what their readers read.
fn check_formats(files: &Path) -> anyhow::Result<()> {
    for (_, extension) in FORMATS {
        let path = files.join("out").with_extension(extension);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(!bytes.is_empty(), "{} is empty", path.display());
        if extension.ends_with("json") {
            let parsed: Result<serde::de::IgnoredAny, _> = serde_json::from_slice(&bytes);
            parsed.with_context(|| format!("{extension} is no JSON"))?;
        }
        if *extension == "svg" {
            let text = String::from_utf8(bytes)?;
            let options = roxmltree::ParsingOptions {
                allow_dtd: true,
                ..Default::default()
            };
            roxmltree::Document::parse_with_options(&text, options).context("the picture is no XML")?;
        }
    }
    Ok(())
}

/// Samples of CPU time of the innocent program, and when they were taken. What both files say must be the same.
fn samples(
    innocent: &Innocent,
    against: Against,
    recorded: &Recorded,
    with_times: &Path,
) -> anyhow::Result<(u64, Vec<u64>)> {
    let read = read_times(with_times, innocent.pid()).context("reading the pprof file")?;
    if against != Against::Wall {
        let folded = innocent.samples(&recorded.stacks);
        ensure!(
            (read.samples, read.total) == (folded, recorded.stacks.total()),
            "{} of {} samples in the pprof file, {folded} of {} in the folded stacks",
            read.samples,
            read.total,
            recorded.stacks.total()
        );
    }
    Ok((read.samples, read.times_ns))
}

/// The other commands, while the recording goes on; how long the longest took.
fn ask(against: Against, innocent: &Innocent, scene: Option<&Scene>) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let rows = Pyebpf::new(["ps", "--format", "json"])?.rows()?;
    let mut longest = started.elapsed();
    let row = rows
        .get(&innocent.pid())
        .context("`ps` does not list the innocent program")?;
    let is_right = row["supported"] == true
        && row["container"].is_null()
        && row["uid"] == 0
        && row["script"]
            .as_str()
            .is_some_and(|script| script.ends_with("innocent.py"));
    ensure!(is_right, "`ps` says of the innocent program: {row}");
    let mut commands: Vec<Vec<String>> = Vec::new();
    match against {
        Against::Recording | Against::Wall | Against::Formats | Against::Output => {}
        Against::Doctor => commands.push(vec!["doctor".to_owned()]),
        Against::Dump => {
            let pids = scene.map(Scene::pids).unwrap_or_default();
            let pids = pids.into_iter().take(MOST_DUMPED).chain([innocent.pid()]);
            commands.extend(pids.map(|pid| vec!["dump".to_owned(), "-p".to_owned(), pid.to_string()]));
        }
    }
    for words in commands {
        let started = Instant::now();
        let finished = Pyebpf::new(&words)?.run().with_context(|| words.join(" "))?;
        longest = longest.max(started.elapsed());
        check_words(&finished.stderr)?;
        check_words(&String::from_utf8_lossy(&finished.stdout))?;
        // Of those that cannot be dumped it says so and fails; of the innocent one it must not.
        ensure!(
            finished.status.success() || words.last() != Some(&innocent.pid().to_string()),
            "{words:?} of the innocent program failed: {}",
            finished.stderr
        );
        ensure!(
            finished.status.code().is_some(),
            "{words:?} ended with {}",
            finished.status
        );
    }
    Ok(longest)
}

/// What is for people: nothing that a terminal would obey, and no word of a crash.
fn check_words(text: &str) -> anyhow::Result<()> {
    let order = text.lines().find(|line| line.chars().any(is_unprintable));
    ensure!(
        order.is_none(),
        "an order to the terminal in {:?}",
        order.unwrap_or_default()
    );
    let crash = text.lines().find(|line| line.contains("panicked at"));
    ensure!(crash.is_none(), "a crash: {}", crash.unwrap_or_default());
    Ok(())
}

/// Whoever hung in the attack is gone with it.
fn all_gone(pids: &[u32]) -> anyhow::Result<()> {
    let binary = binary()?.canonicalize()?;
    let is_there = |pid: &&u32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == binary);
    let deadline = Instant::now() + GONE_WITHIN;
    while let Some(pid) = pids.iter().find(is_there) {
        ensure!(
            Instant::now() < deadline,
            "process {pid} of pyebpf is still there"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
