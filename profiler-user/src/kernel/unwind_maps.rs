//! The maps that the native unwinder reads: mappings, blocks, rows.

use aya::Ebpf;
use aya::maps::{Array, MapData, MapError};
use profiler_common::contract::unwind::{Block, Mapping, ROWS_PER_PAGE};

use super::error::LoadError;
use super::maps::{Plain, take};
use crate::table_maps::TableMaps;

/// Write access to the tables.
pub struct UnwindMaps {
    mappings: Array<MapData, Plain<Mapping>>,
    blocks: Array<MapData, Plain<Block>>,
    rows: Array<MapData, [u64; ROWS_PER_PAGE]>,
}

impl UnwindMaps {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            mappings: take(ebpf, "MAPPINGS")?,
            blocks: take(ebpf, "BLOCKS")?,
            rows: take(ebpf, "ROWS")?,
        })
    }
}

impl TableMaps for UnwindMaps {
    type Error = LoadError;

    fn set_mapping(&mut self, index: u32, mapping: &Mapping) -> Result<(), LoadError> {
        written("MAPPINGS", self.mappings.set(index, Plain(*mapping), 0))
    }

    fn set_block(&mut self, index: u32, block: Block) -> Result<(), LoadError> {
        written("BLOCKS", self.blocks.set(index, Plain(block), 0))
    }

    fn set_rows(&mut self, page: u32, rows: &[u64; ROWS_PER_PAGE]) -> Result<(), LoadError> {
        written("ROWS", self.rows.set(page, *rows, 0))
    }
}

fn written(name: &'static str, result: Result<(), MapError>) -> Result<(), LoadError> {
    result.map_err(|source| LoadError::Map { name, source })
}
