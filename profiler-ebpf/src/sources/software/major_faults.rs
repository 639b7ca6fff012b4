//! Page faults that waited for input: `PERF_COUNT_SW_PAGE_FAULTS_MAJ`, at the instruction that touched the page.

use crate::sources::software::software_event;

software_event! {
    /// One major fault.
    sample_major_faults, MajorFaults, MAJOR_FAULTS_PERIOD
}
