//! Time that a thread spent off its CPU.

use libc::c_long;
use profiler_common::contract::records::{
    BLOCK_AT_GIL, NO_SYSTEM_CALL, SampleBlock, SpellRecord, UNKNOWN_SYSTEM_CALL,
};
use profiler_common::contract::sources::Source;

use super::DecodeError;
use super::parts::{record, tail};
use crate::ids::ProcessKey;

/// A time that a thread spent off its CPU, see [`profiler_common::contract::spell`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    /// Whose.
    pub process: ProcessKey,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// Which of the thread's spells: its sample has the same number.
    pub number: u32,
    /// When it left its CPU, `CLOCK_MONOTONIC` nanoseconds.
    pub out_ns: u64,
    /// How long it was blocked from then on.
    pub blocked_ns: u64,
    /// How long it waited for a CPU after that.
    pub waiting_ns: u64,
    /// With which odds it was walked; 0 if it was not.
    pub odds: u32,
    /// The CPU that it came to.
    pub cpu: u32,
    /// The kernel's thread name, NUL-padded.
    pub comm: [u8; 16],
}

impl Spell {
    /// How long it lasted.
    #[must_use]
    pub fn total_ns(&self) -> u64 {
        self.blocked_ns.saturating_add(self.waiting_ns)
    }

    /// When it ended.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.out_ns.saturating_add(self.total_ns())
    }
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// It is on a CPU, or it is not known.
    #[default]
    Unknown,
    /// That for which it has called the kernel.
    Call {
        /// Which system call, as this architecture numbers them.
        number: u32,
        /// Its first argument.
        argument: u64,
    },
    /// The GIL.
    Gil,
    /// The GIL, of a sample whose frames begin with so many innermost ones of the thread that holds it; its own come after
    /// them. Not in a record: the pipeline makes it.
    GilOf {
        /// `None` if no thread that held it was sampled.
        holder_frames: Option<usize>,
    },
    /// A page of its memory.
    Page,
    /// A CPU.
    Cpu,
}

/// What the thread of a sample waits for.
pub(super) fn wait(record: &SampleBlock) -> Wait {
    match record.system_call {
        _ if record.source != Source::OffCpu.code() => Wait::Unknown,
        UNKNOWN_SYSTEM_CALL => Wait::Unknown,
        NO_SYSTEM_CALL => Wait::Page,
        number if c_long::from(number) == libc::SYS_futex && record.flags & BLOCK_AT_GIL != 0 => Wait::Gil,
        number => Wait::Call {
            number,
            argument: record.argument,
        },
    }
}

/// Decodes a [`SpellRecord`].
pub(super) fn spell(bytes: &[u8]) -> Result<Spell, DecodeError> {
    tail(bytes, size_of::<SpellRecord>(), 0)?;
    let record: SpellRecord = record(bytes, size_of::<SpellRecord>())?;
    Ok(Spell {
        process: ProcessKey {
            tgid: record.tgid,
            incarnation: record.incarnation,
        },
        tid: record.tid,
        number: record.spell,
        out_ns: record.out_ns,
        blocked_ns: record.blocked_ns,
        waiting_ns: record.waiting_ns,
        odds: record.odds,
        cpu: record.cpu,
        comm: record.comm,
    })
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::records::{SpellRecord, record_kind};

    use super::Spell;
    use crate::ids::ProcessKey;
    use crate::wire::decode::{DecodeError, Event, decode, encode};

    const RECORD: SpellRecord = SpellRecord {
        kind: record_kind::SPELL,
        pad: 0,
        tgid: 7,
        tid: 8,
        spell: 9,
        incarnation: 10,
        out_ns: 100,
        blocked_ns: 20,
        waiting_ns: 3,
        odds: 4_096,
        cpu: 1,
        comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
    };

    #[test]
    fn a_spell_is_read_field_by_field() {
        let Ok(Event::Spell(spell)) = decode(&encode::spell(&RECORD)) else {
            unreachable!("a spell")
        };
        let expected = Spell {
            process: ProcessKey {
                tgid: 7,
                incarnation: 10,
            },
            tid: 8,
            number: 9,
            out_ns: 100,
            blocked_ns: 20,
            waiting_ns: 3,
            odds: 4_096,
            cpu: 1,
            comm: RECORD.comm,
        };
        assert_eq!(spell, expected);
        assert_eq!((spell.total_ns(), spell.end_ns()), (23, 123));
    }

    #[test]
    fn a_record_that_is_cut_off_or_too_long_is_refused() {
        let mut bytes = encode::spell(&RECORD);
        bytes.extend([0; 8]);
        assert!(matches!(decode(&bytes), Err(DecodeError::TooLong { .. })));
        bytes.truncate(size_of::<SpellRecord>() - 1);
        assert!(matches!(decode(&bytes), Err(DecodeError::TooShort { .. })));
    }

    #[test]
    fn times_that_make_no_sense_do_no_harm() {
        let record = SpellRecord {
            blocked_ns: u64::MAX,
            waiting_ns: u64::MAX,
            ..RECORD
        };
        let Ok(Event::Spell(spell)) = decode(&encode::spell(&record)) else {
            unreachable!("a spell")
        };
        assert_eq!(spell.end_ns(), u64::MAX);
    }
}
