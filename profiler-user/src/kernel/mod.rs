//! The kernel half as user space sees it: loading, attaching, maps, rings. Nothing else touches BPF.

mod accounts;
pub mod btf;
mod error;
pub mod kernel_fields;
mod load;
#[cfg(feature = "debug-bpf")]
mod log;
mod maps;
mod mmap_events;
mod options;
mod perf_event;
mod processes;
mod ring;
mod threads;
mod unwind_maps;

pub use error::LoadError;
pub use load::{Kernel, ProgramCost};
pub use mmap_events::MmapEvents;
pub use options::{Native, Options, SampledSource};
pub use perf_event::{PerfError, PerfEvent, SoftwareEvent, sampling_is_forbidden};
pub use ring::{Ring, Rings};
pub use threads::Watch;
pub use unwind_maps::UnwindMaps;
