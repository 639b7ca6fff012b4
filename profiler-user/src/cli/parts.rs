//! Files that are written while a recording goes on: one for each interval (`--every`, `SIGUSR1`), numbered.
//!
//! A thread writes them, so that sampling never waits for a disk. A part that cannot be written is kept in memory and tried
//! again with the next one.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use super::failure::Failure;
use super::terminal;
use crate::output::{Format, OutputFile, RenderOptions};
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

/// What became of all parts.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Parts given up, with the last reason.
    pub(super) lost: Vec<(PathBuf, String)>,
}

impl Parts {
    /// Parts of `path`: `web.svg` becomes `web-1.svg`, `web-2.svg`, ...
    pub(super) fn new(path: &Path, format: Format, options: RenderOptions) -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        let mut writer = Writer {
            path: path.to_owned(),
            format,
            options,
            number: 0,
            kept: VecDeque::new(),
            written: Written::default(),
        };
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(|error| Failure::new(format_args!("starting a thread: {error}")))?;
        Ok(Self {
            parts: Some(sender),
            thread: Some(thread),
            any: false,
        })
    }

    /// Has a part written.
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
    path: PathBuf,
    format: Format,
    options: RenderOptions,
    number: u32,
    kept: VecDeque<(PathBuf, Recording)>,
    written: Written,
}

impl Writer {
    fn run(&mut self, parts: &Receiver<Recording>) -> Written {
        while let Ok(part) = parts.recv() {
            self.number += 1;
            let path = numbered(&self.path, self.number);
            if part.is_empty() {
                terminal::status(&format!("No samples for '{}'", path.display()));
                continue;
            }
            self.kept.push_back((path, part));
            self.write_kept();
        }
        self.write_kept();
        for (path, _) in std::mem::take(&mut self.kept) {
            self.give_up(path);
        }
        std::mem::take(&mut self.written)
    }

    /// Writes what is kept, oldest first, as far as it goes.
    fn write_kept(&mut self) {
        while let Some((path, mut part)) = self.kept.pop_front() {
            let samples = part.samples();
            match write(&path, self.format, &self.options, &mut part) {
                Ok(()) => terminal::status(&format!(
                    "Wrote {} data to '{}'. Samples: {samples}",
                    self.format.name(),
                    path.display()
                )),
                Err(error) => {
                    let path_text = path.display();
                    terminal::status(&format!(
                        "Cannot write '{path_text}' ({error}): kept in memory, {} in all",
                        self.kept.len() + 1
                    ));
                    self.kept.push_front((path, part));
                    break;
                }
            }
        }
        while self.kept.len() > MAX_KEPT {
            if let Some((path, _)) = self.kept.pop_front() {
                self.give_up(path);
            }
        }
    }

    fn give_up(&mut self, path: PathBuf) {
        let reason = "it could not be written, and there was no more memory for it".to_owned();
        self.written.lost.push((path, reason));
    }
}

/// Writes one file, which appears whole or not at all.
pub(super) fn write(
    path: &Path,
    format: Format,
    options: &RenderOptions,
    recording: &mut Recording,
) -> Result<(), String> {
    let mut file = OutputFile::prepare(path).map_err(|error| error.to_string())?;
    format
        .write(recording, options, &mut file)
        .map_err(|error| error.to_string())?;
    file.commit().map_err(|error| error.to_string())
}

/// `web.svg` and 3 make `web-3.svg`.
pub(super) fn numbered(path: &Path, number: u32) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let name = match path.extension() {
        Some(extension) => format!("{stem}-{number}.{}", extension.to_string_lossy()),
        None => format!("{stem}-{number}"),
    };
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::numbered;

    #[test]
    fn parts_are_numbered_before_their_extension() {
        for (path, third) in [
            ("web.svg", "web-3.svg"),
            ("a/b.speedscope.json", "a/b.speedscope-3.json"),
            ("raw", "raw-3"),
        ] {
            assert_eq!(numbered(Path::new(path), 3), Path::new(third));
        }
    }
}
