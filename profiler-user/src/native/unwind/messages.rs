//! What the thread that has blocks compiled ([`super::compiler`]) and the worker that compiles them ([`super::worker`]) say to
//! each other.
//!
//! The worker reads hostile files, so its answers are as foreign as they are: decoding is total, what it allocates is in
//! proportion to the bytes that are there, and rows that the kernel half could not search are refused.

use profiler_common::contract::unwind::{MAX_BLOCK_ROWS, Row};
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes as _, IntoBytes as _};

use super::error::TableError;
use super::file::CompiledBlock;

/// Bytes of a message: a block with the most rows.
pub(super) const MAX_MESSAGE_BYTES: usize = MAX_BLOCK_ROWS * size_of::<Row>() + 64;

/// Whether these bytes are an answer of the worker, whose rows the kernel half can search. For the fuzz target.
#[must_use]
pub fn is_block_answer(bytes: &[u8]) -> bool {
    let Some(answer) = decode_answer(bytes) else {
        return false;
    };
    let again = decode_answer(&encode_answer(&answer));
    assert_eq!(again, Some(answer), "an answer that travels stays the same");
    true
}

/// A block, please. The file comes with the first question about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Question {
    /// Which file; never given twice.
    pub(super) file: u32,
    /// Which block, counted from the file's first one.
    pub(super) block: u32,
}

/// Why there is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fault {
    /// The worker does not have the file (any more).
    NoFile,
    /// As [`TableError::NotSupported`].
    NotSupported,
    /// As [`TableError::TooLarge`].
    TooLarge,
    /// As [`TableError::NoBlock`].
    NoBlock,
    /// It could not be read, or is malformed.
    Malformed,
}

/// What the worker answers.
pub(super) type Answer = Result<CompiledBlock, Fault>;

/// A [`CompiledBlock`], as it travels.
#[derive(Serialize, Deserialize)]
struct Block<'a> {
    #[serde(with = "serde_bytes_of")]
    rows: &'a [u8],
    frame_pointers: bool,
    is_cut: bool,
}

/// Bytes, borrowed from the message.
mod serde_bytes_of {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
        <&[u8]>::deserialize(deserializer)
    }
}

impl Question {
    /// As bytes.
    pub(super) fn encode(self) -> Vec<u8> {
        postcard::to_stdvec(&self).unwrap_or_default()
    }

    /// From bytes that the main process wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

/// An answer as bytes.
pub(super) fn encode_answer(answer: &Answer) -> Vec<u8> {
    let answer = answer.as_ref().map(|block| Block {
        rows: block.rows.as_bytes(),
        frame_pointers: block.frame_pointers,
        is_cut: block.is_cut,
    });
    postcard::to_stdvec(&answer).unwrap_or_default()
}

/// The answer that these bytes are, to the last one; `None` for what no worker says.
pub(super) fn decode_answer(bytes: &[u8]) -> Option<Answer> {
    let (answer, rest) = postcard::take_from_bytes::<Result<Block<'_>, Fault>>(bytes).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let block = match answer {
        Ok(block) => block,
        Err(fault) => return Some(Err(fault)),
    };
    let (rows, rest) = block.rows.as_chunks::<{ size_of::<Row>() }>();
    if !rest.is_empty() || rows.len() > MAX_BLOCK_ROWS {
        return None;
    }
    let rows: Vec<Row> = rows
        .iter()
        .map(|bytes| Row::read_from_bytes(bytes).ok())
        .collect::<Option<_>>()?;
    let begins = rows.first().is_some_and(|first| first.start() == 0);
    let is_sorted = rows.windows(2).all(|pair| pair[0].start() < pair[1].start());
    (begins && is_sorted).then_some(Ok(CompiledBlock {
        rows,
        frame_pointers: block.frame_pointers,
        is_cut: block.is_cut,
    }))
}

impl From<&TableError> for Fault {
    fn from(error: &TableError) -> Self {
        match error {
            TableError::NotSupported => Self::NotSupported,
            TableError::TooLarge => Self::TooLarge,
            TableError::NoBlock => Self::NoBlock,
            TableError::Elf(_) | TableError::Malformed | TableError::Lost => Self::Malformed,
        }
    }
}

impl Fault {
    /// The same for whoever asked.
    pub(super) fn error(self) -> TableError {
        match self {
            Self::NotSupported => TableError::NotSupported,
            Self::TooLarge => TableError::TooLarge,
            Self::NoBlock => TableError::NoBlock,
            Self::NoFile | Self::Malformed => TableError::Malformed,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn block(starts: &[u16]) -> CompiledBlock {
        CompiledBlock {
            rows: starts.iter().map(|start| Row(0).with_start(*start)).collect(),
            frame_pointers: true,
            is_cut: false,
        }
    }

    #[test]
    fn blocks_and_faults_arrive_as_they_were() {
        for answer in [
            Ok(block(&[0])),
            Ok(block(&[0, 1, 7, u16::MAX])),
            Err(Fault::NoFile),
            Err(Fault::Malformed),
        ] {
            let bytes = encode_answer(&answer);
            assert!(is_block_answer(&bytes));
            assert_eq!(decode_answer(&bytes), Some(answer));
            assert_eq!(decode_answer(&bytes[..bytes.len() - 1]), None);
            assert_eq!(decode_answer(&[&bytes[..], &[0]].concat()), None);
        }
    }

    #[test]
    fn rows_that_cannot_be_searched_are_refused() {
        for starts in [&[][..], &[1], &[0, 7, 7], &[0, 9, 3]] {
            assert_eq!(
                decode_answer(&encode_answer(&Ok(block(starts)))),
                None,
                "{starts:?}"
            );
        }
        let many = vec![Row(0); MAX_BLOCK_ROWS + 1];
        let many = CompiledBlock {
            rows: many,
            ..CompiledBlock::default()
        };
        assert_eq!(decode_answer(&encode_answer(&Ok(many))), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = is_block_answer(&bytes);
        }
    }
}
