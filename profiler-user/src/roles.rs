//! What workers do: one row for each role. The program is started again with the name of one; see `crate::workers`.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use crate::inspect;
use crate::native::{symbol, unwind};
use crate::workers::{FORKER, Role, VERB};

/// Every role.
pub const ROLES: &[Role] = &[FORKER, inspect::ROLE, symbol::ROLE, unwind::ROLE];

/// Does what a worker does, if this process was started as one. To be called first of all, by every program that looks at
/// processes with this library.
#[must_use]
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != VERB {
        return None;
    }
    let name = arguments.next()?;
    let role = ROLES.iter().find(|role| name == role.name)?;
    // A name for people only.
    let _ = rustix::thread::set_name(c"pyebpf");
    Some(match serve(role) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// Answers what comes through standard input.
///
/// # Errors
/// When it is not a socket, or the other side does not keep to the protocol.
pub fn serve(role: &Role) -> io::Result<()> {
    (role.serve)(&UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}
