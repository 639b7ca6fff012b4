//! Names of the stubs through which a file calls functions of other files: `malloc@plt`. Used by [`super::image`].
//!
//! No symbol table has them. A stub jumps to where a slot of the global offset table says, and the relocation of that slot
//! names the function. So the jump is read, and not the order of things, which differs between linkers. Stubs of other
//! processors than x86-64 get the name of their section.

use std::collections::HashMap;
use std::fs::File;

use iced_x86::{Code, Decoder, DecoderOptions};
use object::LittleEndian as LE;
use object::elf::{R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT, Rela64, Sym64};
use object::pod::{Pod, from_bytes};

use super::copy::Copy;
use super::headers::{DynamicTables, Section, read};

/// Bytes of the stubs of one section, at most; those of libLLVM are 100 KB.
const MAX_STUB_BYTES: u64 = 4 << 20;
/// Bytes of a table that is read for names of stubs, at most.
const MAX_TABLE_BYTES: u64 = 32 << 20;
/// Bytes of a name that are read; the rest is cut off.
const MAX_NAME: usize = 4096;
/// Instructions of a stub before its jump.
const MAX_INSTRUCTIONS: usize = 3;

const NAMES_A_FUNCTION: [u64; 2] = [R_X86_64_JUMP_SLOT.0 as u64, R_X86_64_GLOB_DAT.0 as u64];

/// The stubs of one file.
#[derive(Debug, Default)]
pub(super) struct Plt {
    sections: Vec<(Section, Vec<u8>)>,
    /// Address of a slot of the global offset table, and the function whose address it holds.
    slots: HashMap<u64, String>,
}

impl Plt {
    /// Reads the stubs of `source`, whose sections `copy` knows. What cannot be read has no names.
    pub(super) fn read(source: &File, copy: &Copy) -> Self {
        let is_stubs =
            |section: &&Section| section.name.starts_with(".plt") && section.size <= MAX_STUB_BYTES;
        let sections: Vec<_> = copy
            .code
            .iter()
            .filter(is_stubs)
            .take(4)
            .filter_map(|section| Some((section.clone(), read(source, section.offset?, section.size).ok()?)))
            .collect();
        let slots = if sections.is_empty() {
            HashMap::new()
        } else {
            slots(source, &copy.dynamic).unwrap_or_default()
        };
        Self { sections, slots }
    }

    /// The name of the stub at an address, or at least of its section; `None` when no stubs are there.
    pub(super) fn name(&self, address: u64) -> Option<String> {
        let (section, code) = self
            .sections
            .iter()
            .find(|(section, _)| section.contains(address))?;
        let function = slot_of_stub(section, code, address).and_then(|slot| self.slots.get(&slot));
        Some(match function {
            Some(function) => format!("{function}@plt"),
            None => section.name.clone(),
        })
    }
}

/// The slot that the stub at `address` jumps through.
fn slot_of_stub(section: &Section, code: &[u8], address: u64) -> Option<u64> {
    if !cfg!(target_arch = "x86_64") {
        return None;
    }
    let entry = if matches!(section.entry_bytes, 8 | 16) {
        section.entry_bytes
    } else {
        16
    };
    let into = address.checked_sub(section.address)?;
    let start = into - into % entry;
    let range = usize::try_from(start).ok()?..usize::try_from(start.checked_add(entry)?).ok()?;
    let stub = code.get(range.start..range.end.min(code.len()))?;
    let ip = section.address.checked_add(start)?;
    Decoder::with_ip(64, stub, ip, DecoderOptions::NONE)
        .into_iter()
        .take(MAX_INSTRUCTIONS)
        .find(|instruction| instruction.code() == Code::Jmp_rm64 && instruction.is_ip_rel_memory_operand())
        .map(|instruction| instruction.ip_rel_memory_address())
}

fn slots(source: &File, tables: &DynamicTables) -> Option<HashMap<u64, String>> {
    let symbols = table(source, tables.symbols)?;
    let strings = table(source, tables.strings)?;
    let mut slots = HashMap::new();
    for relocations in tables
        .relocations
        .iter()
        .filter_map(|range| table(source, *range))
    {
        for relocation in items::<Rela64<LE>>(&relocations) {
            let info = relocation.r_info.get(LE);
            let (symbol, kind) = (info >> 32, info & 0xffff_ffff);
            if NAMES_A_FUNCTION.contains(&kind)
                && let Some(name) = symbol_name(&symbols, &strings, symbol)
            {
                slots.insert(relocation.r_offset.get(LE), name);
            }
        }
    }
    Some(slots)
}

/// One of the dynamic linker's tables; `None` when there is none, or it is too large.
pub(super) fn table(source: &File, range: Option<(u64, u64)>) -> Option<Vec<u8>> {
    let (offset, size) = range?;
    (size <= MAX_TABLE_BYTES).then(|| read(source, offset, size).ok())?
}

fn symbol_name(symbols: &[u8], strings: &[u8], index: u64) -> Option<String> {
    let start = usize::try_from(index).ok()?.checked_mul(size_of::<Sym64<LE>>())?;
    let (symbol, _) = from_bytes::<Sym64<LE>>(symbols.get(start..)?).ok()?;
    let name = string(strings, symbol.st_name.get(LE)).filter(|name| !name.is_empty())?;
    Some(super::demangle::demangle(&String::from_utf8_lossy(name)))
}

/// A name in a string table, as far as anybody would read it.
pub(super) fn string(strings: &[u8], start: u32) -> Option<&[u8]> {
    let rest = strings.get(start as usize..)?;
    let rest = rest.get(..MAX_NAME).unwrap_or(rest);
    rest.split(|&byte| byte == 0).next()
}

/// The entries of a table; what is left of the last one is skipped.
pub(super) fn items<T: Pod>(bytes: &[u8]) -> impl Iterator<Item = &T> {
    bytes
        .chunks_exact(size_of::<T>())
        .filter_map(|item| Some(from_bytes::<T>(item).ok()?.0))
}
