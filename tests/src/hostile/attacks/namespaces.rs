//! Games with roots, namespaces and mounts, of users and of containers.

use super::Kind;
use crate::hostile::attack::{Against, Allowed, Attack, Whom};

macro_rules! game {
    ($name:literal, $whom:ident, $which:literal, $what:literal) => {
        Attack::new($name, Whom::$whom, $what, &["python", "namespaces.py", $which])
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "Roots and namespaces",
    attacks: &[
        game!(
            "proc-hidden",
            Namespaces,
            "proc-hidden",
            "an empty folder mounted over `/proc`"
        )
        .representative(),
        game!("proc-forged", Namespaces, "proc-forged", "a `/proc` of pipes"),
        game!(
            "mounts-over-files",
            Namespaces,
            "mounts-over-own-files",
            "devices mounted over its own executable"
        ),
        game!(
            "mounts-without-end",
            Namespaces,
            "mounts-without-end",
            "1,000 mounts that change"
        ),
        game!("root-gone", Namespaces, "root-gone", "a root with nothing in it").representative(),
        game!(
            "root-of-pipes",
            Namespaces,
            "root-of-pipes",
            "a root of pipes and loops"
        )
        .against(Against::Dump),
        game!(
            "files-of-pipes",
            Container,
            "files-of-pipes",
            "pipes where its users and libraries are listed"
        )
        .representative(),
        game!(
            "folder-gone",
            Nobody,
            "folder-gone",
            "a working folder that is removed"
        ),
        game!(
            "unreadable",
            Nobody,
            "unreadable",
            "a process that nobody but root may look at"
        ),
        game!(
            "wavering",
            Nobody,
            "wavering",
            "one that may be looked at and not, all the time"
        )
        .against(Against::Dump),
        game!(
            "deep-namespaces",
            Namespaces,
            "deep-namespaces",
            "30 process namespaces in each other"
        ),
        game!(
            "user-namespaces",
            Nobody,
            "user-namespaces",
            "user namespaces in each other, again and again"
        )
        .representative(),
        game!(
            "leaderless",
            Nobody,
            "leaderless",
            "a process whose first thread has ended"
        )
        .against(Against::Dump),
        game!(
            "stopped",
            Nobody,
            "stopped",
            "a process that is stopped and goes on, all the time"
        )
        .against(Against::Dump),
        game!("zombies", Nobody, "zombies", "2,000 zombies"),
        game!(
            "threads-apart",
            Nobody,
            "threads-apart",
            "threads with roots of their own"
        ),
        Attack::new(
            "lies-in-container",
            Whom::Container,
            "a frame that is its own caller",
            &["python", "lies.py", "frame-cycle"],
        )
        .against(Against::Dump),
        Attack::new(
            "storm-in-container",
            Whom::Container,
            "interpreters that end at once",
            &["python", "storms.py", "execs-of-python"],
        )
        .allowed(Allowed::USUAL.memory(32, "each interpreter that was sampled is part of the recording"))
        .representative(),
        Attack::new(
            "names-in-container",
            Whom::Container,
            "orders to terminals as a command line that changes",
            &["python", "names.py", "process"],
        ),
        Attack::new(
            "map-in-container",
            Whom::Container,
            "64 MB of lines of a perf map",
            &["python", "perf_maps.py", "large", "2"],
        ),
    ],
};
