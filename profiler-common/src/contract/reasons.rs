//! Why a sample, a stack or a frame is not what one would wish for: one table for code, counter, message and
//! documentation. Codes are never re-used.

use super::table::table;

table! {
    /// What became of one interrupt. Each interrupt ends in exactly one row, so the rows add up to the interrupts
    /// taken; [`super::sources::account`] is where the kernel half counts them.
    Outcome {
        /// The only row that user space receives.
        Delivered = 0, "delivered";
        /// The idle task was running.
        Idle = 1, "the CPU was idle";
        /// No Python in this process, or not asked for.
        NotProfiled = 2, "the process is not profiled";
        /// Lost.
        RingFull = 3, "the ring buffer was full";
        /// Lost; cannot happen unless the object is broken.
        NoScratch = 4, "the per-CPU scratch buffer was missing";
        /// Lost; the walk could not be continued in the next program.
        NoTailCall = 5, "the kernel refused a tail call";
        /// Lost; a layout index that user space never filled.
        NoLayout = 6, "the interpreter layout was missing";
        /// Lost; user space removed the process, and its map element went to another one at this moment.
        EntryReused = 7, "the entry of the process was given to another one meanwhile";
        /// Not walked, to bound the cost; those that were walked stand for it. Time off the CPU only.
        Thinned = 8, "others stand for it";
    }
}

table! {
    /// How complete the Python stack of a delivered sample is.
    StackStatus {
        /// Walked to its end.
        Complete = 0, "complete";
        /// The interpreter has not created its thread key yet, or is shutting down.
        NotInitialized = 1, "the interpreter is starting or stopping";
        /// A thread that never ran Python: a BLAS worker, a Rust or C++ thread.
        NoThreadState = 2, "the thread has no Python state";
        /// The thread has a state but runs no Python code at this moment.
        NoFrames = 3, "the thread runs no Python code";
        /// A frame could not be read; the outer part of the stack is missing.
        FrameFault = 4, "a frame was not readable";
        /// Deeper than the walker goes; the outer part of the stack is missing.
        Truncated = 5, "the stack is deeper than the limit";
        /// `_PyRuntime` or the thread state could not be read.
        StateFault = 6, "the interpreter state was not readable";
        /// The thread state found belongs to another thread.
        ForeignThreadState = 7, "the thread state belongs to another thread";
        /// 2.7 only, where the list of all thread states is searched.
        TooManyThreads = 8, "the interpreter has more threads than are searched";
        /// Time off the CPU that began before anybody looked, or whose stack was lost or left out. Set by user space.
        NotTaken = 9, "the stack was not taken";
    }
}

table! {
    /// How complete the native stack of a sample is. The Python stack does not depend on it.
    NativeStatus {
        /// Walked to the start of the thread.
        Complete = 0, "complete";
        /// Mapped since the process was looked at, or no code at all: user space looks again.
        NoMapping = 1, "code outside of the known mappings";
        /// User space loads it now.
        NoTable = 2, "the unwind table was not loaded yet";
        /// Assembler code without call frame information, or with a rule no row expresses.
        NoRule = 3, "no unwind rule for this code";
        /// A file or memory that has nothing to unwind by.
        Opaque = 4, "code without unwind information";
        /// A word of the stack could not be read.
        StackFault = 5, "the stack was not readable";
        /// The caller's stack pointer was not above the callee's: the stack is corrupt, or a rule is wrong.
        NoProgress = 6, "the stack does not lead anywhere";
        /// Deeper than the unwinder goes.
        Truncated = 7, "the stack is deeper than the limit";
        /// A kernel thread, a 32-bit process, or an interrupt at which the kernel keeps no user registers.
        NoRegisters = 8, "the user registers were not available";
        /// The chain of programs was at its end.
        NoTailCall = 9, "the kernel refused a tail call";
        /// The ring was full. Set by user space.
        Lost = 10, "the native frames were lost to a full ring buffer";
    }
}

table! {
    /// Whether the sampled thread held the global interpreter lock.
    GilState {
        /// Not determined.
        Unknown = 0, "unknown";
        /// It held the lock: it was running Python code.
        Held = 1, "held";
        /// It did not: native code that released the lock, or waiting for it.
        Released = 2, "released";
        /// It stood in line for the lock.
        Waiting = 3, "waited for";
        /// It was running Python code of an interpreter without such a lock (free-threaded).
        Absent = 4, "absent";
    }
}
