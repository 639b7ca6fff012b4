//! The rings that the kernel half writes.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};

use aya::maps::{MapData, RingBuf};

use crate::watched::{Watched, watch};

/// The two rings that the kernel half writes.
pub struct Rings {
    /// Samples and code definitions; never asks for attention.
    pub samples: Ring,
    /// Process life; asks for attention at every exec.
    pub events: Ring,
}

/// One ring, read by this process alone.
pub struct Ring(RingBuf<MapData>);

impl Ring {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self(ring)
    }

    /// Hands waiting records to `consume`, at most so many; `true` when there may be more.
    pub fn drain(&mut self, at_most: usize, mut consume: impl FnMut(&[u8])) -> bool {
        for _ in 0..at_most {
            match self.0.next() {
                Some(item) => consume(&item),
                None => return false,
            }
        }
        true
    }

    /// Becomes readable when the kernel half asks for attention. To be called within a tokio runtime.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated or registered.
    pub fn watch(&self) -> io::Result<Watched> {
        let ring: BorrowedFd<'_> = self.0.as_fd();
        watch(ring.try_clone_to_owned()?)
    }
}
