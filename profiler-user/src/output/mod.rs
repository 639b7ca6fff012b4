//! File formats of a finished recording. `record` picks one by `--format` or by the extension of `--output`.
//!
//! A format reads a [`Recording`] and writes bytes; it touches neither `/proc` nor BPF, and holds no more than the
//! folded stacks in memory. Adding one: its file with its `mod` line, and its line in `formats!`.

use std::fmt;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::profile::Recording;

pub use self::amounts::{AmountUnit, Measure};
pub use self::error::OutputError;
pub use self::file::{FileError, OutputFile, remove_unfinished};
pub use self::format::Output;
pub use self::group::Group;
pub use self::short_names::ShortNames;
pub use self::style::{LineStyle, RenderOptions};

mod amounts;
mod default_path;
mod error;
mod escape;
mod file;
mod flamegraph;
mod folded;
mod format;
mod group;
mod identity_text;
mod lanes;
mod legend;
mod palette;
mod raw;
mod short_names;
mod speedscope;
mod style;
#[cfg(test)]
mod test_recording;

macro_rules! formats {
    ($($variant:ident => $output:expr,)*) => {
        /// One of the formats of this build. The first is the default, and the first that claims an extension gets it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Format {
            $(#[doc = concat!("`", stringify!($output), "`.")] $variant,)*
        }

        /// Every format.
        const ALL: &[Format] = &[$(Format::$variant,)*];

        impl Format {
            fn output(self) -> &'static dyn Output {
                match self {
                    $(Self::$variant => &$output,)*
                }
            }
        }
    };
}

formats! {
    Flamegraph => flamegraph::Flamegraph,
    Raw => raw::Raw,
    Speedscope => speedscope::Speedscope,
}

impl Format {
    /// The format that files like `path` usually have; `None` without an extension or with an unknown one.
    #[must_use]
    pub fn from_extension(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?;
        ALL.iter().copied().find(|format| {
            let output = format.output();
            output.extension().eq_ignore_ascii_case(extension)
                || output
                    .other_extensions()
                    .iter()
                    .any(|other| other.eq_ignore_ascii_case(extension))
        })
    }

    /// As `--format` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.output().name()
    }

    /// Extension of a file named by default, without the dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        self.output().extension()
    }

    /// The file to write when none was named: `{subject}-{local time}.{extension}` in the current directory, as
    /// `python-2026-11-21T04-47-25+0000.svg`. Of a path as subject only the last component counts.
    #[must_use]
    pub fn default_path(self, subject: &str) -> PathBuf {
        default_path::now(subject, self.extension())
    }

    /// Whether the recording must keep a [`Timeline`](crate::profile::timeline::Timeline) for it.
    #[must_use]
    pub fn wants_timeline(self) -> bool {
        self.output().wants_timeline()
    }

    /// Whether it shows the names of threads without being told to.
    #[must_use]
    pub fn names_threads(self) -> bool {
        self.output().names_threads()
    }

    /// Writes `recording` to `out` and flushes it.
    ///
    /// # Errors
    /// See [`OutputError`].
    pub fn write(
        self,
        recording: &mut Recording,
        options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        self.output().write(recording, options, &mut out)?;
        Ok(out.flush()?)
    }
}

impl Default for Format {
    fn default() -> Self {
        ALL[0]
    }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(
            PossibleValue::new(self.output().name())
                .aliases(self.output().aliases())
                .help(self.output().about()),
        )
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::Path;

    use clap::ValueEnum as _;

    use super::{ALL, Format, Group, OutputError, RenderOptions};
    use crate::output::test_recording::hand_made;

    fn by_name(name: &str) -> Format {
        Format::from_str(name, false).expect("a format of this name")
    }

    #[test]
    fn formats_have_the_names_that_py_spy_users_type() {
        let names: Vec<_> = ALL.iter().map(|format| format.name()).collect();
        assert_eq!(names, ["flamegraph", "raw", "speedscope"]);
        assert_eq!(by_name("folded").name(), "raw");
        assert_eq!(Format::default().name(), "flamegraph");
    }

    #[test]
    fn the_extension_tells_the_format() {
        let format = |name: &str| Format::from_extension(Path::new(name)).map(Format::name);
        assert_eq!(format("a/b.svg"), Some("flamegraph"));
        assert_eq!(format("b.SVG"), Some("flamegraph"));
        assert_eq!(format("b.json"), Some("speedscope"));
        assert_eq!(format("b.speedscope.json"), Some("speedscope"));
        for raw in ["b.txt", "b.folded", "b.collapsed"] {
            assert_eq!(format(raw), Some("raw"));
        }
        assert_eq!(format("b"), None);
        assert_eq!(format(".svg"), None);
        assert_eq!(format("b.pdf"), None);
    }

    #[test]
    fn names_and_default_extensions_do_not_collide() {
        for (index, format) in ALL.iter().enumerate() {
            assert_eq!(by_name(format.name()), *format);
            for earlier in &ALL[..index] {
                assert_ne!(earlier.name(), format.name());
            }
        }
    }

    #[test]
    fn every_format_writes_the_same_bytes_twice() {
        for format in ALL {
            let mut recording = hand_made();
            let options = RenderOptions {
                roots: vec![Group::Process, Group::Thread],
                ..RenderOptions::default()
            };
            let (mut first, mut second) = (Vec::new(), Vec::new());
            format
                .write(&mut recording, &options, &mut first)
                .expect("a vector takes everything");
            format
                .write(&mut recording, &options, &mut second)
                .expect("a vector takes everything");
            assert!(!first.is_empty());
            assert_eq!(first, second, "{format}");
        }
    }

    #[test]
    fn a_full_disk_is_an_error_of_every_format() {
        for format in ALL {
            let mut full = std::fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .expect("/dev/full");
            let error = format
                .write(&mut hand_made(), &RenderOptions::default(), &mut full)
                .expect_err("the device is full");
            let OutputError::Write(error) = error else {
                unreachable!("{format}: {error}")
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{format}");
        }
    }
}
