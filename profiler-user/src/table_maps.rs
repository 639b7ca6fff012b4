//! The maps that the native unwinder of the kernel half reads, for those who decide what is in them (`native/unwind`) and
//! those who hold them (`kernel`).

use profiler_common::contract::unwind::{Block, Mapping, ROWS_PER_PAGE};

/// Write access to the maps.
pub trait TableMaps {
    /// Why a map could not be written.
    type Error;
    /// Writes an element of `MAPPINGS`.
    ///
    /// # Errors
    /// As the system call.
    fn set_mapping(&mut self, index: u32, mapping: &Mapping) -> Result<(), Self::Error>;
    /// Writes an element of `BLOCKS`.
    ///
    /// # Errors
    /// As the system call.
    fn set_block(&mut self, index: u32, block: Block) -> Result<(), Self::Error>;
    /// Writes an element of `ROWS`.
    ///
    /// # Errors
    /// As the system call.
    fn set_rows(&mut self, page: u32, rows: &[u64; ROWS_PER_PAGE]) -> Result<(), Self::Error>;
}

/// Elements of the kernel's maps.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Of `MAPPINGS`.
    pub mappings: u32,
    /// Of `BLOCKS`.
    pub blocks: u32,
    /// Of `ROWS`.
    pub row_pages: u32,
}
