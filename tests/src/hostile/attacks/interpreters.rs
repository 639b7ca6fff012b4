//! Interpreters whose memory is not as CPython has it.

use super::Kind;
use crate::hostile::attack::{Against, Attack, Whom};

macro_rules! lie {
    ($name:literal, $which:literal, $what:literal) => {
        Attack::new($name, Whom::Nobody, $what, &["python", "lies.py", $which]).against(Against::Dump)
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "Interpreters whose memory lies",
    attacks: &[
        lie!("frame-cycle", "frame-cycle", "a frame that is its own caller").representative(),
        lie!(
            "frame-cycle-of-two",
            "frame-cycle-of-two",
            "two frames that are each other's caller"
        ),
        lie!("frames-without-end", "frames-without-end", "300,000 frames").representative(),
        lie!(
            "frame-nowhere",
            "frame-nowhere",
            "a caller where there is no memory"
        ),
        lie!(
            "frame-in-the-kernel",
            "frame-in-the-kernel",
            "a caller at an address of the kernel"
        ),
        lie!(
            "frame-not-canonical",
            "frame-not-canonical",
            "a caller at an address that there cannot be"
        ),
        lie!("frame-wavers", "frame-wavers", "callers that change all the time").representative(),
        lie!(
            "name-without-end",
            "name-without-end",
            "a function's name of 2^62 characters"
        )
        .representative(),
        lie!(
            "name-negative",
            "name-of-negative-length",
            "a function's name of -1 characters"
        ),
        lie!(
            "name-of-no-kind",
            "name-of-no-kind",
            "names whose characters have no known size"
        ),
        lie!(
            "names-are-numbers",
            "names-are-numbers",
            "numbers in place of names"
        ),
        lie!(
            "names-are-the-code",
            "names-are-the-code",
            "the code object in place of its own names and lines"
        ),
        lie!(
            "names-misaligned",
            "names-are-misaligned",
            "names at odd addresses"
        ),
        lie!(
            "lines-without-end",
            "lines-without-end",
            "a line table of 2^62 bytes"
        ),
        lie!(
            "lines-of-nonsense",
            "lines-of-nonsense",
            "a line table of 900 kB of nonsense"
        ),
        lie!(
            "code-is-nonsense",
            "code-is-nonsense",
            "a code object of other bytes"
        ),
        lie!("code-is-tagged", "code-is-tagged", "a code object with every tag"),
        lie!(
            "code-is-used-again",
            "code-is-used-again",
            "a code object that becomes another one all the time"
        )
        .representative(),
        lie!(
            "instruction-elsewhere",
            "instruction-elsewhere",
            "an instruction in no code"
        ),
        lie!(
            "instruction-far-behind",
            "instruction-far-behind",
            "an instruction 2^40 bytes behind its code"
        ),
        lie!(
            "owners-of-no-kind",
            "owners-of-no-kind",
            "a frame with an owner that there is not"
        ),
        lie!(
            "thread-of-another",
            "thread-of-another",
            "a thread state with another thread's id"
        ),
        lie!(
            "threads-in-a-circle",
            "threads-in-a-circle",
            "a list of threads that is a circle"
        ),
        lie!(
            "threads-without-end",
            "threads-without-end",
            "a list of 100,000 threads"
        ),
        lie!(
            "modules-waver",
            "modules-waver",
            "a dictionary of modules that changes all the time"
        )
        .representative(),
        lie!(
            "dictionary-huge",
            "dictionary-of-2-to-the-62",
            "a dictionary of 2^62 entries"
        ),
        lie!(
            "dictionary-changes",
            "dictionary-changes",
            "a dictionary of threads that changes all the time"
        ),
        lie!(
            "thread-name-without-end",
            "thread-name-without-end",
            "a thread's name of 2^62 characters"
        ),
        lie!(
            "offsets-of-nonsense",
            "offsets-of-nonsense",
            "a table of offsets of nonsense"
        ),
        lie!("runtime-of-zeros", "runtime-of-zeros", "a runtime of zeros"),
    ],
};
