//! What became of a question to a worker.

use std::fmt;

use bytes::Bytes;

use super::culprit::{Culprit, Tenant};

/// Why there is no answer and will not be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It did not come in time, and not at a second try either.
    Lost,
    /// It was not asked: too many workers have been lost over other processes of this one.
    Refused(Culprit),
    /// The same, over processes of everybody behind whom this one is.
    RefusedOf(Tenant),
    /// No worker can be started.
    NoWorker,
}

/// For people, after `process 1234: `.
impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("its memory or its files do not answer"),
            Self::Refused(culprit) => write!(
                f,
                "not looked at, because the memory or files of other processes of {culprit} do not answer"
            ),
            Self::RefusedOf(tenant) => write!(
                f,
                "not looked at, because the memory or files of too many other processes of {tenant} do not answer"
            ),
            Self::NoWorker => f.write_str("not looked at, because no worker process can be started"),
        }
    }
}

/// What became of a question.
pub type Outcome = Result<Bytes, Unanswered>;
