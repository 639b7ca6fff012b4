//! Asks the workers of the role `inspect`, for whoever wants to know something about a process.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::culprits::culprits;
use super::messages::{About, Answer, Failure, Look, Question};
use super::serve::ROLE;
use super::space::Space;
use crate::workers::{Pool, Ticket, Unanswered, start_forker};

/// The workers, shared by all who ask.
#[derive(Clone, Debug)]
pub struct Inspectors(Rc<RefCell<Pool>>);

/// Why something about a process is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InspectFailure {
    /// It is gone.
    Gone,
    /// There is no permission to look at it.
    Denied,
    /// It could not be found out, for this reason.
    Other(String),
    /// Nobody answered.
    Unanswered(Unanswered),
}

/// For people, after `process 1234: `.
impl fmt::Display for InspectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("it is gone"),
            Self::Denied => f.write_str("no permission to look at it"),
            Self::Other(reason) => f.write_str(reason),
            Self::Unanswered(reason) => reason.fmt(f),
        }
    }
}

impl From<Failure> for InspectFailure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Gone => Self::Gone,
            Failure::Denied => Self::Denied,
            Failure::Other(reason) => Self::Other(reason),
        }
    }
}

impl Inspectors {
    /// Workers that are started when they are needed.
    #[must_use]
    pub fn start() -> Self {
        Self(Rc::new(RefCell::new(Pool::new(
            start_forker(),
            ROLE.name,
            culprits(),
        ))))
    }

    /// Asks a question; [`Self::take`] has the answer later.
    #[must_use]
    pub fn ask(&self, question: &Question) -> Ticket {
        self.0
            .borrow_mut()
            .ask(question.pid(), question.is_first(), question.encode())
    }

    /// Waits for an answer as long as the event loop may: milliseconds, and not at all where a worker has not kept up.
    pub fn wait_for(&self, ticket: Ticket) {
        self.0.borrow_mut().wait_for(ticket);
    }

    /// Waits for everything that was asked; what is late is given up after a second or two. Not for the event loop.
    pub fn wait_for_all(&self, at_most: Duration) {
        self.0.borrow_mut().wait_for_all(Instant::now() + at_most);
    }

    /// Whether what is unanswered is so because somebody's memory or files do not answer.
    #[must_use]
    pub fn has_only_late(&self) -> bool {
        self.0.borrow().has_only_late()
    }

    /// The answer is of no use any more.
    pub fn forget(&self, ticket: Ticket) {
        self.0.borrow_mut().forget(ticket);
    }

    /// Takes in answers that have come.
    pub fn pump(&self) {
        self.0.borrow_mut().pump();
    }

    /// When [`Self::pump`] next has something to do.
    #[must_use]
    pub fn next_check(&self) -> Option<Instant> {
        self.0.borrow().next_check()
    }

    /// The answer, if it has come. It is handed out once.
    #[must_use]
    pub fn take(&self, ticket: Ticket) -> Option<Result<Answer, Unanswered>> {
        let outcome = self.0.borrow_mut().take(ticket)?;
        Some(outcome.and_then(|bytes| Answer::decode(&bytes).ok_or(Unanswered::Lost)))
    }

    /// What a look at a process came to, if that is known.
    #[must_use]
    pub fn take_look(&self, ticket: Ticket) -> Option<Result<Look, InspectFailure>> {
        Some(match self.take(ticket)? {
            Ok(Answer::Look(Ok(look))) => Ok(look),
            Ok(Answer::Look(Err(failure))) => Err(failure.into()),
            Ok(_) => Err(InspectFailure::Unanswered(Unanswered::Lost)),
            Err(unanswered) => Err(InspectFailure::Unanswered(unanswered)),
        })
    }

    /// What a process executes, if that is known: `None` in it when that has not changed.
    #[must_use]
    pub fn take_space(&self, ticket: Ticket) -> Option<Result<Option<Box<Space>>, InspectFailure>> {
        Some(match self.take(ticket)? {
            Ok(Answer::Space(Ok(space))) => Ok(space),
            Ok(Answer::Space(Err(failure))) => Err(failure.into()),
            Ok(_) => Err(InspectFailure::Unanswered(Unanswered::Lost)),
            Err(unanswered) => Err(InspectFailure::Unanswered(unanswered)),
        })
    }

    /// Another program runs under this process id.
    pub fn renew(&self, pid: u32) {
        self.0.borrow_mut().renew(pid);
    }

    /// The answer to a question, if it comes at once.
    #[must_use]
    pub fn ask_now(&self, question: &Question) -> Option<Result<Answer, Unanswered>> {
        let ticket = self.ask(question);
        let mut pool = self.0.borrow_mut();
        if !pool.wait_for(ticket) {
            pool.forget(ticket);
        }
        drop(pool);
        self.take(ticket)
    }

    /// Who a process is now, if that can be told at once.
    #[must_use]
    pub fn about(&self, pid: u32) -> Option<About> {
        match self.ask_now(&Question::About { pid })? {
            Ok(Answer::About(Ok(about))) => Some(about),
            _ => None,
        }
    }
}
