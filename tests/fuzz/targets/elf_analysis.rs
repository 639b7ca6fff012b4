//! A file of any bytes is analysed or refused in bounded time and memory, and what comes out is within bounds too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::language::python::recognise::analysis::{Implementation, analyze};
use pyebpf::language::python::recognise::anchors::TlsVariable;

fuzz_target!(|bytes: &[u8]| {
    let analysis = match analyze(bytes) {
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
        let is_loaded = |address: u64| {
            analysis
                .segments
                .iter()
                .any(|segment| address.wrapping_sub(segment.address) < segment.memory_bytes)
        };
        let anchors = python.anchors;
        let variables = [
            anchors.current_thread_state,
            anchors.interpreters_head,
            anchors.thread_key,
            anchors.gc_collecting,
        ];
        for address in variables.into_iter().flatten() {
            assert!(is_loaded(address), "a variable that no segment holds");
        }
        match anchors.gilstate_tls {
            Some(
                TlsVariable::InModule { slot, .. }
                | TlsVariable::OffsetAt { slot, .. }
                | TlsVariable::Descriptor { slot, .. },
            ) => assert!(is_loaded(slot), "a slot that no segment holds"),
            Some(TlsVariable::FromThreadPointer(offset)) => assert!(offset.unsigned_abs() < 1 << 32),
            None => {}
        }
        assert!(
            python
                .debug_offsets
                .is_none_or(|offsets| offsets.len() <= bytes.len())
        );
    }
});
