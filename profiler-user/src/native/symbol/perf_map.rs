//! Names of code that a program made at run time, from the map it writes for profilers: `/tmp/perf-PID.map`
//! (`tools/perf/Documentation/jit-interface.txt` of Linux). Used by [`super::NativeSymbolizer`].
//!
//! The program writes what it likes: the file must be its own, is read by position and within limits, and a line that is
//! not understood is skipped. Programs append to it, so only what is new is read, at most once a second.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::name::{JIT, NativeName, NativeResult, NativeUnresolved};
use crate::ids::ProcessKey;
use crate::proc;
use crate::proc::root::Root;

/// Bytes of one map that are read, in all.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes read at once.
const STEP: usize = 1 << 20;
/// Functions of one process that are kept.
const MAX_FUNCTIONS: usize = 1 << 18;
/// Bytes of a name; the rest is cut off.
const MAX_NAME: usize = 512;
/// Processes whose maps are kept; beyond them all are read anew.
const MAX_PROCESSES: usize = 256;
/// A map is looked at again when so much time has passed.
const REFRESH: Duration = Duration::from_secs(1);

/// The maps of all processes that were asked for.
#[derive(Debug, Default)]
pub(super) struct PerfMaps {
    processes: HashMap<ProcessKey, OpenMap>,
}

impl PerfMaps {
    /// Names for addresses in memory without a file, one for each.
    pub(super) fn resolve(
        &mut self,
        process: ProcessKey,
        root: &Root,
        addresses: &[u64],
    ) -> Vec<NativeResult> {
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&process) {
            self.processes.clear();
        }
        let map = self.processes.entry(process).or_default();
        if addresses
            .iter()
            .any(|address| map.functions.find(*address).is_none())
        {
            map.refresh(process.tgid, root);
        }
        let missing = if map.read == 0 {
            NativeUnresolved::JitWithoutMap
        } else {
            NativeUnresolved::NotInPerfMap
        };
        let answer = |address: &u64| map.functions.find(*address).ok_or(missing);
        addresses.iter().map(answer).collect()
    }
}

/// The map of one process, as far as it was read.
#[derive(Debug, Default)]
struct OpenMap {
    functions: PerfMap,
    file: Option<File>,
    /// Bytes read so far.
    read: u64,
    looked_at: Option<Instant>,
}

impl OpenMap {
    fn refresh(&mut self, pid: u32, root: &Root) {
        if self.looked_at.is_some_and(|at| at.elapsed() < REFRESH) {
            return;
        }
        self.looked_at = Some(Instant::now());
        if self.file.is_none() {
            self.file = open(pid, root);
        }
        let Some(file) = &self.file else { return };
        let length = file.metadata().map_or(0, |data| data.len());
        if length < self.read {
            // Begun anew, as after an exec of a program that keeps its process id.
            self.functions = PerfMap::default();
            self.read = 0;
        }
        if let Err(error) = self.read_on(length.min(MAX_BYTES)) {
            log::debug!("perf map of {pid}: {error}");
        }
    }

    /// Whole lines only: the last one may still be written.
    fn read_on(&mut self, end: u64) -> std::io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut buffer = vec![0; STEP];
        while self.read < end {
            let bytes = usize::try_from(end - self.read).unwrap_or(STEP).min(STEP);
            file.read_exact_at(&mut buffer[..bytes], self.read)?;
            let Some(last) = buffer[..bytes].iter().rposition(|&byte| byte == b'\n') else {
                // A line longer than a step is none.
                self.read += if bytes == STEP { STEP as u64 } else { 0 };
                return Ok(());
            };
            self.functions.add(&buffer[..=last]);
            self.read += last as u64 + 1;
        }
        Ok(())
    }
}

/// The map is named by the process id in the process's own pid namespace, and is read only if the process could have
/// written it: `/tmp` is everybody's.
fn open(pid: u32, root: &Root) -> Option<File> {
    let inner = proc::innermost_id(pid).ok()?;
    let file = root.open_file(format!("/tmp/perf-{inner}.map")).ok()?;
    let owner = file.metadata().ok()?.uid();
    let user = proc::user(pid).ok()?;
    (owner == user || owner == 0).then_some(file)
}

/// Functions by address.
#[derive(Debug, Default)]
pub struct PerfMap {
    functions: BTreeMap<u64, Function>,
}

#[derive(Debug)]
struct Function {
    end: u64,
    name: Arc<[NativeName]>,
}

impl PerfMap {
    /// Takes in lines of `START SIZE name`, both hexadecimal, the name up to the end of the line. A later line takes the
    /// place of earlier ones that it overlaps: the memory was used again.
    pub fn add(&mut self, text: &[u8]) {
        for line in text.split(|&byte| byte == b'\n') {
            if let Some((start, end, name)) = parse(line) {
                self.insert(start, end, &name);
            }
        }
    }

    fn insert(&mut self, start: u64, end: u64, name: &str) {
        let before = self.functions.range(..start).next_back();
        let mut overlapped: Vec<u64> = before
            .filter(|(_, function)| function.end > start)
            .map(|(start, _)| *start)
            .into_iter()
            .collect();
        overlapped.extend(self.functions.range(start..end).map(|(start, _)| *start));
        for start in overlapped {
            self.functions.remove(&start);
        }
        if self.functions.len() < MAX_FUNCTIONS {
            let name = Arc::from([described(name)]);
            self.functions.insert(start, Function { end, name });
        }
    }

    fn find(&self, address: u64) -> Option<Arc<[NativeName]>> {
        let (_, function) = self.functions.range(..=address).next_back()?;
        (address < function.end).then(|| Arc::clone(&function.name))
    }

    /// The name at an address.
    #[must_use]
    pub fn name(&self, address: u64) -> Option<NativeName> {
        self.find(address)?.first().cloned()
    }
}

fn parse(line: &[u8]) -> Option<(u64, u64, String)> {
    let mut fields = line.splitn(3, |&byte| byte == b' ');
    let mut number = || {
        let digits = std::str::from_utf8(fields.next()?).ok()?;
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        // `from_str_radix` would accept a sign.
        let is_number = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(digits, 16).ok().filter(|_| is_number)
    };
    let (start, size) = (number()?, number()?);
    let name = fields.next()?.trim_ascii();
    let end = start.checked_add(size).filter(|end| *end > start)?;
    if name.is_empty() {
        return None;
    }
    let name = &name[..name.len().min(MAX_NAME)];
    Some((start, end, String::from_utf8_lossy(name).into_owned()))
}

/// CPython's trampolines (`-X perf`, 3.12 and later) are called `py::function:/path/file.py`.
fn described(name: &str) -> NativeName {
    let python = name.strip_prefix("py::").and_then(|rest| rest.split_once(':'));
    let (symbol, file) = match python {
        Some((function, file)) => (format!("py::{function}"), Some(Arc::from(file))),
        None => (name.to_owned(), None),
    };
    NativeName {
        symbol: Arc::from(symbol),
        module: Arc::from(JIT),
        file,
        line: None,
        inlined: false,
    }
}
