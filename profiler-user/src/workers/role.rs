//! What a worker can be.

use std::io;
use std::os::unix::net::UnixStream;

/// What a worker does; a row of `crate::roles::ROLES`.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// The argument by which the program is told.
    pub name: &'static str,
    /// Answers what comes through the socket, until it is closed.
    pub serve: fn(&UnixStream) -> io::Result<()>,
}
