//! Names of native and kernel addresses, with inlined functions and source lines where debug information has them.
//!
//! | file | what it does |
//! |---|---|
//! | `symbolizer` | asks the others, remembers the answers |
//! | `file` | a mapped file and its debug file: where they are |
//! | `client`, `messages`, `protocol` | the worker process: started, asked, ended when it does not answer |
//! | `jit` | the maps that programs write for code that they make at run time |
//! | `worker`, `perf_map`, `symbol_file`, `copy`, `compressed`, `reference`, `tables`, `plt`, `aliases`, `demangle` | in that process: a private copy of the symbols, blazesym on it |
//! | `kernel` | `/proc/kallsyms`, which the kernel writes |

mod aliases;
mod client;
mod compressed;
mod copy;
mod demangle;
mod file;
mod jit;
mod kernel;
mod messages;
mod name;
mod perf_map;
mod plt;
mod protocol;
mod reference;
mod symbol_file;
mod symbolizer;
mod tables;
mod worker;

#[cfg(test)]
mod tests;

pub use self::client::ROLE;
pub use self::file::CodeFile;
pub use self::messages::CodePosition;
pub use self::name::{NativeName, NativeResult, NativeUnresolved};
pub use self::perf_map::PerfMap;
pub use self::protocol::is_answer;
pub use self::symbol_file::take_in;
pub use self::symbolizer::NativeSymbolizer;
