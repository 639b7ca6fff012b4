//! Times as the format has them.

use std::time::Duration;

pub(super) fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}

pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
