//! A file with machine code that a process maps, and the file that may hold its debug information. Used by
//! [`super::NativeSymbolizer`] and whoever asks it; opened as [`crate::proc::file`] does, read by the worker only.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use profiler_common::memory::RemoteAddr;

use super::held::{HeldFiles, Reach};
use super::messages::LoadedSymbols;
use crate::native::memory_file::file_of_bytes;
use crate::path::base_name;
use crate::proc::file::{FileError, FileKey, FileName, Stamp};
use crate::proc::maps::Mapping;
use crate::proc::memory::ProcMemory;
use crate::proc::root::Root;

/// Bytes of a vDSO, at most; they have 4 to 12 KiB.
const MAX_VDSO: u64 = 256 * 1024;
/// Where distributions put debug files.
const DEBUG_FOLDER: &str = "/usr/lib/debug";

/// A file mapped executable into some process. At rest it costs no descriptor; it stays reachable for a while when its
/// process is gone, as long as [`HeldFiles`] holds it, and otherwise as long as its path leads to it.
#[derive(Debug)]
pub struct CodeFile {
    key: FileKey,
    module: Arc<str>,
    /// Folder of its path in the process's view; empty when it has none.
    folder: String,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Mapped(Reach),
    Memory(Arc<[u8]>),
}

impl CodeFile {
    /// The file behind `mapping` of process `pid`. Its debug file is looked for beneath the process's root and beneath this
    /// process's own.
    ///
    /// # Errors
    /// [`FileError`]; with `Process(Gone)` when the process exited.
    pub fn of_mapping(held: &Arc<HeldFiles>, pid: u32, mapping: &Mapping<'_>) -> Result<Self, FileError> {
        let (reach, stamp) = held.find(pid, mapping)?;
        let path = mapping.path();
        let text = String::from_utf8_lossy(&path);
        let module = base_name(&text);
        Ok(Self {
            key: FileKey {
                name: FileName::of_mapping(mapping),
                stamp,
            },
            module: Arc::from(module),
            folder: text
                .strip_suffix(module)
                .unwrap_or("")
                .trim_end_matches('/')
                .to_owned(),
            content: Content::Mapped(reach),
        })
    }

    /// The image that the kernel maps as `[vdso]`, from the memory of process `pid`.
    ///
    /// # Errors
    /// When the memory cannot be read, for instance because the process is gone.
    pub fn vdso(pid: u32, mapping: &Mapping<'_>) -> Result<Self, FileError> {
        let size = (mapping.end - mapping.start).min(MAX_VDSO);
        let mut image = vec![0; usize::try_from(size).unwrap_or(0)];
        ProcMemory::open(pid)?
            .read(RemoteAddr(mapping.start), &mut image)
            .map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        Ok(Self::of_bytes("[vdso]", &image))
    }

    /// A file with this content.
    pub(super) fn of_bytes(module: &str, content: &[u8]) -> Self {
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

    /// Opens it for reading.
    pub(super) fn open(&self) -> io::Result<File> {
        match &self.content {
            Content::Mapped(reach) => reach.open(),
            Content::Memory(bytes) => file_of_bytes(bytes),
        }
    }

    /// Files that may hold its debug information, most likely first; the worker tells whether one does.
    pub(super) fn debug_files<'a>(
        &'a self,
        loaded: &LoadedSymbols,
        code: &File,
    ) -> impl Iterator<Item = File> + use<'a> {
        let own = Root::own().ok().map(Arc::new);
        let theirs = match &self.content {
            Content::Mapped(reach) => reach.root(),
            Content::Memory(_) => None,
        };
        let same = own.as_deref().map(Root::id) == theirs.as_deref().map(Root::id);
        let itself = code.metadata().ok().map(|data| (data.dev(), data.ino()));
        let paths = self.debug_paths(loaded);
        let roots = theirs.filter(|_| !same).into_iter().chain(own);
        roots
            .flat_map(move |root| {
                let open = move |path: String| root.open_file(path.as_str()).ok();
                paths.clone().into_iter().filter_map(open)
            })
            .filter(move |file| file.metadata().ok().map(|data| (data.dev(), data.ino())) != itself)
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
