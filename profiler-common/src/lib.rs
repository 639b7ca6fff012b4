//! The contract between pyebpf's kernel and user halves, and the walkers that both of them run.
//!
//! Everything here is `no_std`, allocates nothing, depends on nothing but `zerocopy` and holds no `unsafe`: the same code is
//! compiled to BPF (`profiler-ebpf`), into the `pyebpf` binary (live processes) and into tests (recorded
//! snapshots). One Rust definition of each record and table serves both sides of the kernel boundary.
//!
//! - [`contract`]: what both halves know and neither owns: records, layouts, process entries, reasons.
//! - [`memory`]: how target memory is reached.
//! - [`walker`]: thread states, Python frames, code objects and native frames, generic over [`memory::Memory`].
#![no_std]

pub mod contract;
pub mod memory;
pub mod walker;
