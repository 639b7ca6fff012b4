//! What is written while the screen is drawn, to be shown afterwards: the end of it, in a file without a name.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};

use rustix::fs::OFlags;

/// Bytes that are shown, of the end.
const MOST_SHOWN: u64 = 64 << 10;
/// Bytes that the file may have; then it begins again.
const MOST_KEPT: u64 = 16 << 20;

/// The file.
#[derive(Debug)]
pub(super) struct KeptOutput {
    file: File,
    /// Whether a beginning is missing.
    is_cut: bool,
}

impl KeptOutput {
    pub(super) fn new() -> io::Result<Self> {
        let file = tempfile::tempfile()?;
        // Several processes write, each at the end, also when that is the beginning again.
        rustix::fs::fcntl_setfl(&file, OFlags::APPEND)?;
        Ok(Self { file, is_cut: false })
    }

    /// For those who write.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Keeps the file from growing without end. To be called now and then.
    pub(super) fn limit(&mut self) {
        let is_long = self.file.metadata().is_ok_and(|about| about.len() > MOST_KEPT);
        if is_long && self.file.set_len(0).is_ok() {
            self.is_cut = true;
        }
    }

    /// The end of what was written.
    pub(super) fn end(&mut self) -> Vec<u8> {
        let length = self.file.metadata().map_or(0, |about| about.len());
        let start = length.saturating_sub(MOST_SHOWN);
        let mut bytes = Vec::new();
        if self.is_cut || start > 0 {
            bytes.extend_from_slice(b"[...]\n");
        }
        let read = self.file.seek(SeekFrom::Start(start));
        // What cannot be read is not shown.
        let _ = read.and_then(|_| (&self.file).take(MOST_SHOWN).read_to_end(&mut bytes));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{KeptOutput, MOST_KEPT, MOST_SHOWN};

    #[test]
    fn the_end_is_shown_and_the_file_has_a_limit() {
        let mut kept = KeptOutput::new().expect("a temporary folder");
        let mut writer = kept.file().expect("another descriptor");
        writer.write_all(b"one\n").expect("room");
        assert_eq!(kept.end(), b"one\n");
        let much = vec![b'x'; usize::try_from(MOST_KEPT).expect("it fits")];
        writer.write_all(&much).expect("room");
        let end = kept.end();
        assert_eq!(end.len() as u64, MOST_SHOWN + 6);
        kept.limit();
        writer.write_all(b"two\n").expect("room");
        assert_eq!(kept.end(), b"[...]\ntwo\n");
    }
}
