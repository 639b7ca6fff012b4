//! Which processes mapped executable memory: `perf`'s own records of it, from every online CPU.
//!
//! Used by the session for `dlopen`, which no tracepoint reports. Nobody is woken: the rings are read when samples are.
//! Only process ids are taken from the records; `/proc` says what is mapped where. One event per CPU, a dummy that
//! counts nothing.
#![expect(
    unsafe_code,
    reason = "perf_event_open takes raw pointers, and its ring is shared with the kernel"
)]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use perf_event_open_sys as sys;
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use sys::bindings::{PERF_RECORD_LOST, PERF_RECORD_MMAP, perf_event_mmap_page};

use super::perf_event::{PerfError, open_event};

/// Pages of one CPU's ring, a power of two; the start of a program with 300 libraries takes 10.
const RING_PAGES: usize = 16;
/// Bytes of the longest record: numbers and a path.
const MAX_RECORD_BYTES: usize = 4096 + 256;
/// Bytes of `struct perf_event_header`: type, flags, size of the record.
const HEADER_BYTES: usize = 8;

/// Rings of all online CPUs. Dropping it ends the records.
#[derive(Debug)]
pub struct MmapEvents {
    rings: BTreeMap<u32, Ring>,
    /// A ring is gone, with what was in it.
    is_lossy: bool,
}

impl MmapEvents {
    /// Begins to record on every online CPU.
    ///
    /// # Errors
    /// The first CPU that refuses; nothing is left running.
    pub fn start() -> Result<Self, PerfError> {
        let mut events = Self {
            rings: BTreeMap::new(),
            is_lossy: false,
        };
        events.follow_hotplug()?;
        Ok(events)
    }

    /// Opens rings on CPUs that came online and closes those of CPUs that went.
    ///
    /// # Errors
    /// The first CPU that refuses.
    pub fn follow_hotplug(&mut self) -> Result<(), PerfError> {
        let online = aya::util::online_cpus().map_err(|(_, source)| PerfError::Cpus(source))?;
        let before = self.rings.len();
        self.rings.retain(|cpu, _| online.contains(cpu));
        self.is_lossy |= self.rings.len() < before;
        for cpu in online {
            if let Entry::Vacant(entry) = self.rings.entry(cpu) {
                match Ring::open(cpu) {
                    Ok(ring) => {
                        entry.insert(ring);
                    }
                    // The CPU went offline between the two looks.
                    Err(error) if Errno::from_io_error(&error) == Some(Errno::NODEV) => {}
                    Err(source) => return Err(PerfError::Open { cpu, source }),
                }
            }
        }
        Ok(())
    }

    /// Names the processes that have mapped executable memory since the last call, in the pid namespace of this process;
    /// some more than once. `true` when records were lost, so that any other process may have, too.
    pub fn drain(&mut self, mut on_process: impl FnMut(u32)) -> bool {
        let mut is_lossy = std::mem::take(&mut self.is_lossy);
        let mut records = Vec::new();
        for ring in self.rings.values_mut() {
            // The kernel reports a loss with the next record that fits, and it may be long until one comes.
            is_lossy |= ring.take(&mut records);
            is_lossy |= parse(&records, &mut on_process);
        }
        is_lossy
    }
}

/// Goes through whole records; `true` when one says that others were lost, or is malformed.
fn parse(mut records: &[u8], mut on_process: impl FnMut(u32)) -> bool {
    let mut is_lossy = false;
    let mut last = None;
    while !records.is_empty() {
        let word = |at: usize| {
            let bytes = records.get(at..at + 4)?;
            bytes.try_into().ok().map(u32::from_ne_bytes)
        };
        let (Some(kind), Some(size)) = (word(0), word(4).map(|word| (word >> 16) as usize)) else {
            return true;
        };
        match kind {
            PERF_RECORD_MMAP => {
                if let Some(process) = word(HEADER_BYTES)
                    && last != Some(process)
                {
                    on_process(process);
                    last = Some(process);
                }
            }
            PERF_RECORD_LOST => is_lossy = true,
            _ => {}
        }
        match records.get(size..) {
            Some(rest) if size >= HEADER_BYTES => records = rest,
            _ => return true,
        }
    }
    is_lossy
}

/// The ring of one CPU.
#[derive(Debug)]
struct Ring {
    /// `struct perf_event_mmap_page`, then the ring's pages.
    memory: NonNull<u8>,
    page_bytes: usize,
    /// Bytes taken so far.
    tail: u64,
    _event: OwnedFd,
}

impl Ring {
    fn open(cpu: u32) -> io::Result<Self> {
        let event = open(cpu)?;
        let page_bytes = rustix::param::page_size();
        let bytes = page_bytes * (1 + RING_PAGES);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping where the kernel chooses; nothing else is at its address.
        let memory = unsafe {
            mmap(
                std::ptr::null_mut(),
                bytes,
                protection,
                MapFlags::SHARED,
                &event,
                0,
            )
        }?;
        let memory = NonNull::new(memory.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            memory,
            page_bytes,
            tail: 0,
            _event: event,
        })
    }

    /// One of the two positions in the first page.
    fn position(&self, offset: usize) -> &AtomicU64 {
        // SAFETY: the first page is mapped as long as `self` lives, and holds the field.
        let field = unsafe { self.memory.add(offset) };
        // SAFETY: the field is an aligned u64 that the kernel, too, accesses atomically.
        unsafe { AtomicU64::from_ptr(field.cast().as_ptr()) }
    }

    /// Takes what the kernel has written; `true` when there was no room for the longest record.
    fn take(&mut self, records: &mut Vec<u8>) -> bool {
        records.clear();
        let size = self.page_bytes * RING_PAGES;
        let head = self
            .position(std::mem::offset_of!(perf_event_mmap_page, data_head))
            .load(Ordering::Acquire);
        let count = usize::try_from(head.wrapping_sub(self.tail))
            .unwrap_or(size)
            .min(size);
        let from = usize::try_from(self.tail % size as u64).unwrap_or(0);
        let first = count.min(size - from);
        self.copy(from, first, records);
        self.copy(0, count - first, records);
        self.tail = head;
        self.position(std::mem::offset_of!(perf_event_mmap_page, data_tail))
            .store(head, Ordering::Release);
        size - count < MAX_RECORD_BYTES
    }

    /// Appends `count` bytes of the ring from `from`.
    fn copy(&self, from: usize, count: usize, records: &mut Vec<u8>) {
        debug_assert!(from + count <= self.page_bytes * RING_PAGES);
        // SAFETY: the ring's pages follow the first one, and the range is within them.
        let start = unsafe { self.memory.add(self.page_bytes + from) };
        // SAFETY: the kernel does not write between tail and head, so these bytes do not change while they are copied.
        let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), count) };
        records.extend_from_slice(bytes);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        let bytes = self.page_bytes * (1 + RING_PAGES);
        // SAFETY: the mapping is ours alone, and nothing borrows from it any more.
        if let Err(error) = unsafe { munmap(self.memory.as_ptr().cast(), bytes) } {
            log::debug!("unmapping a perf ring: {error}");
        }
    }
}

/// Opens the event of one CPU, for all processes.
fn open(cpu: u32) -> io::Result<OwnedFd> {
    let mut attributes = sys::bindings::perf_event_attr {
        type_: sys::bindings::PERF_TYPE_SOFTWARE,
        size: u32::try_from(size_of::<sys::bindings::perf_event_attr>()).unwrap_or(0),
        config: u64::from(sys::bindings::PERF_COUNT_SW_DUMMY),
        ..Default::default()
    };
    // Of executable memory only; `mmap_data` would be the rest.
    attributes.set_mmap(1);
    // Wakes nobody before the ring is full.
    attributes.set_watermark(1);
    attributes.__bindgen_anon_2.wakeup_watermark = u32::MAX;
    open_event(&mut attributes, cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, size: u16, process: u32) -> Vec<u8> {
        let mut record = kind.to_ne_bytes().to_vec();
        record.extend(2u16.to_ne_bytes());
        record.extend(size.to_ne_bytes());
        record.extend(process.to_ne_bytes());
        record.resize(usize::from(size).max(12), 0);
        record
    }

    fn processes(records: &[u8]) -> (Vec<u32>, bool) {
        let mut found = Vec::new();
        let is_lossy = parse(records, |process| found.push(process));
        (found, is_lossy)
    }

    #[test]
    fn records_name_processes_and_losses() {
        let mmap = |process| record(PERF_RECORD_MMAP, 64, process);
        let whole = [mmap(1), mmap(1), record(7, 16, 99), mmap(2)].concat();
        assert_eq!(processes(&whole), (vec![1, 2], false));
        let lossy = [mmap(1), record(PERF_RECORD_LOST, 24, 5), mmap(2)].concat();
        assert_eq!(processes(&lossy), (vec![1, 2], true));
        assert_eq!(processes(&[]), (vec![], false));
    }

    #[test]
    fn malformed_records_end_the_search_as_a_loss() {
        for size in [0, 7, 65] {
            let mut bytes = record(PERF_RECORD_MMAP, 64, 1);
            bytes[6..8].copy_from_slice(&u16::to_ne_bytes(size));
            assert!(processes(&bytes).1, "{size}");
        }
        assert!(processes(&[1, 0, 0]).1);
    }
}
