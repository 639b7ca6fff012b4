//! The executable mappings of a process, from `/proc/PID/maps` to what the kernel half reads.
//!
//! Used by [`super::tables`]. Decides for each mapping how code in it is unwound. Memory without a file is looked at: the
//! trampolines that CPython writes for `perf` repeat a few known instructions.

use std::sync::Arc;
use std::time::Instant;

use profiler_common::contract::unwind::{
    MAX_MAPPINGS, Mapping, Row, cfa_rule, fp_rule, mapping_kind, ra_rule,
};
use profiler_common::memory::RemoteAddr;

use super::files::{FileNumber, Files, Kind};
use crate::proc::ProcessError;
use crate::proc::file::FileKey;
use crate::proc::maps::{self, FileId, Maps};
use crate::proc::memory::ProcMemory;

/// Bytes of the vDSO, at most; it has two pages.
const MAX_VDSO_BYTES: u64 = 1 << 18;
/// Bytes of memory without a file that are looked at.
const LOOK_BYTES: usize = 256;
/// `endbr64`, which builds with control-flow protection begin functions with.
const LANDING: &[u8] = &[0xf3, 0x0f, 0x1e, 0xfa];
/// `sub $8, %rsp; call *%rcx; add $8, %rsp; ret` (CPython 3.12, `Python/asm_trampoline.S`).
const TRAMPOLINE: &[u8] = &[0x48, 0x83, 0xec, 8, 0xff, 0xd1, 0x48, 0x83, 0xc4, 8, 0xc3];
/// The caller of a trampoline's callee: the trampoline has pushed a word, its caller the return address.
const TRAMPOLINE_RULE: Row = Row::new(0, cfa_rule::SP, 2, fp_rule::SAME, 0, ra_rule::BELOW_CFA);

/// One executable mapping of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// First address.
    pub start: u64,
    /// After the last address.
    pub end: u64,
    /// Byte of the file at `start`.
    pub offset: u64,
    /// A [`mapping_kind`].
    pub kind: u32,
    /// `Mapping::bias`.
    pub bias: u64,
    /// The file with tables.
    pub file: Option<FileNumber>,
    /// Its line of `/proc/PID/maps`.
    pub line: Arc<[u8]>,
    /// Which file in which state; `None` for memory without one (but the vDSO), and for a file that was not found.
    pub key: Option<FileKey>,
    /// Device and inode; inode 0 for memory without a file.
    pub id: FileId,
    /// As in `/proc/PID/maps`, without ` (deleted)`: seen from this process's root where it can be.
    pub path: Arc<[u8]>,
    /// The path no longer names the file.
    pub deleted: bool,
}

/// The executable mappings of one or several processes.
#[derive(Clone, Debug, Default)]
pub(super) struct List {
    /// The lines that it was made from.
    pub(super) text: Vec<u8>,
    /// Sorted, without overlaps.
    pub(super) stretches: Vec<Stretch>,
    /// Some memory was judged by what it held: only a forked child has the same.
    pub(super) is_particular: bool,
    /// There were more mappings than a list can have.
    pub(super) is_cut: bool,
    /// Mappings of files that could not be read, or are refused.
    pub(super) refused: u32,
}

/// The lines of executable mappings.
pub(super) fn executable_lines(maps: &Maps) -> Vec<u8> {
    let mut text = Vec::new();
    for (line, mapping) in maps.lines() {
        // Addresses of the kernel's half: `[vsyscall]`.
        if mapping.executable && mapping.end <= 1 << 63 {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
    }
    text
}

impl List {
    /// Judges every mapping of `text`, which [`executable_lines`] made.
    pub(super) fn new(
        pid: u32,
        text: Vec<u8>,
        files: &mut Files,
        now: Instant,
    ) -> Result<Self, ProcessError> {
        let maps = Maps::from_text(text.clone());
        let mut list = Self {
            text,
            ..Self::default()
        };
        let mut memory = None;
        for (line, mapping) in maps.lines() {
            if list.stretches.last().is_some_and(|last| mapping.start < last.end) {
                continue;
            }
            if list.stretches.len() == MAX_MAPPINGS {
                list.is_cut = true;
                break;
            }
            let stretch = Stretch {
                start: mapping.start,
                end: mapping.end,
                offset: mapping.offset,
                kind: mapping_kind::OPAQUE,
                bias: 0,
                file: None,
                line: line.into(),
                key: None,
                id: mapping.file,
                path: mapping.path().as_ref().into(),
                deleted: mapping.deleted,
            };
            let (kind, key) = if mapping.is_file() {
                files.of_mapping(pid, &stretch.line, &mapping, now)
            } else if &*stretch.path == b"[vdso]" {
                match read_vdso(memory_of(&mut memory, pid)?, &mapping) {
                    Some(bytes) => files.of_memory(&bytes, now),
                    None => (Kind::Refused, None),
                }
            } else {
                (Kind::Plain, None)
            };
            let stretch = Stretch { key, ..stretch };
            let stretch = list.judge(stretch, kind, files, || memory_of(&mut memory, pid).ok());
            list.stretches.push(stretch);
        }
        Ok(list)
    }

    fn judge<'m>(
        &mut self,
        stretch: Stretch,
        kind: Kind,
        files: &Files,
        memory: impl FnOnce() -> Option<&'m ProcMemory>,
    ) -> Stretch {
        match kind {
            Kind::Tables(number) => {
                let bytes = stretch.end - stretch.start;
                let bias = files
                    .get(number)
                    .and_then(|entry| entry.text.bias(stretch.start, stretch.offset, bytes));
                match bias {
                    Some(bias) => Stretch {
                        kind: mapping_kind::TABLE,
                        bias,
                        file: Some(number),
                        ..stretch
                    },
                    None => stretch,
                }
            }
            Kind::Plain => {
                self.is_particular = true;
                let mut bytes = [0; LOOK_BYTES];
                match memory().map(|memory| memory.read(RemoteAddr(stretch.start), &mut bytes)) {
                    Some(Ok(())) if are_trampolines(&bytes) => Stretch {
                        kind: mapping_kind::ONE_RULE,
                        bias: TRAMPOLINE_RULE.0,
                        ..stretch
                    },
                    _ => Stretch {
                        kind: mapping_kind::FRAME_POINTER,
                        ..stretch
                    },
                }
            }
            Kind::Refused => {
                self.refused += 1;
                stretch
            }
        }
    }

    /// The mapping that holds an address.
    pub(super) fn find(&self, address: u64) -> Option<&Stretch> {
        let behind = self.stretches.partition_point(|stretch| stretch.start <= address);
        let stretch = self.stretches.get(behind.checked_sub(1)?)?;
        (address < stretch.end).then_some(stretch)
    }

    /// The files it names, each as often as it does.
    pub(super) fn files(&self) -> impl Iterator<Item = FileNumber> {
        self.stretches.iter().filter_map(|stretch| stretch.file)
    }
}

impl Stretch {
    /// As the kernel half reads it.
    pub(super) fn mapping(&self, space: u32, files: &Files) -> Mapping {
        let (first_block, block_count, text_block) =
            self.file
                .and_then(|file| files.get(file))
                .map_or((0, 0, 0), |entry| {
                    (
                        entry.first_block,
                        entry.text.block_count(),
                        entry.text.text_block(),
                    )
                });
        Mapping {
            start: self.start,
            end: self.end,
            bias: self.bias,
            first_block,
            block_count,
            text_block,
            kind: self.kind,
            space,
            pad: 0,
        }
    }

    /// The address in the file's own terms (its link-time virtual address), for code with tables.
    #[must_use]
    pub fn static_address(&self, address: u64) -> Option<u64> {
        (self.kind == mapping_kind::TABLE).then(|| address.wrapping_sub(self.bias))
    }

    /// The byte of the file that is mapped at an address.
    #[must_use]
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        self.offset.checked_add(address.checked_sub(self.start)?)
    }
}

/// Opens the memory once.
fn memory_of(memory: &mut Option<ProcMemory>, pid: u32) -> Result<&ProcMemory, ProcessError> {
    match memory {
        Some(memory) => Ok(memory),
        None => Ok(memory.insert(ProcMemory::open(pid)?)),
    }
}

fn read_vdso(memory: &ProcMemory, mapping: &maps::Mapping<'_>) -> Option<Vec<u8>> {
    let bytes = mapping.end - mapping.start;
    if bytes > MAX_VDSO_BYTES {
        return None;
    }
    let mut image = vec![0; usize::try_from(bytes).ok()?];
    memory.read(RemoteAddr(mapping.start), &mut image).ok()?;
    Some(image)
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
}
