//! From whole samples to a profile.

pub mod naming;
pub mod native;
pub mod symbolizer;
