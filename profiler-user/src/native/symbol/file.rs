//! A file with machine code that a process maps, and the file that may hold its debug information. Used by
//! [`super::NativeSymbolizer`] and whoever asks it; opened by a worker of the role `inspect`, read by one that has no rights.

use std::sync::Arc;

use super::messages::LoadedSymbols;
use crate::ids::ProcessKey;
use crate::inspect::{Arrival, DEBUG_FOLDER, FileWanted, NotOpened, Openings, Reach, SentFile};
use crate::native::memory_file::file_of_bytes;
use crate::path::base_name;
use crate::proc::file::{FileKey, FileName, Stamp};

/// A file mapped executable into some process. At rest it costs no descriptor; it stays reachable for a while when its
/// process is gone, as long as a worker holds it, and otherwise as long as its path leads to it.
#[derive(Debug)]
pub struct CodeFile {
    key: FileKey,
    module: Arc<str>,
    /// Folder of its path in the process's view; empty when it has none.
    folder: String,
    content: Content,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Its symbols.
    Code(FileKey),
    /// Debug information of this one; how many candidates come before it.
    Debug(FileKey, u32),
    /// What a process says of its code.
    PerfMap(ProcessKey),
}

#[derive(Debug)]
enum Content {
    Mapped(Arc<Reach>),
    Memory(Arc<[u8]>),
}

impl CodeFile {
    /// A file that a process maps under this path. Its debug file is looked for beneath the process's root and beneath this
    /// process's own.
    #[must_use]
    pub fn mapped(key: FileKey, path: &[u8], reach: Arc<Reach>) -> Self {
        let text = String::from_utf8_lossy(path);
        let module = base_name(&text);
        Self {
            key,
            module: Arc::from(module),
            folder: text
                .strip_suffix(module)
                .unwrap_or("")
                .trim_end_matches('/')
                .to_owned(),
            content: Content::Mapped(reach),
        }
    }

    /// A file with this content.
    #[must_use]
    pub fn of_bytes(module: &str, content: &[u8]) -> Self {
        Self {
            key: FileKey {
                name: FileName::of_memory(content),
                stamp: Stamp::default(),
            },
            module: Arc::from(module),
            folder: String::new(),
            content: Content::Memory(Arc::from(content)),
        }
    }

    /// Equal for the same file, whichever process maps it.
    #[must_use]
    pub fn key(&self) -> FileKey {
        self.key
    }

    /// Base name of its path: what frames show.
    #[must_use]
    pub fn module(&self) -> &Arc<str> {
        &self.module
    }

    /// Has it opened for reading.
    pub(super) fn open(&self, openings: &mut Openings<Purpose>) -> Arrival {
        match &self.content {
            Content::Mapped(reach) => {
                openings.get(Purpose::Code(self.key), || FileWanted::Mapped((**reach).clone()))
            }
            Content::Memory(bytes) => {
                let sent = file_of_bytes(bytes).and_then(|file| SentFile::of_own(&file));
                sent.map_or(Arrival::Failed(NotOpened::NotThere), Arrival::Here)
            }
        }
    }

    /// Has a file opened that may hold its debug information, most likely ones first, after so many others; the worker that
    /// reads it tells whether it does.
    pub(super) fn open_debug(
        &self,
        loaded: &LoadedSymbols,
        skip: u32,
        openings: &mut Openings<Purpose>,
    ) -> Arrival {
        let paths = self.debug_paths(loaded);
        if paths.is_empty() {
            return Arrival::Failed(NotOpened::NotThere);
        }
        openings.get(Purpose::Debug(self.key, skip), || {
            let of = match &self.content {
                Content::Mapped(reach) => Some((**reach).clone()),
                Content::Memory(_) => None,
            };
            FileWanted::Debug {
                pid: of.as_ref().map_or(std::process::id(), |reach| reach.pid),
                of,
                paths,
                skip,
            }
        })
    }

    /// As gdb looks for them: by build-id, then by the name of the debug link.
    fn debug_paths(&self, loaded: &LoadedSymbols) -> Vec<String> {
        let mut paths = Vec::new();
        if let Some((first, rest)) = loaded.build_id.as_deref().and_then(|id| id.split_at_checked(2)) {
            paths.push(format!("{DEBUG_FOLDER}/.build-id/{first}/{rest}.debug"));
        }
        if let Some((name, _)) = &loaded.debug_link
            && !self.folder.is_empty()
        {
            let folder = &self.folder;
            paths.push(format!("{folder}/{name}"));
            paths.push(format!("{folder}/.debug/{name}"));
            paths.push(format!("{DEBUG_FOLDER}{folder}/{name}"));
        }
        paths
    }
}
