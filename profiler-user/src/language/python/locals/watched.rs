//! Memory that is read while others may change it: each read is paid for out of a budget, and remembered by what it gave, so
//! that a second round of the same reads tells whether all of it was there at one moment.

use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hasher as _};

use profiler_common::memory::{Fault, Memory, RemoteAddr};
use zerocopy::IntoBytes as _;

/// Bytes that are compared at once.
const PIECE_BYTES: usize = 1024;

/// What may still be read of one thread.
#[derive(Debug)]
pub(super) struct Budget {
    reads: Cell<u32>,
    bytes: Cell<u32>,
}

impl Budget {
    pub(super) fn new(reads: u32, bytes: u32) -> Self {
        Self {
            reads: Cell::new(reads),
            bytes: Cell::new(bytes),
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.reads.get() == 0 || self.bytes.get() == 0
    }

    /// Nothing more is read once it is spent.
    fn pay(&self, bytes: usize) -> Result<(), Fault> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        match (
            self.reads.get().checked_sub(1),
            self.bytes.get().checked_sub(bytes),
        ) {
            (Some(reads), Some(left)) => {
                self.reads.set(reads);
                self.bytes.set(left);
                Ok(())
            }
            _ => {
                self.reads.set(0);
                Err(Fault)
            }
        }
    }
}

/// What was read for one value.
pub(super) struct Watched<'a, M> {
    memory: &'a M,
    budget: &'a Budget,
    reads: RefCell<Vec<Read>>,
}

struct Read {
    address: RemoteAddr,
    bytes: usize,
    digest: u64,
}

impl<'a, M: Memory> Watched<'a, M> {
    pub(super) fn new(memory: &'a M, budget: &'a Budget) -> Self {
        Self {
            memory,
            budget,
            reads: RefCell::default(),
        }
    }

    /// Whether everything that was read is still the same. If so, all of it was there at one moment between the two rounds,
    /// unless something changed and changed back.
    pub(super) fn is_unchanged(&self) -> bool {
        self.reads.borrow().iter().all(|read| self.is_same(read))
    }

    fn is_same(&self, read: &Read) -> bool {
        let mut hasher = DefaultHasher::new();
        let mut piece = [0; PIECE_BYTES];
        let mut at = 0;
        while at < read.bytes {
            let bytes = (read.bytes - at).min(PIECE_BYTES);
            let address = read.address.offset(at as u64);
            if self.budget.pay(bytes).is_err()
                || self
                    .memory
                    .read_bytes(address, &mut piece, u32::try_from(bytes).unwrap_or(0))
                    .is_err()
            {
                return false;
            }
            hasher.write(piece.get(..bytes).unwrap_or_default());
            at += bytes;
        }
        hasher.finish() == read.digest
    }

    fn note(&self, address: RemoteAddr, bytes: &[u8]) {
        let mut hasher = DefaultHasher::new();
        for piece in bytes.chunks(PIECE_BYTES) {
            hasher.write(piece);
        }
        self.reads.borrow_mut().push(Read {
            address,
            bytes: bytes.len(),
            digest: hasher.finish(),
        });
    }
}

impl<M: Memory> Memory for Watched<'_, M> {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        self.budget.pay(8 * N)?;
        self.memory.read_words(addr, out)?;
        self.note(addr, out.as_bytes());
        Ok(())
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        let bytes = (bytes as usize).min(8 * N);
        self.budget.pay(bytes)?;
        self.memory.read_words_prefix(addr, out, bytes as u32)?;
        self.note(addr, out.as_bytes().get(..bytes).unwrap_or_default());
        Ok(())
    }

    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        let bytes = (len as usize).min(N);
        self.budget.pay(bytes)?;
        self.memory.read_bytes(addr, out, len)?;
        self.note(addr, out.get(..bytes).unwrap_or_default());
        Ok(())
    }
}
