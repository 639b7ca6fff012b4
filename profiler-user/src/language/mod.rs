//! Languages whose frames pyebpf knows: one folder each.

pub mod python;
