//! Whether a process runs CPython, which one and where: by what its files contain, so renamed, deleted, embedded and
//! statically linked interpreters are ordinary cases.
//!
//! - [`Inspector`]: from a process id to a [`Finding`](finding::Finding), with a cache that makes known files free.
//! - [`analysis`]: what one file contains; [`anchors`]: where its interpreter keeps what leads to a thread's state;
//!   [`evaluation_loop`]: which of its code runs Python.
//! - `choice`, `judgement`, `refusal`: what it comes to for one process, or why it comes to nothing.

pub mod analysis;
pub mod anchors;
mod choice;
pub mod evaluation_loop;
pub mod finding;
mod inspector;
pub mod interpreter;
mod judgement;
mod launcher;
pub(super) mod loader;
pub(super) mod refusal;
pub mod version;

pub use self::inspector::Inspector;
