//! Unwind tables: from the call frame information of ELF files to the rows that the kernel half searches.
//!
//! ```text
//!  /proc/PID/maps ── spaces ──> Mapping   (a list per address space, shared by forked children)
//!                     files ──> Block     (a directory per file)
//!  .eh_frame ── file ── compiler ── blocks ──> Row (64 KiB of text at a time, on demand; equal ones once)
//! ```
//!
//! Used by the session through [`Tables`], which decides what is loaded: first what samples needed, then the whole of
//! small files that profiled processes execute. [`FileTables`] alone compiles the blocks of one file.
//!
//! Nothing here touches BPF: the session gives the maps as [`TableMaps`]. Files are read in a process of its own
//! (`worker`), which the compiler's thread asks.

mod blocks;
mod code;
mod compiler;
mod error;
mod extents;
mod file;
mod files;
mod frame_pointers;
mod gaps;
mod interface;
mod messages;
mod origin;
mod piece;
mod rows;
mod spaces;
mod tables;
mod text_blocks;
mod worker;

pub use crate::table_maps::{Capacity, TableMaps};
pub use error::TableError;
pub use file::{CompiledBlock, FileTables};
pub use files::FileNumber;
pub use interface::{Located, Needed, Space, Statistics};
pub use messages::is_block_answer;
pub use piece::Processor;
pub use spaces::Stretch;
pub use tables::Tables;
pub use text_blocks::TextBlocks;
pub use worker::ROLE;

#[cfg(test)]
mod tests;
