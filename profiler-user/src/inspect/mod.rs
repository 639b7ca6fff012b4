//! Questions about processes: is it Python, which one, where; who is it; what do its memory and its files say. They are
//! asked here and answered by workers of the role `inspect`, because finding out can hang forever (see [`crate::workers`]).
//!
//! | file | what it does |
//! |---|---|
//! | `messages` | questions and answers; the decoder of answers, which are not trusted either |
//! | `inspectors` | asks, waits a little, hands out late answers later |
//! | `serve` | the worker: answers by looking |
//! | `opener`, `openings` | has files opened by workers and passed on to other workers; does not wait for those that are late |
//! | `space`, `code_maps` | what a process executes: as it is told, and as it is found out |
//! | `reach`, `held` | how a file is named to a worker; files that it keeps reachable |
//! | `culprits` | who is answerable for a process that made a worker hang |
//! | `packages` | short paths of source files, by the packages in a file system |
//! | `source` | lines of source files, as a process sees them |
//! | `stacks`, `rest` | the stack of a thread that is blocked, and the variables of its frames; whether its process is at rest |

pub mod code_maps;
mod culprits;
mod held;
mod inspectors;
mod messages;
mod opener;
mod openings;
mod packages;
mod reach;
mod rest;
mod serve;
mod source;
mod space;
mod stacks;

#[cfg(test)]
mod tests;

pub use self::held::DEBUG_FOLDER;
pub use self::inspectors::{InspectFailure, Inspectors};
pub use self::messages::{
    About, Answer, Found, FoundStack, Look, Question, RefusedInterpreter, ThreadToRead, is_answer,
};
pub use self::opener::{NotOpened, Opener, Opening, SentFile};
pub use self::openings::{Arrival, Openings};
pub use self::reach::{FileWanted, Reach};
pub use self::serve::ROLE;
pub use self::space::{CodeMapping, FoundFile, MappedContent, Space};
pub use self::stacks::each_record;
