//! The call frame information of a file of any bytes is compiled or refused in bounded time and memory, and rows are in
//! order, within their block and no more than a block can have.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profiler_common::contract::unwind::{BLOCK_BYTES, MAX_BLOCK_ROWS};
use pyebpf::native::unwind::FileTables;

/// Blocks compiled of one input.
const BLOCKS: u32 = 4;

fuzz_target!(|bytes: &[u8]| {
    let mut tables = match FileTables::open(bytes) {
        Ok(tables) => tables,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let text = tables.text();
    let count = text.block_count();
    assert!(text.text_bytes() <= u64::from(count) * BLOCK_BYTES);
    assert!(u64::from(count) * BLOCK_BYTES <= text.text_bytes() + 2 * BLOCK_BYTES);
    for block in (0..count).take(BLOCKS as usize) {
        let Ok(compiled) = tables.block(block) else {
            continue;
        };
        let rows = &compiled.rows;
        assert!(rows.len() <= MAX_BLOCK_ROWS);
        assert_eq!(rows.first().map(|row| row.start()), Some(0));
        assert!(rows.windows(2).all(|pair| pair[0].start() < pair[1].start()));
        // The same again: what is remembered between blocks changes nothing.
        assert_eq!(tables.block(block).ok(), Some(compiled));
    }
    assert!(tables.block(count).is_err());
});
