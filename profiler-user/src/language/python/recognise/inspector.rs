//! From a process id to a [`Finding`]: which mapped files to look at, in which order, and what to conclude
//! when none is an interpreter.
//!
//! Used by the tracker, `ps` and `doctor`. A process that runs known files costs reading its maps, one hash lookup
//! per mapped file, and one `open`/`fstat` for the program and for each file with `python` in its name, to
//! notice that they were replaced. Where no interpreter is found it costs two words of its memory and the
//! maps once more, to know whether one may still come.

use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memchr::memmem;

use super::analysis::{self, Analysis};
use super::finding::{Finding, InspectError, Refused};
use super::judgement::judge;
use super::launcher::is_launcher;
use super::loader;
use super::refusal::Refusal;
use crate::cache::Cache;
use crate::elf::ElfError;
use crate::proc::file::{FileError, FileName, MappedFile, Stamp};
use crate::proc::maps::{Mapping, Maps};
use crate::proc::memory::ProcMemory;
use crate::proc::{self, ProcessError};

/// Executable mappings of one process looked at; a process has a few hundred.
const MAX_FILES: usize = 4096;
/// Time after which no further unknown file of one process is analysed in one call; the next call goes on
/// from there. A hostile process can map any number of files that take long to analyse.
const ANALYSIS_TIME: Duration = Duration::from_secs(1);

/// Files remembered, in each of two generations; a busy host maps a few thousand.
const REMEMBERED_FILES: usize = 8192;

/// What a file is.
#[derive(Clone, Debug)]
enum Known {
    /// Neither an interpreter nor a program: most libraries. Also what is not ELF, or malformed.
    Plain,
    /// An interpreter or a program.
    Notable(Arc<Analysis>),
}

/// Finds interpreters; remembers what files are, so that a storm of processes running known files costs no file access.
#[derive(Debug)]
pub struct Inspector {
    /// What was learnt about a file holds while its state stays the same.
    files: Cache<FileName, (Stamp, Known)>,
    analyses: u64,
}

impl Default for Inspector {
    fn default() -> Self {
        Self {
            files: Cache::new(REMEMBERED_FILES),
            analyses: 0,
        }
    }
}

/// One call of [`Inspector::inspect`].
struct Search<'a> {
    pid: u32,
    maps: &'a Maps,
    /// When to stop analysing files.
    deadline: Instant,
    /// Whether a file was left out because of the deadline.
    is_cut_short: bool,
    /// The main program.
    program: Option<(Mapping<'a>, Arc<Analysis>)>,
    /// Refused, but something better may follow.
    undecided: Option<Refused>,
    /// A likely file that could not be read.
    unreadable: Option<InspectError>,
}

impl Inspector {
    /// With an empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Files analysed so far; the others were known.
    #[must_use]
    pub fn analyses(&self) -> u64 {
        self.analyses
    }

    /// Says what process `pid` runs.
    ///
    /// Looks at every file of which the process maps executable memory: the program first, then those with
    /// `python` in their name, then the rest, and stops at the first interpreter. Names only decide the
    /// order, and whether a walk may take the short way (see [`is_launcher`]).
    ///
    /// # Errors
    /// When the process is gone or may not be looked at; when no interpreter was found but a likely file
    /// could not be read.
    pub fn inspect(&mut self, pid: u32) -> Result<Finding, InspectError> {
        self.inspect_within(pid, ANALYSIS_TIME)
    }

    fn inspect_within(&mut self, pid: u32, analysis_time: Duration) -> Result<Finding, InspectError> {
        let maps = Maps::read(pid)?;
        let candidates = candidates(pid, &maps)?;
        if candidates.is_empty() {
            // Kernel threads and zombies have no program. In the middle of `exec` there is one, and nothing
            // mapped yet.
            let may_still_load = proc::executable(pid)?.is_some();
            return Ok(Finding::NotPython { may_still_load });
        }
        let mut search = Search {
            pid,
            maps: &maps,
            deadline: Instant::now() + analysis_time,
            is_cut_short: false,
            program: None,
            undecided: None,
            unreadable: None,
        };
        for candidate in &candidates {
            if let Some(finding) = self.look_at(candidate, &mut search)? {
                return Ok(finding);
            }
        }
        search.conclude()
    }

    /// What follows from one file; `None` when the search goes on.
    fn look_at<'a>(
        &mut self,
        candidate: &Candidate<'a>,
        search: &mut Search<'a>,
    ) -> Result<Option<Finding>, InspectError> {
        let mapping = &candidate.mapping;
        let analysis = match self.analysis(candidate, search) {
            Ok(Some(analysis)) => analysis,
            Ok(None) => return Ok(None),
            Err(FileError::Process(gone @ ProcessError::Gone { .. })) => return Err(gone.into()),
            Err(source) => {
                log::debug!(
                    "process {}: {}: {source}",
                    search.pid,
                    mapping.file_path().display()
                );
                if candidate.rank < Rank::Other {
                    search.unreadable.get_or_insert(InspectError::File {
                        path: mapping.file_path(),
                        source,
                    });
                }
                return Ok(None);
            }
        };
        if search.program.is_none() && analysis.debug_slot.is_some() {
            search.program = Some((*mapping, Arc::clone(&analysis)));
        }
        let Some(implementation) = &analysis.interpreter else {
            return Ok(None);
        };
        let memory = ProcMemory::open(search.pid)?;
        let program = search.program.as_ref().map(|(_, program)| program.as_ref());
        Ok(
            match judge(&memory, search.maps, mapping, &analysis, implementation, program) {
                Ok(Some(mut interpreter)) => {
                    let program = proc::executable(search.pid)?;
                    let initialises_once = program.is_some_and(|program| is_launcher(&program));
                    interpreter.lookup.initialises_once = u8::from(initialises_once);
                    Some(Finding::Python(Box::new(interpreter)))
                }
                // Its data is not mapped yet.
                Ok(None) => Some(Finding::NotPython { may_still_load: true }),
                // A program may carry a copy of a library's `_PyRuntime` (a copy relocation) and nothing else
                // of it.
                Err(refused) if refused.reason == Refusal::NoVersion => {
                    search.undecided.get_or_insert(refused);
                    None
                }
                Err(refused) => Some(Finding::Refused(refused)),
            },
        )
    }

    /// What the file of `candidate` is; `None` when it is nothing notable.
    fn analysis(
        &mut self,
        candidate: &Candidate<'_>,
        search: &mut Search<'_>,
    ) -> Result<Option<Arc<Analysis>>, FileError> {
        let name = FileName::of_mapping(&candidate.mapping);
        let known = self.files.get(&name, |_| 1);
        // Most files of most processes end here.
        if candidate.rank == Rank::Other && matches!(known, Some((_, Known::Plain))) {
            return Ok(None);
        }
        let known = known.cloned();
        if known.is_none() && Instant::now() >= search.deadline {
            search.is_cut_short = true;
            return Ok(None);
        }
        let file = MappedFile::find(search.pid, &candidate.mapping)?;
        let known = match known {
            Some((stamp, known)) if stamp == file.stamp() => known,
            _ => {
                self.analyses += 1;
                let known = analyze(&file)?;
                self.files.insert(name, (file.stamp(), known.clone()), 1);
                known
            }
        };
        Ok(match known {
            Known::Plain => None,
            Known::Notable(analysis) => Some(analysis),
        })
    }
}

impl Search<'_> {
    /// The end of a search that found no interpreter.
    fn conclude(self) -> Result<Finding, InspectError> {
        if let Some(refused) = self.undecided {
            return Ok(Finding::Refused(refused));
        }
        if let Some(error) = self.unreadable {
            return Err(error);
        }
        let may_still_load = match self.program {
            _ if self.is_cut_short => true,
            // The loader's state is a later moment than the maps: if it finished in between, the maps are
            // incomplete.
            Some((mapping, program)) => {
                loader::is_loading(self.pid, self.maps, &mapping, &program)?
                    || has_new_code(self.maps, &Maps::read(self.pid)?)
            }
            None => false,
        };
        Ok(Finding::NotPython { may_still_load })
    }
}

fn analyze(file: &MappedFile) -> Result<Known, FileError> {
    match analysis::analyze(file.open()?) {
        Ok(analysis) if analysis.interpreter.is_some() || analysis.debug_slot.is_some() => {
            Ok(Known::Notable(Arc::new(analysis)))
        }
        Ok(_) => Ok(Known::Plain),
        Err(ElfError::Io(source)) => Err(FileError::Io(source)),
        Err(error) => {
            log::debug!("a mapped file is no usable ELF file: {error}");
            Ok(Known::Plain)
        }
    }
}

/// How likely a file is the interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Program,
    NamedPython,
    Other,
}

#[derive(Clone, Copy, Debug)]
struct Candidate<'a> {
    rank: Rank,
    mapping: Mapping<'a>,
}

/// The distinct files of which executable memory is mapped, the likely ones first, otherwise in the order of
/// the addresses.
fn candidates(pid: u32, maps: &Maps) -> Result<Vec<Candidate<'_>>, ProcessError> {
    let mut mappings: Vec<Mapping<'_>> = maps
        .iter()
        .filter(|mapping| mapping.executable && mapping.is_file())
        .take(MAX_FILES)
        .collect();
    // One file's mappings are neighbours, unless something was mapped in between.
    mappings.dedup_by(|next, one| next.file == one.file && next.path() == one.path());
    if mappings.is_empty() {
        return Ok(Vec::new());
    }
    let program = proc::executable(pid)?;
    let program = program.as_ref().map(|path| path.as_os_str().as_bytes());
    let mut candidates: Vec<_> = mappings
        .into_iter()
        .map(|mapping| Candidate {
            rank: rank(&mapping, program.unwrap_or_default()),
            mapping,
        })
        .collect();
    candidates.sort_by_key(|candidate| candidate.rank);
    Ok(candidates)
}

/// Whether other files are mapped executable than before.
fn has_new_code(before: &Maps, now: &Maps) -> bool {
    let files = |maps: &Maps| -> Vec<_> {
        maps.iter()
            .filter(|mapping| mapping.executable && mapping.is_file())
            .map(|mapping| mapping.file)
            .collect()
    };
    files(before) != files(now)
}

fn rank(mapping: &Mapping<'_>, program: &[u8]) -> Rank {
    let program = program.strip_suffix(b" (deleted)").unwrap_or(program);
    let name = mapping.file_name();
    if *mapping.path() == *program {
        return Rank::Program;
    }
    // Extension modules have the cache tag in their names, and there can be hundreds of them.
    if memmem::find(name, b"python").is_some() && memmem::find(name, b"cpython-").is_none() {
        return Rank::NamedPython;
    }
    Rank::Other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_left_out_for_lack_of_time_are_looked_at_by_the_next_call() {
        let pid = std::process::id();
        let mut inspector = Inspector::new();
        let cut_short = inspector
            .inspect_within(pid, Duration::ZERO)
            .expect("this process");
        assert_eq!(
            (cut_short, inspector.analyses()),
            (Finding::NotPython { may_still_load: true }, 0)
        );
        let complete = inspector.inspect(pid).expect("this process");
        assert_eq!(
            complete,
            Finding::NotPython {
                may_still_load: false
            }
        );
        assert!(
            inspector.analyses() >= 3,
            "this program, its C library and its loader"
        );
    }

    #[test]
    fn the_program_comes_first_then_files_named_python_but_no_extension_modules() {
        let text = b"1000-2000 r-xp 0 00:01 1 /lib/libc.so\n\
            2000-3000 r-xp 0 00:01 2 /lib/_json.cpython-312-x86_64-linux-gnu.so\n\
            3000-4000 r-xp 0 00:01 3 /lib/libpython3.12.so.1.0\n\
            4000-5000 r-xp 0 00:01 4 /bin/server (deleted)\n";
        let maps = Maps::from_text(text.to_vec());
        let ranks: Vec<_> = maps
            .iter()
            .map(|mapping| rank(&mapping, b"/bin/server (deleted)"))
            .collect();
        assert_eq!(
            ranks,
            [Rank::Other, Rank::Other, Rank::NamedPython, Rank::Program]
        );
    }
}
