//! `meta`: what is said of the whole recording.

use std::time::SystemTime;

use serde::Serialize;

use super::category::Category;
use super::units::{milliseconds, nanoseconds};
use crate::output::tracks::period_ns;
use crate::profile::{Owner, Recording};

/// `preprocessedProfileVersion`: tables that threads share came with 60, this table of source files with 61.
const VERSION: u32 = 61;
/// `version`, which is that of what Firefox itself writes. It has to be there; nobody reads it of a processed profile.
const GECKO_VERSION: u32 = 24;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta<'p> {
    preprocessed_profile_version: u32,
    version: u32,
    product: &'static str,
    imported_from: String,
    /// Of pyebpf.
    arguments: &'p str,
    /// Milliseconds between two samples, and since 1970.
    interval: f64,
    start_time: f64,
    profiling_start_time: f64,
    profiling_end_time: f64,
    process_type: u32,
    stackwalk: u32,
    categories: Vec<Category>,
    marker_schema: [u32; 0],
    sample_units: SampleUnits,
    symbolicated: bool,
    symbolication_not_supported: bool,
    uses_only_one_stack_type: bool,
    source_code_is_not_on_searchfox: bool,
    extra: [Section<'p>; 1],
}

impl<'p> Meta<'p> {
    pub(super) fn of(recording: &'p Recording) -> Self {
        let since_1970 = recording.started.duration_since(SystemTime::UNIX_EPOCH);
        Self {
            preprocessed_profile_version: VERSION,
            version: GECKO_VERSION,
            product: "pyebpf",
            imported_from: format!("pyebpf {}", env!("CARGO_PKG_VERSION")),
            arguments: &recording.title,
            interval: milliseconds(period_ns(recording)),
            start_time: milliseconds(nanoseconds(since_1970.unwrap_or_default())),
            profiling_start_time: 0.0,
            profiling_end_time: milliseconds(nanoseconds(recording.duration)),
            process_type: 0,
            stackwalk: 1,
            categories: Owner::ALL.iter().map(|owner| Category::of(*owner)).collect(),
            marker_schema: [],
            sample_units: SampleUnits {
                time: "ms",
                event_delay: "ms",
                cpu: "ns",
            },
            symbolicated: true,
            symbolication_not_supported: true,
            uses_only_one_stack_type: true,
            source_code_is_not_on_searchfox: true,
            extra: [Section::of(recording)],
        }
    }
}

/// Units of columns of the tables of samples.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleUnits {
    time: &'static str,
    event_delay: &'static str,
    #[serde(rename = "threadCPUDelta")]
    cpu: &'static str,
}

/// A part of "More info".
#[derive(Serialize)]
struct Section<'p> {
    label: &'static str,
    entries: Vec<Entry<'p>>,
}

#[derive(Serialize)]
struct Entry<'p> {
    label: &'static str,
    format: &'static str,
    value: Fact<'p>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Fact<'p> {
    Text(&'p str),
    Number(u32),
    Texts(&'p [String]),
}

impl<'p> Section<'p> {
    fn of(recording: &'p Recording) -> Self {
        let entry = |label, format, value| Entry { label, format, value };
        let mut entries = Vec::new();
        if !recording.host.is_empty() {
            entries.push(entry("Host", "string", Fact::Text(&recording.host)));
        }
        entries.push(entry("CPUs sampled", "integer", Fact::Number(recording.cpus)));
        if !recording.accounts.is_empty() {
            entries.push(entry("Accounts", "list", Fact::Texts(&recording.accounts)));
        }
        Self {
            label: "Recording",
            entries,
        }
    }
}
