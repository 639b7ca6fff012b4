//! Names for places in files, in the kernel and in memory without a file: everything about them is cached here.
//!
//! A file is known by what it is, a name by the content of its file, so that a second process with the same library costs
//! nothing, and a second container with an equal copy of it costs the copying. The content is hashed with a secret and not
//! taken from the build-id: a container could claim that of somebody else's library.
//!
//! [`NativeSymbolizer::resolve_user`] blocks while the worker reads, up to some seconds for large debug information: it
//! belongs off the path that drains the rings. The symbolizer is `Send`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::client::{CallError, Client, ROLE};
use super::file::{CodeFile, Purpose};
use super::jit::JitFiles;
use super::kernel::KernelSymbols;
use super::messages::{
    CodePosition, FileSlot, FunctionName, LoadedSymbols, MAX_POSITIONS, NotLoaded, Reply, Request, Unknown,
};
use super::name::{JIT, NativeName, NativeResult, NativeUnresolved};
use crate::cache::Cache;
use crate::ids::ProcessKey;
use crate::inspect::{Arrival, Opener, Openings};
use crate::proc::file::FileKey;

/// Bytes of names in each of the cache's two generations, about.
const NAME_BYTES: usize = 32 << 20;
/// Files whose content is remembered, in each of two generations; a busy host maps a few thousand.
pub(super) const FILES: usize = 8192;
/// Bytes of all files that are loaded in the worker, about; the least recently used go first.
const LOADED_BYTES: u64 = 640 << 20;
/// Files that are loaded in the worker.
const LOADED_FILES: usize = 256;
/// Debug files that are tried for one file.
const MAX_CANDIDATES: u32 = 8;
/// Different texts that are shared between names; then sharing starts again.
const MAX_TEXTS: usize = 1 << 17;

/// Finds names, and remembers them.
#[derive(Debug)]
pub struct NativeSymbolizer {
    pub(super) client: Client,
    openings: Openings<Purpose>,
    pub(super) files: Cache<FileKey, FileState>,
    names: Cache<(ContentId, CodePosition), NativeResult>,
    /// Numbers of contents, each under the name that frames show.
    pub(super) contents: HashMap<(Content, Arc<str>), ContentId>,
    next_content: u32,
    pub(super) loaded: HashMap<FileKey, LoadedFile>,
    /// Files that are loaded, and whose debug information is late.
    begun: HashMap<FileKey, BegunFile>,
    next_slot: FileSlot,
    clock: u64,
    texts: HashSet<Arc<str>>,
    kernel: KernelSymbols,
    jit_files: JitFiles,
    jit: Arc<str>,
}

/// Number of a content in [`NativeSymbolizer::contents`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ContentId(u32);

/// What the worker of one generation calls a file and its debug file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Content {
    generation: u32,
    code: u64,
    debug: Option<u64>,
}

/// What is remembered of a file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FileState {
    effort: Effort,
    outcome: Option<Result<ContentId, NativeUnresolved>>,
}

/// How much of a file is read: less, after a worker failed at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Effort {
    #[default]
    Everything,
    SymbolTables,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct LoadedFile {
    generation: u32,
    slot: FileSlot,
    bytes: u64,
    used: u64,
}

/// A file that the worker of a generation has, perhaps without its debug information.
#[derive(Debug)]
struct BegunFile {
    generation: u32,
    slot: FileSlot,
    effort: Effort,
    symbols: LoadedSymbols,
    /// Files that were tried for its debug information.
    tried: u32,
    debug: Option<u64>,
    bytes: u64,
}

/// Why a file was not loaded or asked.
enum Trouble {
    /// It has not come yet.
    Late,
    /// It has no names, now and later.
    File(NativeUnresolved),
    Worker(CallError),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Worker(error)
    }
}

impl NativeSymbolizer {
    /// Asks workers, to which files are passed on that `opener` has opened.
    #[must_use]
    pub fn new(opener: Opener) -> Self {
        Self::with_role(ROLE.name, opener)
    }

    /// With workers of this role.
    pub(super) fn with_role(role: &'static str, opener: Opener) -> Self {
        Self {
            client: Client::new(role),
            openings: Openings::new(opener),
            files: Cache::new(FILES),
            names: Cache::new(NAME_BYTES),
            contents: HashMap::new(),
            next_content: 0,
            loaded: HashMap::new(),
            begun: HashMap::new(),
            next_slot: 0,
            clock: 0,
            texts: HashSet::new(),
            kernel: KernelSymbols::default(),
            jit_files: JitFiles::default(),
            jit: Arc::from(JIT),
        }
    }

    /// Names for positions in files, one result for each request; `None` where a file is late, and it is to be asked again in
    /// a while. Give it many at once: each file costs one exchange with the worker per 256 positions that are not known yet.
    pub fn resolve_user(&mut self, requests: &[(&CodeFile, CodePosition)]) -> Vec<Option<NativeResult>> {
        let mut results: Vec<Option<NativeResult>> = Vec::with_capacity(requests.len());
        let mut missing: HashMap<FileKey, Vec<usize>> = HashMap::new();
        for (index, (file, position)) in requests.iter().enumerate() {
            let known = self.cached(file, *position);
            if known.is_none() {
                missing.entry(file.key()).or_default().push(index);
            }
            results.push(known);
        }
        for indexes in missing.into_values() {
            let Some((file, _)) = indexes.first().and_then(|first| requests.get(*first)) else {
                continue;
            };
            let positions: Vec<CodePosition> = indexes.iter().map(|index| requests[*index].1).collect();
            let resolved = self.resolve_file(file, &positions).into_iter().flatten();
            for (index, result) in indexes.into_iter().zip(resolved) {
                results[index] = Some(result);
            }
        }
        results
    }

    /// Names for kernel addresses, one result for each.
    pub fn resolve_kernel(&mut self, addresses: &[u64]) -> Vec<NativeResult> {
        self.kernel.resolve(addresses)
    }

    /// Names for addresses in memory without a file, one result for each, from the map that the process writes for
    /// profilers; `None` when that is late. While the process runs: whose the map is cannot be told later.
    pub fn resolve_perf_map(&mut self, process: ProcessKey, addresses: &[u64]) -> Option<Vec<NativeResult>> {
        let mut results = Vec::with_capacity(addresses.len());
        for chunk in addresses.chunks(MAX_POSITIONS) {
            let generation = self.client.generation();
            let file = match self.jit_files.due(process, generation, &mut self.openings) {
                Some(Arrival::Here(file)) => Some(file),
                Some(Arrival::Late) => return None,
                Some(Arrival::Failed(_)) | None => None,
            };
            let request = Request::Jit {
                process,
                addresses: chunk.to_vec(),
            };
            match self.client.call(&request, file) {
                Ok(Reply::Jit { has_map, names }) if names.len() == chunk.len() => {
                    let missing = match has_map {
                        true => NativeUnresolved::NotInPerfMap,
                        false => NativeUnresolved::JitWithoutMap,
                    };
                    let jit = Arc::clone(&self.jit);
                    let named = names.into_iter().map(|name| name.ok_or(missing));
                    results.extend(
                        named.map(|name| -> NativeResult { Ok(Arc::from([self.named(&jit, name?)])) }),
                    );
                }
                Err(CallError::Resting) => {
                    results.extend(chunk.iter().map(|_| Err(NativeUnresolved::SymbolizerResting)));
                }
                _ => results.extend(chunk.iter().map(|_| Err(NativeUnresolved::SymbolizerFailed))),
            }
        }
        Some(results)
    }

    fn cached(&mut self, file: &CodeFile, position: CodePosition) -> Option<NativeResult> {
        match self.files.get(&file.key(), |_| 1)?.outcome? {
            Ok(content) => self.names.get(&(content, position), weight).cloned(),
            Err(reason) => Some(Err(reason)),
        }
    }

    /// One result for each position, unless the file is late; with less of the file each time a worker fails at it.
    fn resolve_file(&mut self, file: &CodeFile, positions: &[CodePosition]) -> Option<Vec<NativeResult>> {
        let fail = |reason| Some(vec![Err(reason); positions.len()]);
        let mut state = self.files.get(&file.key(), |_| 1).copied().unwrap_or_default();
        loop {
            match self.ask(file, state.effort, positions) {
                Ok((content, results)) => {
                    state.outcome = Some(Ok(content));
                    self.files.insert(file.key(), state, 1);
                    for (position, result) in positions.iter().zip(&results) {
                        let weight = weight(result);
                        self.names.insert((content, *position), result.clone(), weight);
                    }
                    return Some(results);
                }
                Err(Trouble::Late) => {
                    self.files.insert(file.key(), state, 1);
                    return None;
                }
                Err(Trouble::Worker(CallError::Resting)) => return fail(NativeUnresolved::SymbolizerResting),
                // As often as the client has patience for.
                Err(Trouble::Worker(CallError::Ended)) => {}
                Err(Trouble::Worker(CallError::Failed)) if state.effort == Effort::Everything => {
                    state.effort = Effort::SymbolTables;
                }
                Err(trouble) => {
                    let reason = match trouble {
                        Trouble::File(reason) => reason,
                        Trouble::Worker(_) | Trouble::Late => NativeUnresolved::SymbolizerFailed,
                    };
                    state.outcome = Some(Err(reason));
                    self.files.insert(file.key(), state, 1);
                    return fail(reason);
                }
            }
        }
    }

    fn ask(
        &mut self,
        file: &CodeFile,
        effort: Effort,
        positions: &[CodePosition],
    ) -> Result<(ContentId, Vec<NativeResult>), Trouble> {
        let (slot, content) = self.load(file, effort)?;
        let mut results = Vec::with_capacity(positions.len());
        for chunk in positions.chunks(MAX_POSITIONS) {
            let request = Request::Resolve {
                slot,
                positions: chunk.to_vec(),
            };
            let Reply::Resolved(answers) = self.client.call(&request, None)? else {
                return Err(Trouble::Worker(CallError::Failed));
            };
            if answers.len() != chunk.len() {
                return Err(Trouble::Worker(CallError::Failed));
            }
            for answer in answers {
                results.push(self.result(file, answer));
            }
        }
        Ok((content, results))
    }

    /// Makes sure that the worker has the file.
    fn load(&mut self, file: &CodeFile, effort: Effort) -> Result<(FileSlot, ContentId), Trouble> {
        self.clock += 1;
        let (clock, generation) = (self.clock, self.client.generation());
        let known = self.files.get(&file.key(), |_| 1).and_then(|state| state.outcome);
        if let Some(Ok(content)) = known
            && let Some(loaded) = self.loaded.get_mut(&file.key())
            && loaded.generation == generation
        {
            loaded.used = clock;
            return Ok((loaded.slot, content));
        }
        let mut begun = match self.begun.remove(&file.key()) {
            Some(begun) if (begun.generation, begun.effort) == (generation, effort) => begun,
            _ => self.begin(file, effort)?,
        };
        let lacks_lines = effort == Effort::Everything && !begun.symbols.has_debug_info;
        if lacks_lines && !self.attach(file, &mut begun)? {
            self.begun.insert(file.key(), begun);
            return Err(Trouble::Late);
        }
        let (generation, slot) = (begun.generation, begun.slot);
        let content = Content {
            generation,
            code: begun.symbols.content,
            debug: begun.debug,
        };
        let entry = LoadedFile {
            generation,
            slot,
            bytes: begun.bytes,
            used: clock,
        };
        self.loaded.insert(file.key(), entry);
        Ok((slot, self.content_id(content, file.module())))
    }

    /// Has the worker take the file in.
    fn begin(&mut self, file: &CodeFile, effort: Effort) -> Result<BegunFile, Trouble> {
        let source = match file.open(&mut self.openings) {
            Arrival::Here(source) => source,
            Arrival::Late => return Err(Trouble::Late),
            Arrival::Failed(error) => {
                log::debug!("opening {}: {error}", file.module());
                return Err(Trouble::File(NativeUnresolved::FileUnreadable));
            }
        };
        self.make_room()?;
        let slot = self.next_slot;
        self.next_slot = self.next_slot.wrapping_add(1);
        let debug_info = effort == Effort::Everything;
        let symbols = match self
            .client
            .call(&Request::Load { slot, debug_info }, Some(source))?
        {
            Reply::Loaded(symbols) => symbols,
            Reply::NotLoaded(error) => return Err(Trouble::File(error.reason())),
            _ => return Err(Trouble::Worker(CallError::Failed)),
        };
        Ok(BegunFile {
            generation: self.client.generation(),
            slot,
            effort,
            bytes: symbols.bytes,
            symbols,
            tried: 0,
            debug: None,
        })
    }

    /// Gives the worker files until one is the debug file; whether that is settled.
    fn attach(&mut self, file: &CodeFile, begun: &mut BegunFile) -> Result<bool, Trouble> {
        while begun.debug.is_none() && begun.tried < MAX_CANDIDATES {
            let candidate = match file.open_debug(&begun.symbols, begun.tried, &mut self.openings) {
                Arrival::Here(candidate) => candidate,
                Arrival::Late => return Ok(false),
                Arrival::Failed(_) => return Ok(true),
            };
            begun.tried += 1;
            let request = Request::Attach { slot: begun.slot };
            let Reply::Attached { content, bytes } = self.client.call(&request, Some(candidate))? else {
                return Err(Trouble::Worker(CallError::Failed));
            };
            if content.is_some() {
                begun.debug = content;
                begun.bytes = begun.bytes.saturating_add(bytes);
            }
        }
        Ok(true)
    }

    fn content_id(&mut self, content: Content, module: &Arc<str>) -> ContentId {
        if self.contents.len() >= 2 * FILES {
            self.contents.clear();
        }
        let key = (content, Arc::clone(module));
        *self.contents.entry(key).or_insert_with(|| {
            self.next_content = self.next_content.wrapping_add(1);
            ContentId(self.next_content)
        })
    }

    /// Drops what was used least recently, until another file fits.
    fn make_room(&mut self) -> Result<(), CallError> {
        let generation = self.client.generation();
        self.loaded.retain(|_, loaded| loaded.generation == generation);
        loop {
            let bytes = self
                .loaded
                .values()
                .fold(0u64, |sum, loaded| sum.saturating_add(loaded.bytes));
            if self.loaded.len() < LOADED_FILES && bytes < LOADED_BYTES {
                return Ok(());
            }
            let oldest = self.loaded.iter().min_by_key(|(_, loaded)| loaded.used);
            let Some((key, slot)) = oldest.map(|(key, loaded)| (*key, loaded.slot)) else {
                return Ok(());
            };
            self.loaded.remove(&key);
            self.client.call(&Request::Drop { slot }, None)?;
        }
    }

    fn result(&mut self, file: &CodeFile, answer: Result<Vec<FunctionName>, Unknown>) -> NativeResult {
        let names = answer.map_err(Unknown::reason)?;
        if names.is_empty() {
            return Err(NativeUnresolved::NoSymbol);
        }
        Ok(names
            .into_iter()
            .map(|name| self.named(file.module(), name))
            .collect())
    }

    fn named(&mut self, module: &Arc<str>, name: FunctionName) -> NativeName {
        NativeName {
            symbol: self.share(&name.symbol),
            module: Arc::clone(module),
            file: name.file.map(|path| self.share(&path)),
            line: name.line,
            inlined: name.inlined,
        }
    }

    /// One copy of a text, however many names have it.
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        if self.texts.len() >= MAX_TEXTS {
            self.texts.clear();
        }
        let shared: Arc<str> = Arc::from(text);
        self.texts.insert(Arc::clone(&shared));
        shared
    }
}

/// Bytes that a result occupies, about: texts are shared by a few names each.
fn weight(result: &NativeResult) -> usize {
    const ENTRY: usize = 96;
    let texts = |name: &NativeName| name.symbol.len() + name.file.as_ref().map_or(0, |file| file.len());
    let of_name = |name: &NativeName| size_of::<NativeName>() + texts(name) / 2;
    ENTRY + result.as_ref().map_or(0, |names| names.iter().map(of_name).sum())
}

impl NotLoaded {
    fn reason(self) -> NativeUnresolved {
        match self {
            Self::Unreadable => NativeUnresolved::FileUnreadable,
            Self::NotElf => NativeUnresolved::NotElf,
            Self::TooLarge => NativeUnresolved::TooLarge,
        }
    }
}

impl Unknown {
    fn reason(self) -> NativeUnresolved {
        match self {
            Self::NoSymbol => NativeUnresolved::NoSymbol,
            Self::NotCode => NativeUnresolved::NotCode,
        }
    }
}
