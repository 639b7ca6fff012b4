//! Page faults without input: `PERF_COUNT_SW_PAGE_FAULTS_MIN`, at the instruction that touched the page.

use crate::sources::software::software_event;

software_event! {
    /// One minor fault.
    sample_minor_faults, MinorFaults, MINOR_FAULTS_PERIOD
}
