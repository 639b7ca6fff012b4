//! Messages over a stream socket: each has its length before it, and a file may travel beside it.
//!
//! A worker waits for each message, because it has nothing else to do. The main process never waits: [`Incoming`] keeps
//! what has come until a message is complete.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use bytes::{Buf as _, Bytes, BytesMut};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// Bytes set aside for a message before any of it has come.
const FIRST_BYTES: usize = 64 << 10;
/// Bytes of a length.
const HEADER_BYTES: usize = 4;

/// Sends a message of at most `most` bytes, and a file with it.
///
/// # Errors
/// As writing to a socket; `FileTooLarge` for a message that is too long.
pub(crate) fn send(
    mut stream: &UnixStream,
    bytes: &[u8],
    most: usize,
    file: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let header = header(bytes.len(), most).ok_or(io::ErrorKind::FileTooLarge)?;
    // Four bytes into an empty socket: all or nothing.
    let sent = send_some(stream, &header, file)?;
    if sent != header.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    stream.write_all(bytes)
}

/// Sends part of a message, and a file with its first byte, as far as there is room. How many bytes were sent.
///
/// # Errors
/// As writing to a socket.
pub(crate) fn send_some(
    stream: &UnixStream,
    bytes: &[u8],
    file: Option<BorrowedFd<'_>>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let files: Vec<BorrowedFd<'_>> = file.into_iter().collect();
    if !files.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&files));
    }
    let sent = rustix::net::sendmsg(
        stream.as_fd(),
        &[IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(sent)
}

/// Receives a message, and the file that came with it; `None` at the end of the stream.
///
/// # Errors
/// As reading from a socket; `FileTooLarge` for a message of more than `most` bytes.
pub(crate) fn receive(stream: &UnixStream, most: usize) -> io::Result<Option<(Vec<u8>, Option<OwnedFd>)>> {
    let mut header = [0; HEADER_BYTES];
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
        HEADER_BYTES => {}
        _ => return Err(io::ErrorKind::UnexpectedEof.into()),
    }
    let file = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let length = u32::from_le_bytes(header) as usize;
    if length > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::with_capacity(length.min(FIRST_BYTES));
    stream.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Some((bytes, file)))
}

/// Takes a file out of a socket that was sent with nothing else; never waits.
///
/// # Errors
/// As reading from a socket; `NotFound` where there is none.
pub(crate) fn take_file(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut header = [0; HEADER_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut header)],
        &mut ancillary,
        RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT,
    )?;
    let file = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    file.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// What goes before a message of this length; `None` if it is too long.
pub(crate) fn header(bytes: usize, most: usize) -> Option<[u8; HEADER_BYTES]> {
    let length = u32::try_from(bytes).ok()?;
    (bytes <= most).then(|| length.to_le_bytes())
}

/// What has come through a socket that is not waited for.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    bytes: BytesMut,
}

impl Incoming {
    /// Takes what has come; `false` once the other side has closed the stream.
    ///
    /// # Errors
    /// As reading from a socket.
    pub(crate) fn read(&mut self, mut stream: &UnixStream) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(bytes) => self.bytes.extend_from_slice(&buffer[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next message, if it is complete.
    ///
    /// # Errors
    /// `FileTooLarge` for a message of more than `most` bytes.
    pub(crate) fn next(&mut self, most: usize) -> io::Result<Option<Bytes>> {
        let Ok(length) = (&self.bytes[..]).try_get_u32_le() else {
            return Ok(None);
        };
        let length = length as usize;
        if length > most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if self.bytes.len() - HEADER_BYTES < length {
            return Ok(None);
        }
        self.bytes.advance(HEADER_BYTES);
        Ok(Some(self.bytes.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_given_out_once_it_is_complete() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        ours.set_nonblocking(true).expect("a socket");
        let mut incoming = Incoming::default();
        let message = b"0123456789";
        let whole = [&header(message.len(), 10).expect("short enough")[..], message].concat();
        for byte in &whole[..whole.len() - 1] {
            (&theirs).write_all(&[*byte]).expect("room");
            assert!(incoming.read(&ours).expect("open"));
            assert_eq!(incoming.next(10).expect("not too long"), None);
        }
        (&theirs).write_all(&whole[whole.len() - 1..]).expect("room");
        (&theirs).write_all(&whole).expect("room");
        drop(theirs);
        assert!(!incoming.read(&ours).expect("readable"));
        for expected in [Some(&message[..]), Some(message), None] {
            assert_eq!(incoming.next(10).expect("not too long").as_deref(), expected);
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_neither_sent_nor_taken() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        assert!(send(&ours, &[0; 11], 10, None).is_err());
        send(&ours, &[0; 11], 11, None).expect("room");
        assert!(receive(&theirs, 10).is_err());
        let mut incoming = Incoming {
            bytes: BytesMut::from(&[11, 0, 0, 0][..]),
        };
        assert!(incoming.next(10).is_err());
    }
}
