//! Notes: who a file is, and which C library made it.

use object::LittleEndian;
use object::elf::{ELF_NOTE_GNU, FileHeader64, NT_GNU_ABI_TAG, NT_GNU_BUILD_ID, NoteType, PT_NOTE};
use object::read::elf::NoteIterator;

use super::class::LE;
use super::file::ElfFile;

/// Bytes of one run of notes that are looked at.
const MAX_NOTE_BYTES: u64 = 64 << 10;
/// Runs of notes looked at.
const MAX_RUNS: usize = 16;
/// Notes of one run looked at.
const MAX_NOTES: usize = 256;
/// Bytes of a build id; 20 are usual.
const BUILD_ID_BYTES: std::ops::RangeInclusive<usize> = 2..=64;

impl ElfFile {
    /// The build id, as the linker wrote it: a claim of the file, which anybody can make.
    #[must_use]
    pub fn build_id(&self) -> Option<Vec<u8>> {
        // A debug file has its segments' headers, but not their content.
        let section = self.sections().and_then(|all| all.find(b".note.gnu.build-id"));
        let in_section = section.map(|section| (section.range(), section.alignment));
        let notes = self.note_runs();
        notes
            .chain(in_section)
            .take(MAX_RUNS)
            .find_map(|(range, alignment)| {
                let mut found = None;
                self.each_note(range, alignment, |kind, value| {
                    let is_it = kind == NT_GNU_BUILD_ID && found.is_none();
                    if is_it && BUILD_ID_BYTES.contains(&value.len()) {
                        found = Some(value.to_vec());
                    }
                });
                found
            })
    }

    /// Whether it says for which kernel glibc was built: only glibc's start-up code does.
    #[must_use]
    pub fn has_abi_note(&self) -> bool {
        let mut has_one = false;
        for (range, alignment) in self.note_runs().take(MAX_RUNS) {
            self.each_note(range, alignment, |kind, _| has_one |= kind == NT_GNU_ABI_TAG);
        }
        has_one
    }

    fn note_runs(&self) -> impl Iterator<Item = (std::ops::Range<u64>, u64)> {
        let notes = self
            .program_headers
            .iter()
            .filter(|header| header.kind == PT_NOTE);
        notes.map(|header| (header.range(), header.alignment))
    }

    /// Notes of the owner `GNU`. A malformed note does not count, and ends the run.
    fn each_note(&self, range: std::ops::Range<u64>, alignment: u64, mut see: impl FnMut(NoteType, &[u8])) {
        let Ok(bytes) = self.reader.range(range, MAX_NOTE_BYTES) else {
            return;
        };
        let alignment: u64 = if alignment == 8 { 8 } else { 4 };
        // Both classes have the same.
        let notes = NoteIterator::<FileHeader64<LittleEndian>>::new(LE, alignment, &bytes);
        let Ok(mut notes) = notes else { return };
        for _ in 0..MAX_NOTES {
            let Ok(Some(note)) = notes.next() else { return };
            if note.name() == ELF_NOTE_GNU {
                see(note.n_type(LE), note.desc());
            }
        }
    }
}
