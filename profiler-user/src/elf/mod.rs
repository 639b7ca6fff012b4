//! ELF files: headers, segments, sections, notes, symbols, relocations, call frame information. The one reader for all who
//! look into a file that another process maps.
//!
//! Such a file is foreign: it is read by position, never mapped into memory, and within a budget of bytes; every count has a
//! cap, and nothing is allocated for what the file does not have. Little-endian only; 32-bit files as far as recognising
//! them takes. Needs no process, opens nothing, knows nothing of Python.

mod bytes;
mod class;
mod dynamic;
mod dynamic_symbols;
mod error;
mod file;
pub mod frames;
mod notes;
mod program;
mod reader;
mod relocations;
mod sections;
mod symbols;

pub use self::bytes::FileBytes;
pub use self::dynamic_symbols::DynamicSymbol;
pub use self::error::ElfError;
pub use self::file::{Architecture, ElfFile, ThreadLocals};
pub use self::program::Segment;
pub use self::reader::Reader;
pub use self::relocations::{Relocated, Relocation, Relocations};
pub use self::sections::{Section, Sections};
pub use self::symbols::{Symbol, SymbolEntry, Symbols, Wanted};
