//! What the kernel half and the user half agree on: each fact once, for both.
//!
//! - [`records`]: what travels through the ring buffers.
//! - [`layout`]: where CPython keeps its fields, as offsets and shape codes. Kernel code never sees a version.
//! - [`process`]: what the kernel half knows about one profiled process.
//! - [`sources`]: what a sample can be taken of, its unit, and the accounts of each.
//! - [`period`]: what a sample of CPU time weighs.
//! - [`definitions`]: how many definitions a CPU sends of one process.
//! - [`spell`]: time off the CPU: what is kept of each thread, and what a sample of it weighs.
//! - [`programs`]: the kernel half's programs by name, and which continues which.
//! - [`modes`]: the kernel half's switches.
//! - [`reasons`]: why a sample, a stack or a frame is not what one would wish for.
//! - [`losses`]: records other than samples that were lost.
//! - [`unwind`]: the tables by which native frames are walked.
//! - [`benchmark`]: what the kernel half can measure of itself.

pub mod benchmark;
pub mod definitions;
pub mod layout;
pub mod losses;
pub mod modes;
pub mod period;
pub mod process;
pub mod programs;
pub mod reasons;
pub mod records;
pub mod sources;
pub mod spell;
mod table;
pub mod unwind;
