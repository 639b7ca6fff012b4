//! Text of any sort in place of a perf map names only what its lines cover, in pieces as well as at once.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pyebpf::native::symbol::PerfMap;

fuzz_target!(|text: &[u8]| {
    let mut whole = PerfMap::default();
    whole.add(text);
    let mut pieces = PerfMap::default();
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        pieces.add(line);
    }
    for word in text.split(|byte| byte.is_ascii_whitespace()) {
        let Some(address) = std::str::from_utf8(word)
            .ok()
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        else {
            continue;
        };
        for address in [address.wrapping_sub(1), address, address.wrapping_add(1)] {
            let name = whole.name(address);
            assert_eq!(name, pieces.name(address));
            assert!(name.is_none_or(|name| !name.symbol.is_empty() && name.symbol.len() <= 3 * text.len()));
        }
    }
});
