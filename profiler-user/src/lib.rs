//! The user half of pyebpf: finds interpreters, loads the kernel half, names what it delivers, writes profiles.

pub mod aggregate;
pub mod bpf;
pub mod cli;
pub mod code;
pub mod container;
pub mod decode;
pub mod filter;
pub mod host;
pub mod identity;
pub mod interpreter;
pub mod native;
pub mod objects;
pub mod output;
pub mod process;
pub mod profile;
pub mod recorder;
pub mod survey;
pub mod symbolizer;
pub mod threading;
pub mod timeline;
pub mod tracker;
