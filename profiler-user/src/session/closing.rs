//! The summary of a session that has ended.

use std::time::Duration;

use super::Session;
use super::native::NativeTables;
use super::sampled::Sampled;
use super::summary::{NativeSummary, Summary};
use crate::clock::own_cpu_time;
use crate::priority::Priority;

impl Session {
    /// CPU time of this process and of the workers that look at others.
    pub(super) fn own_cpu_time(&self) -> Duration {
        own_cpu_time() + self.tracker.inspectors().cpu_time()
    }

    pub(super) fn summary(&self, sampled: Sampled) -> Summary {
        let assembly = &self.intake.assembly;
        Summary {
            samples: assembly.samples(),
            by_status: assembly.by_status(),
            sources: sampled.accounts(&self.kernel),
            losses: self.kernel.losses(),
            undecodable: self.intake.undecodable,
            unnamed: self.pipeline.unnamed().clone(),
            overflow: self.pipeline.overflow(),
            duration: Duration::ZERO,
            busy: Duration::ZERO,
            own_cpu: Duration::ZERO,
            priority: Priority::Ordinary,
            refusals: self.tracker.refusals().cloned().collect(),
            native: self.pipeline.native_counts().map(|counts| NativeSummary {
                counts: counts.clone(),
                tables: self.tables.as_ref().map(NativeTables::statistics),
                refused_writes: self.tables.as_ref().map_or(0, |tables| tables.refused_writes),
                unnamed: self.pipeline.unnamed_addresses().collect(),
            }),
        }
    }
}
