//! ELF files of bad kinds, each with working code: some are executed, and all are mapped as code by an interpreter that runs it.
//!
//! By the ELF specification (gABI), DWARF 4 and the LSB's description of `.eh_frame`. Nothing here reads such files.

pub mod compressed;
pub mod debug;
pub mod frames;
pub mod headers;
mod image;
pub mod names;

pub use self::image::{CODE, Image};
