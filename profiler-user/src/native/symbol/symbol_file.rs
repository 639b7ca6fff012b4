//! Names of addresses in one ELF file, from a private copy of it. Used by [`super::worker`], in the worker process.
//!
//! blazesym looks symbols up; what it is not asked to do is decided here: it follows no links (the copy has none), does not
//! demangle (that is bounded in [`super::demangle`]), and what it returns for an address that the symbol does not cover is
//! no name.

use std::collections::hash_map::RandomState;
use std::ffi::OsStr;
use std::os::fd::AsRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use blazesym::symbolize::source::{Elf, Source};
use blazesym::symbolize::{CodeInfo, Input, Reason, Sym, Symbolized, Symbolizer};

use super::aliases::Aliases;
use super::copy::{BUDGET_BYTES, SymbolCopy};
use super::demangle::demangle;
use super::messages::{CodePosition, FunctionName, MAX_NAMES};
use super::plt::Plt;
use super::reference::DebugReference;
use crate::elf::{ElfError, ElfFile, FileBytes};

/// Bytes of the path of a source file.
const MAX_PATH: usize = 4096;
/// How far a symbol without a size reaches. Only hand-written assembly has such; what follows it is often code whose own
/// symbols were stripped.
const UNSIZED_REACH: u64 = 4096;

/// Takes in a file as [`super::worker`] does, without looking up a symbol, and names the stubs of its linkage table;
/// whether it could. All of it that is not a library's work: for the fuzz target.
#[must_use]
pub fn take_in(bytes: impl Into<FileBytes>) -> bool {
    let Ok(source) = ElfFile::open(bytes.into(), BUDGET_BYTES) else {
        return false;
    };
    let Ok(copy) = SymbolCopy::new(&source, true, &RandomState::new()) else {
        return false;
    };
    let (plt, aliases) = (Plt::read(&source, &copy), Aliases::read(&source));
    let plain = aliases.plain(0, "__name");
    assert!(plain == "__name" || plain == "name");
    for code in &copy.code {
        let start = code.section.address;
        let last = start.saturating_add(code.section.size.min(64));
        for address in start..last {
            assert!(
                plt.name(address)
                    .is_none_or(|name| !name.is_empty() || code.name.is_empty())
            );
        }
    }
    true
}

/// One ELF file, ready to be asked.
#[derive(Debug)]
pub(super) struct SymbolFile {
    copy: SymbolCopy,
    plt: Plt,
    aliases: Aliases,
    /// Holds no more than the copy; dropped with it.
    symbolizer: Symbolizer,
}

impl SymbolFile {
    /// Copies and opens a file.
    pub(super) fn open(
        bytes: FileBytes,
        with_debug_info: bool,
        hasher: &RandomState,
    ) -> Result<Self, ElfError> {
        let source = ElfFile::open(bytes, BUDGET_BYTES)?;
        let copy = SymbolCopy::new(&source, with_debug_info, hasher)?;
        let plt = Plt::read(&source, &copy);
        let aliases = Aliases::read(&source);
        let symbolizer = Symbolizer::builder()
            .enable_demangling(false)
            .enable_auto_reload(false)
            .set_debug_dirs(None::<[&Path; 0]>)
            .build();
        Ok(Self {
            copy,
            plt,
            aliases,
            symbolizer,
        })
    }

    /// Equal for equal files, in this process.
    pub(super) fn content(&self) -> u64 {
        self.copy.content
    }

    /// Bytes that it occupies, about.
    pub(super) fn bytes(&self) -> u64 {
        self.copy.bytes
    }

    pub(super) fn reference(&self) -> &DebugReference {
        &self.copy.reference
    }

    pub(super) fn has_debug_info(&self) -> bool {
        self.copy.has_debug_info
    }

    /// The address that the file itself gives to a place in it.
    pub(super) fn address_of(&self, position: CodePosition) -> Option<u64> {
        match position {
            CodePosition::Address(address) => Some(address),
            CodePosition::Offset(offset) => self.copy.address_of(offset),
        }
    }

    /// Other names of its functions: for a debug file, which has none, those of the file it belongs to.
    pub(super) fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    /// Names at an address, innermost first; empty when no symbol covers it.
    pub(super) fn names(&self, address: u64, aliases: &Aliases) -> Vec<FunctionName> {
        if let Some(name) = self.plt.name(address) {
            return vec![FunctionName::plain(name)];
        }
        let with_lines = self
            .copy
            .has_debug_info
            .then(|| self.find(address, true, aliases))
            .flatten();
        with_lines
            .or_else(|| self.find(address, false, aliases))
            .unwrap_or_default()
    }

    fn find(&self, address: u64, debug_info: bool, aliases: &Aliases) -> Option<Vec<FunctionName>> {
        let mut elf = Elf::new(format!("/proc/self/fd/{}", self.copy.file.as_raw_fd()));
        elf.debug_syms = debug_info;
        let source = Source::Elf(elf);
        // It is not written for hostile files: an index out of bounds or an overflow panics.
        let ask = || {
            self.symbolizer
                .symbolize_single(&source, Input::VirtOffset(address))
        };
        match catch_unwind(AssertUnwindSafe(ask)) {
            Ok(Ok(Symbolized::Sym(symbol))) => {
                let function = aliases.plain(symbol.addr, &symbol.name);
                self.covers(&symbol, address)
                    .then(|| names_of(&symbol, function))?
            }
            Ok(Ok(Symbolized::Unknown(Reason::UnknownAddr | Reason::MissingSyms))) => None,
            Ok(Ok(Symbolized::Unknown(reason))) => {
                log::debug!("symbol at {address:#x}: {reason}");
                None
            }
            Ok(Err(error)) => {
                log::debug!("symbol at {address:#x}: {error:#}");
                None
            }
            Err(_) => {
                log::debug!("symbol at {address:#x}: the library panicked");
                None
            }
        }
    }

    /// Whether the symbol really is the one at the address, and not merely the nearest before it.
    fn covers(&self, symbol: &Sym<'_>, address: u64) -> bool {
        let Some(offset) = address.checked_sub(symbol.addr) else {
            // A function of several parts: the start of the first is after the part that is asked for.
            return symbol.code_info.is_some();
        };
        if symbol.size.is_some_and(|size| size > 0) {
            // What debug information says of a function includes all its parts; the size is that of the first.
            return true;
        }
        let section = self.copy.section_of(address);
        offset < UNSIZED_REACH && section.is_some_and(|section| section.contains(symbol.addr))
    }
}

/// What `symbol` says, whose name is to be `function`; `None` when it has no name.
fn names_of(symbol: &Sym<'_>, function: &str) -> Option<Vec<FunctionName>> {
    if function.is_empty() {
        return None;
    }
    let function = name(function, symbol.code_info.as_deref(), false);
    // Of more than fit the outermost ones are left out.
    let inlined = symbol.inlined.iter().rev().take(MAX_NAMES - 1);
    let inlined = inlined
        .filter(|inlined| !inlined.name.is_empty())
        .map(|inlined| name(&inlined.name, inlined.code_info.as_ref(), true));
    Some(inlined.chain([function]).collect())
}

fn name(symbol: &str, code: Option<&CodeInfo<'_>>, inlined: bool) -> FunctionName {
    FunctionName {
        symbol: demangle(symbol),
        file: code.map(path),
        line: code.and_then(|code| code.line).filter(|line| *line != 0),
        inlined,
    }
}

/// The compilation folder, the folder and the file, as far as they are known; not tidied up.
fn path(code: &CodeInfo<'_>) -> String {
    let directory = code.dir.as_deref().unwrap_or(Path::new(""));
    let file: &OsStr = &code.file;
    let mut path = directory.join(file).to_string_lossy().into_owned();
    path.truncate(path.floor_char_boundary(MAX_PATH));
    path
}
