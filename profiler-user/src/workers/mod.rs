//! Processes that may be lost: how they are started, asked, waited for and given up. What they are asked depends on their
//! role; `crate::roles` lists the roles.
//!
//! Looking at a process can hang forever, and no signal ends that: a page of its memory, a file that it maps and even its
//! arguments may be kept by a file system that never answers. And what is read may make a library fail. So the main process
//! asks a worker, and the worker is what hangs.
//!
//! | file | what it does |
//! |---|---|
//! | `forker` | the process that starts workers, and the main process's handle of it |
//! | `stream` | messages between processes, files beside them |
//! | `role`, `ticket`, `unanswered` | what a worker does; a question's number, and what became of it |
//! | `pool` | questions to workers of one role, with deadlines; spare workers; giving workers up |
//! | `single` | a worker for a thread that may wait for it |
//! | `worker` | one worker, as the main process sees it |
//! | `spent` | how long a worker has been at a question: time that it waits for a CPU does not count |
//! | `culprit`, `budget` | whom a lost worker is charged to, and what follows |
//! | `answering` | the loop of a worker |
//! | `limits` | what a worker may use |
//! | `confinement`, `own_user`, `system_calls` | what a worker gives up before it reads what strangers wrote |

mod answering;
mod budget;
mod confinement;
mod culprit;
mod forker;
mod limits;
mod own_user;
mod pool;
mod role;
mod single;
mod spent;
pub(crate) mod stream;
mod system_calls;
#[cfg(test)]
mod tests;
mod ticket;
mod unanswered;
mod worker;

pub use self::answering::answer_all;
pub use self::confinement::{ConfineError, confine_this_process};
pub use self::culprit::{Culprit, Tenant};
pub use self::forker::{FORKER, Forker, StartError, VERB, start_forker};
pub use self::limits::limit_this_process;
pub use self::pool::Pool;
pub use self::role::Role;
pub use self::single::Single;
pub use self::system_calls::FilterError;
#[cfg(test)]
pub(crate) use self::tests::DEAF;
pub use self::ticket::Ticket;
pub use self::unanswered::{Outcome, Unanswered};
