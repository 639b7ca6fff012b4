//! The socket between [`super::client`] and [`super::worker`]: messages with their length before them; a file travels beside
//! the request that is about it.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use super::protocol::{Message, decode, encode};

/// Bytes of a message: [`MAX_POSITIONS`](super::messages::MAX_POSITIONS) with the most and longest names.
const MAX_MESSAGE_BYTES: u32 = 64 << 20;
/// Bytes set aside for a message before any of it has come.
const FIRST_BYTES: usize = 64 << 10;

/// Sends a message, and a file with it.
///
/// # Errors
/// As writing to a socket; `FileTooLarge` for a message that would not be taken.
pub(super) fn send(
    mut stream: &UnixStream,
    message: &impl Message,
    file: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let bytes = encode(message);
    let length = u32::try_from(bytes.len())
        .ok()
        .filter(|&length| length <= MAX_MESSAGE_BYTES);
    let header = length.ok_or(io::ErrorKind::FileTooLarge)?.to_le_bytes();
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
    stream.write_all(&bytes)
}

/// Receives a message, and the file that came with it; `None` at the end of the stream.
///
/// # Errors
/// As reading from a socket; `InvalidData` for bytes that are no message.
pub(super) fn receive<T: Message>(stream: &UnixStream) -> io::Result<Option<(T, Option<OwnedFd>)>> {
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
    let length = u32::from_le_bytes(header);
    if length > MAX_MESSAGE_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let length = length as usize;
    let mut bytes = Vec::with_capacity(length.min(FIRST_BYTES));
    stream.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let message = decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Some((message, file)))
}
