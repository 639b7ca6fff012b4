//! Unwind tables as the kernel half reads them: user space compiles `.eh_frame` into rows, the native unwinder searches
//! them. Written by `profiler-user`'s `native::unwind`, read by [`crate::walker::native`].
//!
//! From a program counter to its row: the process's sorted mappings ([`Mapping`], binary search) say which file and which
//! address within the file; the file's directory has one [`Block`] for each [`BLOCK_BYTES`] of text, which says where the
//! rows of this stretch are; they are sorted by offset (binary search). A block is the unit of loading and of eviction.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Bytes of text that one [`Block`] covers.
pub const BLOCK_BYTES: u64 = 1 << BLOCK_SHIFT;
/// Binary logarithm of [`BLOCK_BYTES`].
pub const BLOCK_SHIFT: u32 = 16;
/// Rows in one value of the `ROWS` map; a block's rows begin at the start of a page.
pub const ROWS_PER_PAGE: usize = 64;
/// Rows of one block, at most: one for each byte of text would be more than any compiler writes.
pub const MAX_BLOCK_ROWS: usize = 1 << 13;
/// Executable mappings of one process, at most.
pub const MAX_MAPPINGS: usize = 1 << 12;

/// [`Mapping::kind`]: how code in this mapping is unwound.
pub mod mapping_kind {
    /// By the tables of a file.
    pub const TABLE: u32 = 0;
    /// No tables: by frame pointers (just-in-time compiled code, files without `.eh_frame`).
    pub const FRAME_POINTER: u32 = 1;
    /// By the one rule in `Mapping::bias`, a [`crate::contract::unwind::Row`] (trampolines that CPython writes for `perf`).
    pub const ONE_RULE: u32 = 2;
    /// Not at all.
    pub const OPAQUE: u32 = 3;
}

/// One executable mapping of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// After the last address.
    pub end: u64,
    /// What to subtract from an address to get the one in the file's own terms (its link-time virtual address).
    pub bias: u64,
    /// Index of the file's first [`Block`].
    pub first_block: u32,
    /// The file's blocks.
    pub block_count: u32,
    /// What the first block begins with: an address of the file, divided by [`BLOCK_BYTES`].
    pub text_block: u32,
    /// A [`mapping_kind`].
    pub kind: u32,
    /// Whose: `ProcessEntry::space`. A row that was given to another process meanwhile is not believed.
    pub space: u32,
    /// Explicit padding.
    pub pad: u32,
}

/// `Block::flags`: the rows are there. Without it the block has never been asked for, or was evicted.
pub const BLOCK_LOADED: u16 = 1 << 0;
/// `Block::flags`: wherever this stretch of text calls a function, the frame pointer is set up: a caller (not the function
/// that was interrupted) is unwound by it, without a search.
pub const BLOCK_FRAME_POINTERS: u16 = 1 << 1;
/// `Block::flags`: there is nothing to load: the file could not be read, or has nothing to unwind by here.
pub const BLOCK_HOPELESS: u16 = 1 << 2;

/// Where the rows of one stretch of text are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Block {
    /// Index of the first row; a multiple of [`ROWS_PER_PAGE`].
    pub first_row: u32,
    /// Rows; at most [`MAX_BLOCK_ROWS`].
    pub row_count: u16,
    /// `BLOCK_*` bits.
    pub flags: u16,
}

/// How to get from a function's registers to its caller's, from one instruction on to the next row's. 8 bytes:
///
/// | bits | |
/// |---|---|
/// | 0..16 | offset of the first instruction within the block |
/// | 16..20 | a [`cfa_rule`] |
/// | 20..24 | a [`fp_rule`] |
/// | 24..28 | an [`ra_rule`] |
/// | 28..44 | `fp_offset`, signed, in units of 8 bytes |
/// | 44..64 | `cfa_offset`, signed, in units of 8 bytes |
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(transparent)]
pub struct Row(pub u64);

/// What the canonical frame address (the caller's stack pointer) is.
pub mod cfa_rule {
    /// `sp + cfa_offset`
    pub const SP: u8 = 0;
    /// `fp + cfa_offset`
    pub const FP: u8 = 1;
    /// `*(fp + cfa_offset)`: functions that re-align their stack.
    pub const AT_FP: u8 = 2;
    /// `*(sp + cfa_offset)`
    pub const AT_SP: u8 = 3;
    /// `sp + 8 + 8 * ((pc & 15) >= cfa_offset / 8)`: the procedure linkage table of x86-64.
    pub const PLT: u8 = 4;
    /// A signal handler returns here: all registers are in the `ucontext_t` that the kernel put at
    /// `sp + cfa_offset`.
    pub const SIGNAL: u8 = 5;
    /// No caller: `_start`, `clone`; the stack is complete.
    pub const END: u8 = 6;
    /// No rule for this code, or one that no row can express.
    pub const NONE: u8 = 7;
}

/// Where the caller's frame pointer is.
pub mod fp_rule {
    /// Still in the register.
    pub const SAME: u8 = 0;
    /// `*(cfa + fp_offset)`
    pub const AT_CFA: u8 = 1;
    /// `*(fp + fp_offset)`
    pub const AT_FP: u8 = 2;
}

/// Where the return address is.
pub mod ra_rule {
    /// `*(cfa - 8)`: x86-64, where the call pushes it.
    pub const BELOW_CFA: u8 = 0;
    /// Still in the link register (aarch64, functions that call nothing and prologues).
    pub const LINK_REGISTER: u8 = 1;
    /// In the word above the saved frame pointer (aarch64).
    pub const ABOVE_FP: u8 = 2;
    /// `*(cfa + fp_offset)` (aarch64, functions that save the link register alone); the frame pointer is
    /// [`super::fp_rule::SAME`].
    pub const AT_CFA: u8 = 3;
}

impl Row {
    /// Code that is unwound by frame pointers on x86-64: `cfa = fp + 16`, the caller's at `cfa - 16`.
    pub const FRAME_POINTER: Self = Self::new(0, cfa_rule::FP, 2, fp_rule::AT_CFA, -2, ra_rule::BELOW_CFA);
    /// The same on aarch64, where the frame record holds the caller's frame pointer and the return address.
    pub const FRAME_POINTER_AARCH64: Self =
        Self::new(0, cfa_rule::FP, 2, fp_rule::AT_CFA, -2, ra_rule::ABOVE_FP);

    /// Offsets in units of 8 bytes; too large ones are cut off, so the caller checks (see [`Self::fits`]).
    #[must_use]
    pub const fn new(start: u16, cfa: u8, cfa_offset: i32, fp: u8, fp_offset: i16, ra: u8) -> Self {
        let low = start as u64 | (cfa as u64 & 15) << 16 | (fp as u64 & 15) << 20 | (ra as u64 & 15) << 24;
        Self(low | (fp_offset as u16 as u64) << 28 | (cfa_offset as u32 as u64) << 44)
    }

    /// Whether offsets of this size (units of 8 bytes) can be expressed.
    #[must_use]
    pub const fn fits(cfa_offset: i64, fp_offset: i64) -> bool {
        let (wide, narrow) = (1 << 19, 1 << 15);
        cfa_offset >= -wide && cfa_offset < wide && fp_offset >= -narrow && fp_offset < narrow
    }

    /// Offset of the first instruction within its block, bytes.
    #[inline(always)]
    #[must_use]
    pub const fn start(self) -> u16 {
        self.0 as u16
    }

    /// The same rule from another offset on.
    #[must_use]
    pub const fn with_start(self, start: u16) -> Self {
        Self(self.0 & !0xffff | start as u64)
    }

    /// A [`cfa_rule`].
    #[inline(always)]
    #[must_use]
    pub const fn cfa(self) -> u8 {
        (self.0 >> 16) as u8 & 15
    }

    /// A [`fp_rule`].
    #[inline(always)]
    #[must_use]
    pub const fn fp(self) -> u8 {
        (self.0 >> 20) as u8 & 15
    }

    /// An [`ra_rule`].
    #[inline(always)]
    #[must_use]
    pub const fn ra(self) -> u8 {
        (self.0 >> 24) as u8 & 15
    }

    /// Bytes, sign-extended.
    #[inline(always)]
    #[must_use]
    pub const fn fp_offset(self) -> u64 {
        (((self.0 << 20).cast_signed() >> 48) << 3).cast_unsigned()
    }

    /// Bytes, sign-extended.
    #[inline(always)]
    #[must_use]
    pub const fn cfa_offset(self) -> u64 {
        ((self.0.cast_signed() >> 44) << 3).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, cfa_rule, fp_rule, ra_rule};

    #[test]
    fn a_row_gives_back_what_it_was_made_of() {
        for (cfa_offset, fp_offset) in [
            (0, 0),
            (1, -2),
            (-1, 32_767),
            ((1 << 19) - 1, -32_768),
            (-(1 << 19), 1),
        ] {
            assert!(Row::fits(cfa_offset.into(), fp_offset.into()));
            let row = Row::new(
                0xfedc,
                cfa_rule::AT_FP,
                cfa_offset,
                fp_rule::AT_CFA,
                fp_offset,
                ra_rule::ABOVE_FP,
            );
            assert_eq!(row.start(), 0xfedc);
            assert_eq!(
                (row.cfa(), row.fp(), row.ra()),
                (cfa_rule::AT_FP, fp_rule::AT_CFA, ra_rule::ABOVE_FP)
            );
            assert_eq!(row.cfa_offset().cast_signed(), i64::from(cfa_offset) * 8);
            assert_eq!(row.fp_offset().cast_signed(), i64::from(fp_offset) * 8);
            assert_eq!(row.with_start(3).start(), 3);
            assert_eq!(row.with_start(3).cfa_offset(), row.cfa_offset());
        }
    }

    #[test]
    fn offsets_that_a_row_cannot_hold_are_told() {
        assert!(!Row::fits(1 << 19, 0));
        assert!(!Row::fits(0, 1 << 15));
        assert!(!Row::fits(0, -(1 << 15) - 1));
    }
}
