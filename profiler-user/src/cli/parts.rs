//! Files that are written while a recording goes on: one for each interval (`--every`, `SIGUSR1`), numbered.
//!
//! A thread writes them, so that sampling never waits for a disk. A part is one file for each output. As long as one of its
//! files cannot be written, it is kept in memory and tried again with the next part; the other outputs go on.
//!
//! pyebpf is root, and the folder may be anyone's. It is opened once, before the first sample, and all parts are written into
//! it: whoever exchanges it for a link leads none of them elsewhere.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use anyhow::Context as _;

use super::failure::Failure;
use super::terminal;
use crate::output::{Encoding, FileError, Folder, OutputFile, RenderOptions};
use crate::profile::Recording;

/// Parts kept in memory that could not be written; then the oldest is given up.
const MAX_KEPT: usize = 64;

/// Writes parts.
pub(super) struct Parts {
    parts: Option<Sender<Recording>>,
    thread: Option<JoinHandle<Written>>,
    /// Whether there was one.
    any: bool,
}

/// Where parts go, and what is in them.
#[derive(Debug)]
pub(super) struct PartOutput {
    /// What they are named after.
    pub(super) path: PathBuf,
    pub(super) encoding: Encoding,
    /// Where they are written. A folder that is not there yet is opened for the first part that finds it.
    pub(super) folder: Option<Folder>,
}

impl PartOutput {
    /// For files in a folder that nobody has opened yet.
    pub(super) fn new((path, encoding): (PathBuf, Encoding)) -> Self {
        Self {
            folder: Folder::of(&path).ok(),
            path,
            encoding,
        }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        self.encoding.numbered(&self.path, number)
    }

    fn folder(&mut self) -> Result<&Folder, FileError> {
        match &mut self.folder {
            Some(folder) => Ok(folder),
            none => Ok(none.insert(Folder::of(&self.path)?)),
        }
    }
}

/// What became of all parts.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Parts given up, with the last reason.
    pub(super) lost: Vec<(PathBuf, String)>,
    /// Where the contents of some of them are instead.
    pub(super) rescued: Vec<PathBuf>,
}

impl Parts {
    /// Parts of these files: `web.svg` becomes `web-1.svg`, `web-2.svg`, ...
    pub(super) fn new(outputs: Vec<PartOutput>, options: RenderOptions) -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        let mut writer = Writer {
            outputs,
            options,
            number: 0,
            kept: VecDeque::new(),
            written: Written::default(),
            last_error: String::new(),
        };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .context("starting a thread")?;
        Ok(Self {
            parts: Some(sender),
            thread: Some(thread),
            any: false,
        })
    }

    /// Hands a part to the thread that writes.
    pub(super) fn write(&mut self, part: Recording) {
        self.any = true;
        if let Some(parts) = &self.parts
            && parts.send(part).is_err()
        {
            log::warn!("the thread that writes files has ended");
        }
    }

    /// Whether there were parts.
    pub(super) fn any(&self) -> bool {
        self.any
    }

    /// Waits until all of them are written, or cannot be.
    pub(super) fn finish(mut self) -> Written {
        self.parts = None;
        self.thread
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}

struct Writer {
    outputs: Vec<PartOutput>,
    options: RenderOptions,
    number: u32,
    kept: VecDeque<Part>,
    written: Written,
    /// Why a file could not be written last.
    last_error: String,
}

/// A part that is not written, or not to all outputs.
struct Part {
    number: u32,
    recording: Recording,
    /// Outputs that lack it, by index.
    missing: Vec<usize>,
}

impl Writer {
    fn run(&mut self, parts: &Receiver<Recording>) -> Written {
        while let Ok(recording) = parts.recv() {
            self.number += 1;
            if recording.is_empty() {
                for output in &self.outputs {
                    let path = output.numbered(self.number);
                    terminal::status(&format!("No samples for '{}'", path.display()));
                }
                continue;
            }
            self.kept.push_back(Part {
                number: self.number,
                recording,
                missing: (0..self.outputs.len()).collect(),
            });
            self.write_kept();
        }
        self.write_kept();
        for mut part in std::mem::take(&mut self.kept) {
            self.give_up(&mut part);
        }
        std::mem::take(&mut self.written)
    }

    /// Writes what is kept, oldest first. An output that fails is left alone until the next time.
    fn write_kept(&mut self) {
        let count = self.kept.len();
        let mut failed = Vec::new();
        let mut kept = std::mem::take(&mut self.kept);
        for part in &mut kept {
            let samples = part.recording.samples();
            let mut missing = std::mem::take(&mut part.missing);
            missing.retain(|index| {
                if failed.contains(index) {
                    return true;
                }
                let output = &mut self.outputs[*index];
                let (path, encoding) = (output.numbered(part.number), output.encoding);
                let file = output
                    .folder()
                    .and_then(|folder| OutputFile::prepare_in(folder, &path));
                match write(file, encoding, &self.options, &mut part.recording) {
                    Ok(()) => terminal::status(&format!(
                        "Wrote {} to '{}'. Samples: {samples}",
                        encoding.format.noun(),
                        path.display()
                    )),
                    Err(error) => {
                        terminal::status(&format!(
                            "Cannot write '{}' ({error:#}): kept in memory, {count} in all",
                            path.display(),
                        ));
                        failed.push(*index);
                        self.last_error = format!("{error:#}");
                    }
                }
                failed.contains(index)
            });
            part.missing = missing;
        }
        kept.retain(|part| !part.missing.is_empty());
        self.kept = kept;
        while self.kept.len() > MAX_KEPT {
            if let Some(mut part) = self.kept.pop_front() {
                self.give_up(&mut part);
            }
        }
    }

    fn give_up(&mut self, part: &mut Part) {
        for index in std::mem::take(&mut part.missing) {
            let output = &self.outputs[index];
            let (path, encoding) = (output.numbered(part.number), output.encoding);
            self.written
                .rescued
                .extend(rescue(&path, encoding, &self.options, &mut part.recording));
            self.written.lost.push((path, self.last_error.clone()));
        }
    }
}

/// Writes a file that cannot be written where it was to be to the folder for temporary files; where it is then.
pub(super) fn rescue(
    path: &Path,
    encoding: Encoding,
    options: &RenderOptions,
    recording: &mut Recording,
) -> Option<PathBuf> {
    let elsewhere = std::env::temp_dir().join(path.file_name()?);
    if elsewhere == path {
        return None;
    }
    let file = OutputFile::prepare(&elsewhere);
    write(file, encoding, options, recording)
        .is_ok()
        .then_some(elsewhere)
}

/// Writes one file, if it could be prepared. It appears whole or not at all.
fn write(
    file: Result<OutputFile, FileError>,
    encoding: Encoding,
    options: &RenderOptions,
    recording: &mut Recording,
) -> anyhow::Result<()> {
    let mut file = file?;
    let path = file.path().to_owned();
    encoding
        .write(recording, options, &mut file)
        .context("writing it")?;
    file.commit(|number| encoding.numbered(&path, number))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    use profiler_common::contract::sources::Source;

    use super::{PartOutput, Parts};
    use crate::output::{Encoding, RenderOptions};
    use crate::profile::{
        Count, Frame, FrameId, Process, ProcessId, Profile, Recording, StackId, Thread, ThreadId,
    };

    fn recording() -> Recording {
        let count = Count {
            thread: ThreadId(0),
            stack: StackId(0),
            samples: 3,
            weight: 30,
            gil_weight: 0,
        };
        Recording {
            title: String::new(),
            started: SystemTime::UNIX_EPOCH,
            duration: Duration::from_secs(1),
            rate_hz: 100,
            period: 1,
            host: "web-7".to_owned(),
            cpus: 2,
            accounts: Vec::new(),
            processes: vec![Process::default()],
            threads: vec![Thread {
                process: ProcessId(0),
                tid: 1,
                name: String::new(),
            }],
            frames: vec![Frame::marker("<gc>")],
            stacks: vec![[FrameId(0)].into()],
            profiles: vec![Profile {
                source: Source::OnCpu,
                counts: vec![count],
            }],
            timeline: None,
        }
    }

    fn output(path: &Path) -> PartOutput {
        let encoding = Encoding::of(path, None).expect("a known extension");
        PartOutput::new((path.to_owned(), encoding))
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("readable");
        let names = entries.map(|entry| entry.expect("readable").file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_that_is_exchanged_for_a_link_leads_no_part_elsewhere() {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let (ours, moved) = (folder.path().join("ours"), folder.path().join("moved"));
        let others = folder.path().join("others");
        std::fs::create_dir(&ours).expect("a folder");
        std::fs::create_dir(&others).expect("a folder");
        let mut parts =
            Parts::new(vec![output(&ours.join("a.txt"))], RenderOptions::default()).expect("a thread");
        parts.write(recording());
        std::fs::rename(&ours, &moved).expect("renamed");
        std::os::unix::fs::symlink(&others, &ours).expect("a link");
        parts.write(recording());
        assert!(parts.finish().lost.is_empty());
        assert_eq!(names(&others), [""; 0]);
        assert_eq!(names(&moved), ["a-1.txt", "a-2.txt"]);
    }

    #[test]
    fn a_folder_that_is_there_only_later_is_kept_from_then_on() {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let (late, moved) = (folder.path().join("late"), folder.path().join("moved"));
        let mut output = output(&late.join("a.txt"));
        assert!(output.folder().is_err());
        std::fs::create_dir(&late).expect("a folder");
        output.folder().expect("it is there");
        std::fs::rename(&late, &moved).expect("renamed");
        let mut parts = Parts::new(vec![output], RenderOptions::default()).expect("a thread");
        parts.write(recording());
        assert!(parts.finish().lost.is_empty());
        assert_eq!(names(&moved), ["a-1.txt"]);
    }

    #[test]
    fn an_output_that_cannot_be_written_costs_the_others_nothing_and_is_named() {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let (good, bad) = (folder.path().join("a.txt"), folder.path().join("gone/b.svg"));
        let mut parts =
            Parts::new(vec![output(&bad), output(&good)], RenderOptions::default()).expect("a thread");
        for _ in 0..2 {
            parts.write(recording());
        }
        let written = parts.finish();
        let lost: Vec<_> = written.lost.iter().map(|(path, _)| path.clone()).collect();
        assert_eq!(
            lost,
            [bad.with_file_name("b-1.svg"), bad.with_file_name("b-2.svg")]
        );
        for number in 1..=2 {
            let text = std::fs::read_to_string(folder.path().join(format!("a-{number}.txt")));
            assert_eq!(text.expect("written"), "<gc> 3\n");
        }
    }

    #[test]
    fn a_part_is_written_later_when_there_is_room_again() {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let late = folder.path().join("late");
        let mut parts =
            Parts::new(vec![output(&late.join("a.txt"))], RenderOptions::default()).expect("a thread");
        parts.write(recording());
        std::fs::create_dir(&late).expect("a folder");
        parts.write(recording());
        assert!(parts.finish().lost.is_empty());
        assert!(late.join("a-1.txt").exists() && late.join("a-2.txt").exists());
    }
}
