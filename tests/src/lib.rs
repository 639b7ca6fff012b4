//! The harness of the end-to-end tests: real interpreters run programs that know the truth about themselves, the real
//! `pyebpf` binary records them, and what it wrote is compared with what they say.
//!
//! - [`python`]: the interpreters of this machine (the member `test-pythons`, which xtask uses too).
//! - [`workload`]: the programs in `tests/workloads`, and what they report about themselves.
//! - [`profiler`]: runs `pyebpf`; [`folded`] and [`report`] read what it writes.
//! - [`reader`]: the programs of others that read what it writes; [`recorded`]: a file for them, and what it must say.
//! - [`chromium`]: a browser, for the pages that it writes; [`page`]: such pages.
//! - [`container`]: the same programs in real containers; [`server`]: one behind a server with workers.
//! - [`cgroup`]: a place for processes that filters are to find.
//! - [`statistics`]: how far a share may be from the truth by chance.
//! - [`status`]: what the kernel says of a process, such as its memory.
//! - [`tmux`]: a real terminal, for what is drawn on one.
//! - [`live`]: one workload on every interpreter, in one recording.
//! - [`matrix`]: the same programs on every interpreter, and the README's table of what works.
//! - [`native`]: programs with C functions of known names, and their merged stacks.
//! - [`hostile`]: attacks on pyebpf, each beside an innocent program.
//! - [`bench`]: what pyebpf costs.
//! - [`layouts`]: the offsets of every version, compared with CPython's headers.
//! - [`snapshot`]: recorded memory of interpreters, and the walker run over it.
//!
//! Used by `tests/tests/*.rs` and by the programs in `src/bin`. The truth never comes from another profiler.

pub mod bench;
pub mod cgroup;
pub mod chromium;
pub mod container;
pub mod folded;
pub mod host;
pub mod hostile;
pub mod layouts;
pub mod live;
pub mod matrix;
pub mod native;
pub mod page;
pub mod profiler;
pub mod reader;
pub mod recorded;
pub mod report;
pub mod server;
pub mod snapshot;
pub mod statistics;
pub mod status;
pub mod tmux;
pub mod workload;

pub use test_pythons as python;
