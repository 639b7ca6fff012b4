//! Files that only this process has.

use std::fs::File;
use std::io::{self, Write as _};

use rustix::fs::MemfdFlags;

/// An empty one.
///
/// # Errors
/// As `memfd_create(2)`.
pub(in crate::native) fn memory_file(name: &str) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL;
    let file = rustix::fs::memfd_create(name, flags)
        // Kernels before 6.3 do not know that flag.
        .or_else(|_| rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC))?;
    Ok(File::from(file))
}

/// Puts bytes that came from elsewhere than a file (the memory of a process) where a file can be.
///
/// # Errors
/// As `memfd_create(2)` and writing.
pub(in crate::native) fn file_of_bytes(bytes: &[u8]) -> io::Result<File> {
    let mut file = memory_file("pyebpf-image")?;
    file.write_all(bytes)?;
    Ok(file)
}
