//! Bytes of any sort in place of the symbol worker's answer are an answer or none, and an answer is written in one way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::native::symbol::is_answer;

fuzz_target!(|bytes: &[u8]| {
    let _ = is_answer(bytes);
});
