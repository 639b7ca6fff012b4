//! Forged files and cgroups: what looks like a runtime's, a package's or a container's.

use super::Kind;
use crate::hostile::attack::{Attack, Whom};

macro_rules! forged {
    ($name:literal, $whom:ident, $which:literal, $what:literal) => {
        Attack::new($name, Whom::$whom, $what, &["python", "forged.py", $which])
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "Forged files and cgroups",
    attacks: &[
        forged!(
            "forged-packages",
            Nobody,
            "packages",
            "`__init__.py` that are pipes, devices, loops, folders or 1 TiB"
        )
        .representative(),
        forged!("forged-source", Nobody, "sources", "a source that is a pipe"),
        forged!(
            "forged-runtimes",
            Nobody,
            "runtimes",
            "state of container runtimes that is a pipe"
        ),
        forged!(
            "forged-sockets",
            Nobody,
            "sockets",
            "sockets of container runtimes that never answer"
        ),
        forged!(
            "forged-cgroups",
            Root,
            "cgroup-names",
            "cgroups called like containers, pods, units and nothing at all"
        )
        .representative(),
    ],
};
