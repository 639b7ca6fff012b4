//! A file with machine code that a process maps, and the file that may hold its debug information. Used by
//! [`super::NativeSymbolizer`] and whoever asks it; opened as [`crate::proc::file`] does, read by the worker only.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use profiler_common::memory::RemoteAddr;

use super::copy::file_of_bytes;
use super::name::base_name;
use super::protocol::Loaded;
use crate::proc::file::{FileError, MappedFile, Stamp};
use crate::proc::maps::{FileId, Mapping};
use crate::proc::memory::ProcMemory;
use crate::proc::root::Root;

/// Bytes of a vDSO, at most; they have 4 to 12 KiB.
const MAX_VDSO: u64 = 256 * 1024;
/// Where distributions put debug files.
const DEBUG_FOLDER: &str = "/usr/lib/debug";

/// What tells files apart: equal keys mean the same content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileKey(Identity);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Identity {
    /// Overlay file systems may show one device and inode for two files, so the path belongs to it.
    Mapped(FileId, Stamp, Arc<[u8]>),
    /// Of an image in memory.
    Content(Arc<[u8]>),
}

/// A file mapped executable into some process. Keeps the file reachable, not open, when its path or the process is gone.
///
/// It pins the file system the file is on: drop it when the process is gone and its samples have their names.
#[derive(Debug)]
pub struct CodeFile {
    key: FileKey,
    module: Arc<str>,
    /// Folder of its path in the process's view; empty when it has none.
    folder: String,
    root: Option<Arc<Root>>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Mapped(MappedFile),
    Memory(File),
}

impl CodeFile {
    /// The file behind `mapping` of process `pid`. Its debug file is looked for beneath `root`, the process's root, and
    /// beneath this process's own.
    ///
    /// # Errors
    /// [`FileError`]; with `Process(Gone)` when the process exited.
    pub fn of_mapping(pid: u32, root: Option<Arc<Root>>, mapping: &Mapping<'_>) -> Result<Self, FileError> {
        let file = MappedFile::find(pid, mapping)?;
        let path = mapping.path();
        let text = String::from_utf8_lossy(&path);
        let module = base_name(&text);
        Ok(Self {
            key: FileKey(Identity::Mapped(mapping.file, file.stamp(), Arc::from(&*path))),
            module: Arc::from(module),
            folder: text
                .strip_suffix(module)
                .unwrap_or("")
                .trim_end_matches('/')
                .to_owned(),
            root,
            content: Content::Mapped(file),
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
        Ok(Self {
            key: FileKey(Identity::Content(Arc::from(&*image))),
            module: Arc::from("[vdso]"),
            folder: String::new(),
            root: None,
            content: Content::Memory(file_of_bytes(&image)?),
        })
    }

    /// A file with this content.
    #[cfg(test)]
    pub(super) fn for_test(content: &[u8]) -> Self {
        Self {
            key: FileKey(Identity::Content(Arc::from(content))),
            module: Arc::from("test"),
            folder: String::new(),
            root: None,
            content: Content::Memory(file_of_bytes(content).expect("memory")),
        }
    }

    /// Equal for the same file, whichever process maps it.
    #[must_use]
    pub fn key(&self) -> &FileKey {
        &self.key
    }

    /// Base name of its path: what frames show.
    #[must_use]
    pub fn module(&self) -> &Arc<str> {
        &self.module
    }

    /// Opens it for reading.
    pub(super) fn open(&self) -> io::Result<File> {
        match &self.content {
            Content::Mapped(file) => file.open(),
            Content::Memory(file) => file.try_clone(),
        }
    }

    /// Files that may hold its debug information, most likely first; the worker tells whether one does.
    pub(super) fn debug_files<'a>(
        &'a self,
        loaded: &'a Loaded,
        code: &File,
    ) -> impl Iterator<Item = File> + use<'a> {
        let own = Root::own().ok();
        let same = own.as_ref().map(Root::id) == self.root.as_deref().map(Root::id);
        let itself = code.metadata().ok().map(|data| (data.dev(), data.ino()));
        let paths = self.debug_paths(loaded);
        let theirs = self.root.clone().filter(|_| !same);
        let roots = theirs.into_iter().chain(own.map(Arc::new));
        roots
            .flat_map(move |root| {
                let open = move |path: &String| root.open_file(path.as_str()).ok();
                paths.clone().into_iter().filter_map(move |path| open(&path))
            })
            .filter(move |file| file.metadata().ok().map(|data| (data.dev(), data.ino())) != itself)
    }

    /// As gdb looks for them: by build-id, then by the name of the debug link.
    fn debug_paths(&self, loaded: &Loaded) -> Vec<String> {
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
