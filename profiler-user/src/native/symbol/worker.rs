//! The process that reads foreign ELF files, debug information and perf maps, so that pyebpf itself does not. Started by
//! [`super::client`].
//!
//! Libraries that interpret debug information are not written for hostile files: they recurse as deep as the file says,
//! allocate what it claims, and take as long as it wants. None of that can be caught inside a process. Here it ends with
//! this process, which has limits and nothing worth keeping; the client starts another one and asks for less. Opens no path:
//! files come through the socket.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::{Rc, Weak};

use super::copy::crc_of;
use super::messages::{
    CodePosition, FileSlot, FunctionName, LoadedSymbols, NotLoaded, Reply, Request, Unknown,
};
use super::perf_map::PerfMaps;
use super::protocol::{MAX_MESSAGE_BYTES, decode, encode};
use super::symbol_file::SymbolFile;
use crate::elf::{ElfError, FileBytes};
use crate::workers::confine_this_process;
use crate::workers::stream::{receive, send, take_file};

/// Bytes of heap that this process may have; a library that asks for more ends it.
const MAX_HEAP: u64 = 2 << 30;
/// Bytes of addresses: the heap, and files in memory that blazesym maps.
const MAX_ADDRESSES: u64 = 6 << 30;
/// The nice value: names can wait, the programs of the host cannot.
const NICENESS: i32 = 10;

/// Serves requests until the socket is closed.
///
/// # Errors
/// When the socket fails, or the other side does not keep to the protocol.
pub(super) fn serve(stream: &UnixStream) -> io::Result<()> {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        log::debug!("symbol worker: priority: {error}");
    }
    confine_this_process(MAX_HEAP, MAX_ADDRESSES)?;
    let mut worker = Worker::default();
    while let Some((bytes, socket)) = receive(stream, MAX_MESSAGE_BYTES)? {
        let file = socket.and_then(|socket| take_file(socket.as_fd()).ok());
        let request = decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        let reply = worker.answer(request, file);
        send(stream, &encode(&reply), MAX_MESSAGE_BYTES, None)?;
    }
    Ok(())
}

/// What is loaded.
#[derive(Debug, Default)]
pub(super) struct Worker {
    slots: HashMap<FileSlot, LoadedFile>,
    /// By content: containers that bring the same library share it.
    images: HashMap<(u64, bool), Weak<SymbolFile>>,
    hasher: RandomState,
    perf_maps: PerfMaps,
}

#[derive(Debug)]
struct LoadedFile {
    code: Rc<SymbolFile>,
    debug: Option<Rc<SymbolFile>>,
}

impl Worker {
    pub(super) fn answer(&mut self, request: Request, file: Option<OwnedFd>) -> Reply {
        match (request, file.map(File::from)) {
            (Request::Load { slot, debug_info }, Some(file)) => self.load(slot, file.into(), debug_info),
            (Request::Load { .. }, None) => Reply::NotLoaded(NotLoaded::Unreadable),
            (Request::Attach { slot }, file) => self.attach(slot, file.map(FileBytes::from)),
            (Request::Resolve { slot, positions }, _) => Reply::Resolved(self.resolve(slot, &positions)),
            (Request::Drop { slot }, _) => {
                self.slots.remove(&slot);
                self.images.retain(|_, image| image.strong_count() > 0);
                Reply::Dropped
            }
            (Request::Jit { process, addresses }, file) => {
                let (has_map, names) = self.perf_maps.resolve(process, file.as_ref(), &addresses);
                Reply::Jit { has_map, names }
            }
        }
    }

    fn load(&mut self, slot: FileSlot, file: FileBytes, debug_info: bool) -> Reply {
        let code = match self.open(file, debug_info) {
            Ok(code) => code,
            Err(error) => {
                return Reply::NotLoaded(match error {
                    ElfError::Io(_) => NotLoaded::Unreadable,
                    ElfError::TooLarge => NotLoaded::TooLarge,
                    ElfError::NotElf | ElfError::BigEndian | ElfError::Malformed(_) => NotLoaded::NotElf,
                });
            }
        };
        let reference = code.reference();
        let reply = Reply::Loaded(LoadedSymbols {
            content: code.content(),
            bytes: code.bytes(),
            has_debug_info: code.has_debug_info(),
            build_id: reference.build_id.clone(),
            debug_link: reference.link.clone(),
        });
        self.slots.insert(slot, LoadedFile { code, debug: None });
        reply
    }

    /// The image of a file, shared with others that have the same content.
    fn open(&mut self, file: FileBytes, debug_info: bool) -> Result<Rc<SymbolFile>, ElfError> {
        let image = SymbolFile::open(file, debug_info, &self.hasher)?;
        let key = (image.content(), image.has_debug_info());
        if let Some(known) = self.images.get(&key).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let image = Rc::new(image);
        self.images.insert(key, Rc::downgrade(&image));
        Ok(image)
    }

    fn attach(&mut self, slot: FileSlot, file: Option<FileBytes>) -> Reply {
        const REFUSED: Reply = Reply::Attached {
            content: None,
            bytes: 0,
        };
        let Some((code, file)) = self
            .slots
            .get(&slot)
            .map(|entry| Rc::clone(&entry.code))
            .zip(file)
        else {
            return REFUSED;
        };
        let Ok(debug) = self.open(file.clone(), true) else {
            return REFUSED;
        };
        if !belongs(&code, &debug, &file) {
            return REFUSED;
        }
        let reply = Reply::Attached {
            content: Some(debug.content()),
            bytes: debug.bytes(),
        };
        if let Some(entry) = self.slots.get_mut(&slot) {
            entry.debug = Some(debug);
        }
        reply
    }

    fn resolve(&self, slot: FileSlot, positions: &[CodePosition]) -> Vec<Result<Vec<FunctionName>, Unknown>> {
        let entry = self.slots.get(&slot);
        positions
            .iter()
            .map(|position| entry.ok_or(Unknown::NoSymbol)?.resolve(*position))
            .collect()
    }
}

/// A debug file names the file it was split from by build-id; from before there were any, the file names it by checksum.
fn belongs(code: &SymbolFile, debug: &SymbolFile, file: &FileBytes) -> bool {
    match (&code.reference().build_id, &debug.reference().build_id) {
        (Some(code), Some(debug)) => code == debug,
        _ => {
            let link = code.reference().link.as_ref();
            link.is_some_and(|(_, crc)| crc_of(file) == Some(*crc))
        }
    }
}

impl LoadedFile {
    fn resolve(&self, position: CodePosition) -> Result<Vec<FunctionName>, Unknown> {
        // A debug file has the addresses of the file it belongs to, but not its offsets.
        let address = self.code.address_of(position).ok_or(Unknown::NotCode)?;
        let images = self.debug.iter().chain([&self.code]);
        images
            .map(|image| image.names(address, self.code.aliases()))
            .find(|names| !names.is_empty())
            .ok_or(Unknown::NoSymbol)
    }
}
