//! What a worker does.

use std::io;
use std::os::unix::net::UnixStream;

/// What a worker does; a row of `crate::roles::ROLES`.
#[derive(Clone, Copy, Debug)]
pub struct Role {
    /// The argument that makes the program such a worker.
    pub name: &'static str,
    /// Answers what comes through the socket, until it is closed.
    pub serve: fn(&UnixStream) -> io::Result<()>,
}
