//! The executable mappings of a process, from what a worker has found to what the kernel half reads.
//!
//! Used by [`super::tables`]. Decides for each mapping how code in it is unwound.

use std::sync::Arc;
use std::time::Instant;

use profiler_common::contract::unwind::{Mapping, Row, cfa_rule, fp_rule, mapping_kind, ra_rule};

use super::files::{FileEntry, FileNumber, Files, Kind};
use crate::inspect::{CodeMapping, MappedContent, Reach, Space};
use crate::proc::file::FileKey;
use crate::proc::maps::{self, FileId, Maps};

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
    /// How the file is reached; `None` for memory, and for a file that was not found.
    pub reach: Option<Arc<Reach>>,
    /// The image that the kernel maps, if it is that.
    pub image: Option<Arc<[u8]>>,
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
    /// The lines of `/proc/PID/maps` that it was made from.
    lines: Box<[Box<[u8]>]>,
    /// See [`Space::lines`].
    pub(super) name: u64,
    /// It lacks files that are still to be looked at.
    pub(super) is_unfinished: bool,
    /// Sorted, without overlaps.
    pub(super) stretches: Vec<Stretch>,
    /// Some memory was judged by what it held: only a forked child has the same.
    pub(super) is_particular: bool,
    /// There were more mappings than a list can have.
    pub(super) is_cut: bool,
    /// Mappings of files that could not be read, or are refused.
    pub(super) refused: u32,
}

impl List {
    /// Judges every mapping that a worker has found.
    pub(super) fn new(space: Space, files: &mut Files, now: Instant) -> Self {
        let mut list = Self {
            name: space.lines,
            is_unfinished: space.is_unfinished,
            is_cut: space.is_cut,
            ..Self::default()
        };
        for found in &space.mappings {
            let maps = Maps::from_text(found.line.to_vec());
            let Some(mapping) = maps.iter().next() else {
                continue;
            };
            if list.stretches.last().is_some_and(|last| mapping.start < last.end) {
                continue;
            }
            let stretch = list.judge(&space, found, &mapping, files, now);
            list.stretches.push(stretch);
        }
        list.lines = space.mappings.into_iter().map(|found| found.line).collect();
        list
    }

    /// Whether it would be the same if it was made from this.
    pub(super) fn is_of(&self, space: &Space) -> bool {
        let lines = space.mappings.iter().map(|found| &found.line);
        !self.is_unfinished && self.name == space.lines && self.lines.iter().eq(lines)
    }

    fn judge(
        &mut self,
        space: &Space,
        found: &CodeMapping,
        mapping: &maps::Mapping<'_>,
        files: &mut Files,
        now: Instant,
    ) -> Stretch {
        let file = match &found.content {
            MappedContent::Code { file, .. } => Some(*file),
            MappedContent::Plain(file) | MappedContent::Refused(file) => *file,
            MappedContent::Image { .. } | MappedContent::Memory { .. } => None,
        };
        let reach = file.map(|file| {
            Arc::new(Reach {
                pid: space.pid,
                line: found.line.clone(),
                file,
                root: space.root,
            })
        });
        let (kind, key) = files.of_mapping(mapping, &found.content, reach.as_ref(), now);
        let stretch = Stretch {
            start: mapping.start,
            end: mapping.end,
            offset: mapping.offset,
            kind: mapping_kind::OPAQUE,
            bias: 0,
            file: None,
            reach,
            image: match kind {
                Kind::Tables(number) => files.get(number).and_then(FileEntry::image),
                Kind::Plain | Kind::Refused => None,
            },
            key,
            id: mapping.file,
            path: mapping.path().as_ref().into(),
            deleted: mapping.deleted,
        };
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
                match found.content {
                    MappedContent::Memory {
                        are_trampolines: true,
                    } => Stretch {
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
