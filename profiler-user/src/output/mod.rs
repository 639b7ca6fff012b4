//! File formats of a finished recording. `record` picks one for each file, by `--format` or by the extension.
//!
//! A format reads a [`Recording`] and writes bytes; it touches neither `/proc` nor BPF, and holds no more than the
//! folded stacks in memory. Adding one: its file with its `mod` line, and its row in `formats!`.

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::profile::Recording;

pub use self::amounts::{AmountUnit, Measure};
pub use self::compression::Compression;
pub use self::difference::Difference;
pub use self::error::OutputError;
pub use self::file::{FileError, Folder, OutputFile, quoted, remove_unfinished};
pub use self::format::Output;
pub use self::group::Group;
pub use self::html::policy as page_policy;
pub use self::short_names::ShortNames;
pub use self::style::{LineStyle, RenderOptions, SourceFile};

mod amounts;
mod callgrind;
mod chrometrace;
mod compression;
mod default_path;
mod difference;
mod error;
mod escape;
mod file;
mod firefox;
mod flamegraph;
mod folded;
mod format;
mod group;
mod html;
mod identity_text;
mod json;
mod json_text;
mod lanes;
mod legend;
mod palette;
mod pprof;
mod pstats;
mod raw;
mod short_names;
mod speedscope;
mod style;
mod subtitle;
#[cfg(test)]
pub(crate) mod test_recording;
mod tracks;

/// What the table says of a format.
struct Row {
    name: &'static str,
    aliases: &'static [&'static str],
    extensions: &'static [&'static str],
    output: &'static dyn Output,
}

macro_rules! formats {
    ($($variant:ident: $name:literal, $aliases:expr, $extensions:expr, $output:expr;)*) => {
        /// One of the formats of this build. The first is the default.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Format {
            $(#[doc = concat!("`", $name, "`.")] $variant,)*
        }

        /// Every format.
        const ALL: &[Format] = &[$(Format::$variant,)*];

        impl Format {
            fn row(self) -> Row {
                match self {
                    $(Self::$variant => Row {
                        name: $name,
                        aliases: &$aliases,
                        extensions: &$extensions,
                        output: &$output,
                    },)*
                }
            }
        }
    };
}

// As `--format` spells it, other spellings that it accepts, extensions, and what writes it. The first extension is that of
// default names. If two fit a name, the longer one counts, so `.x.json` is not a `.json`.
formats! {
    Flamegraph: "flamegraph", ["svg"], ["svg"], flamegraph::Flamegraph;
    Raw: "raw", ["folded", "collapsed", "txt"], ["txt", "folded", "collapsed"], raw::Raw;
    Speedscope: "speedscope", [], ["json"], speedscope::Speedscope;
    Pprof: "pprof", ["pb"], ["pb.gz", "pb", "pprof"], pprof::Pprof;
    ChromeTrace: "chrometrace", [], ["chrometrace.json"], chrometrace::ChromeTrace;
    Firefox: "firefox", [], ["firefox.json"], firefox::Firefox;
    Callgrind: "callgrind", [], ["callgrind"], callgrind::Callgrind;
    Pstats: "pstats", [], ["pstats", "prof"], pstats::Pstats;
    Json: "json", [], ["pyebpf.json"], json::Json;
    Html: "html", ["htm"], ["html", "htm"], html::Html;
}

/// The extension of a file that no format claims.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("no format has the extension .{extension}")]
pub struct UnknownExtension {
    /// Without the dot, and without that of a compression.
    pub extension: String,
}

impl Format {
    /// As `--format` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Extensions of its files, without the dot; never empty, that of default names first.
    #[must_use]
    pub fn extensions(self) -> &'static [&'static str] {
        self.row().extensions
    }

    /// What is said to have been written: `flamegraph data`, `speedscope file`.
    #[must_use]
    pub fn noun(self) -> String {
        let noun = self.row().output.noun();
        noun.map_or_else(|| format!("{} data", self.name()), str::to_owned)
    }

    /// A sentence on how people look at such a file, unless everybody knows. `file` is its name, as a shell takes it.
    #[must_use]
    pub fn opens_with(self, file: &str) -> Option<String> {
        let text = self.row().output.opens_with()?;
        Some(text.replace("FILE", file))
    }

    /// Whether the recording must keep a [`Timeline`](crate::profile::timeline::Timeline) for it.
    #[must_use]
    pub fn wants_timeline(self) -> bool {
        self.row().output.wants_timeline()
    }

    /// Whether it cannot be written without one.
    #[must_use]
    pub fn needs_timeline(self) -> bool {
        self.row().output.needs_timeline()
    }

    /// Whether it shows the names of threads without being told to.
    #[must_use]
    pub fn names_threads(self) -> bool {
        self.row().output.names_threads()
    }

    /// Its extension that `name` has.
    fn extension_of(self, name: &str) -> Option<&'static str> {
        let mut own = self.extensions().iter().copied();
        own.find(|extension| stem(name, extension).is_some())
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
        self.row().output.write(recording, options, &mut out)?;
        Ok(out.flush()?)
    }
}

/// What is in a file: its format, and how it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// The format.
    pub format: Format,
    /// The compression around it.
    pub compression: Compression,
}

impl Encoding {
    /// What a file at `path` holds: `format`, or else what its extension says, or else the default; compressed if its name
    /// ends in `.gz` or `.zst`, or if the format is always compressed.
    ///
    /// # Errors
    /// [`UnknownExtension`], unless `format` is given.
    pub fn of(path: &Path, format: Option<Format>) -> Result<Self, UnknownExtension> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (name, named) = Compression::split(&name);
        let format = match format {
            Some(format) => format,
            None => by_extension(name)?,
        };
        let compression = match named {
            Compression::None => format.row().output.own_compression(format.extension_of(name)),
            named => named,
        };
        Ok(Self { format, compression })
    }

    /// The file to write when none was named, and what is in it: `{subject}-{local time}.{extension}` in the current
    /// directory, as `python-2026-11-21T04-47-25+0000.svg`. Of a path as subject only the last component counts.
    #[must_use]
    pub fn by_default(format: Format, subject: &str) -> (PathBuf, Self) {
        let path = default_path::now(subject, format.extensions()[0]);
        let name = path.to_string_lossy();
        let (name, named) = Compression::split(&name);
        let own = format.row().output.own_compression(format.extension_of(name));
        let compression = if named == Compression::None { own } else { named };
        (path, Self { format, compression })
    }

    /// The path of the part `number`: the number stands before the extension, `web.svg` and 3 make `web-3.svg`.
    #[must_use]
    pub fn numbered(self, path: &Path, number: u32) -> PathBuf {
        let whole = path.file_name().unwrap_or_default().to_string_lossy();
        let (name, _) = Compression::split(&whole);
        let own = self.format.extension_of(name).and_then(|own| stem(name, own));
        let other = || Path::new(name).file_stem().map_or(0, OsStr::len);
        let (stem, ending) = whole.split_at(own.map_or_else(other, str::len));
        path.with_file_name(format!("{stem}-{number}{ending}"))
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
        self.compression
            .write(out, |out| self.format.write(recording, options, out))
    }
}

/// What comes before `.extension` in `name`, in upper or lower case; `None` when that is nothing.
fn stem<'n>(name: &'n str, extension: &str) -> Option<&'n str> {
    let at = name.len().checked_sub(extension.len() + 1)?;
    let (stem, ending) = name.split_at_checked(at)?;
    let fits = ending
        .strip_prefix('.')
        .is_some_and(|ending| ending.eq_ignore_ascii_case(extension));
    (fits && !stem.is_empty()).then_some(stem)
}

/// The format that files of this name usually have; the default if it has no extension.
fn by_extension(name: &str) -> Result<Format, UnknownExtension> {
    let known = ALL
        .iter()
        .filter_map(|format| Some((format.extension_of(name)?.len(), *format)));
    match (
        known.max_by_key(|(length, _)| *length),
        Path::new(name).extension(),
    ) {
        (Some((_, format)), _) => Ok(format),
        (None, None) => Ok(Format::default()),
        (None, Some(extension)) => Err(UnknownExtension {
            extension: extension.to_string_lossy().into_owned(),
        }),
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
            PossibleValue::new(self.name())
                .aliases(self.row().aliases)
                .help(format!(
                    "{} (.{})",
                    self.row().output.about(),
                    self.extensions().join(", .")
                )),
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

    use super::{ALL, Compression, Encoding, Format, Group, OutputError, RenderOptions, UnknownExtension};
    use crate::output::test_recording::hand_made;

    fn by_name(name: &str) -> Format {
        Format::from_str(name, false).expect("a format of this name")
    }

    #[test]
    fn formats_have_the_names_that_py_spy_users_type() {
        let names: Vec<_> = ALL.iter().map(|format| format.name()).collect();
        assert_eq!(
            names,
            [
                "flamegraph",
                "raw",
                "speedscope",
                "pprof",
                "chrometrace",
                "firefox",
                "callgrind",
                "pstats",
                "json",
                "html"
            ]
        );
        assert_eq!(by_name("folded").name(), "raw");
        assert_eq!(Format::default().name(), "flamegraph");
    }

    #[test]
    fn the_extension_tells_the_format() {
        let format = |name: &str| {
            let encoding = Encoding::of(Path::new(name), None);
            encoding.map(|encoding| (encoding.format.name(), encoding.compression))
        };
        for name in ["a/b.svg", "b.SVG", "b", ".svg", "-"] {
            assert_eq!(format(name), Ok(("flamegraph", Compression::None)), "{name}");
        }
        assert_eq!(format("b.json"), Ok(("speedscope", Compression::None)));
        assert_eq!(format("b.speedscope.json"), Ok(("speedscope", Compression::None)));
        for raw in ["b.txt", "b.folded", "b.collapsed"] {
            assert_eq!(format(raw), Ok(("raw", Compression::None)));
        }
        for (name, compression) in [
            ("b.pb.gz", Compression::Gzip),
            ("b.pb", Compression::None),
            ("b.pb.zst", Compression::Zstd),
            ("b.pprof", Compression::Gzip),
        ] {
            assert_eq!(format(name), Ok(("pprof", compression)), "{name}");
        }
        assert_eq!(
            format("b.chrometrace.json"),
            Ok(("chrometrace", Compression::None))
        );
        assert_eq!(format("b.firefox.json.gz"), Ok(("firefox", Compression::Gzip)));
        assert_eq!(format("b.txt.gz"), Ok(("raw", Compression::Gzip)));
        assert_eq!(format("b.JSON.ZST"), Ok(("speedscope", Compression::Zstd)));
        for name in ["b.pdf", "b.svg.pdf", "b.pdf.gz"] {
            let extension = "pdf".to_owned();
            assert_eq!(format(name), Err(UnknownExtension { extension }), "{name}");
        }
    }

    #[test]
    fn a_format_that_is_named_goes_before_the_extension() {
        let encoding = Encoding::of(Path::new("a.pdf.gz"), Some(Format::Raw)).expect("it is named");
        assert_eq!(
            encoding,
            Encoding {
                format: Format::Raw,
                compression: Compression::Gzip
            }
        );
    }

    #[test]
    fn parts_are_numbered_before_their_extension() {
        for (path, third) in [
            ("web.svg", "web-3.svg"),
            ("a/b.speedscope.json", "a/b.speedscope-3.json"),
            ("raw", "raw-3"),
            ("web.svg.gz", "web-3.svg.gz"),
            ("web.pb.gz", "web-3.pb.gz"),
            ("web.chrometrace.json", "web-3.chrometrace.json"),
        ] {
            let path = Path::new(path);
            let encoding = Encoding::of(path, None).expect("a known extension");
            assert_eq!(encoding.numbered(path, 3), Path::new(third));
        }
        let path = Path::new("a/cpu.2026.zst");
        let encoding = Encoding::of(path, Some(Format::Raw)).expect("it is named");
        assert_eq!(encoding.numbered(path, 3), Path::new("a/cpu-3.2026.zst"));
    }

    #[test]
    fn default_names_tell_their_format() {
        for format in ALL {
            let (path, encoding) = Encoding::by_default(*format, "python");
            assert!(path.to_string_lossy().starts_with("python-2"), "{path:?}");
            assert_eq!(Encoding::of(&path, None), Ok(encoding));
        }
    }

    #[test]
    fn names_and_default_extensions_do_not_collide() {
        for (index, format) in ALL.iter().enumerate() {
            assert_eq!(by_name(format.name()), *format);
            for earlier in &ALL[..index] {
                assert_ne!(earlier.name(), format.name());
                for extension in format.extensions() {
                    assert!(!earlier.extensions().contains(extension), "{extension}");
                }
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
        let compressions = [Compression::None, Compression::Gzip, Compression::Zstd];
        for (format, compression) in ALL.iter().flat_map(|format| compressions.map(|of| (*format, of))) {
            let encoding = Encoding { format, compression };
            let mut full = std::fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .expect("/dev/full");
            let error = encoding
                .write(&mut hand_made(), &RenderOptions::default(), &mut full)
                .expect_err("the device is full");
            let OutputError::Write(error) = error else {
                unreachable!("{format}: {error}")
            };
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{format}");
        }
    }
}
