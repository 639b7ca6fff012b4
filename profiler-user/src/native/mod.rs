//! Native frames: everything about machine code that is not an interpreter's.
//!
//! Used by the recorder.

pub mod unwind;
