//! Why a file could not be read as a recording.

use std::io;

/// What is wrong with a file, or that it holds more than is read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It could not be opened or read, or its compression is damaged.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is larger than files that are read.
    #[error("the file has more than {most_bytes} bytes, which is the most that is read")]
    FileTooLarge {
        /// The limit.
        most_bytes: u64,
    },
    /// It grows beyond all measure when it is decompressed.
    #[error("decompressed it has more than {most_bytes} bytes, which is the most that is read")]
    ContentTooLarge {
        /// The limit.
        most_bytes: u64,
    },
    /// What must be kept of it has no room.
    #[error(
        "its stacks, names and labels take more than {most_bytes} bytes of memory, which is the most that is kept"
    )]
    TooMuchToKeep {
        /// The limit.
        most_bytes: u64,
    },
    /// Another kind of file.
    #[error("this is {what}, and neither a pprof file nor folded stacks")]
    OtherFormat {
        /// What it looks like.
        what: &'static str,
    },
    /// Nothing is in it.
    #[error("the file is empty")]
    Empty,
    /// Not a protobuf message, or one that breaks off.
    #[error("damaged pprof: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// One of the messages in it cannot be decoded.
    #[error("damaged pprof: {0}")]
    Message(#[from] prost::DecodeError),
    /// A text that is not in the table of strings.
    #[error("damaged pprof: {what} is string {index}, and there are {strings}")]
    MissingText {
        /// Whose text.
        what: &'static str,
        /// Where it should be.
        index: i64,
        /// How many there are.
        strings: usize,
    },
    /// A sample, location or line that refers to what is not there.
    #[error("damaged pprof: there is no {what} {id}")]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Its number.
        id: u64,
    },
    /// Two entries of a table have the same number.
    #[error("damaged pprof: there are two of {what} {id}")]
    Twice {
        /// What there are two of.
        what: &'static str,
        /// Their number.
        id: u64,
    },
    /// The values of a sample do not fit the types of the file.
    #[error("damaged pprof: a sample has {values} values, and the file says it has {types}")]
    Values {
        /// Values of the sample.
        values: usize,
        /// Types of the file.
        types: usize,
    },
    /// A stack deeper than any program makes.
    #[error("damaged pprof: a stack has more than {most} frames")]
    TooDeep {
        /// The limit.
        most: usize,
    },
    /// More kinds of values than any program writes.
    #[error("damaged pprof: {types} kinds of values, and at least 1 and at most {most} are read")]
    Types {
        /// How many there are.
        types: usize,
        /// The limit.
        most: usize,
    },
    /// A line of folded stacks without a number.
    #[error("line {line} is no folded stack: it does not end in a space and a whole number")]
    NotAStack {
        /// Which line, from 1.
        line: u64,
    },
    /// Its values are others than those of the files before it.
    #[error("its values are {found}, and those of the other files are {expected}")]
    OtherTypes {
        /// Those of this file.
        found: String,
        /// Those of the others.
        expected: String,
    },
}
