//! Records that the kernel half could not send, besides whole samples (those are outcomes, see [`super::reasons`]).

use super::table::table;

table! {
    /// What was lost. Indexes the counters of one [`LossWriter`].
    Loss {
        /// The ring was three quarters full: the rest is for samples. It is sent again with the next sample that shows the code.
        Definition = 0, "definitions of code lost";
        /// The ring was full.
        Event = 1, "events of processes lost";
        /// A forked child was not entered: the map was full.
        Process = 2, "processes just forked that found no room in the process map";
        /// The ring was full.
        Native = 3, "records of native frames lost";
        /// The ring was full.
        Spell = 4, "times off the CPU lost";
        /// The map was full.
        Thread = 5, "threads that found no room: their time off the CPU is not recorded";
    }
}

/// Who counts. One may interrupt another in the middle of its counting, so each has counters of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LossWriter {
    /// The tracepoints of process life.
    ProcessLife = 0,
    /// Sources and stages of perf events.
    PerfEvent = 1,
    /// Sources and stages of raw tracepoints.
    RawTracepoint = 2,
}

impl LossWriter {
    /// All of them.
    pub const ALL: &'static [Self] = &[Self::ProcessLife, Self::PerfEvent, Self::RawTracepoint];
}

const LOSSES_PER_WRITER: u32 = 8;
const _: () = assert!(Loss::ALL.len() <= LOSSES_PER_WRITER as usize);

/// Slots of the `LOSSES` map.
pub const LOSS_ACCOUNTS: u32 = LOSSES_PER_WRITER * LossWriter::ALL.len() as u32;

/// Where `writer` counts what was lost: slot of the `LOSSES` map.
#[inline(always)]
#[must_use]
pub const fn loss_account(writer: LossWriter, loss: Loss) -> u32 {
    writer as u32 * LOSSES_PER_WRITER + loss.code() as u32
}
