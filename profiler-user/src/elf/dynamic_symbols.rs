//! What the dynamic loader goes by: its own path, the files it needs, and the symbols it binds by hash tables.

use object::elf;

use super::class::Class;
use super::file::ElfFile;
use super::symbols::{Symbol, entry_bytes};

/// Symbols compared for one name.
const MAX_CHAIN: usize = 1024;
/// Bytes of a loader path or a soname, at most.
const MAX_NAME: usize = 256;

/// A dynamic symbol that the file defines or refers to.
#[derive(Clone, Copy, Debug)]
pub struct DynamicSymbol {
    /// Byte of the file at which its name begins.
    pub name_at: u64,
    /// `None` where another file has to define it.
    pub definition: Option<Symbol>,
}

impl ElfFile {
    /// The path of the loader that the program asks for (`PT_INTERP`).
    #[must_use]
    pub fn loader(&self) -> Option<Vec<u8>> {
        let header = self.program_header(elf::PT_INTERP)?;
        let bytes = usize::try_from(header.file_bytes)
            .unwrap_or(MAX_NAME)
            .min(MAX_NAME);
        let mut path = Vec::new();
        self.reader.read_up_to(header.offset, bytes, &mut path).ok()?;
        let end = path.iter().position(|&byte| byte == 0);
        path.truncate(end.unwrap_or(path.len()));
        Some(path)
    }

    /// `DT_SONAME`.
    #[must_use]
    pub fn soname(&self) -> Option<Vec<u8>> {
        self.string(self.dynamic().soname?)
    }

    /// Whether `DT_NEEDED` names a library for which `is_wanted` holds.
    #[must_use]
    pub fn needs(&self, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
        let mut needed = self.dynamic().needed.iter();
        needed.any(|&offset| self.string(offset).is_some_and(|name| is_wanted(&name)))
    }

    /// Static address of the `DT_DEBUG` value, where the loader leaves the address of its `r_debug`.
    #[must_use]
    pub fn debug_slot(&self) -> Option<u64> {
        self.dynamic().debug_slot
    }

    /// Whether this is linked dynamically at all.
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        self.dynamic().strings.is_some()
    }

    fn string(&self, offset: u64) -> Option<Vec<u8>> {
        let start = self.file_offset(self.dynamic().strings?)?.checked_add(offset)?;
        self.reader.text(start, MAX_NAME).ok()?
    }

    /// The dynamic symbol of this name, if this file defines it; an undefined reference does not count.
    #[must_use]
    pub fn dynamic_symbol(&self, name: &[u8]) -> Option<Symbol> {
        let dynamic = self.dynamic();
        match (dynamic.gnu_hash, dynamic.sysv_hash) {
            (Some(table), _) => self.find_by_gnu_hash(self.file_offset(table)?, name),
            (None, Some(table)) => self.find_by_sysv_hash(self.file_offset(table)?, name),
            (None, None) => None,
        }
    }

    /// The table's format: <https://sourceware.org/legacy-ml/binutils/2006-10/msg00377.html>. A handful of small reads
    /// instead of whole tables: a host has thousands of libraries, and nearly all of them do not have the symbol.
    fn find_by_gnu_hash(&self, table: u64, name: &[u8]) -> Option<Symbol> {
        let hash = elf::gnu_hash(name);
        let mut head = [0; 16];
        self.reader.read_into(&mut head, table).ok()?;
        let [buckets, first_symbol, bloom_words, bloom_shift] = [0, 4, 8, 12].map(|at| word_at(&head, at));
        let (buckets, first_symbol, bloom_words) = (buckets?, first_symbol?, bloom_words?);
        let word_bytes = match self.class {
            Class::Bits32 => 4usize,
            Class::Bits64 => 8,
        };
        let word_bits = word_bytes as u32 * 8;
        let word_index = u64::from((hash / word_bits).checked_rem(bloom_words)?);
        let mut bloom = [0; 8];
        let bloom_start = table.checked_add(16)?;
        let bloom_at = bloom_start.checked_add(word_index * word_bytes as u64)?;
        self.reader.read_into(&mut bloom[..word_bytes], bloom_at).ok()?;
        let bits =
            (1u64 << (hash % word_bits)) | (1 << ((hash.checked_shr(bloom_shift?).unwrap_or(0)) % word_bits));
        if u64::from_le_bytes(bloom) & bits != bits {
            return None;
        }
        let bucket_start = bloom_start.checked_add(u64::from(bloom_words) * word_bytes as u64)?;
        let chain_start = bucket_start.checked_add(u64::from(buckets) * 4)?;
        let mut index = self.word(bucket_start, u64::from(hash.checked_rem(buckets)?) * 4)?;
        for _ in 0..MAX_CHAIN {
            let value = self.word(chain_start, u64::from(index.checked_sub(first_symbol)?) * 4)?;
            if value | 1 == hash | 1
                && let Some(symbol) = self.symbol_if_named(index, name)
            {
                return Some(symbol);
            }
            if value & 1 == 1 {
                return None;
            }
            index = index.checked_add(1)?;
        }
        None
    }

    /// System V ABI, "Hash Table": the older format, alone in few files.
    fn find_by_sysv_hash(&self, table: u64, name: &[u8]) -> Option<Symbol> {
        let buckets = self.word(table, 0)?;
        let chain_start = table.checked_add(8)?.checked_add(u64::from(buckets) * 4)?;
        let mut index = self.word(table, 8 + u64::from(elf::hash(name).checked_rem(buckets)?) * 4)?;
        for _ in 0..MAX_CHAIN {
            if index == 0 {
                return None;
            }
            if let Some(symbol) = self.symbol_if_named(index, name) {
                return Some(symbol);
            }
            index = self.word(chain_start, u64::from(index) * 4)?;
        }
        None
    }

    fn symbol_if_named(&self, index: u32, name: &[u8]) -> Option<Symbol> {
        let symbol = self.dynamic_symbol_at(index)?;
        let definition = symbol.definition?;
        self.is_text(symbol.name_at, name).then_some(definition)
    }

    /// The dynamic symbol of this number.
    #[must_use]
    pub fn dynamic_symbol_at(&self, index: u32) -> Option<DynamicSymbol> {
        let dynamic = self.dynamic();
        let entry_bytes = entry_bytes(self.class) as u64;
        let start = self
            .file_offset(dynamic.symbols?)?
            .checked_add(u64::from(index) * entry_bytes)?;
        let entry = self
            .reader
            .range(start..start.checked_add(entry_bytes)?, entry_bytes)
            .ok()?;
        let symbol = self.symbols(&entry).get(0)?;
        let strings = self.file_offset(dynamic.strings?)?;
        Some(DynamicSymbol {
            name_at: strings.checked_add(symbol.name_at.into())?,
            definition: symbol.definition,
        })
    }

    fn word(&self, table: u64, at: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.reader.read_into(&mut bytes, table.checked_add(at)?).ok()?;
        Some(u32::from_le_bytes(bytes))
    }
}

fn word_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
