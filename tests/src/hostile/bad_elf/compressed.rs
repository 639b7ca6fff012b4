//! Compressed sections that become a thousand times as large.

use std::io::Write as _;

use super::debug;
use super::image::{Image, PROGBITS, Section};

/// What a section becomes.
const BYTES: u64 = 1 << 30;
/// SHF_COMPRESSED
const IS_COMPRESSED: u64 = 1 << 11;
const ZLIB: u32 = 1;
const ZSTD: u32 = 2;
/// Zeros of an archive of debug information.
const ARCHIVE_BYTES: usize = 512 << 20;

/// All debug information is a gibibyte of zeros, compressed with zlib.
#[must_use]
pub fn zlib() -> Image {
    image(ZLIB, &zlib_zeros(BYTES), BYTES)
}

/// The same with zstd.
#[must_use]
pub fn zstd() -> Image {
    image(ZSTD, &zstd_zeros(BYTES), BYTES)
}

/// It says that it becomes 2^62 bytes.
#[must_use]
pub fn largest_claim() -> Image {
    image(ZLIB, &zlib_zeros(1 << 20), 1 << 62)
}

/// It says that it becomes sixteen bytes, and becomes a gibibyte.
#[must_use]
pub fn smallest_claim() -> Image {
    image(ZSTD, &zstd_zeros(BYTES), 16)
}

/// What is in `.gnu_debugdata` is half a gibibyte, compressed with xz.
///
/// # Panics
/// When memory is full.
#[must_use]
pub fn xz() -> Image {
    let mut encoder = xz2::write::XzEncoder::new(Vec::new(), 0);
    let zeros = vec![0; 1 << 20];
    for _ in 0..ARCHIVE_BYTES / zeros.len() {
        encoder.write_all(&zeros).expect("into memory");
    }
    let mut image = Image::like_python();
    let archive = encoder.finish().expect("into memory");
    image.push(Section::new(".gnu_debugdata", PROGBITS, archive));
    image
}

fn image(how: u32, compressed: &[u8], claimed: u64) -> Image {
    let mut section = how.to_le_bytes().to_vec();
    section.extend([0; 4]);
    section.extend(claimed.to_le_bytes());
    section.extend(1u64.to_le_bytes());
    section.extend(compressed);
    let mut image = Image::like_python();
    for name in debug::SECTIONS {
        let mut section = Section::new(name, PROGBITS, section.clone());
        section.flags = IS_COMPRESSED;
        image.push(section);
    }
    image
}

/// RFC 1950 and 1951: one block with fixed codes, a zero and then it again and again.
fn zlib_zeros(count: u64) -> Vec<u8> {
    let mut bits = Bits::default();
    // The last block, fixed codes; 8 bits for a zero.
    bits.push(0b011, 3);
    let rest = (count - 1) % 258;
    for _ in 0..=rest {
        bits.push(0b0000_1100, 8);
    }
    for _ in 0..(count - 1) / 258 {
        // Length 258 (code 285: 11000101, first bit first), distance 1 (00000).
        bits.push(0b1010_0011, 13);
    }
    // The end: seven zeros.
    bits.push(0, 7);
    let mut bytes = vec![0x78, 0x01];
    bytes.extend(bits.finish());
    // Adler-32 of zeros.
    let checksum = ((count % 65_521) as u32) << 16 | 1;
    bytes.extend(checksum.to_be_bytes());
    bytes
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u64,
    count: u32,
}

impl Bits {
    /// The lowest bit first.
    fn push(&mut self, bits: u64, count: u32) {
        self.pending |= bits << self.count;
        self.count += count;
        while self.count >= 8 {
            self.bytes.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.bytes.push(self.pending as u8);
        }
        self.bytes
    }
}

/// RFC 8878: blocks of one repeated byte.
fn zstd_zeros(count: u64) -> Vec<u8> {
    const BLOCK: u64 = 128 << 10;
    // A window of 8 MiB; the size is not said.
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68];
    let blocks = count / BLOCK;
    for index in 0..blocks {
        let is_last = u64::from(index + 1 == blocks);
        let header = BLOCK << 3 | 1 << 1 | is_last;
        bytes.extend(&header.to_le_bytes()[..3]);
        bytes.push(0);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::zlib_zeros;

    #[test]
    fn what_is_compressed_by_hand_is_what_it_says() {
        for count in [1, 259, 100_000] {
            let mut read = Vec::new();
            let bytes = zlib_zeros(count);
            let mut decoder = flate2::read::ZlibDecoder::new(bytes.as_slice());
            decoder.read_to_end(&mut read).expect("valid");
            assert_eq!(read, vec![0; count as usize]);
        }
    }
}
