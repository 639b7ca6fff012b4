//! What is found out about processes: is it Python, which, where; who is it; what its memory and its files say. Asked here,
//! found out by workers of the role `inspect`, because each of these can hang for good: see [`crate::workers`].
//!
//! | file | what it does |
//! |---|---|
//! | `messages` | questions and answers; the decoder of answers, which are as foreign as what they tell of |
//! | `inspectors` | asks, waits a little, gives late answers later |
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
