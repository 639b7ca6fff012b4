//! Short paths of source files: which directories are packages in the file systems of processes. Runs in a worker.

use std::collections::HashMap;

use crate::language::python::code::source_path::{SourcePaths, shorten_by_name};
use crate::proc::root::{Root, RootId};

/// File systems whose packages are remembered: one per container.
const MAX_ROOTS: usize = 256;

/// Remembers which directories are packages.
#[derive(Debug, Default)]
pub(super) struct Packages {
    roots: HashMap<RootId, SourcePaths>,
}

impl Packages {
    /// The part of a path from its package on, as the process's own file system has it; for a process that is gone, as
    /// this one has it if they shared it.
    pub(super) fn shorten<'p>(&mut self, pid: u32, id: RootId, path: &'p str) -> &'p str {
        let of_process = Root::of_process(pid).ok();
        let own = || Root::own().ok();
        let Some(root) = of_process
            .filter(|root| root.id() == id)
            .or_else(|| own().filter(|own| own.id() == id))
        else {
            return shorten_by_name(path);
        };
        if self.roots.len() >= MAX_ROOTS && !self.roots.contains_key(&id) {
            self.roots.clear();
        }
        let paths = self.roots.entry(id).or_default();
        paths.shorten(path, |directory| root.has_file(directory, "__init__.py"))
    }
}
