//! What this CPU knows of code objects from earlier samples.

use profiler_common::contract::layout::{LAYOUT_CODE_VERSION, Layout};
use profiler_common::walker::python::{CodeSeen, Scratch};

use crate::maps::{IDENTITIES, IDENTITY_SLOTS, SEEN, SEEN_SLOTS, read, replace};

/// Which definitions this CPU has already sent, and the identities of code objects.
pub(crate) struct SeenCache {
    salt: u64,
    context: u64,
}

/// Odd multipliers (digits of the golden ratio and of a hash function).
const MULTIPLIERS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xff51_afd7_ed55_8ccd];

impl SeenCache {
    /// Prepares for a block of this process.
    ///
    /// Where code objects carry no version number a re-used address may go unnoticed, so everything is sent again
    /// every 4 s; user space compares.
    #[inline(always)]
    pub(crate) fn begin(incarnation: u64, layout: &Layout, time_ns: u64, scratch: &mut Scratch) {
        let epoch = if layout.flags & LAYOUT_CODE_VERSION == 0 {
            time_ns >> 32
        } else {
            0
        };
        let salt = incarnation ^ epoch.rotate_left(48);
        scratch.steady = u32::from(scratch.seen_salt == salt);
        scratch.seen_salt = salt;
        scratch.salt = salt;
        scratch.context = context(scratch.generation, salt);
    }

    /// That of the sample being walked.
    #[inline(always)]
    pub(crate) fn of_sample(scratch: &Scratch) -> Self {
        Self {
            salt: scratch.salt,
            context: scratch.context,
        }
    }

    /// The slot for a code object, and what it holds when the definition was sent.
    #[inline(always)]
    fn fingerprint(&self, code: u64, check: u32) -> (u32, u64) {
        let mixed = (code ^ self.salt).wrapping_mul(MULTIPLIERS[0]);
        let fingerprint = mixed ^ fold(check);
        ((fingerprint >> 40) as u32 & (SEEN_SLOTS - 1), fingerprint)
    }

    /// The slot for the identity of a code object, and what its first word is, but for the identity.
    #[inline(always)]
    fn identity_fingerprint(&self, code: u64) -> (u32, u64) {
        let mixed = (code ^ self.context).wrapping_mul(MULTIPLIERS[0]);
        ((mixed >> 40) as u32 & (IDENTITY_SLOTS - 1), mixed ^ (mixed >> 32))
    }

    /// Notes that the definition was sent.
    #[inline(always)]
    pub(crate) fn mark(&self, code: u64, check: u32) {
        let (index, fingerprint) = self.fingerprint(code, check);
        // There is always such a slot.
        let _ = replace(&SEEN, index, fingerprint);
    }
}

impl CodeSeen for SeenCache {
    #[inline(always)]
    fn seen(&self, code: u64, check: u32) -> bool {
        let (index, fingerprint) = self.fingerprint(code, check);
        read(&SEEN, index).is_none_or(|entry| entry == fingerprint)
    }

    #[inline(always)]
    fn recall(&self, code: u64) -> u32 {
        if self.context == 0 {
            return 0;
        }
        let (index, fingerprint) = self.identity_fingerprint(code);
        match read(&IDENTITIES, index) {
            Some([entry, check]) if entry == fingerprint ^ fold(check as u32) => check as u32,
            _ => 0,
        }
    }

    #[inline(always)]
    fn remember(&self, code: u64, check: u32) {
        if self.context == 0 {
            return;
        }
        let (index, fingerprint) = self.identity_fingerprint(code);
        // There is always such a slot.
        let _ = replace(&IDENTITIES, index, [fingerprint ^ fold(check), u64::from(check)]);
    }
}

/// What stands for a generation (see `Scratch::generation`) of a process; 0 where there is none.
#[inline(always)]
fn context(generation: u64, salt: u64) -> u64 {
    if generation == 0 {
        return 0;
    }
    let mixed = (generation ^ salt.wrapping_mul(MULTIPLIERS[1])).wrapping_mul(MULTIPLIERS[0]);
    (mixed ^ (mixed >> 32)) | 1
}

#[inline(always)]
fn fold(check: u32) -> u64 {
    u64::from(check).wrapping_mul(MULTIPLIERS[1])
}
