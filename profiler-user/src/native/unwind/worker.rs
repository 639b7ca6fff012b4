//! The process that compiles unwind tables: it reads files that strangers wrote, and has nothing but them. Asked by
//! [`super::compiler`]. Opens no path: files come through the socket.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;

use super::error::TableError;
use super::file::FileTables;
use super::messages::{Answer, Fault, MAX_MESSAGE_BYTES, Question, encode_answer};
use crate::workers::stream::{receive, send, take_file};
use crate::workers::{Role, confine_this_process};

/// The row of `crate::roles`.
pub const ROLE: Role = Role {
    name: "parse-tables",
    serve,
};

/// Bytes of heap that this process may have.
const MAX_HEAP: u64 = 1 << 30;
/// Bytes of addresses.
const MAX_ADDRESSES: u64 = 2 << 30;
/// Files kept open, at most.
const MAX_OPEN: usize = 24;

/// Answers questions until nobody asks any more.
fn serve(stream: &UnixStream) -> io::Result<()> {
    confine_this_process(MAX_HEAP, MAX_ADDRESSES)?;
    let mut files = OpenFiles::default();
    while let Some((bytes, socket)) = receive(stream, MAX_MESSAGE_BYTES)? {
        let file = socket.and_then(|socket| take_file(socket.as_fd()).ok());
        let question = Question::decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
        let answer = files.answer(question, file.map(File::from));
        send(stream, &encode_answer(&answer), MAX_MESSAGE_BYTES, None)?;
    }
    Ok(())
}

/// Files, the one used last at the end.
#[derive(Default)]
struct OpenFiles {
    files: VecDeque<(u32, FileTables)>,
}

impl OpenFiles {
    fn answer(&mut self, question: Question, file: Option<File>) -> Answer {
        let tables = self.find(question.file, file)?;
        tables.block(question.block).map_err(|error| Fault::from(&error))
    }

    fn find(&mut self, number: u32, file: Option<File>) -> Result<&mut FileTables, Fault> {
        let known = self.files.iter().position(|(known, _)| *known == number);
        let tables = match (known.and_then(|at| self.files.remove(at)), file) {
            (Some((_, tables)), _) => tables,
            (None, None) => return Err(Fault::NoFile),
            (None, Some(file)) => {
                if self.files.len() >= MAX_OPEN {
                    self.files.pop_front();
                }
                FileTables::open(file).map_err(|error: TableError| Fault::from(&error))?
            }
        };
        self.files.push_back((number, tables));
        self.files
            .back_mut()
            .map(|(_, tables)| tables)
            .ok_or(Fault::NoFile)
    }
}
