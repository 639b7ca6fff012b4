//! Code objects: from captured bytes to names and lines.
//!
//! - [`text`]: captured `str` data to Rust strings.
//! - [`line_table`]: instruction offset to line, one decoder for each format.
//! - [`definition`]: what is known about one code object, and how to complete it.
//! - `class`: which class a method belongs to, where the interpreter does not say.
//! - [`store`]: all definitions of a recording, bounded, shared between processes; resolves frames.
//! - [`resolved`]: what a sampled frame resolves to.
//! - [`source_path`]: the short file names that py-spy users know.
//!
//! Used by the pipeline and by inspectors. Reaches a target only through [`profiler_common::memory::Memory`]; opens no
//! file.

mod class;
pub mod definition;
mod intern;
pub mod line_table;
pub mod resolved;
pub mod source_path;
pub mod store;

#[cfg(test)]
pub(crate) mod pythons;
