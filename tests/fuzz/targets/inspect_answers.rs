//! Bytes of any sort in place of an inspector's answer are an answer or none, and an answer that travels stays the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::inspect::is_answer;

fuzz_target!(|bytes: &[u8]| {
    let _ = is_answer(bytes);
});
