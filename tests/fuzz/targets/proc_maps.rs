//! Text of any sort in place of `/proc/PID/maps` gives only sound mappings.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::proc::maps::Maps;

fuzz_target!(|text: &[u8]| {
    let lines = text.split(|byte| *byte == b'\n').count();
    let maps = Maps::from_text(text.to_vec());
    assert!(maps.iter().count() <= lines);
    for mapping in maps.iter() {
        assert!(mapping.start < mapping.end);
        assert!(mapping.contains(mapping.start) && !mapping.contains(mapping.end));
        assert!(mapping.path().len() <= text.len());
        assert!(mapping.path().contains(&b'\n') || mapping.path().ends_with(mapping.file_name()));
    }
});
