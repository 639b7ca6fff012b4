//! Native and kernel frames: by which rules they are unwound, what they are called, and where they stand among the Python
//! frames.

pub mod interpreter_frames;
mod memory_file;
pub mod merge;
pub mod names;
pub mod symbol;
pub mod unwind;
