//! How target memory is reached: one trait, implemented by the kernel (`bpf_probe_read_user`), a live process
//! and a recorded snapshot.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// An address in the target process. An allegation, never a pointer: nothing proves that anything is mapped there,
/// that it is aligned, or that it still holds what it held a moment ago.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
#[repr(transparent)]
pub struct RemoteAddr(pub u64);

impl RemoteAddr {
    /// The null address.
    pub const NULL: Self = Self(0);

    /// Whether this is the null address.
    #[inline(always)]
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The address `bytes` further on; wraps, as a corrupt target may ask for anything.
    #[inline(always)]
    #[must_use]
    pub const fn offset(self, bytes: u64) -> Self {
        Self(self.0.wrapping_add(bytes))
    }
}

/// The target's memory at this address could not be read (not mapped, or not resident in the kernel's case).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault;

/// Read access to a target's memory.
///
/// Every method either fills all the bytes it promises or returns [`Fault`]; what the destination holds after a
/// fault is unspecified. A slice and a length are separate arguments so that the kernel's verifier sees a constant
/// bound.
pub trait Memory {
    /// Fills `out` from `addr`.
    ///
    /// # Errors
    /// [`Fault`] when any byte is unreadable.
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault>;

    /// Fills the first `bytes` bytes of `out` from `addr`; `bytes` above `8 * N` counts as `8 * N`.
    ///
    /// # Errors
    /// [`Fault`] when any byte is unreadable.
    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault>;

    /// Fills the first `len` bytes of `out` from `addr`; `len` above `N` counts as `N`.
    ///
    /// # Errors
    /// [`Fault`] when any byte is unreadable.
    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault>;

    /// Reads a C string into `out`, cut off at `N - 1` bytes, and returns its length without the NUL.
    ///
    /// # Errors
    /// [`Fault`] when a byte before the NUL is unreadable.
    fn read_c_string<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N]) -> Result<u32, Fault> {
        let mut length = 0;
        let mut word = [0u64; 1];
        let mut at = addr.0;
        // An aligned word never reaches into a page behind the string's.
        loop {
            self.read_words(RemoteAddr(at & !7), &mut word)?;
            for byte in word[0].to_le_bytes().into_iter().skip((at & 7) as usize) {
                if byte == 0 || length + 1 >= N {
                    return Ok(length as u32);
                }
                out[length] = byte;
                length += 1;
            }
            at = (at & !7).wrapping_add(8);
        }
    }
}

/// The 8-byte field at byte `offset` of a structure read into `words`; `offset` is masked into range.
/// `N` must be a power of two.
#[inline(always)]
#[must_use]
pub fn word_at<const N: usize>(words: &[u64; N], offset: u16) -> u64 {
    words[(offset as usize / 8) & (N - 1)]
}

/// The 4-byte field at byte `offset` (a multiple of 4), as [`word_at`].
#[inline(always)]
#[must_use]
pub fn u32_at<const N: usize>(words: &[u64; N], offset: u16) -> u32 {
    (word_at(words, offset) >> ((u32::from(offset) & 4) * 8)) as u32
}
