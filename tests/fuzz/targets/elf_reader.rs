//! Whatever is asked of a file of any bytes is answered in bounded time and memory, and answers are within the file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::elf::frames::FrameIndex;
use pyebpf::elf::{ElfFile, Wanted};

/// Bytes that may be read of one input.
const BUDGET_BYTES: u64 = 64 << 20;
/// Of each kind of thing, as many are looked at.
const MANY: usize = 64;

fuzz_target!(|bytes: &[u8]| {
    let file = match ElfFile::open(bytes.into(), BUDGET_BYTES) {
        Ok(file) => file,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let length = file.reader().length();
    assert_eq!(length, bytes.len() as u64);
    for segment in file.segments().iter().take(MANY) {
        let held = segment.offset.saturating_add(segment.file_bytes);
        assert!(segment.file_bytes == 0 || held <= length);
        for address in [
            segment.address,
            segment.address.wrapping_add(segment.file_bytes / 2),
        ] {
            if let Some((offset, left)) = file.file_extent(address) {
                assert!(left > 0 && offset < length && left <= length - offset);
            }
            let loaded = file.loaded(address, MANY).unwrap_or_default();
            assert!(loaded.len() <= MANY);
        }
    }
    if let Some(sections) = file.sections() {
        for section in sections.all().iter().take(MANY) {
            let name = sections.name(section);
            assert!(!name.contains(&0));
            if section.has_content() && !name.is_empty() {
                assert!(sections.find(name).is_some());
            }
            // A section's range may be anything; what is read of it is the whole of it.
            if let Ok(content) = file.reader().range(section.range(), 1 << 20) {
                assert_eq!(content.len() as u64, section.size);
            }
        }
    }
    assert!(file.build_id().is_none_or(|id| (2..=64).contains(&id.len())));
    let _ = (
        file.has_abi_note(),
        file.is_program(),
        file.debug_slot(),
        file.needs(|name| name == b"x"),
    );
    for text in [file.loader(), file.soname()].into_iter().flatten() {
        assert!(text.len() <= 256 && !text.contains(&0));
    }
    for index in 0..MANY as u32 {
        let Some(symbol) = file.dynamic_symbol_at(index) else {
            break;
        };
        let Ok(Some(name)) = file.reader().text(symbol.name_at, 64) else {
            continue;
        };
        // A hash table that leads to it leads to what has this name.
        if let Some(found) = file.dynamic_symbol(&name) {
            let _ = file.relocation(found.address);
        }
    }
    let functions = file.functions();
    assert!(functions.windows(2).all(|pair| pair[0] < pair[1]));
    let kind = object::elf::STT_FUNC;
    let [one, other] =
        file.static_symbols([&b"main"[..], b"main"].map(|name| Wanted { name, kind, size: 0 }));
    assert_eq!(one, other);
    let Ok(Some(mut index)) = FrameIndex::new(&file, 16 << 20) else {
        return;
    };
    let code = file.segments().iter().filter(|segment| segment.executable);
    for segment in code.take(4) {
        let range = segment.address..segment.address.saturating_add(1 << 16);
        for at in index
            .entries(&file, &range)
            .unwrap_or_default()
            .into_iter()
            .take(MANY)
        {
            if let Ok(Some((entry, read))) = index.entry(&file, at) {
                assert!(read <= bytes.len() * 2 + 8);
                let _ = (entry.start(), entry.end());
            }
        }
        let _ = index.next_start(&file, range.end);
    }
});
