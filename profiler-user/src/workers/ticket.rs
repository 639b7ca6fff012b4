//! A question's number, which travels with the question and its answer.

/// Bytes of a question or an answer, with its number.
pub(super) const MAX_BYTES: usize = 24 << 20;
/// Bytes of a number.
pub(super) const TICKET_BYTES: usize = 8;

/// A question that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub(super) u64);
