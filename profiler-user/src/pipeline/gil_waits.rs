//! What the pipeline does with samples of threads that hold the GIL, and with spells of those that wait for it.

use profiler_common::contract::reasons::GilState;

use super::Pipeline;
use super::gil::{GilShares, Holder, Lock, Piece, Span, Waited};
use super::spells::Weighed;
use super::surroundings::Surroundings;
use crate::ids::ProcessKey;
use crate::wire::assembly::Sample;
use crate::wire::decode::Wait;

impl Pipeline {
    /// How long threads waited for the GIL and held it; nothing where time off the CPU is not recorded.
    #[must_use]
    pub fn gil_shares(&self) -> GilShares {
        let shares = self.gil.as_ref().map(|gil| {
            gil.times
                .report(|process, tid| self.thread_names.get(process, tid).map(str::to_owned))
        });
        shares.unwrap_or_default()
    }

    /// Takes note of a sample of CPU time; `true` when it is recorded as well.
    pub(super) fn note_running(&mut self, sample: &Sample, around: &mut impl Surroundings) -> bool {
        let Some(gil) = self.gil.as_mut() else {
            return true;
        };
        // Without a GIL there is nothing to hold.
        if sample.gil == GilState::Held {
            gil.times
                .held(sample, sample.weight, || around.describe(sample.process));
            if let Some(holders) = &mut gil.holders {
                let moment = Span {
                    from_ns: sample.time_ns,
                    until_ns: sample.time_ns,
                };
                holders.hold(lock(sample), sample.tid, moment, sample.weight, holder(sample));
            }
        }
        if gil.holders.is_some() {
            self.newest_ns = self.newest_ns.max(sample.time_ns);
        }
        gil.holders.is_none()
    }

    /// Takes note of a spell; `true` when it is recorded as it is. Its frames have been merged.
    pub(super) fn note_spell(
        &mut self,
        weighed: &Weighed,
        blocked: Wait,
        around: &mut impl Surroundings,
    ) -> bool {
        let Weighed {
            sample,
            out_ns,
            woken_ns,
            blocked_ns,
            waiting_ns,
        } = weighed;
        let Some(gil) = self.gil.as_mut() else {
            return true;
        };
        let process = sample.process;
        if blocked == Wait::Gil {
            gil.times.waited(sample, *blocked_ns, || around.describe(process));
        }
        if sample.gil == GilState::Held {
            let held_ns = blocked_ns.saturating_add(*waiting_ns);
            gil.times.held(sample, held_ns, || around.describe(process));
        }
        let Some(holders) = &mut gil.holders else {
            return true;
        };
        self.newest_ns = self.newest_ns.max(sample.time_ns);
        if sample.gil == GilState::Held {
            let away = Span {
                from_ns: *out_ns,
                until_ns: sample.time_ns,
            };
            let weight = away.until_ns.saturating_sub(away.from_ns);
            holders.hold(lock(sample), sample.tid, away, weight, holder(sample));
        } else if blocked == Wait::Gil && *blocked_ns > 0 {
            let span = Span {
                from_ns: *out_ns,
                until_ns: *woken_ns,
            };
            let waited = Waited {
                sample: sample.clone(),
                steps: self.steps.clone(),
                process: around.describe(process),
                root: around.root(process),
            };
            holders.wait(lock(sample), sample.tid, span, *blocked_ns, waited);
        }
        false
    }

    /// Adds the waits whose holders are known by now.
    pub(super) fn add_due_waits(&mut self) {
        let (now_ns, spells) = (self.newest_ns, &self.spells);
        let holders = self.gil.as_mut().and_then(|gil| gil.holders.as_mut());
        if let Some(holders) = holders {
            let due = holders.take_due(now_ns, |lock| {
                spells.last_with_gil(lock.process, lock.address).map(holder)
            });
            self.add_waits(due);
        }
    }

    /// Adds all waits, or those of a process that is gone.
    pub(super) fn add_all_waits(&mut self, only: Option<ProcessKey>) {
        let spells = &self.spells;
        let holders = self.gil.as_mut().and_then(|gil| gil.holders.as_mut());
        let Some(holders) = holders else {
            return;
        };
        let due = holders.take_all(
            |lock| only.is_none_or(|process| process == lock.process),
            |lock| spells.last_with_gil(lock.process, lock.address).map(holder),
        );
        if let Some(process) = only {
            holders.forget(process);
        }
        self.add_waits(due);
    }

    fn add_waits(&mut self, due: Vec<(Waited, Vec<Piece>)>) {
        for (waited, pieces) in due {
            let Waited {
                mut sample,
                steps,
                process,
                root,
            } = waited;
            let (frames, compiled, withheld) = (
                std::mem::take(&mut sample.frames),
                sample.compiled,
                sample.withheld,
            );
            self.steps = steps;
            for piece in pieces {
                sample.frames.clear();
                sample.wait = Wait::GilOf { holder_frames: None };
                (sample.compiled, sample.withheld) = (compiled, withheld);
                if let Some(holder) = piece.holder {
                    sample.frames.extend(&holder.frames);
                    sample.wait = Wait::GilOf {
                        holder_frames: Some(holder.frames.len()),
                    };
                    sample.compiled |= holder.compiled;
                    sample.withheld |= holder.withheld;
                }
                sample.frames.extend(&frames);
                (sample.time_ns, sample.weight) = (piece.until_ns, piece.weight);
                self.add_described(&sample, root, || process.clone());
            }
        }
    }
}

fn lock(sample: &Sample) -> Lock {
    Lock {
        process: sample.process,
        address: sample.gil_lock,
    }
}

fn holder(sample: &Sample) -> Holder {
    Holder::of(&sample.frames, sample.compiled, sample.withheld)
}
