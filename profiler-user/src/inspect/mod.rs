//! Questions about processes: is it Python, which one, where; who is it; what do its memory and its files say. They are
//! asked here and answered by workers of the role `inspect`, because finding out can hang forever (see [`crate::workers`]).
//!
//! | file | what it does |
//! |---|---|
//! | `messages` | questions and answers; the decoder of answers, which are not trusted either |
//! | `inspectors` | asks, waits a little, hands out late answers later |
//! | `serve` | the worker: answers by looking |
//! | `packages` | short paths of source files, by the packages in a file system |

mod inspectors;
mod messages;
mod packages;
mod serve;

#[cfg(test)]
mod tests;

pub use self::inspectors::{InspectFailure, Inspectors};
pub use self::messages::{About, Answer, Found, Look, Question, RefusedInterpreter, is_answer};
pub use self::serve::ROLE;
