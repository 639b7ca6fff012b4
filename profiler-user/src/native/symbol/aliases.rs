//! Which of several names of one function to show. Used by [`super::symbol_file`].
//!
//! C libraries define `__libc_malloc` and export `malloc` for the same code; a symbol table has both, in any order, and debug
//! information only the former. People know the latter.

use super::tables::{string, table};
use crate::elf::{ElfFile, SymbolEntry};

/// Bytes of a name that is kept; those of C libraries are short.
const MAX_NAME: usize = 64;

/// The exported functions of one file whose address has several names.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    /// By address.
    names: Vec<(u64, Box<str>)>,
}

impl Aliases {
    /// Reads what `source` exports. What cannot be read has no other names.
    pub(super) fn read(source: &ElfFile) -> Self {
        let symbols = table(source, b".dynsym").unwrap_or_default();
        let strings = table(source, b".dynstr").unwrap_or_default();
        let mut exported: Vec<(u64, u32)> = source
            .symbols(&symbols)
            .iter()
            .filter(SymbolEntry::is_function)
            .filter_map(|entry| Some((entry.definition?.address, entry.name_at)))
            .collect();
        exported.sort_unstable();
        let names = exported.iter().filter_map(|(address, name)| {
            let name = std::str::from_utf8(string(&strings, *name)?)
                .ok()
                .filter(|name| is_plain(name))?;
            (name.len() <= MAX_NAME).then(|| (*address, Box::from(name)))
        });
        Self {
            names: names.collect(),
        }
    }

    /// The name that `name`, of the function at `address`, is an inner form of; else itself.
    pub(super) fn plain<'a>(&'a self, address: u64, name: &'a str) -> &'a str {
        if !name.starts_with('_') {
            return name;
        }
        let first = self.names.partition_point(|(other, _)| *other < address);
        let same = self.names.get(first..).unwrap_or(&[]).iter();
        same.take_while(|(other, _)| *other == address)
            .map(|(_, alias)| &**alias)
            // Other functions may have been folded into this one: only what is left of the name without its prefix.
            .filter(|alias| {
                name.strip_suffix(alias)
                    .is_some_and(|prefix| prefix.ends_with('_'))
            })
            .max_by_key(|alias| alias.len())
            .unwrap_or(name)
    }
}

/// Nothing that is itself an inner form, or mangled.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_name_of_a_function_gives_way_to_the_one_that_people_call() {
        let names = [
            (16, "malloc"),
            (32, "read"),
            (32, "folded"),
            (48, "nanosleep"),
            (48, "clock_nanosleep"),
        ];
        let aliases = Aliases {
            names: names.map(|(address, name)| (address, Box::from(name))).to_vec(),
        };
        for (address, name, expected) in [
            (16, "__libc_malloc", "malloc"),
            (32, "__GI___libc_read", "read"),
            (48, "__clock_nanosleep", "clock_nanosleep"),
            (48, "___GI_nanosleep", "nanosleep"),
            (16, "malloc", "malloc"),
            (16, "_other", "_other"),
            (16, "_xmalloc", "_xmalloc"),
            (24, "__libc_malloc", "__libc_malloc"),
            (u64::MAX, "__x", "__x"),
        ] {
            assert_eq!(aliases.plain(address, name), expected, "{name}");
        }
    }
}
