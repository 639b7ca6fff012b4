//! The contract between pyebpf's kernel and user halves, and the walkers that both of them run.
//!
//! Everything here is `no_std`, allocates nothing, depends on nothing and holds no `unsafe`: the same code is
//! compiled to BPF (`profiler-ebpf`), into the `pyebpf` binary (live processes) and into tests (recorded
//! snapshots). One Rust definition of each record and table serves both sides of the kernel boundary.
//!
//! - [`layout`]: where CPython keeps its fields, as offsets and shape codes. Kernel code never sees a version.
//! - [`process`]: what the kernel half knows about one profiled process.
//! - [`record`]: what travels through the ring buffers.
//! - [`reason`]: why a sample, a stack or a frame is not what one would wish for.
//! - [`memory`]: how target memory is reached.
//! - [`walker`]: thread state, frames and code objects, generic over [`memory::Memory`].
//! - [`unwind`]: the tables by which native frames are walked.
//! - [`benchmark`]: what the kernel half can measure of itself.
#![no_std]

pub mod benchmark;
pub mod layout;
pub mod memory;
pub mod process;
pub mod reason;
pub mod record;
pub mod unwind;
pub mod walker;
