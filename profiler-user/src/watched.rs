//! Descriptors that the event loop waits for.
#![expect(
    unsafe_code,
    reason = "the event loop is given a descriptor, and trusts its owner"
)]

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// A descriptor whose events the tokio runtime of the caller hears of.
pub type Watched = AsyncFd<OwnedFd>;

/// Registers a descriptor with the runtime. To be called within one.
///
/// # Errors
/// When the kernel does not let it be waited for.
pub fn watch(descriptor: OwnedFd) -> io::Result<Watched> {
    // SAFETY: an `OwnedFd` keeps its descriptor open, and the same, for as long as it is registered.
    Ok(unsafe { AsyncFd::register(descriptor) }?)
}
