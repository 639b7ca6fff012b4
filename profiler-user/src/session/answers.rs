//! Finds out what the pipeline asks about processes: reads their memory and looks into their file systems.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::kernel::Kernel;
use crate::language::python::code::source_path::{SourcePaths, shorten_by_name};
use crate::pipeline::Pipeline;
use crate::pipeline::questions::{Answer, PathKey, Question};
use crate::proc::memory::ProcMemory;
use crate::proc::root::{Root, RootId};
use crate::proc::visible_id;

/// File systems whose packages are remembered: one per container.
const MAX_ROOTS: usize = 256;
/// Time spent on questions at a time; the last one may exceed it.
const BUDGET: Duration = Duration::from_millis(20);

/// Answers questions, and remembers which directories are packages.
#[derive(Debug, Default)]
pub(super) struct Answers {
    roots: HashMap<RootId, SourcePaths>,
}

impl Answers {
    /// Answers what there is time for; without a limit where `is_last`.
    pub(super) fn answer(&mut self, pipeline: &mut Pipeline, kernel: &Kernel, is_last: bool) {
        let started = Instant::now();
        while is_last || started.elapsed() < BUDGET {
            let Some(question) = pipeline.next_question() else {
                return;
            };
            pipeline.answer(self.find_out(question, kernel));
        }
    }

    fn find_out(&mut self, question: Question, kernel: &Kernel) -> Answer {
        match question {
            Question::Definition { of, mut known } => {
                // The process may still run: what was too long for the kernel half, or not resident, is there.
                let layout = kernel.layout(of.layout);
                let memory = ProcMemory::open(visible_id(of.process.tgid));
                let completed = match (layout, memory) {
                    (Some(layout), Ok(memory)) => known
                        .complete(of.code, &memory, layout)
                        .inspect_err(|error| log::debug!("completing {of:?}: {error}"))
                        .is_ok(),
                    _ => false,
                };
                Answer::Definition {
                    of,
                    completed: completed.then_some(known),
                }
            }
            Question::ShortPath(of) => Answer::ShortPath {
                short: self.shorten(&of).into(),
                of,
            },
        }
    }

    /// The part of a path from its package on, as the process's own file system has it; for a process that is gone, as
    /// this one has it if they shared it.
    fn shorten<'p>(&mut self, of: &'p PathKey) -> &'p str {
        let of_process = Root::of_process(of.process.tgid).ok();
        let own = || Root::own().ok();
        let Some(root) = of_process
            .filter(|root| root.id() == of.root)
            .or_else(|| own().filter(|own| own.id() == of.root))
        else {
            return shorten_by_name(&of.path);
        };
        if self.roots.len() >= MAX_ROOTS && !self.roots.contains_key(&of.root) {
            self.roots.clear();
        }
        let paths = self.roots.entry(of.root).or_default();
        paths.shorten(&of.path, |directory| root.has_file(directory, "__init__.py"))
    }
}
