//! The executable memory of one process: which file, and which place in it, an address is. Used by whoever has addresses.

use std::cell::OnceCell;
use std::sync::Arc;

use super::{CodeFile, NativeResult, NativeSymbolizer, NativeUnresolved, Place};
use crate::code::resolved::ProcessKey;
use crate::process::file::FileError;
use crate::process::maps::{Mapping, Maps};
use crate::process::root::Root;
use crate::process::{self, ProcessError};

/// Executable mappings of one process, at most.
const MAX_REGIONS: usize = 1 << 14;

/// What a process had mapped executable at one moment. Files are opened when the first of their addresses is asked for, or
/// all by [`CodeSpace::open_files`]; each then takes a file descriptor for as long as this lives.
#[derive(Debug)]
pub struct CodeSpace {
    process: ProcessKey,
    /// The process id that `/proc` answers for.
    visible: u32,
    root: Option<Arc<Root>>,
    maps: Maps,
    /// By address; they do not overlap.
    regions: Vec<Region>,
}

#[derive(Debug)]
struct Region {
    start: u64,
    end: u64,
    offset: u64,
    /// Which of the mappings.
    index: usize,
    code: Code,
}

#[derive(Debug)]
enum Code {
    File(OnceCell<Result<CodeFile, NativeUnresolved>>),
    Vdso(OnceCell<Result<CodeFile, NativeUnresolved>>),
    /// Written by the program itself.
    RunTime,
    /// Of the kernel, and not to be read: `[vsyscall]`, `[uprobes]`.
    Other,
}

impl CodeSpace {
    /// Looks at what `process` has mapped now.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn read(process: ProcessKey) -> Result<Self, ProcessError> {
        let visible = process::visible_id(process.tgid);
        let maps = Maps::read(visible)?;
        let regions = maps
            .iter()
            .enumerate()
            .filter(|(_, mapping)| mapping.executable)
            .take(MAX_REGIONS)
            .map(|(index, mapping)| Region {
                start: mapping.start,
                end: mapping.end,
                offset: mapping.offset,
                index,
                code: Code::of(&mapping),
            });
        Ok(Self {
            process,
            visible,
            root: Root::of_process(visible).ok().map(Arc::new),
            regions: regions.collect(),
            maps,
        })
    }

    /// Opens every file now: of a process that may be gone when its addresses are asked for.
    pub fn open_files(&self) {
        for region in &self.regions {
            self.file(region);
        }
    }

    /// Names for addresses, one result for each. A return address minus 1 is in the function that called. For
    /// [`NativeUnresolved::NotMapped`] it is worth to look at the process again: it mapped more code since.
    pub fn resolve(&self, symbolizer: &mut NativeSymbolizer, addresses: &[u64]) -> Vec<NativeResult> {
        let mut results = vec![Err(NativeUnresolved::NotMapped); addresses.len()];
        let (mut in_files, mut of_files) = (Vec::new(), Vec::new());
        let (mut at_run_time, mut of_run_time) = (Vec::new(), Vec::new());
        for (index, address) in addresses.iter().enumerate() {
            let Some(region) = self.region(*address) else {
                continue;
            };
            match (&region.code, self.file(region)) {
                (_, Some(Ok(file))) => {
                    in_files.push(index);
                    of_files.push((file, Place::Offset(address - region.start + region.offset)));
                }
                (_, Some(Err(reason))) => results[index] = Err(*reason),
                (Code::RunTime, None) => {
                    at_run_time.push(index);
                    of_run_time.push(*address);
                }
                (_, None) => results[index] = Err(NativeUnresolved::NoSymbol),
            }
        }
        for (index, result) in in_files.into_iter().zip(symbolizer.resolve_user(&of_files)) {
            results[index] = result;
        }
        let named = match &self.root {
            Some(root) if !of_run_time.is_empty() => {
                symbolizer.resolve_perf_map(self.process, root, &of_run_time)
            }
            _ => vec![Err(NativeUnresolved::JitWithoutMap); of_run_time.len()],
        };
        for (index, result) in at_run_time.into_iter().zip(named) {
            results[index] = result;
        }
        results
    }

    /// Base name of the file at an address, `[vdso]` and the like for the kernel's; what frames without a name show. `None`
    /// for code made at run time and where nothing is mapped.
    #[must_use]
    pub fn module(&self, address: u64) -> Option<String> {
        let region = self.region(address)?;
        let mapping = self.maps.iter().nth(region.index)?;
        let is_named = !matches!(region.code, Code::RunTime);
        is_named.then(|| String::from_utf8_lossy(mapping.file_name()).into_owned())
    }

    fn region(&self, address: u64) -> Option<&Region> {
        let after = self.regions.partition_point(|region| region.start <= address);
        let region = self.regions.get(after.checked_sub(1)?)?;
        (address < region.end).then_some(region)
    }

    /// The file of a region, if it has one.
    fn file<'a>(&'a self, region: &'a Region) -> Option<&'a Result<CodeFile, NativeUnresolved>> {
        let open = |how: fn(&Self, &Mapping<'_>) -> Result<CodeFile, FileError>| {
            let mapping = self.maps.iter().nth(region.index);
            let mapping = mapping.ok_or(NativeUnresolved::NotMapped)?;
            how(self, &mapping).map_err(|error| {
                log::debug!("process {}: {error}", self.visible);
                NativeUnresolved::FileUnreadable
            })
        };
        match &region.code {
            Code::File(file) => Some(file.get_or_init(|| {
                open(|space, mapping| CodeFile::of_mapping(space.visible, space.root.clone(), mapping))
            })),
            Code::Vdso(file) => {
                Some(file.get_or_init(|| open(|space, mapping| CodeFile::vdso(space.visible, mapping))))
            }
            Code::RunTime | Code::Other => None,
        }
    }
}

impl Code {
    fn of(mapping: &Mapping<'_>) -> Self {
        let path = mapping.path();
        // Shared memory has an inode, but what is in it was made at run time.
        let is_memory = [&b"/memfd:"[..], b"/dev/zero", b"/SYSV", b"/dev/shm/"];
        match &*path {
            b"[vdso]" => Self::Vdso(OnceCell::new()),
            path if is_memory.iter().any(|memory| path.starts_with(memory)) => Self::RunTime,
            _ if mapping.is_file() => Self::File(OnceCell::new()),
            b"[vsyscall]" | b"[uprobes]" => Self::Other,
            _ => Self::RunTime,
        }
    }
}
