//! Tests that need files, processes or both. The truth is the call frame information itself, evaluated by another path,
//! and programs whose call chain is known.

mod code;
mod copies;
mod files;
mod live;
mod machine;
mod maps;
