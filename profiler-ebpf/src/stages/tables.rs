//! Unwind tables as maps.

use profiler_common::contract::unwind::{Block, Mapping, ROWS_PER_PAGE, Row};
use profiler_common::walker::native::UnwindTables;

use crate::maps::{BLOCKS, MAPPINGS, ROWS};

/// What user space has loaded.
pub(super) struct Tables;

impl UnwindTables for Tables {
    #[inline(always)]
    fn mapping(&self, index: u32) -> Option<&Mapping> {
        MAPPINGS.get(index)
    }

    #[inline(always)]
    fn block(&self, index: u32) -> Option<Block> {
        BLOCKS.get(index).copied()
    }

    #[inline(always)]
    fn row(&self, index: u32) -> Option<Row> {
        let page = ROWS.get(index / ROWS_PER_PAGE as u32)?;
        Some(Row(page[index as usize % ROWS_PER_PAGE]))
    }
}
