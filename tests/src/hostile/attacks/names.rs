//! Names of every bad kind, of whatever has a name.

use super::Kind;
use crate::hostile::attack::{Against, Attack, Whom};

macro_rules! name {
    ($name:literal, $of:literal, $what:literal) => {
        Attack::new(
            $name,
            Whom::Nobody,
            concat!("orders to terminals, line breaks and broken text as ", $what),
            &["python", "names.py", $of],
        )
        .against(Against::Formats)
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "Names",
    attacks: &[
        name!("names-of-functions", "functions", "names of functions").representative(),
        name!("names-of-files", "files", "paths of modules"),
        name!("names-of-threads", "threads", "names of threads"),
        name!("names-of-process", "process", "a command line that changes"),
        name!("names-of-executables", "executables", "names of interpreters"),
        name!(
            "names-of-scripts",
            "scripts",
            "names of scripts, and paths of 4,000 bytes"
        ),
        name!("names-of-libraries", "libraries", "names of libraries"),
        Attack::new(
            "arguments",
            Whom::Nobody,
            "command lines of 1.5 MB, of 50,000 words and of none",
            &["python", "names.py", "arguments"],
        )
        .against(Against::Formats)
        .representative(),
    ],
};
