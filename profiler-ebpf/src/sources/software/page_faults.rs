//! Page faults: `PERF_COUNT_SW_PAGE_FAULTS`, at the instruction that touched the page.

use crate::sources::software::software_event;

software_event! {
    /// One page fault.
    sample_page_faults, PageFaults, PAGE_FAULTS_PERIOD
}
