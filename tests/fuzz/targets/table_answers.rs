//! Bytes of any sort in place of a compiled block are rows that the kernel half can search, or none.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::native::unwind::is_block_answer;

fuzz_target!(|bytes: &[u8]| {
    let _ = is_block_answer(bytes);
});
