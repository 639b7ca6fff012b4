//! Names of code that a program made at run time, from the map it writes for profilers: `/tmp/perf-PID.map`
//! (`tools/perf/Documentation/jit-interface.txt` of Linux). Used by [`super::worker`], in the
//! worker process, which is given the file by [`super::jit`].
//!
//! The program writes what it likes: the file is read by position and within limits that hold for all programs together, and
//! a line that is not understood is skipped. Programs append to it, so only what is new is read.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use super::messages::FunctionName;
use super::name::{JIT, NativeName};
use crate::ids::ProcessKey;

/// Bytes of one map that are read, in all.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes read at once.
const STEP: usize = 1 << 20;
/// Bytes by which it is seen that a map is still the one that was read.
const TAIL_BYTES: usize = 256;
/// Functions of one process that are kept.
const MAX_FUNCTIONS: usize = 1 << 18;
/// Bytes of a name; the rest is cut off.
const MAX_NAME: usize = 512;
/// Bytes of all maps that are kept, about.
const MAX_HELD_BYTES: usize = 128 << 20;
/// Processes whose maps are kept.
const MAX_PROCESSES: usize = 256;

/// The maps of all processes that were asked for.
#[derive(Debug, Default)]
pub(super) struct PerfMaps {
    processes: HashMap<ProcessKey, ReadMap>,
    /// Counts questions.
    clock: u64,
}

impl PerfMaps {
    /// Whether the process wrote a map, and the names that it has for addresses, one for each. `file` is the map, if it may
    /// have changed since the last question.
    pub(super) fn resolve(
        &mut self,
        process: ProcessKey,
        file: Option<&File>,
        addresses: &[u64],
    ) -> (bool, Vec<Option<FunctionName>>) {
        self.make_room(process);
        self.clock += 1;
        let held = self.held_bytes();
        let map = self.processes.entry(process).or_default();
        map.used = self.clock;
        let is_missing = |address: &u64| map.functions.find(*address).is_none();
        if let Some(file) = file
            && addresses.iter().any(is_missing)
        {
            let others = held.saturating_sub(map.functions.bytes);
            map.refresh(file, MAX_HELD_BYTES.saturating_sub(others));
        }
        let name = |address: &u64| Some(function(&map.functions.name(*address)?));
        (map.read > 0, addresses.iter().map(name).collect())
    }

    fn held_bytes(&self) -> usize {
        self.processes.values().map(|map| map.functions.bytes).sum()
    }

    /// Drops the maps that were asked for least recently, until another one fits.
    fn make_room(&mut self, process: ProcessKey) {
        while self.processes.len() >= MAX_PROCESSES || self.held_bytes() > MAX_HELD_BYTES / 2 {
            let others = self.processes.iter().filter(|(key, _)| **key != process);
            let Some((oldest, _)) = others.min_by_key(|(_, map)| map.used) else {
                return;
            };
            let oldest = *oldest;
            self.processes.remove(&oldest);
        }
    }
}

/// The map of one process, as far as it was read.
#[derive(Debug, Default)]
struct ReadMap {
    functions: PerfMap,
    /// Bytes read so far.
    read: u64,
    /// The last of them: another file of this name has others there.
    tail: Vec<u8>,
    /// When it was asked for last, in questions.
    used: u64,
}

impl ReadMap {
    /// Reads what is new; keeps `max_bytes` bytes at most.
    fn refresh(&mut self, file: &File, max_bytes: usize) {
        let length = file.metadata().map_or(0, |data| data.len());
        if !self.is_continued_by(file) {
            // Begun again, as after an exec of a program that keeps its process id.
            self.functions = PerfMap::default();
            self.read = 0;
        }
        self.functions.max_bytes = max_bytes;
        if let Err(error) = self.read_on(file, length.min(MAX_BYTES)) {
            log::debug!("perf map: {error}");
        }
    }

    /// Whether the file begins with what was read.
    fn is_continued_by(&self, file: &File) -> bool {
        let mut tail = vec![0; self.tail.len()];
        let start = self.read.checked_sub(tail.len() as u64);
        start.is_some_and(|start| file.read_exact_at(&mut tail, start).is_ok()) && tail == self.tail
    }

    /// Whole lines only: the last one may still be written.
    fn read_on(&mut self, file: &File, end: u64) -> std::io::Result<()> {
        let mut buffer = vec![0; STEP];
        while self.read < end {
            let bytes = usize::try_from(end - self.read).unwrap_or(STEP).min(STEP);
            file.read_exact_at(&mut buffer[..bytes], self.read)?;
            let Some(last) = buffer[..bytes].iter().rposition(|&byte| byte == b'\n') else {
                // A line longer than a step is skipped.
                if bytes == STEP {
                    self.read += STEP as u64;
                    self.tail.clear();
                }
                return Ok(());
            };
            let lines = &buffer[..=last];
            self.functions.add(lines);
            self.read += lines.len() as u64;
            self.tail = lines[lines.len().saturating_sub(TAIL_BYTES)..].to_vec();
        }
        Ok(())
    }
}

/// A name, as it travels; its module is [`JIT`].
fn function(name: &NativeName) -> FunctionName {
    FunctionName {
        file: name.file.as_deref().map(str::to_owned),
        ..FunctionName::plain(name.symbol.to_string())
    }
}

/// Functions by address.
#[derive(Debug)]
pub struct PerfMap {
    functions: BTreeMap<u64, Function>,
    /// Bytes that they occupy, about, and the most they may.
    bytes: usize,
    max_bytes: usize,
}

impl Default for PerfMap {
    fn default() -> Self {
        Self {
            functions: BTreeMap::new(),
            bytes: 0,
            max_bytes: MAX_HELD_BYTES,
        }
    }
}

#[derive(Debug)]
struct Function {
    end: u64,
    name: Arc<[NativeName]>,
}

impl Function {
    /// Bytes that it occupies, about: itself, its entry, and the texts with their counters.
    fn bytes(&self) -> usize {
        const ENTRY: usize = 96;
        let texts = |name: &NativeName| name.symbol.len() + name.file.as_ref().map_or(0, |file| file.len());
        let of_name = |name: &NativeName| size_of::<NativeName>() + texts(name);
        ENTRY + self.name.iter().map(of_name).sum::<usize>()
    }
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
            if let Some(function) = self.functions.remove(&start) {
                self.bytes -= function.bytes();
            }
        }
        let function = Function {
            end,
            name: Arc::from([described(name)]),
        };
        let bytes = self.bytes + function.bytes();
        if self.functions.len() < MAX_FUNCTIONS && bytes <= self.max_bytes {
            self.bytes = bytes;
            self.functions.insert(start, function);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A process with a map of its own.
    struct Mapped {
        child: std::process::Child,
        path: String,
    }

    impl Mapped {
        fn start() -> Self {
            let child = std::process::Command::new("sleep")
                .arg("1000")
                .spawn()
                .expect("coreutils are installed");
            let path = format!("/tmp/perf-{}.map", child.id());
            Self { child, path }
        }

        fn key(&self) -> ProcessKey {
            ProcessKey {
                tgid: self.child.id(),
                incarnation: 1,
            }
        }
    }

    impl Drop for Mapped {
        fn drop(&mut self) {
            self.child.kill().expect("own child");
            self.child.wait().expect("own child");
            // It may never have been written.
            drop(std::fs::remove_file(&self.path));
        }
    }

    #[test]
    fn the_maps_of_all_processes_have_one_budget() {
        let text: String = (0..MAX_FUNCTIONS / 4)
            .map(|number| format!("{:x} 10 {}\n", 0x1000 + 0x10 * number, "n".repeat(400)))
            .collect();
        let processes = [(); 6].map(|()| Mapped::start());
        let mut maps = PerfMaps::default();
        for process in &processes {
            std::fs::write(&process.path, &text).expect("writable");
            let named = maps
                .resolve(process.key(), File::open(&process.path).ok().as_ref(), &[0x1008])
                .1;
            assert!(named[0].is_some(), "{named:?}");
            assert!(maps.held_bytes() <= MAX_HELD_BYTES, "{}", maps.held_bytes());
        }
        assert!(maps.processes.len() < processes.len());
        let again = maps
            .resolve(
                processes[0].key(),
                File::open(&processes[0].path).ok().as_ref(),
                &[0x1008],
            )
            .1;
        assert!(again[0].is_some(), "what was dropped is read again");
    }

    #[test]
    fn what_is_appended_is_read_and_what_is_replaced_is_forgotten() {
        let process = Mapped::start();
        std::fs::write(&process.path, "1000 10 one\n2000 10 unfini").expect("writable");
        let mut maps = PerfMaps::default();
        let find = |maps: &mut PerfMaps, address| {
            let file = File::open(&process.path).ok();
            let (has_map, mut named) = maps.resolve(process.key(), file.as_ref(), &[address]);
            assert!(has_map);
            named.remove(0).map(|name| name.symbol)
        };
        assert_eq!(find(&mut maps, 0x1008).as_deref(), Some("one"));
        assert_eq!(find(&mut maps, 0x2008), None);
        std::fs::write(&process.path, "1000 10 one\n2000 10 unfinished\n").expect("writable");
        assert_eq!(find(&mut maps, 0x2008).as_deref(), Some("unfinished"));
        // A program that begins again replaces the file.
        std::fs::remove_file(&process.path).expect("own file");
        std::fs::write(
            &process.path,
            "3000 10 other program, longer than the map before it\n",
        )
        .expect("writable");
        assert!(find(&mut maps, 0x3008).is_some());
        assert_eq!(find(&mut maps, 0x1008), None);
    }
}
