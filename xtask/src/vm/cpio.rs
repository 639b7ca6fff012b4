//! The archive format of an initramfs: "newc" cpio (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{self, Write};

/// `S_IFDIR`, `S_IFREG` (inode(7)).
const DIRECTORY: u32 = 0o040_000;
const REGULAR_FILE: u32 = 0o100_000;

/// Writes entries in order; a directory comes before what is in it.
pub(super) struct CpioWriter<W> {
    out: W,
    next_inode: u32,
}

impl<W: Write> CpioWriter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, next_inode: 1 }
    }

    /// `name` is relative to the root of the archive.
    pub(super) fn directory(&mut self, name: &str) -> io::Result<()> {
        self.entry(name, DIRECTORY | 0o755, &[])
    }

    pub(super) fn file(&mut self, name: &str, executable: bool, bytes: &[u8]) -> io::Result<()> {
        let permissions = if executable { 0o755 } else { 0o644 };
        self.entry(name, REGULAR_FILE | permissions, bytes)
    }

    /// Writes the end marker; without it the kernel takes the archive for cut off.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()
    }

    fn entry(&mut self, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let too_big = |_| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("{name} does not fit into a cpio"),
            )
        };
        let size = u32::try_from(bytes.len()).map_err(too_big)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_big)?;
        let (user, group, links, time) = (0, 0, 1, 0);
        let (major, minor, device_major, device_minor, check) = (0, 0, 0, 0, 0);
        let fields = [
            self.next_inode,
            mode,
            user,
            group,
            links,
            time,
            size,
            major,
            minor,
            device_major,
            device_minor,
            name_size,
            check,
        ];
        self.next_inode += 1;
        let mut header = String::from("070701");
        for field in fields {
            header.push_str(&format!("{field:08X}"));
        }
        header.push_str(name);
        header.push('\0');
        self.padded(header.as_bytes())?;
        self.padded(bytes)
    }

    /// Header with name, and data, each end on a multiple of four bytes.
    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; 3][..bytes.len().wrapping_neg() % 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_laid_out_as_the_kernel_documents_it() {
        let mut bytes = Vec::new();
        let mut cpio = CpioWriter::new(&mut bytes);
        cpio.directory("a").expect("memory");
        cpio.file("a/b", true, b"hello").expect("memory");
        cpio.finish().expect("memory");
        // Header of 110 bytes and "a\0": 112. Header and "a/b\0": 114, padded to 116; then 5 bytes padded to 8.
        assert_eq!(&bytes[..22], b"07070100000001000041ED");
        assert_eq!(&bytes[112..118], b"070701");
        assert_eq!(&bytes[112 + 110..112 + 116], b"a/b\0\0\0");
        assert_eq!(&bytes[228..236], b"hello\0\0\0");
        assert!(bytes.ends_with(b"TRAILER!!!\0\0\0\0") && bytes.len() % 4 == 0);
    }
}
