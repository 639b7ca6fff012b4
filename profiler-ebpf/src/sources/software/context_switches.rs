//! Context switches: `PERF_COUNT_SW_CONTEXT_SWITCHES`, in the thread that leaves the CPU. Runs with the run queue locked: nothing
//! here may wake anybody, and the ring's wake-ups are deferred by the kernel.

use crate::sources::software::software_event;

software_event! {
    /// One context switch.
    sample_switches, ContextSwitches, SWITCHES_PERIOD
}
