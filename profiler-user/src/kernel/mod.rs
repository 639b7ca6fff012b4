//! The kernel half as user space sees it: loading, attaching, maps, rings. Nothing else touches BPF.

mod accounts;
pub mod btf;
pub mod kernel_fields;
mod load;
#[cfg(feature = "debug-bpf")]
mod log;
mod mmap_events;
mod options;
mod perf_event;
mod processes;
mod unwind_maps;

pub use load::{Kernel, LoadError, ProgramCost, Ring, Rings};
pub use mmap_events::MmapEvents;
pub use options::{Native, Options, SampledSource};
pub use perf_event::{PerfError, PerfEvent, SoftwareEvent};
pub use unwind_maps::UnwindMaps;
