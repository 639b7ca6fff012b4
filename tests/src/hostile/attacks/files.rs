//! Files that are something else each time they are read, or give no answer.

use super::Kind;
use crate::hostile::attack::{Attack, Whom};
use crate::hostile::bad_elf::Image;

/// A FUSE file system whose file is mapped as code by an interpreter that runs it.
macro_rules! library {
    ($name:literal, $how:literal, $what:literal) => {
        Attack::new(
            $name,
            Whom::Mounted,
            concat!("runs code of a FUSE file that ", $what),
            &[
                "fuse",
                "fuse-device",
                $how,
                "bad.elf",
                "python",
                "library.py",
                "mounted/f",
                "0x1000",
            ],
        )
        .with(|folder| Image::like_python().write(folder))
    };
}

/// The file is the program itself.
macro_rules! executable {
    ($name:literal, $how:literal, $what:literal) => {
        Attack::new(
            $name,
            Whom::Mounted,
            concat!("is executed from a FUSE file that ", $what),
            &["fuse", "fuse-device", $how, "spinner", "mounted/f"],
        )
    };
}

/// A file of the host's that its own program changes.
macro_rules! changing {
    ($name:literal, $how:literal, $what:literal) => {
        Attack::new(
            $name,
            Whom::Nobody,
            concat!("runs code of a file that ", $what),
            &["python", "library.py", "bad.elf", "0x1000", $how],
        )
        .with(|folder| Image::like_python().write(folder))
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "Files that change or do not answer",
    attacks: &[
        executable!("program-falls-silent", "mute", "falls silent").representative(),
        executable!("program-slow", "slow", "takes 30 ms for each answer"),
        executable!("program-grows", "grows", "says a larger size each time"),
        library!("library-falls-silent", "mute", "falls silent").representative(),
        library!("library-slow", "slow", "takes 30 ms for each answer"),
        library!("library-shrinks", "shrinks", "says a smaller size each time").representative(),
        library!("library-grows", "grows", "says a larger size each time"),
        library!("library-endless", "endless", "says that it has 2^62 bytes"),
        changing!("file-resized", "resize", "grows and shrinks while it is read").representative(),
        changing!("file-rewritten", "rewrite", "has other contents all the time"),
        changing!(
            "file-replaced",
            "vanish",
            "is a pipe, a device, a loop or nothing from one moment to the next"
        )
        .representative(),
    ],
};
