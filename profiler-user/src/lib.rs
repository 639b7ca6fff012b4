//! The user half of pyebpf: finds interpreters, loads the kernel half, names what it delivers, writes profiles.

pub mod as_bytes;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod container;
pub mod elf;
pub mod host;
pub mod ids;
pub mod inspect;
pub mod kernel;
pub mod language;
pub mod native;
pub mod output;
pub mod path;
pub mod pipeline;
pub mod priority;
pub mod proc;
pub mod processes;
pub mod profile;
pub mod roles;
pub mod session;
pub mod shell;
pub mod sources;
pub mod table_maps;
pub mod wire;
pub mod workers;
