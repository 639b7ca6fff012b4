//! A file of any bytes is analysed or refused in bounded time and memory, and what comes out is within bounds too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::interpreter::elf::{Implementation, analyze_bytes};

fuzz_target!(|bytes: &[u8]| {
    let analysis = match analyze_bytes(bytes) {
        Ok(analysis) => analysis,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    if let Some(Implementation::CPython(python)) = analysis.interpreter {
        let runtime = python.runtime;
        let loaded = analysis.segments.iter().any(|segment| {
            runtime.is_none_or(|address| address.wrapping_sub(segment.address) < segment.memory_bytes)
        });
        assert!(loaded, "a runtime that no segment holds");
        assert!(
            python
                .debug_offsets
                .is_none_or(|offsets| offsets.len() <= bytes.len())
        );
    }
});
