//! Names of kernel addresses from `/proc/kallsyms`. Used by [`super::NativeSymbolizer`].
//!
//! Read at the first question, and again, now and then, when an address has no name: a module may have been loaded. (blazesym
//! reads this file too, but drops the names of modules.) Lines that are not understood are skipped.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::name::{KERNEL, NativeName, NativeResult, NativeUnresolved};

/// Bytes that are read; a kernel with many modules has 20 MB.
const MAX_BYTES: u64 = 128 << 20;
/// Functions that are kept.
const MAX_FUNCTIONS: usize = 1 << 20;
/// How far the last function before a gap reaches; kallsyms has no sizes.
const MAX_FUNCTION_BYTES: u64 = 128 * 1024;
/// Time between two readings, at least.
const REFRESH: Duration = Duration::from_secs(30);

/// The functions of the running kernel and its modules.
#[derive(Debug, Default)]
pub(super) struct KernelSymbols {
    table: Option<Table>,
    read_at: Option<Instant>,
}

impl KernelSymbols {
    /// Names for addresses, one for each.
    pub(super) fn resolve(&mut self, addresses: &[u64]) -> Vec<NativeResult> {
        if self.table.is_none() {
            self.refresh();
        }
        if addresses.iter().any(|address| self.find(*address).is_none()) {
            self.refresh();
        }
        let missing = match &self.table {
            Some(table) if !table.functions.is_empty() => NativeUnresolved::KernelUnknown,
            _ => NativeUnresolved::KernelHidden,
        };
        addresses
            .iter()
            .map(|address| self.find(*address).ok_or(missing))
            .collect()
    }

    fn find(&self, address: u64) -> Option<Arc<[NativeName]>> {
        self.table.as_ref()?.find(address)
    }

    fn refresh(&mut self) {
        if self.read_at.is_some_and(|read_at| read_at.elapsed() < REFRESH) {
            return;
        }
        self.read_at = Some(Instant::now());
        match File::open("/proc/kallsyms") {
            Ok(file) => self.table = Some(Table::read(BufReader::new(file.take(MAX_BYTES)))),
            Err(error) => log::debug!("/proc/kallsyms: {error}"),
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    /// Ascending by address.
    functions: Vec<Function>,
    /// All names, one after the other.
    names: String,
    modules: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Function {
    address: u64,
    name_start: u32,
    name_bytes: u16,
    module: u16,
}

impl Table {
    /// `address type name`, for a module `\t[module]`. Where addresses are hidden they are all 0, and none is kept.
    fn read(mut text: impl BufRead) -> Self {
        let mut table = Self {
            modules: vec![Arc::from(KERNEL)],
            ..Self::default()
        };
        let mut line = Vec::new();
        while table.functions.len() < MAX_FUNCTIONS {
            line.clear();
            match text.read_until(b'\n', &mut line) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    log::debug!("/proc/kallsyms: {error}");
                    break;
                }
            }
            if let Ok(line) = std::str::from_utf8(&line) {
                table.add(line);
            }
        }
        // Stable: of several names for one address the first is kept, as the kernel itself does.
        table.functions.sort_by_key(|function| function.address);
        table.functions.dedup_by_key(|function| function.address);
        table
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let mut fields = line.split_ascii_whitespace();
        let address = u64::from_str_radix(fields.next()?, 16)
            .ok()
            .filter(|address| *address != 0)?;
        if !matches!(fields.next()?, "t" | "T" | "w" | "W") {
            return None;
        }
        let name = fields.next()?;
        let module = self.module(fields.next());
        let name_start = u32::try_from(self.names.len()).ok()?;
        let name_bytes = u16::try_from(name.len()).ok()?;
        self.names.push_str(name);
        self.functions.push(Function {
            address,
            name_start,
            name_bytes,
            module,
        });
        Some(())
    }

    /// Modules are listed one after the other.
    fn module(&mut self, name: Option<&str>) -> u16 {
        let Some(name) = name else { return 0 };
        if self.modules.last().is_none_or(|last| **last != *name) {
            self.modules.push(Arc::from(name));
        }
        u16::try_from(self.modules.len() - 1).unwrap_or(0)
    }

    fn find(&self, address: u64) -> Option<Arc<[NativeName]>> {
        let after = self
            .functions
            .partition_point(|function| function.address <= address);
        let function = self.functions.get(after.checked_sub(1)?)?;
        if address - function.address >= MAX_FUNCTION_BYTES {
            return None;
        }
        let start = function.name_start as usize;
        let name = NativeName {
            symbol: Arc::from(self.names.get(start..start + usize::from(function.name_bytes))?),
            module: Arc::clone(self.modules.get(usize::from(function.module))?),
            file: None,
            line: None,
            inlined: false,
        };
        Some(Arc::from([name]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "ffffffff81000000 T _stext\nffffffff81000010 t do_one\nffffffff81000010 T alias\n\
        ffffffff81000020 D data\nffffffff81000100 W weak\nnonsense\nffffffffc0000000 t init_a\t[mod_a]\n\
        ffffffffc0000040 t bpf_prog_1234_name\t[bpf]\n0000000000000000 T hidden\n";

    fn found(table: &Table, address: u64) -> Option<(String, String)> {
        let names = table.find(address)?;
        Some((names[0].symbol.to_string(), names[0].module.to_string()))
    }

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        let table = Table::read(TEXT.as_bytes());
        let expect = |address, name: &str, module: &str| {
            assert_eq!(found(&table, address), Some((name.into(), module.into())));
        };
        expect(0xffff_ffff_8100_0000, "_stext", "[kernel]");
        expect(0xffff_ffff_8100_000f, "_stext", "[kernel]");
        expect(0xffff_ffff_8100_0030, "do_one", "[kernel]");
        expect(0xffff_ffff_8100_0101, "weak", "[kernel]");
        expect(0xffff_ffff_c000_0041, "bpf_prog_1234_name", "[bpf]");
        expect(0xffff_ffff_c000_0001, "init_a", "[mod_a]");
        assert_eq!(found(&table, 0xffff_ffff_80ff_ffff), None);
        assert_eq!(
            found(&table, 0xffff_ffff_8110_0101),
            None,
            "too far to belong to it"
        );
    }

    #[test]
    fn hidden_addresses_are_a_reason_of_their_own() {
        let mut symbols = KernelSymbols {
            table: Some(Table::read(&b"0000000000000000 T _stext\n"[..])),
            read_at: Some(Instant::now()),
        };
        assert_eq!(symbols.resolve(&[1]), [Err(NativeUnresolved::KernelHidden)]);
        symbols.table = Some(Table::read(TEXT.as_bytes()));
        assert_eq!(symbols.resolve(&[1]), [Err(NativeUnresolved::KernelUnknown)]);
    }

    #[test]
    fn the_running_kernel_is_known_to_root() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not tested: needs root");
            return;
        }
        let text = std::fs::read_to_string("/proc/kallsyms").expect("/proc is mounted");
        let line = text
            .lines()
            .find(|line| line.ends_with(" T vfs_read"))
            .expect("every kernel has it");
        let address = u64::from_str_radix(&line[..16], 16).expect("an address");
        let answers = KernelSymbols::default().resolve(&[address + 1]);
        if address == 0 {
            assert_eq!(answers, [Err(NativeUnresolved::KernelHidden)]);
        } else {
            assert_eq!(&*answers[0].as_ref().expect("known")[0].symbol, "vfs_read");
        }
    }
}
