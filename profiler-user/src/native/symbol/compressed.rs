//! Compressed parts of a foreign ELF file: what they become is never more than they say. Used by [`super::copy`], in the worker
//! process.
//!
//! A section of 32 KB can become a gigabyte, whatever its header says. The libraries that read symbols believe the header and
//! decompress all of it; so they are given sections that are decompressed already.

use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read as _, Write};
use std::os::unix::fs::FileExt as _;

use flate2::write::ZlibDecoder;
use object::LittleEndian as LE;
use object::elf::{self, CompressionHeader64};
use zstd::stream::write::Decoder as ZstdDecoder;

use crate::elf::{ElfError, Reader, Section};

/// Memory that the decoder of an archive may take: what the strongest level of `xz` needs.
const MAX_ARCHIVE_MEMORY: u64 = 128 << 20;

/// Writes what a compressed section becomes to `file` at `position`; how many bytes that is.
///
/// # Errors
/// [`ElfError::Malformed`] if it becomes more or less than its header says.
pub(super) fn decompress(
    source: &Reader,
    section: &Section,
    file: &File,
    position: u64,
    hash: &mut impl Hasher,
) -> Result<u64, ElfError> {
    const BROKEN: ElfError = ElfError::Malformed("a compressed section is not what its header says");
    let header: CompressionHeader64<LE> = source.structure(section.offset)?;
    let mut range = section.range();
    range.start += size_of_val(&header) as u64;
    if range.end > source.length() {
        return Err(ElfError::Malformed("a section lies beyond the end of the file"));
    }
    let bytes = header.ch_size.get(LE);
    let limited = Limited {
        file,
        position,
        left: bytes,
    };
    let read = |decoder: &mut dyn Write, hash: &mut dyn Hasher| -> Result<bool, ElfError> {
        let mut is_right = true;
        source.stream(range.clone(), 0, |part| {
            hash.write(part);
            is_right = decoder.write_all(part).is_ok();
            is_right
        })?;
        Ok(is_right && decoder.flush().is_ok())
    };
    let (is_right, limited) = match header.ch_type.get(LE) {
        elf::ELFCOMPRESS_ZLIB => {
            let mut decoder = ZlibDecoder::new(limited);
            (read(&mut decoder, hash)?, decoder.finish().map_err(|_| BROKEN)?)
        }
        elf::ELFCOMPRESS_ZSTD => {
            let mut decoder = ZstdDecoder::new(limited)?;
            (read(&mut decoder, hash)?, decoder.into_inner())
        }
        _ => return Err(BROKEN),
    };
    if is_right && limited.left == 0 {
        Ok(bytes)
    } else {
        Err(BROKEN)
    }
}

/// Whether an archive of `xz` becomes at most `most_bytes`.
pub(super) fn expands_within(archive: &[u8], most_bytes: u64) -> bool {
    let Ok(stream) = xz2::stream::Stream::new_stream_decoder(MAX_ARCHIVE_MEMORY, 0) else {
        return false;
    };
    let decoder = xz2::read::XzDecoder::new_stream(archive, stream);
    let bytes = io::copy(&mut decoder.take(most_bytes + 1), &mut io::sink());
    bytes.is_ok_and(|bytes| bytes <= most_bytes)
}

/// Writes to a place in a file until there is no room left.
struct Limited<'a> {
    file: &'a File,
    position: u64,
    left: u64,
}

impl Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self
            .left
            .checked_sub(bytes.len() as u64)
            .ok_or(io::ErrorKind::InvalidData)?;
        self.file.write_all_at(bytes, self.position)?;
        self.position += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::expands_within;

    #[test]
    fn an_archive_is_measured_without_being_kept() {
        let mut encoder = xz2::write::XzEncoder::new(Vec::new(), 0);
        encoder.write_all(&vec![0; 4 << 20]).expect("into memory");
        let archive = encoder.finish().expect("into memory");
        assert!(expands_within(&archive, 4 << 20));
        assert!(!expands_within(&archive, (4 << 20) - 1));
        assert!(!expands_within(b"no archive", 4 << 20));
    }
}
