//! The files that sampled addresses are in.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use crate::inspect::Opener;
use crate::native::symbol::CodeFile;
use crate::native::unwind::{Located, Stretch};
use crate::path::base_name_of_bytes;
use crate::proc::file::FileKey;
use crate::proc::maps::FileId;

const VDSO: &[u8] = b"[vdso]";
/// How the paths of memory begin that programs share with themselves to write code into.
const SHARED_MEMORY: &[&[u8]] = &[b"/memfd:", b"/dev/zero", b"/dev/shm/", b"/SYSV"];

/// Index into [`CodeFiles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileIndex(u32);

/// A file with machine code that was sampled.
#[derive(Debug)]
pub(super) struct UsedFile {
    /// `None` when it could not be found.
    pub(super) code: Option<Arc<CodeFile>>,
    /// Base name of its path.
    pub(super) module: Arc<str>,
    /// Whether it is the interpreter of the process that showed it first.
    pub(super) is_interpreter: bool,
}

/// What makes two mappings ones of the same file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Sameness {
    /// It was found.
    Key(FileKey),
    /// It was not; what the mapping says.
    Mapping(FileId, Arc<[u8]>),
}

/// All of them.
#[derive(Debug)]
pub(super) struct CodeFiles {
    files: Vec<Option<UsedFile>>,
    /// Elements of `files` that are empty.
    free: Vec<u32>,
    indexes: HashMap<Sameness, FileIndex>,
    opener: Opener,
}

impl CodeFiles {
    /// None yet.
    pub(super) fn new(opener: Opener) -> Self {
        Self {
            files: Vec::new(),
            free: Vec::new(),
            indexes: HashMap::new(),
            opener,
        }
    }

    pub(super) fn get(&self, file: FileIndex) -> Option<&UsedFile> {
        self.files.get(file.0 as usize)?.as_ref()
    }

    /// Forgets the files that no address is in any more.
    pub(super) fn keep(&mut self, used: &HashSet<FileIndex>) {
        self.indexes.retain(|_, index| used.contains(index));
        for (index, slot) in (0u32..).zip(&mut self.files) {
            if !used.contains(&FileIndex(index)) && slot.take().is_some() {
                self.free.push(index);
            }
        }
    }

    /// The file that something is in; kept reachable from now on, because the process may end.
    pub(super) fn of(&mut self, located: &Located<'_>, interpreter: &Path) -> FileIndex {
        let mapping = located.mapping;
        let same = match mapping.key {
            Some(key) => Sameness::Key(key),
            None => Sameness::Mapping(mapping.id, mapping.path.clone()),
        };
        if let Some(index) = self.indexes.get(&same) {
            return *index;
        }
        let name = String::from_utf8_lossy(base_name_of_bytes(&mapping.path));
        let file = UsedFile {
            code: self.find(mapping, &name).map(Arc::new),
            module: Arc::from(&*name),
            is_interpreter: interpreter.as_os_str().as_encoded_bytes() == &*mapping.path,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.files.push(None);
            u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX)
        });
        if let Some(slot) = self.files.get_mut(index as usize) {
            *slot = Some(file);
        }
        self.indexes.insert(same, FileIndex(index));
        FileIndex(index)
    }

    fn find(&self, stretch: &Stretch, name: &str) -> Option<CodeFile> {
        if let Some(image) = &stretch.image {
            return Some(CodeFile::of_bytes(name, image));
        }
        let (reach, key) = (stretch.reach.as_ref()?, stretch.key?);
        self.opener.hold(reach);
        Some(CodeFile::mapped(key, &stretch.path, Arc::clone(reach)))
    }
}

/// Memory without a file, or in one that is not a program.
pub(super) fn is_made_at_run_time(located: &Located<'_>) -> bool {
    let mapping = located.mapping;
    let is_shared = SHARED_MEMORY.iter().any(|start| mapping.path.starts_with(start));
    &*mapping.path != VDSO && (mapping.id.inode == 0 || (is_shared && located.static_address.is_none()))
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::unwind::mapping_kind;

    use super::*;
    use crate::inspect::code_maps::CodeMaps;
    use crate::inspect::{MappedContent, Reach};
    use crate::proc::file::FileName;
    use crate::proc::maps::Maps;

    /// The executable mappings of files of this process, as the unwind tables know them.
    fn stretches() -> Vec<Stretch> {
        let found = CodeMaps::default().of_process(std::process::id(), None);
        let space = found.expect("this process").expect("new");
        let code = space.mappings.iter().filter_map(|found| {
            let MappedContent::Code { file, .. } = found.content else {
                return None;
            };
            let maps = Maps::from_text(found.line.to_vec());
            let mapping = maps.iter().next()?;
            Some(Stretch {
                start: mapping.start,
                end: mapping.end,
                offset: mapping.offset,
                kind: mapping_kind::TABLE,
                bias: 0,
                file: None,
                reach: Some(Arc::new(Reach {
                    pid: space.pid,
                    line: found.line.clone(),
                    file,
                    root: space.root,
                })),
                image: None,
                key: Some(FileKey {
                    name: FileName::of_mapping(&mapping),
                    stamp: file.stamp,
                }),
                id: mapping.file,
                path: mapping.path().as_ref().into(),
                deleted: mapping.deleted,
            })
        });
        code.collect()
    }

    #[test]
    fn files_that_no_address_is_in_are_forgotten_and_their_numbers_given_again() {
        let stretches = stretches();
        let [one, other, ..] = &stretches[..] else {
            unreachable!("this program and its C library");
        };
        let located = |mapping| Located {
            tgid: std::process::id(),
            mapping,
            static_address: None,
        };
        let mut files = CodeFiles::new(Opener::start().expect("a thread"));
        let [first, second] = [one, other].map(|mapping| files.of(&located(mapping), Path::new("/python")));
        assert_ne!(first, second);
        assert_eq!(files.of(&located(one), Path::new("/python")), first);
        files.keep(&HashSet::from([second]));
        assert!(files.get(first).is_none());
        let kept = files.get(second).expect("in use");
        assert!(kept.code.is_some() && !kept.is_interpreter);
        assert_eq!(
            files.of(&located(one), Path::new("/python")),
            first,
            "the free number"
        );
    }
}
