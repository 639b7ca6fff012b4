//! Native frames: what is beside and between the Python frames of a sample.

pub mod interpreter_frames;
pub mod merge;
