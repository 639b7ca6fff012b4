//! Unwind tables: from the call frame information of ELF files to the rows that the kernel half searches.
//!
//! ```text
//!  /proc/PID/maps ── spaces ──> Mapping   (a list per address space, shared by forked children)
//!                     files ──> Block     (a directory per file, shared by build id)
//!  .eh_frame ── file ── worker ── blocks ──> Row (64 KiB of text at a time, on demand)
//! ```
//!
//! Used by the recorder through [`Tables`], which decides what is loaded: first what samples needed, then the whole of
//! small files that profiled processes execute. [`FileTables`] alone compiles the blocks of one file.
//!
//! Nothing here touches BPF: the recorder gives the maps as [`TableMaps`]. Nothing but the worker's thread compiles.

mod blocks;
mod code;
mod extents;
mod file;
mod files;
mod frame_pointers;
mod gaps;
mod image;
mod index;
mod interface;
mod rows;
mod spaces;
mod symbols;
mod tables;
mod worker;

pub use crate::table_maps::{Capacity, TableMaps};
pub use file::{CompiledBlock, FileTables};
pub use files::FileNumber;
pub use image::{Bytes, Image, Machine, TableError};
pub use interface::{Located, Space, SpaceError, Statistics};
pub use spaces::Stretch;
pub use tables::Tables;

#[cfg(test)]
mod tests;
