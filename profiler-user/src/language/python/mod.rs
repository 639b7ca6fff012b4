//! Finds the Python interpreter in a process and says how to read it, from outside and without stopping it.
//!
//! Used by the tracker (`record`), `ps` and `doctor`, and to name what the kernel half delivers. What is found but not
//! understood is refused by name and with a reason. Nothing here loads BPF or writes anywhere.
//!
//! - [`recognise`]: which CPython a process runs and where, or why it is refused.
//! - [`layout`], [`lookup`]: where that version keeps its fields; how its threads are found.
//! - [`code`]: captured bytes to names and lines.
//! - [`objects`], [`threads`], [`locals`]: objects in the memory of a live process; of these the names of threads, and what the
//!   variables of frames are.

pub mod code;
pub mod layout;
#[cfg(test)]
mod live_test;
pub mod locals;
pub mod lookup;
pub mod objects;
pub mod recognise;
#[cfg(test)]
pub(crate) mod test_support;
pub mod text;
pub mod threads;

pub use self::recognise::Inspector;
pub use self::recognise::analysis::Libc;
pub use self::recognise::evaluation_loop::NoLoop;
pub use self::recognise::finding::{Finding, InspectError, Refused};
pub use self::recognise::interpreter::{Interpreter, Linkage};
pub use self::recognise::refusal::{InterpreterName, Refusal};
pub use self::recognise::version::Version;
