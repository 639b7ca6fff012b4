//! Looks at what a process executes. In the worker: reading its mappings, its memory and its files may hang.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use profiler_common::contract::unwind::MAX_MAPPINGS;
use profiler_common::memory::RemoteAddr;

use super::space::{
    CodeMapping, FoundFile, MAX_LINE_BYTES, MAX_SEGMENTS, MAX_VDSO_BYTES, MappedContent, Space,
};
use crate::elf::{Architecture, ElfError, ElfFile, FileBytes, Segment};
use crate::proc::file::{FileError, FileKey, FileName, MappedFile};
use crate::proc::maps::{Mapping, Maps};
use crate::proc::memory::ProcMemory;
use crate::proc::root::Root;
use crate::proc::{ProcessError, visible_id};

/// Bytes read of a new file's headers, at most; real ones have a few kilobytes.
const HEADERS_BUDGET_BYTES: u64 = 4 << 20;
/// Files whose headers are remembered.
const MAX_FILES: usize = 16_384;
/// Bytes told of one process, about.
const MAX_TOLD_BYTES: usize = 8 << 20;
/// How long files are read for one look: a worker that is at a question for a second is given up, and a disk may be slow.
const READ_AT_MOST: Duration = Duration::from_millis(200);
/// Bytes of memory without a file that are looked at.
const LOOK_BYTES: usize = 256;
/// `endbr64`, which builds with control-flow protection begin functions with.
const LANDING: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
/// `sub $8, %rsp; call *%rcx; add $8, %rsp; ret` (CPython 3.12, `Python/asm_trampoline.S`).
const TRAMPOLINE: &[u8] = &[0x48, 0x83, 0xec, 8, 0xff, 0xd1, 0x48, 0x83, 0xc4, 8, 0xc3];

/// Looks, and remembers what files are.
#[derive(Debug, Default)]
pub struct CodeMaps {
    files: HashMap<FileKey, Headers>,
}

/// One look at a process.
struct Looking {
    memory: Memory,
    /// Until when files are read.
    until: Instant,
    has_read: bool,
    is_unfinished: bool,
}

/// What a file's headers say.
#[derive(Clone, Debug)]
enum Headers {
    Code(Box<[Segment]>),
    Plain,
    Refused,
}

impl CodeMaps {
    /// What a process executes; `None` if its lines of code are still those that `known` stands for, see [`Space::lines`].
    ///
    /// # Errors
    /// When it is gone or may not be looked at.
    pub fn of_process(&mut self, pid: u32, known: Option<u64>) -> Result<Option<Space>, ProcessError> {
        let pid = visible_id(pid);
        let maps = Maps::read(pid)?;
        // Not addresses of the kernel's half: `[vsyscall]`.
        let is_code = |mapping: &Mapping<'_>| mapping.executable && mapping.end <= 1 << 63;
        let code = || maps.lines().filter(move |(_, mapping)| is_code(mapping));
        let lines = hash_of(code().map(|(line, _)| line));
        if known == Some(lines) {
            return Ok(None);
        }
        let mut looking = Looking {
            memory: Memory { pid, open: None },
            until: Instant::now() + READ_AT_MOST,
            has_read: false,
            is_unfinished: false,
        };
        let mut space = Space {
            pid,
            root: Root::of_process(pid).ok().map(|root| root.id()),
            lines,
            ..Space::default()
        };
        let (mut end, mut told) = (0, 0);
        for (line, mapping) in code() {
            if mapping.start < end {
                continue;
            }
            if space.mappings.len() == MAX_MAPPINGS || told >= MAX_TOLD_BYTES {
                space.is_cut = true;
                break;
            }
            if line.len() > MAX_LINE_BYTES {
                space.is_cut = true;
                continue;
            }
            end = mapping.end;
            let content = self.content(&mapping, &mut looking)?;
            told += line.len() + content.bytes();
            space.mappings.push(CodeMapping {
                line: line.into(),
                content,
            });
        }
        space.is_unfinished = looking.is_unfinished;
        Ok(Some(space))
    }

    fn content(
        &mut self,
        mapping: &Mapping<'_>,
        looking: &mut Looking,
    ) -> Result<MappedContent, ProcessError> {
        if mapping.is_file() {
            return Ok(self.file(mapping, looking));
        }
        let memory = &mut looking.memory;
        if &*mapping.path() == b"[vdso]" {
            return Ok(match memory.image(mapping)? {
                None => MappedContent::Refused(None),
                Some(bytes) => match headers(FileBytes::Memory(bytes.clone().into())) {
                    Headers::Code(segments) => MappedContent::Image {
                        bytes: bytes.into(),
                        segments,
                    },
                    Headers::Plain => MappedContent::Plain(None),
                    Headers::Refused => MappedContent::Refused(None),
                },
            });
        }
        let mut bytes = [0; LOOK_BYTES];
        let is_read = memory
            .open()
            .is_ok_and(|memory| memory.read(RemoteAddr(mapping.start), &mut bytes).is_ok());
        Ok(MappedContent::Memory {
            are_trampolines: is_read && are_trampolines(&bytes),
        })
    }

    fn file(&mut self, mapping: &Mapping<'_>, looking: &mut Looking) -> MappedContent {
        let found = match MappedFile::find(looking.memory.pid, mapping) {
            Ok(found) => found,
            Err(FileError::NotRegular) => return MappedContent::Plain(None),
            Err(_) => return MappedContent::Refused(None),
        };
        let file = FoundFile {
            identity: found.identity(),
            stamp: found.stamp(),
        };
        let key = FileKey {
            name: FileName::of_mapping(mapping),
            stamp: found.stamp(),
        };
        let headers = match self.files.get(&key) {
            Some(known) => known.clone(),
            // One at least, so that the looks come to an end.
            None if looking.has_read && Instant::now() >= looking.until => {
                looking.is_unfinished = true;
                Headers::Refused
            }
            None => {
                looking.has_read = true;
                self.read(&found, key)
            }
        };
        match headers {
            Headers::Code(segments) => MappedContent::Code { file, segments },
            Headers::Plain => MappedContent::Plain(Some(file)),
            Headers::Refused => MappedContent::Refused(Some(file)),
        }
    }

    fn read(&mut self, found: &MappedFile, key: FileKey) -> Headers {
        // What could not be opened now may be the next time.
        let Ok(open) = found.open() else {
            return Headers::Refused;
        };
        let headers = headers(open.into());
        if self.files.len() >= MAX_FILES {
            self.files.clear();
        }
        self.files.insert(key, headers.clone());
        headers
    }
}

/// See [`Space::lines`].
fn hash_of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    lines.for_each(|line| line.hash(&mut hasher));
    hasher.finish()
}

fn headers(bytes: FileBytes) -> Headers {
    let file = match ElfFile::open(bytes, HEADERS_BUDGET_BYTES) {
        Ok(file) => file,
        Err(ElfError::NotElf | ElfError::BigEndian) => return Headers::Plain,
        Err(_) => return Headers::Refused,
    };
    let is_supported = matches!(file.architecture(), Architecture::X86_64 | Architecture::Aarch64);
    if !file.is_64_bit() || !is_supported || file.frame_section().is_none() {
        return Headers::Plain;
    }
    if file.segments().len() > MAX_SEGMENTS {
        return Headers::Refused;
    }
    Headers::Code(file.segments().into())
}

/// The memory of a process, opened once.
struct Memory {
    pid: u32,
    open: Option<ProcMemory>,
}

impl Memory {
    fn open(&mut self) -> Result<&ProcMemory, ProcessError> {
        match &mut self.open {
            Some(memory) => Ok(memory),
            none => Ok(none.insert(ProcMemory::open(self.pid)?)),
        }
    }

    fn image(&mut self, mapping: &Mapping<'_>) -> Result<Option<Vec<u8>>, ProcessError> {
        let bytes = mapping.end - mapping.start;
        let memory = self.open()?;
        if bytes > MAX_VDSO_BYTES {
            return Ok(None);
        }
        let mut image = vec![0; usize::try_from(bytes).unwrap_or(0)];
        let is_read = memory.read(RemoteAddr(mapping.start), &mut image).is_ok();
        Ok(is_read.then_some(image))
    }
}

/// Whether the memory begins with copies of CPython 3.12's trampoline. (Those of later versions keep frame pointers.)
fn are_trampolines(bytes: &[u8]) -> bool {
    let template = |bytes: &[u8]| -> bool {
        bytes
            .strip_prefix(LANDING)
            .unwrap_or(bytes)
            .starts_with(TRAMPOLINE)
    };
    let second = |distance: usize| bytes.get(distance..).is_some_and(template);
    template(bytes) && [11, 12, 15, 16, 32].into_iter().any(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_repeated_trampolines_are_trampolines() {
        let mut bytes = vec![0; 256];
        bytes[..11].copy_from_slice(TRAMPOLINE);
        assert!(!are_trampolines(&bytes), "one copy may be any function");
        bytes[16..27].copy_from_slice(TRAMPOLINE);
        assert!(are_trampolines(&bytes));
        bytes[0] = 0x55;
        assert!(!are_trampolines(&bytes));
        assert!(!are_trampolines(&[]));
    }

    #[test]
    fn mappings_that_are_known_are_not_told_again() {
        let mut maps = CodeMaps::default();
        let pid = std::process::id();
        let space = maps.of_process(pid, None).expect("this process").expect("new");
        let known = space.lines;
        let code = |mapping: &CodeMapping| matches!(mapping.content, MappedContent::Code { .. });
        assert!(space.is_sound() && space.mappings.iter().any(code));
        assert_eq!(maps.of_process(pid, Some(known)).expect("this process"), None);
        assert!(
            maps.of_process(pid, Some(known ^ 1))
                .expect("this process")
                .is_some()
        );
    }
}
