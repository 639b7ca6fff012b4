//! What the [runner](super::runner) tells pyebpf: messages of five bytes.

/// Bytes of a report.
pub(super) const BYTES: usize = 5;

/// What has happened to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// It runs, as this process.
    Started(u32),
    /// The system refused to execute it: an `errno`.
    NotStarted(i32),
    /// The runner may not become the user who called sudo: an `errno`.
    NotTheUser(i32),
    /// The whole process group was sent a SIGINT: Ctrl-C in the terminal.
    Interrupted,
    /// It has ended: a status as `waitpid` gives it.
    Ended(i32),
}

impl Report {
    pub(super) fn encode(self) -> [u8; BYTES] {
        let (kind, value) = match self {
            Self::Started(pid) => (b'S', pid.cast_signed()),
            Self::NotStarted(errno) => (b'N', errno),
            Self::NotTheUser(errno) => (b'U', errno),
            Self::Interrupted => (b'I', 0),
            Self::Ended(status) => (b'E', status),
        };
        let [a, b, c, d] = value.to_le_bytes();
        [kind, a, b, c, d]
    }

    /// `None` for anything that [`Report::encode`] does not write.
    pub(super) fn decode([kind, a, b, c, d]: [u8; BYTES]) -> Option<Self> {
        let value = i32::from_le_bytes([a, b, c, d]);
        match kind {
            b'S' => u32::try_from(value).ok().map(Self::Started),
            b'N' => Some(Self::NotStarted(value)),
            b'U' => Some(Self::NotTheUser(value)),
            b'I' => Some(Self::Interrupted),
            b'E' => Some(Self::Ended(value)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Report;

    #[test]
    fn reports_are_read_as_they_were_written_and_others_are_none() {
        for report in [
            Report::Started(4_194_304),
            Report::NotStarted(2),
            Report::NotTheUser(1),
            Report::Interrupted,
            Report::Ended(0x0f),
        ] {
            assert_eq!(Report::decode(report.encode()), Some(report));
        }
        assert_eq!(Report::decode([0; 5]), None);
        assert_eq!(Report::decode([b'S', 0xff, 0xff, 0xff, 0xff]), None);
    }
}
