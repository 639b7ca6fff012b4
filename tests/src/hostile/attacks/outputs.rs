//! Games with the file that is to be written, in a folder where everybody may make files.

use super::Kind;
use crate::hostile::attack::{Against, Attack, Whom};
use crate::hostile::trial::{OUTPUT, make_file_of_root};

macro_rules! game {
    ($name:literal, $which:literal, $what:literal) => {
        Attack::new(
            $name,
            Whom::Nobody,
            concat!($what, " under the name of the recording, again and again"),
            &["python", "outputs.py", $which, OUTPUT],
        )
        .with(make_file_of_root)
        .against(Against::Output)
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "Where recordings go",
    attacks: &[
        game!("output-link", "link", "a link to a file of root's").representative(),
        game!("output-pipe", "pipe", "a pipe"),
        game!("output-folder", "folder", "a folder"),
        game!("output-file", "file", "a file"),
    ],
};
