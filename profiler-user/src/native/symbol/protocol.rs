//! What [`super::client`] and [`super::worker`] say to each other: JSON with its length before it, over a Unix socket; a file
//! travels beside the request that is about it.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Bytes of a message: [`CHUNK`](super::client::CHUNK) addresses with the most and longest names.
const MAX_MESSAGE: usize = 64 << 20;

/// Which loaded file; the client gives the numbers.
pub(super) type Slot = u32;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// The address that the file itself gives to it: what its symbol table has.
    Address(u64),
    /// The byte of the file.
    Offset(u64),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Take in the file that comes with it.
    Load { slot: Slot, debug_info: bool },
    /// The file that comes with it may hold the debug information of that one.
    Attach { slot: Slot },
    /// Names, please.
    Resolve { slot: Slot, places: Vec<Place> },
    /// Not needed any more.
    Drop { slot: Slot },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Loaded(Loaded),
    NotLoaded(LoadError),
    /// The content of the debug file, if it belongs to the file and was taken.
    Attached {
        content: Option<u64>,
        bytes: u64,
    },
    /// One for each place.
    Resolved(Vec<Result<Vec<WireName>, Unknown>>),
    Dropped,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Loaded {
    pub(super) content: u64,
    pub(super) bytes: u64,
    pub(super) has_debug_info: bool,
    pub(super) build_id: Option<String>,
    /// Name and CRC-32 of a debug file.
    pub(super) debug_link: Option<(String, u32)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LoadError {
    Unreadable,
    NotElf,
    TooLarge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Unknown {
    NoSymbol,
    NotCode,
}

/// A [`NativeName`](super::NativeName) without its module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WireName {
    pub(super) symbol: String,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) inlined: bool,
}

impl WireName {
    /// A name without a source line.
    pub(super) fn plain(symbol: String) -> Self {
        Self {
            symbol,
            file: None,
            line: None,
            inlined: false,
        }
    }
}

/// Sends a message, and a file with it.
pub(super) fn send(
    mut stream: &UnixStream,
    message: &impl Serialize,
    file: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let length = u32::try_from(text.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let header = length.to_le_bytes();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    if !files.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
    }
    // Four bytes into an empty socket: all or nothing.
    let sent = rustix::net::sendmsg(
        stream.as_fd(),
        &[IoSlice::new(&header)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    if sent != header.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    stream.write_all(&text)
}

/// Receives a message, and the file that came with it; `None` at the end of the stream.
pub(super) fn receive<T: DeserializeOwned>(
    mut stream: &UnixStream,
) -> io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut header = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        stream.as_fd(),
        &mut [IoSliceMut::new(&mut header)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    match received.bytes {
        0 => return Ok(None),
        4 => {}
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    let file = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let length = u32::from_le_bytes(header) as usize;
    if length > MAX_MESSAGE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut text = vec![0; length];
    stream.read_exact(&mut text)?;
    Ok(Some((serde_json::from_slice(&text)?, file)))
}
