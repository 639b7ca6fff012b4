//! Names of the stubs through which a file calls functions of other files: `malloc@plt`. Used by [`super::symbol_file`].
//!
//! No symbol table has them. A stub jumps to where a slot of the global offset table says, and the relocation of that slot
//! names the function. So the jump is read, and not the order of things, which differs between linkers. Stubs of other
//! processors than x86-64 get the name of their section.

use std::collections::HashMap;

use iced_x86::{Code, Decoder, DecoderOptions};
use object::elf::{R_X86_64_GLOB_DAT, R_X86_64_JUMP_SLOT, RelocationType};

use super::copy::{CodeSection, SymbolCopy};
use super::demangle::demangle;
use super::tables::{string, table};
use crate::elf::{ElfFile, Section, Symbols};

/// Bytes of the stubs of one section, at most; those of libLLVM are 100 KB.
const MAX_STUB_BYTES: u64 = 4 << 20;
/// Instructions of a stub before its jump.
const MAX_INSTRUCTIONS: usize = 3;

const NAMES_A_FUNCTION: [RelocationType; 2] = [R_X86_64_JUMP_SLOT, R_X86_64_GLOB_DAT];
/// Where linkers put the relocations of the global offset table.
const RELOCATIONS: [&[u8]; 2] = [b".rela.plt", b".rela.dyn"];

/// The stubs of one file.
#[derive(Debug, Default)]
pub(super) struct Plt {
    sections: Vec<(CodeSection, Vec<u8>)>,
    /// Address of a slot of the global offset table, and the function whose address it holds.
    slots: HashMap<u64, String>,
}

impl Plt {
    /// Reads the stubs of `source`, whose sections `copy` knows. What cannot be read has no names.
    pub(super) fn read(source: &ElfFile, copy: &SymbolCopy) -> Self {
        let is_stubs = |code: &&CodeSection| code.name.starts_with(".plt") && code.section.has_content();
        let sections: Vec<_> = copy
            .code
            .iter()
            .filter(is_stubs)
            .take(4)
            .filter_map(|code| {
                let bytes = source.reader().range(code.section.range(), MAX_STUB_BYTES);
                Some((code.clone(), bytes.ok()?))
            })
            .collect();
        let slots = if sections.is_empty() {
            HashMap::new()
        } else {
            slots(source).unwrap_or_default()
        };
        Self { sections, slots }
    }

    /// The name of the stub at an address, or at least of its section; `None` when no stubs are there.
    pub(super) fn name(&self, address: u64) -> Option<String> {
        let (code, bytes) = self
            .sections
            .iter()
            .find(|(code, _)| code.section.contains(address))?;
        let slot = slot_of_stub(&code.section, bytes, address);
        Some(match slot.and_then(|slot| self.slots.get(&slot)) {
            Some(function) => format!("{function}@plt"),
            None => code.name.clone(),
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

fn slots(source: &ElfFile) -> Option<HashMap<u64, String>> {
    let (symbols, strings) = (table(source, b".dynsym")?, table(source, b".dynstr")?);
    let symbols = source.symbols(&symbols);
    let mut slots = HashMap::new();
    for relocations in RELOCATIONS.into_iter().filter_map(|name| table(source, name)) {
        for relocation in source.relocations(&relocations).iter() {
            if NAMES_A_FUNCTION.contains(&relocation.kind)
                && let Some(name) = symbol_name(symbols, &strings, relocation.symbol)
            {
                slots.insert(relocation.address, name);
            }
        }
    }
    Some(slots)
}

fn symbol_name(symbols: Symbols<'_>, strings: &[u8], index: u32) -> Option<String> {
    let symbol = symbols.get(usize::try_from(index).ok()?)?;
    let name = string(strings, symbol.name_at).filter(|name| !name.is_empty())?;
    Some(demangle(&String::from_utf8_lossy(name)))
}
