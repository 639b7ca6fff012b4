//! Storms: as much of something as a program can make, bounded in number at any time and in time.

use super::Kind;
use crate::hostile::attack::{Allowed, Attack, Whom};

/// Processes come and go faster than they are looked at, and what was sampled of them has to be kept until it has names.
const MANY: Allowed = Allowed::USUAL.memory(24, "each interpreter that was sampled is part of the recording");
/// Names are read at a low priority.
const CROWDED: Allowed =
    Allowed::USUAL.ending(40, "whoever reads names gives way to the storm, which lasts 30 s");

macro_rules! storm {
    ($name:literal, $whom:ident, $of:literal, $what:literal) => {
        Attack::new($name, Whom::$whom, $what, &["python", "storms.py", $of])
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "Storms",
    attacks: &[
        storm!("storm-forks", Nobody, "forks", "processes that end at once").representative(),
        storm!(
            "storm-forks-of-forks",
            Nobody,
            "forks-of-forks",
            "processes whose parents are gone"
        )
        .allowed(CROWDED),
        storm!("storm-execs", Nobody, "execs", "programs that end at once"),
        storm!(
            "storm-pythons",
            Nobody,
            "execs-of-python",
            "interpreters that end at once"
        )
        .allowed(MANY)
        .representative(),
        storm!(
            "storm-execs-of-itself",
            Nobody,
            "execs-of-itself",
            "processes that become another interpreter without end"
        )
        .allowed(MANY),
        storm!(
            "storm-new-programs",
            Nobody,
            "execs-of-new-files",
            "programs that nobody has seen before"
        ),
        storm!(
            "storm-libraries",
            Nobody,
            "libraries",
            "libraries loaded and unloaded, each a file of its own"
        ),
        storm!(
            "storm-mappings",
            Nobody,
            "mappings",
            "20,000 mappings of code under a path of 3,000 bytes"
        )
        .representative(),
        storm!(
            "storm-new-code",
            Nobody,
            "new-code",
            "code in memory, at new addresses without end"
        ),
        storm!("storm-threads", Nobody, "threads", "threads that end at once"),
        storm!(
            "storm-many-threads",
            Nobody,
            "many-threads",
            "3,000 threads that wake twice a second"
        ),
        storm!(
            "storm-thread-names",
            Nobody,
            "thread-names",
            "a thread with another name all the time"
        ),
        storm!(
            "storm-functions",
            Nobody,
            "new-functions",
            "a new function every 0.1 ms"
        ),
        storm!(
            "storm-files",
            Nobody,
            "new-files",
            "new functions with names and paths of 800 bytes"
        )
        .representative(),
        storm!(
            "storm-stacks",
            Nobody,
            "new-stacks",
            "a new stack in every sample"
        ),
        storm!(
            "storm-switches",
            Nobody,
            "switches",
            "threads that hand a byte to and fro"
        )
        .allowed(CROWDED),
        storm!("storm-signals", Nobody, "signals", "10,000 signals a second"),
        storm!(
            "storm-deep-stacks",
            Nobody,
            "deep-stacks",
            "a stack of 50,000 functions"
        ),
        storm!(
            "storm-subinterpreters",
            Nobody,
            "subinterpreters",
            "interpreters made and ended in a process"
        ),
        storm!(
            "storm-cgroups",
            Root,
            "cgroups",
            "cgroups with the names of containers, made and removed"
        )
        .representative(),
        storm!(
            "storm-pids",
            Root,
            "pids-used-again",
            "one process id for one process after the other"
        )
        .representative(),
    ],
};
