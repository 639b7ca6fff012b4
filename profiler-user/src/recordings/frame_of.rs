//! Frames out of what files say of them: kinds, short paths, and lines that may be missing.

use super::short_file::short_file;
use crate::path::base_name;
use crate::profile::{Frame, FrameKind};

/// Kinds of frames, as [`FrameKind::text`] has them.
const KINDS: &[FrameKind] = &[
    FrameKind::Python,
    FrameKind::Native,
    FrameKind::Kernel,
    FrameKind::Interpreter,
    FrameKind::Marker,
];

/// The frame of a function in a pprof file; `lines` are the current one and the first one, 0 if they are not known.
pub(super) fn frame_of(name: &str, system_name: &str, file: &str, module: &str, lines: [i64; 2]) -> Frame {
    let (kind, approximate) =
        kind_in(system_name, name).unwrap_or_else(|| (guessed(name, file, module), false));
    let [line, first_line] = lines.map(|line| u32::try_from(line).ok().filter(|line| *line != 0));
    let file = Some(file).filter(|file| !file.is_empty());
    Frame {
        kind,
        name: name.to_owned(),
        file: file.map(str::to_owned),
        short_file: file.and_then(|file| short_file(kind, file)),
        module: Some(module)
            .filter(|module| !module.is_empty() && kind != FrameKind::Python)
            .map(|module| base_name(module).to_owned()),
        line,
        approximate,
        first_line,
    }
}

/// The frame of an address that has no name.
pub(super) fn without_name(address: u64, module: &str) -> Frame {
    let name = match base_name(module) {
        "" => format!("{address:#x}"),
        module => format!("[{module}]"),
    };
    Frame {
        kind: FrameKind::Native,
        module: Some(base_name(module))
            .filter(|module| !module.is_empty())
            .map(str::to_owned),
        ..Frame::marker(&name)
    }
}

/// What our own files say: `python:NAME`, `python-def-line:NAME`.
fn kind_in(system_name: &str, name: &str) -> Option<(FrameKind, bool)> {
    let kind = system_name.strip_suffix(name)?.strip_suffix(':')?;
    let (kind, approximate) = match kind.strip_suffix("-def-line") {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    let kind = KINDS.iter().find(|known| known.text() == kind)?;
    Some((*kind, approximate))
}

/// By what other tools have.
pub(super) fn guessed(name: &str, file: &str, module: &str) -> FrameKind {
    let is_python = file.ends_with(".py") || file.ends_with(".pyx") || file.starts_with('<');
    match (is_python, file.is_empty()) {
        (true, _) => FrameKind::Python,
        _ if matches!(module, "[kernel]" | "[kernel.kallsyms]" | "vmlinux") => FrameKind::Kernel,
        (_, true) if module.is_empty() && name.starts_with('<') && name.ends_with('>') => FrameKind::Marker,
        _ => FrameKind::Native,
    }
}

#[cfg(test)]
mod tests {
    use super::{frame_of, without_name};
    use crate::profile::FrameKind;

    #[test]
    fn our_files_say_what_a_frame_is_and_others_are_judged_by_their_files() {
        let kind = |name: &str, system_name: &str, file: &str, module: &str| {
            frame_of(name, system_name, file, module, [0, 0]).kind
        };
        assert_eq!(kind("<gc>", "marker:<gc>", "", ""), FrameKind::Marker);
        assert_eq!(kind("f", "kernel:f", "x.py", ""), FrameKind::Kernel);
        assert_eq!(kind("a:b", "python:a:b", "", ""), FrameKind::Python);
        assert_eq!(kind("f", "f", "/srv/a.py", ""), FrameKind::Python);
        assert_eq!(
            kind("main.main", "main.main", "/src/main.go", "/bin/a"),
            FrameKind::Native
        );
        assert_eq!(kind("vfs_read", "", "", "[kernel.kallsyms]"), FrameKind::Kernel);
        assert_eq!(kind("<lost>", "", "", ""), FrameKind::Marker);
        let approximate = frame_of("f", "python-def-line:f", "/srv/a.py", "", [3, 3]);
        assert!(approximate.approximate && approximate.line == Some(3));
        let odd = frame_of("f", "python:f", "/srv/a.py", "", [-1, i64::MAX]);
        assert_eq!((odd.line, odd.first_line), (None, None));
    }

    #[test]
    fn an_address_without_a_name_is_shown_as_its_library() {
        assert_eq!(without_name(0x1234, "/usr/lib/libz.so.1").name, "[libz.so.1]");
        assert_eq!(without_name(0x1234, "").name, "0x1234");
    }
}
