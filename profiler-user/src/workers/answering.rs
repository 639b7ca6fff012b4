//! The loop of a worker: a question comes with its number, and the answer goes back under the same number.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use super::stream::{receive, send};
use super::ticket::{MAX_BYTES, TICKET_BYTES};

/// Answers questions in the order in which they come, until nobody asks any more.
///
/// # Errors
/// When the socket fails, or `answer` does not understand a question.
pub fn answer_all(
    stream: &UnixStream,
    mut answer: impl FnMut(&[u8], Option<OwnedFd>) -> Option<Vec<u8>>,
) -> io::Result<()> {
    while let Some((mut message, file)) = receive(stream, MAX_BYTES)? {
        let question = message.get(TICKET_BYTES..).ok_or(io::ErrorKind::InvalidData)?;
        let answer = answer(question, file).ok_or(io::ErrorKind::InvalidData)?;
        message.truncate(TICKET_BYTES);
        message.extend_from_slice(&answer);
        send(stream, &message, MAX_BYTES, None)?;
    }
    Ok(())
}
