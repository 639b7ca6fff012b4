//! Files that lie about themselves to whoever reads their symbols, their debug information or their unwind tables.

use super::Kind;
use crate::hostile::attack::{Allowed, Attack, Whom};
use crate::hostile::bad_elf::{compressed, debug, frames, headers, names};

/// What a file of that size takes, hostile or not: a worker has one budget for all files.
const LARGE: Allowed = Allowed::USUAL.memory(48, "a large file's tables, in the worker that reads symbols");

/// An interpreter runs code of the file, and the file runs as a program that looks like an interpreter.
macro_rules! file {
    ($name:literal, $what:literal, $make:expr) => {
        Attack::new(
            $name,
            Whom::Nobody,
            $what,
            &["python", "library.py", "bad.elf", "0x1000", "executed"],
        )
        .with(|folder| $make.write(folder))
    };
    ($name:literal, $what:literal, made by $make:expr) => {
        Attack::new(
            $name,
            Whom::Nobody,
            $what,
            &["python", "library.py", "bad.elf", "0x1000", "executed"],
        )
        .with($make)
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "ELF files that lie",
    attacks: &[
        file!(
            "elf-largest-sections",
            "every size and offset is 2^64 - 1",
            headers::largest_sections()
        )
        .representative(),
        file!(
            "elf-overflowing-sections",
            "sizes that overflow when an offset is added",
            headers::overflowing_sections()
        ),
        file!(
            "elf-overlapping-sections",
            "every section is the whole file",
            headers::overlapping_sections()
        ),
        file!(
            "elf-circular-links",
            "tables whose strings are themselves or each other",
            headers::circular_links()
        )
        .representative(),
        file!(
            "elf-most-headers",
            "2^32 section headers behind the end of the file",
            headers::most_headers()
        ),
        file!(
            "elf-million-symbols",
            "a million symbols",
            headers::million_symbols()
        )
        .allowed(LARGE)
        .representative(),
        file!(
            "elf-long-names",
            "300,000 symbols with names of 16 MB",
            headers::long_names()
        )
        .allowed(LARGE),
        file!(
            "elf-notes-without-end",
            "a million empty notes and one of 4 GiB",
            headers::notes_without_end()
        ),
        file!(
            "elf-strange-build-ids",
            "build ids of a megabyte, of nothing and of 4 GiB",
            headers::strange_build_ids()
        ),
        file!(
            "elf-circular-hashes",
            "a hash table and a dynamic section without end",
            headers::circular_hashes()
        ),
        file!(
            "elf-million-relocations",
            "a million relocations of symbols that do not exist",
            headers::million_relocations()
        ),
        file!(
            "bomb-zlib",
            "debug information that becomes 6 GiB (zlib)",
            compressed::zlib()
        )
        .representative(),
        file!(
            "bomb-zstd",
            "debug information that becomes 6 GiB (zstd)",
            compressed::zstd()
        ),
        file!(
            "bomb-xz",
            "a `.gnu_debugdata` that becomes 512 MiB (xz)",
            compressed::xz()
        )
        .allowed(LARGE)
        .representative(),
        file!(
            "bomb-largest-claim",
            "compressed sections that say they become 2^62 bytes",
            compressed::largest_claim()
        )
        .allowed(LARGE),
        file!(
            "bomb-smallest-claim",
            "compressed sections that say they become 16 bytes, and become 1 GiB",
            compressed::smallest_claim()
        ),
        file!("debug-link-zeros", "a debug link to `/dev/zero`", made by names::debug_link_to_zeros)
            .representative(),
        file!("debug-link-pipe", "a debug link to a pipe", made by names::debug_link_to_pipe),
        file!("debug-link-itself", "a debug link to the file itself", made by names::debug_link_to_itself),
        file!("debug-link-upwards", "a debug link to `/etc/shadow`", made by names::debug_link_upwards),
        file!(
            "dwarf-circular-origins",
            "functions that are each other's origin",
            debug::circular_origins()
        )
        .representative(),
        file!(
            "dwarf-own-origin",
            "a function that is its own origin, and inlined in itself",
            debug::own_origin()
        ),
        file!(
            "dwarf-deep",
            "200,000 calls inlined into each other",
            debug::deep()
        )
        .representative(),
        file!(
            "dwarf-unfinished",
            "children of children until the file ends",
            debug::unfinished()
        ),
        file!(
            "dwarf-lines",
            "16 million lines of the same code",
            debug::lines_without_end()
        )
        .allowed(LARGE),
        file!(
            "dwarf-units",
            "20,000 units with the same 65,000 lines each",
            debug::units_without_end()
        )
        .allowed(LARGE),
        file!(
            "dwarf-abbreviations",
            "100,000 abbreviations with attributes that stand for others",
            debug::strange_abbreviations()
        )
        .allowed(LARGE),
        file!(
            "cfi-large-common-entry",
            "4,000 unwind entries that refer to one of a megabyte",
            frames::large_common_entry()
        ),
        file!(
            "cfi-long-common-program",
            "4,000 unwind entries, each after a megabyte of instructions",
            frames::long_common_program()
        )
        .representative(),
        file!(
            "cfi-states",
            "a million states that are remembered",
            frames::states_without_end()
        ),
        file!(
            "cfi-rows",
            "half a million rows for as many bytes of code, eight times",
            frames::rows_without_end()
        ),
        file!(
            "cfi-circular",
            "unwind entries that refer to themselves and each other",
            frames::circular()
        ),
        file!(
            "cfi-expressions",
            "expressions of a megabyte",
            frames::long_expressions()
        ),
        file!(
            "cfi-largest-index",
            "an index of 2^32 unwind entries",
            frames::largest_index()
        ),
        file!(
            "symbol-names",
            "mangled names that grow without end, and orders to terminals",
            names::functions()
        )
        .representative(),
    ],
};
