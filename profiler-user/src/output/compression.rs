//! Compressed output: what `.gz` and `.zst` at the end of a file's name mean, for every format.

use std::io::Write;

use flate2::write::GzEncoder;

use crate::output::error::OutputError;

/// zstd's own choice between speed and size.
const ZSTD_LEVEL: i32 = 3;

/// What a file is compressed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    #[default]
    None,
    /// gzip, without a name and a time: the same profile makes the same bytes.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// `name` without the suffix that tells the compression, and what it tells. Upper and lower case are the same.
    pub(super) fn split(name: &str) -> (&str, Self) {
        for (suffix, compression) in [(".gz", Self::Gzip), (".zst", Self::Zstd)] {
            let at = name.len().saturating_sub(suffix.len());
            if let Some((start, end)) = name.split_at_checked(at)
                && !start.is_empty()
                && end.eq_ignore_ascii_case(suffix)
            {
                return (start, compression);
            }
        }
        (name, Self::None)
    }

    /// Has `content` written through the compressor, and ends its stream.
    ///
    /// # Errors
    /// Those of `content`, and [`OutputError::Write`].
    pub(super) fn write(
        self,
        out: &mut dyn Write,
        content: impl FnOnce(&mut dyn Write) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        match self {
            Self::None => content(out),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(out, flate2::Compression::default());
                content(&mut encoder)?;
                encoder.finish()?;
                Ok(())
            }
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(out, ZSTD_LEVEL)?;
                content(&mut encoder)?;
                encoder.finish()?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::Compression;

    #[test]
    fn the_suffix_tells_the_compression() {
        for (name, expected) in [
            ("a.svg", ("a.svg", Compression::None)),
            ("a.svg.gz", ("a.svg", Compression::Gzip)),
            ("a.svg.GZ", ("a.svg", Compression::Gzip)),
            ("größe.txt.zst", ("größe.txt", Compression::Zstd)),
            ("a", ("a", Compression::None)),
            // A name, not a suffix.
            (".gz", (".gz", Compression::None)),
            ("ß", ("ß", Compression::None)),
        ] {
            assert_eq!(Compression::split(name), expected, "{name}");
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let written = |compression: Compression| {
            let mut out = Vec::new();
            compression
                .write(&mut out, |out| Ok(out.write_all(b"a profile")?))
                .expect("a vector takes everything");
            out
        };
        assert_eq!(written(Compression::None), b"a profile");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*written(Compression::Gzip))
            .read_to_string(&mut text)
            .expect("gzip");
        assert_eq!(text, "a profile");
        let zstd = zstd::decode_all(&*written(Compression::Zstd)).expect("Zstandard");
        assert_eq!(zstd, b"a profile");
    }
}
