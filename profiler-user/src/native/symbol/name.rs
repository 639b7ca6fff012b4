//! What an address of machine code is called, or why it has no name. Returned by [`super::NativeSymbolizer`].

use std::sync::Arc;

use crate::path::base_name;
use crate::profile::{Frame, FrameKind};

/// What one address is called, innermost function first; never empty.
pub type NativeResult = Result<Arc<[NativeName]>, NativeUnresolved>;

/// One name for one address. Functions that were inlined at the address come as several, innermost first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NativeName {
    /// Demangled.
    pub symbol: Arc<str>,
    /// Base name of the file the code is in (`libfoo.so.1`), `[kernel]`, the kernel module, `[vdso]` or `[jit]`.
    pub module: Arc<str>,
    /// The source file as the compiler recorded it, if debug information knows it.
    pub file: Option<Arc<str>>,
    /// 1-based line in `file`: the current one, or for a caller of inlined code the line of the call.
    pub line: Option<u32>,
    /// The compiler put this function into the next one of the list; it has no stack frame of its own.
    pub inlined: bool,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident => $text:literal,)*) => {
        /// Why an address of machine code has no name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum NativeUnresolved {
            $($(#[$doc])* $variant,)*
        }

        impl NativeUnresolved {
            /// Every reason, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// For the end report.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// Stripped files export only some of their functions.
    NoSymbol => "no symbol covers the address (stripped file, no debug file found)",
    /// The file was there when it was mapped, and could not be read later.
    FileUnreadable => "the mapped file could not be read",
    /// Not a 64-bit ELF file, or its headers contradict themselves.
    NotElf => "the mapped file is not a well-formed ELF file",
    /// No loadable segment of the file holds the offset.
    NotCode => "the address is in no segment of the file",
    /// More symbols than the symbolizer takes in.
    TooLarge => "the file's symbol tables are too large",
    /// The symbolizer's process died or was stopped at the file, even without its debug information.
    SymbolizerFailed => "reading the file's symbols failed or took too long",
    /// The symbolizer's process fails so often that it is given a rest.
    SymbolizerResting => "the symbolizer was resting after failures",
    /// Executable memory without a file, and the process wrote no perf map.
    JitWithoutMap => "code made at run time, and no perf map",
    /// Executable memory without a file that the perf map does not mention.
    NotInPerfMap => "code made at run time that the perf map does not have",
    /// The process mapped nothing there when it was looked at.
    NotMapped => "the address was not mapped when it was looked up",
    /// `kernel.kptr_restrict`, or no `CAP_SYSLOG`.
    KernelHidden => "the kernel hides its addresses (kernel.kptr_restrict, and no CAP_SYSLOG)",
    /// No function of `/proc/kallsyms` is near.
    KernelUnknown => "no kernel symbol at the address",
}

impl NativeName {
    /// The frame to show.
    #[must_use]
    pub fn frame(&self, kind: FrameKind) -> Frame {
        let file = self.file.as_deref().filter(|file| !file.is_empty());
        Frame {
            kind,
            name: self.symbol.to_string(),
            file: file.map(str::to_owned),
            short_file: file.map(|file| base_name(file).to_owned()),
            module: Some(self.module.to_string()),
            line: self.line.filter(|_| file.is_some()),
            approximate: false,
            first_line: None,
        }
    }
}

impl NativeUnresolved {
    /// The frame to show for an address in `module` that has no name: `[libfoo.so.1]`, as `stackcollapse-perf` spells it,
    /// and no address: all unnamed code of a library is one frame.
    #[must_use]
    pub fn frame(self, module: Option<&str>, kind: FrameKind) -> Frame {
        let name = match self {
            Self::JitWithoutMap | Self::NotInPerfMap => JIT.to_owned(),
            Self::KernelHidden | Self::KernelUnknown => KERNEL.to_owned(),
            _ => bracketed(module.unwrap_or("unknown")),
        };
        Frame {
            kind,
            name,
            file: None,
            short_file: None,
            module: None,
            line: None,
            approximate: false,
            first_line: None,
        }
    }
}

/// Module of code that a program made at run time.
pub(super) const JIT: &str = "[jit]";
/// Module of the kernel proper.
pub(super) const KERNEL: &str = "[kernel]";

fn bracketed(module: &str) -> String {
    if module.starts_with('[') {
        module.to_owned()
    } else {
        format!("[{module}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::RenderOptions;

    #[test]
    fn unnamed_code_is_called_by_its_library() {
        let text = |reason: NativeUnresolved, module| {
            let frame = reason.frame(module, FrameKind::Native);
            RenderOptions::default().frame_text(&frame, &crate::output::ShortNames::default())
        };
        let library = Some("libpython3.11.so.1.0");
        assert_eq!(
            text(NativeUnresolved::NoSymbol, library),
            "[libpython3.11.so.1.0]"
        );
        assert_eq!(text(NativeUnresolved::NoSymbol, Some("[vdso]")), "[vdso]");
        assert_eq!(text(NativeUnresolved::NotMapped, None), "[unknown]");
        assert_eq!(text(NativeUnresolved::JitWithoutMap, None), "[jit]");
        assert_eq!(text(NativeUnresolved::KernelHidden, None), "[kernel]");
    }

    #[test]
    fn a_name_shows_its_line_or_else_its_library() {
        let mut name = NativeName {
            symbol: "inflate".into(),
            module: "libz.so.1".into(),
            file: None,
            line: None,
            inlined: false,
        };
        let text = |name: &NativeName| {
            RenderOptions::default().frame_text(
                &name.frame(FrameKind::Native),
                &crate::output::ShortNames::default(),
            )
        };
        assert_eq!(text(&name), "inflate (libz.so.1)");
        name.file = Some("/build/zlib/inflate.c".into());
        assert_eq!(text(&name), "inflate (inflate.c)");
        name.line = Some(622);
        assert_eq!(text(&name), "inflate (inflate.c:622)");
    }
}
