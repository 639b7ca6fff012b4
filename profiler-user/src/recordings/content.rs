//! The bytes of a file: compressed as they came, decompressed as a stream that may be read again.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::error::ReadError;
use super::room::{MOST_CONTENT_BYTES, MOST_FILE_BYTES};

/// Bytes by which a kind of file is recognised.
const START_BYTES: u64 = 4096;

/// The bytes of one file.
#[derive(Debug)]
pub(super) struct Content {
    bytes: Vec<u8>,
}

/// What is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pprof,
    Folded,
}

impl Content {
    /// Of the file at `path`; `-` is stdin.
    pub(super) fn of_file(path: &Path) -> Result<Self, ReadError> {
        if path == Path::new("-") {
            return Self::of(io::stdin().lock());
        }
        Self::of(File::open(path)?)
    }

    /// Of whatever can be read.
    pub(super) fn of(input: impl Read) -> Result<Self, ReadError> {
        let mut bytes = Vec::new();
        let read = input.take(MOST_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if read as u64 > MOST_FILE_BYTES {
            return Err(ReadError::FileTooLarge {
                most_bytes: MOST_FILE_BYTES,
            });
        }
        Ok(Self { bytes })
    }

    /// The decompressed bytes from the first on.
    pub(super) fn stream(&self) -> Result<BufReader<Bounded<Box<dyn Read + '_>>>, ReadError> {
        let bytes = self.bytes.as_slice();
        let decompressed: Box<dyn Read + '_> = match bytes {
            [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(bytes)?),
            _ => Box::new(bytes),
        };
        let bounded = Bounded {
            inner: decompressed,
            left: MOST_CONTENT_BYTES,
        };
        Ok(BufReader::with_capacity(1 << 16, bounded))
    }

    /// What these bytes are.
    pub(super) fn kind(&self) -> Result<Kind, ReadError> {
        let mut start = Vec::new();
        self.stream()?.take(START_BYTES).read_to_end(&mut start)?;
        let trimmed = start.trim_ascii_start();
        match trimmed {
            _ if start.is_empty() => Err(ReadError::Empty),
            [b'{' | b'[', ..] if is_text(trimmed) => Err(ReadError::OtherFormat { what: "JSON" }),
            [b'<', b'?' | b's' | b'!', ..] if is_text(trimmed) && !is_marker(trimmed) => {
                Err(ReadError::OtherFormat {
                    what: "a picture or a page",
                })
            }
            _ if trimmed.starts_with(b"# callgrind format") => Err(ReadError::OtherFormat {
                what: "a Callgrind file",
            }),
            _ if is_text(&start) => Ok(Kind::Folded),
            [0xfe..=0xff | b'\x7f' | b'\x89', ..] => Err(ReadError::OtherFormat {
                what: "some other binary file",
            }),
            _ => Ok(Kind::Pprof),
        }
    }
}

/// No byte that texts do not have. Messages of pprof have some within the first few.
fn is_text(bytes: &[u8]) -> bool {
    !bytes
        .iter()
        .any(|byte| *byte < b' ' && !matches!(byte, b'\n' | b'\t' | b'\r' | b'\x1b'))
}

/// A folded stack may begin with a frame such as `<shim>`; XML and HTML begin with these.
fn is_marker(text: &[u8]) -> bool {
    ![&b"<?xml"[..], b"<svg", b"<!DOCTYPE", b"<!doctype"]
        .iter()
        .any(|start| text.starts_with(start))
}

/// A reader that has an end, whatever it reads from.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(to)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(too_large)?;
        Ok(read)
    }
}

/// The error that [`Bounded`] ends with; it says the same as [`ReadError::ContentTooLarge`].
fn too_large() -> io::Error {
    io::Error::other(ReadError::ContentTooLarge {
        most_bytes: MOST_CONTENT_BYTES,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::{Bounded, Content, Kind};
    use crate::recordings::ReadError;

    fn kind(bytes: &[u8]) -> Result<Kind, String> {
        let content = Content::of(bytes).expect("a slice is readable");
        content.kind().map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_bytes_tell_what_a_file_is() {
        assert_eq!(kind(b"main;f 3\n"), Ok(Kind::Folded));
        assert_eq!(kind("größe (a.py:1) 3\n".as_bytes()), Ok(Kind::Folded));
        assert_eq!(kind(b"<shim>;f 3\n"), Ok(Kind::Folded));
        assert_eq!(kind(b"\x0a\x04\x08\x01\x10\x02"), Ok(Kind::Pprof));
        for (bytes, what) in [
            (&b"{\"a\": 1}"[..], "this is JSON"),
            (b"<?xml version=\"1.0\"?><svg/>", "this is a picture or a page"),
            (b"\n# callgrind format\n", "this is a Callgrind file"),
            (b"\x7fELF\x02\x01", "this is some other binary file"),
            (b"", "the file is empty"),
        ] {
            let error = kind(bytes).expect_err("not a recording");
            assert!(error.starts_with(what), "{error}");
        }
    }

    #[test]
    fn compressed_files_are_read_twice_and_damaged_ones_are_errors() {
        let zstd = zstd::encode_all(&b"main 3\n"[..], 3).expect("compressed");
        let mut gzip = Vec::new();
        flate2::read::GzEncoder::new(&b"main 3\n"[..], flate2::Compression::fast())
            .read_to_end(&mut gzip)
            .expect("compressed");
        for bytes in [&zstd, &gzip] {
            let content = Content::of(&**bytes).expect("readable");
            for _ in 0..2 {
                let mut text = String::new();
                content
                    .stream()
                    .expect("known")
                    .read_to_string(&mut text)
                    .expect("whole");
                assert_eq!(text, "main 3\n");
            }
            let half = Content::of(&bytes[..bytes.len() - 5]).expect("readable");
            let read = half.stream().expect("known").read_to_end(&mut Vec::new());
            assert!(read.is_err());
        }
    }

    #[test]
    fn what_grows_without_end_is_given_up() {
        let mut endless = Bounded {
            inner: std::io::repeat(0),
            left: 1_000,
        };
        let error = endless.read_to_end(&mut Vec::new()).expect_err("it has no end");
        let inner = error.into_inner().expect("our own");
        let inner = inner.downcast_ref::<ReadError>().expect("our own");
        assert!(matches!(inner, ReadError::ContentTooLarge { .. }), "{inner}");
    }
}
