//! Where a file was loaded, and whether the dynamic loader is still at work.
//!
//! Used by [`super::Inspector`]. Reads two words of the target's memory, and only of processes in which no
//! interpreter was found.

use profiler_common::memory::{RemoteAddr, word_at};

use super::analysis::Analysis;
use crate::elf::Segment;
use crate::proc::ProcessError;
use crate::proc::maps::{Mapping, Maps};
use crate::proc::memory::ProcMemory;

/// `struct r_debug` (`elf/link.h` of glibc, `include/link.h` of musl): `r_version`, `r_map`, `r_brk`, then
/// `r_state` at byte 24.
const R_STATE: u64 = 24;
/// `r_state` while nothing is being added or removed.
const RT_CONSISTENT: u32 = 0;

/// What to add to the static addresses of the file behind `mapping` to get addresses in the process; wraps.
/// `None` when none of the file's segments is mapped.
pub(crate) fn load_bias(maps: &Maps, mapping: &Mapping<'_>, segments: &[Segment]) -> Option<u64> {
    maps.iter()
        .filter(|other| other.file == mapping.file && other.path() == mapping.path())
        .find_map(|mapped| segments.iter().find_map(|segment| bias_of(&mapped, segment)))
}

/// Segments that share a page of the file differ in being executable.
fn bias_of(mapped: &Mapping<'_>, segment: &Segment) -> Option<u64> {
    let mapped_end = mapped.offset.checked_add(mapped.end - mapped.start)?;
    let segment_end = segment.offset.checked_add(segment.file_bytes)?;
    let overlaps = mapped.offset < segment_end && segment.offset < mapped_end;
    if !segment.executable || !mapped.executable || !overlaps {
        return None;
    }
    let static_start = segment
        .address
        .wrapping_sub(segment.offset)
        .wrapping_add(mapped.offset);
    Some(mapped.start.wrapping_sub(static_start))
}

/// Whether the dynamic loader of the program behind `mapping` is loading or unloading something right now.
///
/// The loader publishes its state for debuggers (`r_debug`): glibc leaves its address in the program's
/// `DT_DEBUG` before it maps the first library and musl after it mapped the last; both set `r_state` while
/// they are at work. No address yet means that it has just begun.
pub(super) fn is_loading(
    pid: u32,
    maps: &Maps,
    mapping: &Mapping<'_>,
    program: &Analysis,
) -> Result<bool, ProcessError> {
    let (Some(slot), true) = (program.debug_slot, program.is_64_bit) else {
        return Ok(false);
    };
    let Some(bias) = load_bias(maps, mapping, &program.segments) else {
        return Ok(false);
    };
    let memory = match ProcMemory::open(pid) {
        // Not permitted: then the interpreter could not be read either.
        Err(ProcessError::Denied { .. }) => return Ok(false),
        other => other?,
    };
    Ok(read_state(&memory, bias.wrapping_add(slot)).is_none_or(|state| state != RT_CONSISTENT))
}

/// `r_state`; `None` before the loader says.
fn read_state(memory: &ProcMemory, slot: u64) -> Option<u32> {
    use profiler_common::memory::Memory as _;
    let mut word = [0u64; 1];
    memory.read_words(RemoteAddr(slot), &mut word).ok()?;
    if word[0] == 0 {
        return None;
    }
    memory
        .read_words(RemoteAddr(word[0]).offset(R_STATE), &mut word)
        .ok()?;
    Some(word_at(&word, 0) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program linked without `-z separate-code`: text and data share the page of the file at 0x1000.
    const SEGMENTS: [Segment; 2] = [
        Segment {
            address: 0x40_0000,
            offset: 0,
            file_bytes: 0x1800,
            memory_bytes: 0x1800,
            writable: false,
            executable: true,
        },
        Segment {
            address: 0x60_1800,
            offset: 0x1800,
            file_bytes: 0x200,
            memory_bytes: 0x900,
            writable: true,
            executable: false,
        },
    ];

    fn bias(text: &str) -> Option<u64> {
        let maps = Maps::from_text(text.as_bytes().to_vec());
        let first = maps.iter().next().expect("valid");
        load_bias(&maps, &first, &SEGMENTS)
    }

    #[test]
    fn a_fixed_program_has_no_bias_and_a_moved_one_the_distance() {
        let fixed = "400000-402000 r-xp 00000000 fe:01 7 /p\n601000-602000 rw-p 00001000 fe:01 7 /p\n";
        assert_eq!(bias(fixed), Some(0));
        let moved = "555000400000-555000402000 r-xp 00000000 fe:01 7 /p\n555000601000-555000602000 rw-p 00001000 fe:01 7 /p\n";
        assert_eq!(bias(moved), Some(0x5550_0000_0000));
    }

    #[test]
    fn text_that_was_split_or_starts_late_gives_the_same_bias() {
        let split = "555000401000-555000402000 r-xp 00001000 fe:01 7 /p\n";
        assert_eq!(bias(split), Some(0x5550_0000_0000));
    }

    #[test]
    fn data_and_other_files_say_nothing() {
        assert_eq!(
            bias("601000-602000 rw-p 00001000 fe:01 7 /p\n400000-402000 r-xp 00000000 fe:01 8 /p\n"),
            None
        );
        assert_eq!(bias("400000-402000 r-xp 00009000 fe:01 7 /p\n"), None);
    }
}
