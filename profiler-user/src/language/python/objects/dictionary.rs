//! The entries of dictionaries, in all the ways in which CPython has kept them.

use profiler_common::memory::{Memory, RemoteAddr};

use super::words::{self, pointer, word};
use crate::language::python::layout::objects::{
    DICT_KEYS, DICT_MASK, DICT_TABLE, DICT_VALUES, DictionaryShape, keys,
};

/// Bytes of entries read at once: whole ones of either size.
const CHUNK_BYTES: usize = 3072;
/// An index of more bytes is not believed.
const MAX_LOG2_INDEX_BYTES: u8 = 40;

/// A key and its value, both addresses of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: RemoteAddr,
    /// The value.
    pub value: RemoteAddr,
}

/// Where the entries of one dictionary are.
struct Table {
    start: RemoteAddr,
    count: u64,
    /// Whether each begins with its key's hash.
    has_hashes: bool,
    /// The values, where they are kept apart.
    values: Option<RemoteAddr>,
}

/// The entries of the dictionary at `dict`, `most` at most; `header_bytes` is `sizeof(PyObject)`.
pub fn entries<M: Memory>(
    memory: &M,
    shape: DictionaryShape,
    header_bytes: u16,
    dict: RemoteAddr,
    most: u64,
) -> Option<Vec<Entry>> {
    let field = |at: u16| dict.offset(header_bytes.into()).offset(at.into());
    if shape == DictionaryShape::OpenAddressed {
        let table = Table {
            start: pointer(memory, field(DICT_TABLE))?,
            count: word(memory, field(DICT_MASK))?.checked_add(1)?,
            has_hashes: true,
            values: None,
        };
        return Some(collect(memory, &table, most));
    }
    let keys = pointer(memory, field(DICT_KEYS))?;
    let values = word(memory, field(DICT_VALUES))?;
    let values_header = if shape == DictionaryShape::KindsWithHeader {
        keys::VALUES
    } else {
        0
    };
    let table = Table {
        values: (values != 0).then(|| RemoteAddr(values).offset(values_header.into())),
        ..if shape == DictionaryShape::Indexed {
            indexed(memory, keys)?
        } else {
            of_kind(memory, keys)?
        }
    };
    Some(collect(memory, &table, most))
}

/// The keys at `keys` (3.11+), each with its of the `values`.
pub fn with_values<M: Memory>(
    memory: &M,
    keys: RemoteAddr,
    values: RemoteAddr,
    most: u64,
) -> Option<Vec<Entry>> {
    let table = Table {
        values: Some(values),
        ..of_kind(memory, keys)?
    };
    Some(collect(memory, &table, most))
}

/// 3.6 to 3.10: `dk_size` at 8, `dk_nentries` at 32, an index of `dk_size` numbers at 40, then the entries.
fn indexed<M: Memory>(memory: &M, keys: RemoteAddr) -> Option<Table> {
    let slots = word(memory, keys.offset(8))?;
    let entries = word(memory, keys.offset(32))?;
    let index_bytes = match slots {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        0x1_0000..=0xffff_ffff => 4,
        _ => return None,
    };
    Some(Table {
        start: keys.offset(40 + slots * index_bytes),
        count: entries.min(slots),
        has_hashes: true,
        values: None,
    })
}

/// From 3.11 on.
fn of_kind<M: Memory>(memory: &M, keys: RemoteAddr) -> Option<Table> {
    let header = word(memory, keys.offset(8))?.to_le_bytes();
    let (log2_index_bytes, kind) = (
        header[usize::from(keys::LOG2_INDEX_BYTES - 8)],
        header[usize::from(keys::KIND - 8)],
    );
    if log2_index_bytes > MAX_LOG2_INDEX_BYTES || kind > 2 {
        return None;
    }
    Some(Table {
        start: keys.offset(keys::INDICES.into()).offset(1 << log2_index_bytes),
        count: word(memory, keys.offset(keys::ENTRIES.into()))?,
        has_hashes: kind == 0,
        values: None,
    })
}

/// Reads the entries as far as they are readable; leaves out deleted ones.
fn collect<M: Memory>(memory: &M, table: &Table, most: u64) -> Vec<Entry> {
    let entry_words = if table.has_hashes { 3 } else { 2 };
    let entry_bytes = 8 * entry_words;
    let count = table.count.min(most);
    let at_once = (CHUNK_BYTES / entry_bytes) as u64;
    let mut found = Vec::new();
    let mut chunk = [0; CHUNK_BYTES];
    let mut first = 0;
    while first < count {
        let bytes = (count - first).min(at_once) as usize * entry_bytes;
        let start = table.start.offset(first * entry_bytes as u64);
        if memory.read_bytes(start, &mut chunk, bytes as u32).is_err() {
            break;
        }
        for (index, entry) in (first..).zip(chunk[..bytes].chunks_exact(entry_bytes)) {
            let word = |at: usize| {
                let bytes = entry.get(8 * at..8 * at + 8)?;
                Some(u64::from_le_bytes(bytes.try_into().ok()?))
            };
            let key = word(entry_words - 2).unwrap_or(0);
            let value = match table.values {
                Some(values) if key != 0 => words::word(memory, values.offset(8 * index)),
                Some(_) => None,
                None => word(entry_words - 1),
            };
            if let Some(value) = value
                && key != 0
                && value != 0
            {
                found.push(Entry {
                    key: RemoteAddr(key),
                    value: RemoteAddr(value),
                });
            }
        }
        first += at_once;
    }
    found
}
