//! What the kernel half and the user half agree on: each fact once, for both.
//!
//! - [`records`]: what travels through the ring buffers.
//! - [`layout`]: where CPython keeps its fields, as offsets and shape codes. Kernel code never sees a version.
//! - [`process`]: what the kernel half knows about one profiled process.
//! - [`reasons`]: why a sample, a stack or a frame is not what one would wish for.
//! - [`unwind`]: the tables by which native frames are walked.
//! - [`benchmark`]: what the kernel half can measure of itself.

pub mod benchmark;
pub mod layout;
pub mod process;
pub mod reasons;
pub mod records;
pub mod unwind;
