//! Walkers: one implementation each for the kernel, a live process and a recorded snapshot.

pub mod native;
pub mod python;
