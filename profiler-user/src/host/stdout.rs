//! Whether pyebpf was started with its standard output closed (`>&-`).
//!
//! Rust's runtime puts `/dev/null` in place of standard streams that are closed, so `main` comes too late to tell: what is
//! written would vanish without an error. So this looks before the runtime starts.

use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether standard output was closed when this process started.
#[must_use]
pub fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}

/// The C library calls what is in this section before it calls `main`.
#[used]
#[expect(
    unsafe_code,
    reason = "the section is one of pointers to functions of this type, called once"
)]
// SAFETY: `.init_array` holds pointers to `extern "C"` functions; C libraries pass arguments or none, and this one reads none.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    let flags = rustix::io::fcntl_getfd(rustix::stdio::stdout());
    WAS_CLOSED.store(flags == Err(Errno::BADF), Ordering::Relaxed);
}
