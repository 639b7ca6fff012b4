//! How frames are spelled: py-spy's text, by the options of `record`. Used by every format; decides no escaping.

use std::collections::BTreeMap;

use crate::output::amounts::{self, AmountUnit, Measure};
use crate::output::group::Group;
use crate::output::short_names::ShortNames;
use crate::profile::{Frame, FrameKind, Recording};

/// Which line a frame shows, and so which frames are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineStyle {
    /// The line that was running.
    #[default]
    Current,
    /// The first line of the function (`--function`).
    Function,
    /// None (`--nolineno`).
    None,
}

/// Lines of a source file, for formats that show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFile {
    /// The path that frames have.
    pub path: String,
    /// Whether it was changed after the recording: lines may be others.
    pub is_changed: bool,
    /// By number, as far as they are wanted.
    pub lines: BTreeMap<u32, String>,
}

/// What of a profile is shown, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RenderOptions {
    /// Which line a frame shows.
    pub lines: LineStyle,
    /// Files as the interpreter has them, instead of from the outermost package on.
    pub full_filenames: bool,
    /// Root frames, outermost first.
    pub roots: Vec<Group>,
    /// What numbers mean.
    pub measure: Measure,
    /// When each sample was taken, in formats that otherwise only count.
    pub timestamps: bool,
    /// Source, if it is to be shown. No format reads files itself.
    pub sources: Vec<SourceFile>,
}

impl RenderOptions {
    /// The line to show; `None` when there is none, or none is wanted.
    #[must_use]
    pub fn line(&self, frame: &Frame) -> Option<u32> {
        let line = match self.lines {
            LineStyle::Current => frame.line,
            LineStyle::Function => frame.first_line,
            LineStyle::None => None,
        };
        // CPython gives line 0 to code that no source line stands for.
        line.filter(|line| *line != 0)
    }

    /// ` Unit: ...` for the end report, when numbers are not samples.
    #[must_use]
    pub fn unit_of(&self, recording: &Recording) -> String {
        match amounts::unit(recording, self.measure) {
            Ok(AmountUnit::Samples) | Err(_) => String::new(),
            Ok(unit) => format!(" Unit: {}", unit.text()),
        }
    }

    /// `name (file.py:LINE)`, `~` before a line that is only that of the `def`; without what is not known, and only the name
    /// of a marker. Native code reads the same, `name (file.c:LINE)`; where the compiler left no file, `name (libfoo.so)`.
    #[must_use]
    pub fn frame_text(&self, frame: &Frame, names: &ShortNames<'_>) -> String {
        let file = if self.full_filenames {
            frame.file.as_deref()
        } else {
            names.get(frame)
        };
        match file.or(frame.module.as_deref()) {
            Some(file) if frame.kind != FrameKind::Marker => match self.line(frame) {
                Some(line) if frame.approximate && self.lines == LineStyle::Current => {
                    format!("{} ({file}:~{line})", frame.name)
                }
                Some(line) => format!("{} ({file}:{line})", frame.name),
                None => format!("{} ({file})", frame.name),
            },
            _ => frame.name.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LineStyle, RenderOptions};
    use crate::output::identity_text::{process_text, thread_text};
    use crate::output::short_names::ShortNames;
    use crate::profile::{Frame, FrameKind, Process, ProcessId, Thread};

    fn frame() -> Frame {
        Frame {
            kind: FrameKind::Python,
            name: "Loop.run".to_owned(),
            file: Some("/usr/lib/python3.11/asyncio/base_events.py".to_owned()),
            short_file: Some("asyncio/base_events.py".to_owned()),
            module: None,
            line: Some(1936),
            approximate: false,
            first_line: Some(1890),
        }
    }

    fn options(lines: LineStyle) -> RenderOptions {
        RenderOptions {
            lines,
            ..RenderOptions::default()
        }
    }

    #[test]
    fn a_frame_reads_as_py_spy_writes_it() {
        let current = options(LineStyle::Current);
        assert_eq!(
            current.frame_text(&frame(), &ShortNames::default()),
            "Loop.run (asyncio/base_events.py:1936)"
        );
        assert_eq!(
            options(LineStyle::Function).frame_text(&frame(), &ShortNames::default()),
            "Loop.run (asyncio/base_events.py:1890)"
        );
        assert_eq!(
            options(LineStyle::None).frame_text(&frame(), &ShortNames::default()),
            "Loop.run (asyncio/base_events.py)"
        );
        let approximate = Frame {
            line: Some(1890),
            approximate: true,
            ..frame()
        };
        assert_eq!(
            current.frame_text(&approximate, &ShortNames::default()),
            "Loop.run (asyncio/base_events.py:~1890)"
        );
        assert_eq!(
            options(LineStyle::Function).frame_text(&approximate, &ShortNames::default()),
            "Loop.run (asyncio/base_events.py:1890)",
            "the first line is exactly what was asked for"
        );
        let full = RenderOptions {
            full_filenames: true,
            ..current
        };
        assert_eq!(
            full.frame_text(&frame(), &ShortNames::default()),
            "Loop.run (/usr/lib/python3.11/asyncio/base_events.py:1936)"
        );
    }

    #[test]
    fn a_line_that_is_not_known_is_left_out() {
        for line in [None, Some(0)] {
            let frame = Frame { line, ..frame() };
            let text = options(LineStyle::Current).frame_text(&frame, &ShortNames::default());
            assert_eq!(text, "Loop.run (asyncio/base_events.py)");
        }
    }

    #[test]
    fn a_file_without_a_short_form_is_shown_whole_and_no_file_not_at_all() {
        let plain = options(LineStyle::Current);
        let whole = Frame {
            short_file: None,
            file: Some("<string>".to_owned()),
            line: None,
            ..frame()
        };
        assert_eq!(
            plain.frame_text(&whole, &ShortNames::default()),
            "Loop.run (<string>)"
        );
        let kernel = Frame {
            short_file: None,
            file: None,
            ..frame()
        };
        assert_eq!(plain.frame_text(&kernel, &ShortNames::default()), "Loop.run");
        let marker = Frame {
            kind: FrameKind::Marker,
            name: "<truncated>".to_owned(),
            ..frame()
        };
        assert_eq!(plain.frame_text(&marker, &ShortNames::default()), "<truncated>");
    }

    #[test]
    fn native_code_shows_its_source_line_or_else_its_library() {
        let with_line = Frame {
            kind: FrameKind::Native,
            name: "inflate".to_owned(),
            file: Some("/build/zlib-1.2.13/inflate.c".to_owned()),
            short_file: Some("inflate.c".to_owned()),
            module: Some("libz.so.1.2.13".to_owned()),
            line: Some(622),
            first_line: None,
            ..frame()
        };
        let text = |options: &RenderOptions, frame: &Frame| options.frame_text(frame, &ShortNames::default());
        let plain = options(LineStyle::Current);
        assert_eq!(text(&plain, &with_line), "inflate (inflate.c:622)");
        assert_eq!(text(&options(LineStyle::None), &with_line), "inflate (inflate.c)");
        assert_eq!(
            text(&options(LineStyle::Function), &with_line),
            "inflate (inflate.c)"
        );
        let full = RenderOptions {
            full_filenames: true,
            ..options(LineStyle::Current)
        };
        assert_eq!(
            text(&full, &with_line),
            "inflate (/build/zlib-1.2.13/inflate.c:622)"
        );
        let stripped = Frame {
            file: None,
            short_file: None,
            line: None,
            ..with_line
        };
        assert_eq!(text(&plain, &stripped), "inflate (libz.so.1.2.13)");
        assert_eq!(text(&full, &stripped), "inflate (libz.so.1.2.13)");
    }

    #[test]
    fn root_frames_read_as_py_spy_writes_them() {
        let process = Process {
            pid: 7,
            command_line: "python -c 'x; y'".to_owned(),
            ..Process::default()
        };
        assert_eq!(process_text(&process), "process 7:\"python -c 'x; y'\"");
        let thread = |name: &str| Thread {
            process: ProcessId(0),
            tid: 8,
            name: name.to_owned(),
        };
        assert_eq!(thread_text(&thread("MainThread")), "thread (8): MainThread");
        assert_eq!(thread_text(&thread("")), "thread (8)");
    }
}
