//! Where samples come from: one program per event source.

pub(crate) mod on_cpu;
