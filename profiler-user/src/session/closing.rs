//! The end of a session: waiting for names, and what the recording and the summary say beyond what was sampled.

use std::time::{Duration, Instant, SystemTime};

use profiler_common::contract::sources::Source;

use super::Session;
use super::listener::{Listener, Progress};
use super::native::NativeTables;
use super::sampled::Sampled;
use super::signals::Signals;
use super::summary::{NativeSummary, Summary};
use crate::priority::Priority;
use crate::proc::script::tell_apart;
use crate::profile::Recording;

/// How often the end of a recording looks for symbols.
const NAMES_EVERY: Duration = Duration::from_millis(20);

impl Session {
    /// Waits for symbols that are still being read; Ctrl-C ends the wait.
    pub(super) async fn wait_for_names(&mut self, signals: &mut Signals, listener: &mut impl Listener) {
        let end = Instant::now() + self.settings.patience.at_end;
        loop {
            self.pipeline.end_drain();
            let addresses = self.pipeline.names_outstanding();
            if addresses == 0 || Instant::now() >= end {
                return;
            }
            listener.progress(Progress::Naming { addresses });
            tokio::select! {
                _ = signals.stop() => return,
                () = tokio::time::sleep(NAMES_EVERY) => {}
            }
        }
    }

    /// Fills in what the pipeline does not know.
    pub(super) fn described(&mut self, mut recording: Recording) -> Recording {
        let started = self.parts.started.unwrap_or(SystemTime::UNIX_EPOCH);
        self.parts.started = Some(started + recording.duration);
        recording.started = started;
        recording.title.clone_from(&self.settings.title);
        recording.rate_hz = self.settings.rate_hz;
        recording.period = self.settings.period;
        recording.host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        recording.cpus = self.parts.cpus;
        let scripts = recording.processes.iter_mut();
        tell_apart(
            &mut scripts
                .filter_map(|process| process.script.as_mut())
                .collect::<Vec<_>>(),
        );
        recording
    }

    pub(super) fn summary(&self, sampled: Sampled) -> Summary {
        let assembly = &self.intake.assembly;
        let mut sources = sampled.accounts(&self.kernel);
        for source in &mut sources {
            source.without_gil = self.intake.without_gil(source.source);
            if source.source == Source::OffCpu {
                // The kernel half adds them up when they end.
                source.blocked += self.intake.open().blocked;
                source.waiting += self.intake.open().waiting;
            }
        }
        let is_empty = self.intake.kept_samples() == 0;
        Summary {
            samples: assembly.samples(),
            by_status: assembly.by_status(),
            sources,
            losses: self.kernel.losses(),
            undecodable: self.intake.undecodable,
            unnamed: self.pipeline.unnamed().clone(),
            not_asked: self.pipeline.not_asked(),
            overflow: self.pipeline.overflow(),
            duration: Duration::ZERO,
            busy: Duration::ZERO,
            own_cpu: Duration::ZERO,
            priority: Priority::Ordinary,
            skipped_events: self.kernel.skipped_tracepoint_runs(),
            refusals: self.tracker.refusals().collect(),
            unrecorded_children: self.tracker.unrecorded_children(),
            processes: self.tracker.alive(),
            halted: if is_empty {
                self.tracker.halted()
            } else {
                Vec::new()
            },
            unsampled_cpu: if is_empty {
                self.tracker.cpu_used()
            } else {
                Duration::ZERO
            },
            gil: self.pipeline.gil_shares(),
            native: self.pipeline.native_counts().map(|counts| NativeSummary {
                counts: counts.clone(),
                tables: self.tables.as_ref().map(NativeTables::statistics),
                failed_looks: self.tables.as_ref().map_or(0, NativeTables::failed_looks),
                refused_writes: self.tables.as_ref().map_or(0, |tables| tables.refused_writes),
                unnamed: self.pipeline.unnamed_addresses().collect(),
            }),
        }
    }
}
