//! The symbols of a file of any bytes are taken in or refused, in bounded time and memory.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::native::symbol::take_in;

fuzz_target!(|bytes: &[u8]| {
    let taken = take_in(bytes);
    assert!(!taken || bytes.starts_with(b"\x7fELF\x02\x01"));
});
