//! The memory of a live process through `/proc/PID/mem`: reads only, never stops the process.
//!
//! One of the walker's memories (`profiler_common::memory::Memory`): used by the search for
//! interpreters, by second tries of what the kernel half could not read, and by the tests that hold the layouts
//! against real interpreters. The process runs on while it is read, so two reads may see two moments.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use profiler_common::memory::{Fault, Memory, RemoteAddr};

use super::ProcessError;

/// Bytes of the largest read of the walker: its copy of a data-stack chunk.
const LARGEST_READ: usize = 8 * profiler_common::walker::python::BUFFER_WORDS;
/// Bytes up to which a read goes through a buffer that is cheap to clear.
const SMALL_READ: usize = 512;

/// Read access to one address space. It stays with the address space that the process had when this was made:
/// after an `exec` every read is a [`Fault`], never another program's memory.
#[derive(Debug)]
pub struct ProcMemory {
    file: File,
}

impl ProcMemory {
    /// Opens `/proc/PID/mem` for reading.
    ///
    /// # Errors
    /// When the process is gone, or `ptrace` access to it is not permitted.
    pub fn open(pid: u32) -> Result<Self, ProcessError> {
        let file =
            File::open(format!("/proc/{pid}/mem")).map_err(|source| ProcessError::new(pid, "mem", source))?;
        Ok(Self { file })
    }

    /// Fills `out` from `addr`.
    ///
    /// # Errors
    /// [`Fault`] when any byte is unreadable, or the process is gone.
    pub fn read(&self, addr: RemoteAddr, out: &mut [u8]) -> Result<(), Fault> {
        self.file.read_exact_at(out, addr.0).map_err(|_| Fault)
    }

    fn read_into_words(&self, addr: RemoteAddr, out: &mut [u64], bytes: usize) -> Result<(), Fault> {
        if bytes <= SMALL_READ {
            self.read_through(&mut [0; SMALL_READ], addr, out, bytes)
        } else {
            self.read_through(&mut [0; LARGEST_READ], addr, out, bytes)
        }
    }

    /// A last word that is only partly covered keeps its other bytes, as in the kernel.
    fn read_through(
        &self,
        buffer: &mut [u8],
        addr: RemoteAddr,
        out: &mut [u64],
        bytes: usize,
    ) -> Result<(), Fault> {
        let buffer = buffer.get_mut(..bytes).ok_or(Fault)?;
        self.read(addr, buffer)?;
        for (word, chunk) in out.iter_mut().zip(buffer.chunks(8)) {
            let mut value = word.to_le_bytes();
            value[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(value);
        }
        Ok(())
    }
}

impl Memory for ProcMemory {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        self.read_into_words(addr, out, 8 * N)
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        self.read_into_words(addr, out, (bytes as usize).min(8 * N))
    }

    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        self.read(addr, &mut out[..(len as usize).min(N)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    fn own() -> ProcMemory {
        ProcMemory::open(std::process::id()).expect("a process may read itself")
    }

    fn address_of<T>(value: &T) -> RemoteAddr {
        RemoteAddr(std::ptr::from_ref(value) as u64)
    }

    #[test]
    fn words_bytes_and_prefixes_are_what_the_memory_holds() {
        let source: [u64; 4] = black_box([0x1122_3344_5566_7788, u64::MAX, 0, 42]);
        let mut words = [0; 4];
        own()
            .read_words(address_of(&source), &mut words)
            .expect("own memory");
        assert_eq!(words, source);

        let mut prefix = [7; 4];
        own()
            .read_words_prefix(address_of(&source), &mut prefix, 12)
            .expect("own memory");
        assert_eq!(prefix, [source[0], 0xffff_ffff, 7, 7]);
        own()
            .read_words_prefix(address_of(&source), &mut prefix, u32::MAX)
            .expect("clamped to the array");
        assert_eq!(prefix, source);

        let mut bytes = [9u8; 4];
        own()
            .read_bytes(address_of(&source), &mut bytes, 2)
            .expect("own memory");
        assert_eq!(bytes, [0x88, 0x77, 9, 9]);
        own()
            .read_bytes(address_of(&source), &mut bytes, 99)
            .expect("clamped to the array");
        assert_eq!(bytes, [0x88, 0x77, 0x66, 0x55]);
    }

    #[test]
    fn the_largest_window_is_readable_in_one_go() {
        let source = black_box(Box::new([0xabu64; profiler_common::walker::python::BUFFER_WORDS]));
        let mut window = Box::new([0u64; profiler_common::walker::python::BUFFER_WORDS]);
        own()
            .read_words(address_of(&*source), &mut window)
            .expect("own memory");
        assert_eq!(window, source);
    }

    #[test]
    fn unmapped_null_and_kernel_addresses_are_faults() {
        let mut words = [0; 1];
        for address in [0, 8, 0x7fff_ffff_ffff_fff8, 0xffff_8000_0000_0000, u64::MAX] {
            assert_eq!(
                own().read_words(RemoteAddr(address), &mut words),
                Err(Fault),
                "{address:#x}"
            );
        }
    }

    #[test]
    fn a_process_that_exited_is_gone_and_its_memory_a_fault() {
        let mut child = std::process::Command::new("sleep")
            .arg("100")
            .spawn()
            .expect("`sleep` exists");
        let memory = ProcMemory::open(child.id()).expect("the child is ours");
        child.kill().expect("the child is ours");
        child.wait().expect("the child is ours");
        assert!(ProcMemory::open(child.id()).expect_err("it exited").is_gone());
        let mut words = [0; 1];
        assert_eq!(memory.read_words(RemoteAddr(0x40_0000), &mut words), Err(Fault));
    }
}
