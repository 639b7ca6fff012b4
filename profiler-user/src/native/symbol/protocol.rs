//! Messages as bytes: a tag, then the fields, numbers little-endian, texts and lists with their length before them.
//!
//! The worker reads hostile files, so its answers are as foreign as they are: decoding is total, and what it allocates is in
//! proportion to the bytes that are there.

use bytes::{Buf, BufMut};

use super::messages::{
    CodePosition, FunctionName, LoadedSymbols, MAX_NAMES, MAX_POSITIONS, NotLoaded, Reply, Request, Unknown,
};
use crate::ids::ProcessKey;

/// Bytes of a message: [`MAX_POSITIONS`] with the most and longest names.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 << 20;

/// Whether these bytes are an answer of the worker that says of itself what it was decoded from. For the fuzz target.
#[must_use]
pub fn is_answer(bytes: &[u8]) -> bool {
    let Some(reply) = decode::<Reply>(bytes) else {
        return false;
    };
    assert_eq!(encode(&reply), bytes, "one message, one way to write it");
    true
}

/// What travels between the processes.
pub(super) trait Message: Sized {
    /// How many of them a list may have; nobody sends more.
    const MAX_IN_LIST: usize = MAX_POSITIONS;
    /// Appends its bytes.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes its bytes; `None` when they are no such message.
    fn take(input: &mut &[u8]) -> Option<Self>;
}

/// A message as bytes.
pub(super) fn encode(message: &impl Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.put(&mut bytes);
    bytes
}

/// The message that these bytes are, to the last one.
pub(super) fn decode<T: Message>(mut bytes: &[u8]) -> Option<T> {
    let message = T::take(&mut bytes)?;
    bytes.is_empty().then_some(message)
}

impl Message for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u32_le(*self);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        input.try_get_u32_le().ok()
    }
}

impl Message for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u64_le(*self);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        input.try_get_u64_le().ok()
    }
}

impl Message for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8((*self).into());
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        match input.try_get_u8().ok()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Message for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.put_slice(self.as_bytes());
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u32::take(input)?).ok()?;
        let (text, rest) = input.split_at_checked(length)?;
        *input = rest;
        std::str::from_utf8(text).ok().map(str::to_owned)
    }
}

impl<T: Message> Message for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        match bool::take(input)? {
            true => T::take(input).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Message> Message for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for item in self {
            item.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u32::take(input)?).ok()?;
        if length > T::MAX_IN_LIST {
            return None;
        }
        (0..length).map(|_| T::take(input)).collect()
    }
}

impl<T: Message, U: Message> Message for (T, U) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        Some((T::take(input)?, U::take(input)?))
    }
}

impl<T: Message, E: Message> Message for Result<T, E> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_ok().put(out);
        match self {
            Ok(value) => value.put(out),
            Err(error) => error.put(out),
        }
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        Some(match bool::take(input)? {
            true => Ok(T::take(input)?),
            false => Err(E::take(input)?),
        })
    }
}

/// Longer lists are not sent: a message has [`MAX_MESSAGE_BYTES`] at most.
fn put_length(length: usize, out: &mut Vec<u8>) {
    out.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
}

impl Message for CodePosition {
    fn put(&self, out: &mut Vec<u8>) {
        let (tag, value) = match self {
            Self::Address(address) => (0, address),
            Self::Offset(offset) => (1, offset),
        };
        out.put_u8(tag);
        value.put(out);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        match input.try_get_u8().ok()? {
            0 => u64::take(input).map(Self::Address),
            1 => u64::take(input).map(Self::Offset),
            _ => None,
        }
    }
}

impl Message for NotLoaded {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(match self {
            Self::Unreadable => 0,
            Self::NotElf => 1,
            Self::TooLarge => 2,
        });
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        Some(match input.try_get_u8().ok()? {
            0 => Self::Unreadable,
            1 => Self::NotElf,
            2 => Self::TooLarge,
            _ => return None,
        })
    }
}

impl Message for Unknown {
    fn put(&self, out: &mut Vec<u8>) {
        out.put_u8(match self {
            Self::NoSymbol => 0,
            Self::NotCode => 1,
        });
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        Some(match input.try_get_u8().ok()? {
            0 => Self::NoSymbol,
            1 => Self::NotCode,
            _ => return None,
        })
    }
}

impl Message for FunctionName {
    const MAX_IN_LIST: usize = MAX_NAMES;

    fn put(&self, out: &mut Vec<u8>) {
        self.symbol.put(out);
        self.file.put(out);
        self.line.put(out);
        self.inlined.put(out);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        Some(Self {
            symbol: Message::take(input)?,
            file: Message::take(input)?,
            line: Message::take(input)?,
            inlined: Message::take(input)?,
        })
    }
}

impl Message for LoadedSymbols {
    fn put(&self, out: &mut Vec<u8>) {
        self.content.put(out);
        self.bytes.put(out);
        self.has_debug_info.put(out);
        self.build_id.put(out);
        self.debug_link.put(out);
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        Some(Self {
            content: Message::take(input)?,
            bytes: Message::take(input)?,
            has_debug_info: Message::take(input)?,
            build_id: Message::take(input)?,
            debug_link: Message::take(input)?,
        })
    }
}

impl Message for Request {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Load { slot, debug_info } => {
                out.put_u8(0);
                slot.put(out);
                debug_info.put(out);
            }
            Self::Attach { slot } => {
                out.put_u8(1);
                slot.put(out);
            }
            Self::Resolve { slot, positions } => {
                out.put_u8(2);
                slot.put(out);
                positions.put(out);
            }
            Self::Drop { slot } => {
                out.put_u8(3);
                slot.put(out);
            }
            Self::Jit { process, addresses } => {
                out.put_u8(4);
                process.tgid.put(out);
                process.incarnation.put(out);
                addresses.put(out);
            }
        }
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        let tag = input.try_get_u8().ok()?;
        if tag == 4 {
            return Some(Self::Jit {
                process: ProcessKey {
                    tgid: Message::take(input)?,
                    incarnation: Message::take(input)?,
                },
                addresses: Message::take(input)?,
            });
        }
        let slot = Message::take(input)?;
        Some(match tag {
            0 => Self::Load {
                slot,
                debug_info: Message::take(input)?,
            },
            1 => Self::Attach { slot },
            2 => Self::Resolve {
                slot,
                positions: Message::take(input)?,
            },
            3 => Self::Drop { slot },
            _ => return None,
        })
    }
}

impl Message for Reply {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Loaded(loaded) => {
                out.put_u8(0);
                loaded.put(out);
            }
            Self::NotLoaded(reason) => {
                out.put_u8(1);
                reason.put(out);
            }
            Self::Attached { content, bytes } => {
                out.put_u8(2);
                content.put(out);
                bytes.put(out);
            }
            Self::Resolved(answers) => {
                out.put_u8(3);
                answers.put(out);
            }
            Self::Dropped => out.put_u8(4),
            Self::Jit { has_map, names } => {
                out.put_u8(5);
                has_map.put(out);
                names.put(out);
            }
        }
    }

    fn take(input: &mut &[u8]) -> Option<Self> {
        Some(match input.try_get_u8().ok()? {
            0 => Self::Loaded(Message::take(input)?),
            1 => Self::NotLoaded(Message::take(input)?),
            2 => Self::Attached {
                content: Message::take(input)?,
                bytes: Message::take(input)?,
            },
            3 => Self::Resolved(Message::take(input)?),
            4 => Self::Dropped,
            5 => Self::Jit {
                has_map: Message::take(input)?,
                names: Message::take(input)?,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::{any, prop_assert_eq, proptest};

    use super::*;

    fn check<T: Message + PartialEq + Debug>(message: &T) {
        let bytes = encode(message);
        assert_eq!(decode::<T>(&bytes).as_ref(), Some(message));
        for end in 0..bytes.len() {
            assert_eq!(decode::<T>(&bytes[..end]), None, "{message:?} cut at {end}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(decode::<T>(&longer), None, "{message:?} and a byte more");
    }

    fn name() -> FunctionName {
        FunctionName {
            file: Some("/src/ü.c".to_owned()),
            line: Some(7),
            inlined: true,
            ..FunctionName::plain("f<int>".to_owned())
        }
    }

    #[test]
    fn every_message_arrives_as_it_was_and_no_part_of_it_is_one() {
        let slot = 7;
        for request in [
            Request::Load {
                slot,
                debug_info: true,
            },
            Request::Attach { slot },
            Request::Resolve {
                slot,
                positions: vec![CodePosition::Address(u64::MAX), CodePosition::Offset(3)],
            },
            Request::Drop { slot },
            Request::Jit {
                process: ProcessKey {
                    tgid: 7,
                    incarnation: u64::MAX,
                },
                addresses: vec![1, 2],
            },
        ] {
            check(&request);
        }
        for reply in [
            Reply::Loaded(LoadedSymbols {
                content: 1,
                bytes: 2,
                has_debug_info: false,
                build_id: Some("c0ffee".to_owned()),
                debug_link: Some(("x.debug".to_owned(), 3)),
            }),
            Reply::NotLoaded(NotLoaded::TooLarge),
            Reply::Attached {
                content: Some(9),
                bytes: 8,
            },
            Reply::Resolved(vec![
                Ok(vec![name(), FunctionName::plain("main".to_owned())]),
                Err(Unknown::NotCode),
                Ok(Vec::new()),
            ]),
            Reply::Dropped,
            Reply::Jit {
                has_map: true,
                names: vec![Some(name()), None],
            },
        ] {
            check(&reply);
        }
    }

    #[test]
    fn lengths_that_lie_cost_nothing() {
        let mut bytes = vec![3];
        bytes.extend_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(decode::<Reply>(&bytes), None);
        bytes.extend_from_slice(&[1, 255, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!(decode::<Reply>(&bytes), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = is_answer(&bytes);
            if let Some(request) = decode::<Request>(&bytes) {
                prop_assert_eq!(encode(&request), bytes);
            }
        }
    }
}
