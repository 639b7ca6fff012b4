//! Hostile targets: programs of `tests/hostile` that try to end, stop, bloat or mislead a profiler, each run beside an innocent
//! busy program, and what that cost the innocent one, the profiler and its user.
//!
//! - [`attacks`]: the registry, a row for each attack.
//! - [`attack`]: what such a row says. [`workshop`] and [`bad_elf`]: what attacks are made with. [`scene`]: one that runs.
//! - [`innocent`]: the innocent program, and what was recorded of it. [`memory`]: what pyebpf takes meanwhile.
//! - [`trial`]: one row, from the start of the attack to what came of it. [`verdict`]: what is allowed.
//! - [`report`]: the table of `docs/hostile.md`.
//!
//! Used by `cargo xtask hostile` (all of them) and by `tests/tests/live_hostile.rs` (those that stand for others).

pub mod attack;
pub mod attacks;
pub mod bad_elf;
pub mod innocent;
pub mod memory;
pub mod report;
pub mod scene;
pub mod trial;
pub mod verdict;
pub mod workshop;
