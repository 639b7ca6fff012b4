//! What [`super::Tables`] and the session say to each other.

use std::time::Duration;

use super::spaces::Stretch;

/// What the session writes into `ProcessEntry`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// `ProcessEntry::space`; 0 when there is no room for the list.
    pub space: u32,
    /// `ProcessEntry::first_mapping`.
    pub first_mapping: u32,
    /// `ProcessEntry::mapping_count`.
    pub mapping_count: u32,
}

/// What became of a sample's need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// What it lacks is on its way, or cannot be had.
    Nothing,
    /// The kernel half should have this list.
    List(Space),
    /// The mappings of the process are to be looked at again.
    Look,
}

/// Where an address of a process is.
#[derive(Clone, Copy, Debug)]
pub struct Located<'a> {
    /// The process.
    pub tgid: u32,
    /// The mapping: range, file offset, path, device and inode.
    pub mapping: &'a Stretch,
    /// The address in the file's own terms (its link-time virtual address); `None` for memory without tables.
    pub static_address: Option<u64>,
}

/// What has been done so far, for the end report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Processes with a list.
    pub processes: usize,
    /// Lists: processes that share theirs count once.
    pub spaces: usize,
    /// Files with tables that are known now.
    pub files: usize,
    /// Blocks of the directory in use: text of known files, loaded or not, in units of 64 KiB.
    pub directory_blocks: u32,
    /// Blocks whose rows are in the kernel.
    pub loaded_blocks: usize,
    /// Rows in the kernel.
    pub rows: u64,
    /// Bytes of the kernel's memory that hold them.
    pub row_bytes: u64,
    /// Blocks compiled.
    pub compiled: u64,
    /// Time the worker spent on them.
    pub compile_time: Duration,
    /// Blocks that samples asked for.
    pub needed: u64,
    /// Blocks taken out to make room for others.
    pub evicted: u64,
    /// Blocks that cannot be compiled.
    pub hopeless: u64,
    /// Blocks with more rows than a block can have.
    pub cut_blocks: u64,
    /// Requests dropped because too many were waiting; a later sample asks again.
    pub dropped_requests: u64,
    /// Blocks whose file could not be reached any more: its processes are gone.
    pub unreachable: u64,
    /// Executable mappings that are not unwound: unreadable or malformed files, or no room in the directory.
    pub refused_mappings: u64,
    /// Lists of mappings that were cut.
    pub cut_lists: u64,
    /// Processes for whose list there was no room.
    pub lists_without_room: u64,
}
