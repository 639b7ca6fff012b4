//! Pages of memory that never answer: whoever reads them waits in the kernel, and cannot be killed.

use super::Kind;
use crate::hostile::attack::{Against, Attack, Whom};

/// A page of `pages.py`: under a FUSE file that nobody serves, or kept back by userfaultfd.
macro_rules! page {
    (covered $name:literal, $where:literal, $page:literal) => {
        Attack::new(
            $name,
            Whom::Nobody,
            concat!("a FUSE page under ", $where),
            &["fuse", "fuse-device", "deaf", "/dev/null", "python", "pages.py", $page, "mounted/f"],
        )
    };
    ($how:literal as $whom:ident $name:literal, $where:literal, $page:literal) => {
        Attack::new(
            $name,
            Whom::$whom,
            concat!("a userfaultfd page under ", $where),
            &["python", "pages.py", $page, $how],
        )
    };
}

pub(super) const KIND: Kind = Kind {
    heading: "Memory that never answers",
    attacks: &[
        page!(covered "page-link-map", "the dynamic linker's list of libraries", "link-map").representative(),
        page!(covered "page-r-debug", "what the dynamic linker tells debuggers", "r-debug"),
        page!(covered "page-dynamic", "the dynamic section", "dynamic"),
        page!(covered "page-runtime", "`_PyRuntime`", "runtime").against(Against::Dump),
        page!(covered "page-interpreter", "the interpreter's state", "interpreter").against(Against::Dump),
        page!(covered "page-thread-state", "the state of a thread", "thread-state")
            .against(Against::Wall)
            .representative(),
        page!(covered "page-frames", "the frames of a stack", "frames").against(Against::Dump),
        page!(covered "page-code", "a code object on the stack", "code").against(Against::Dump).representative(),
        page!(covered "page-dictionary", "a dictionary", "dictionary").against(Against::Dump),
        page!(covered "page-modules", "the dictionary of modules", "modules").against(Against::Dump),
        page!(covered "page-thread-names", "the name of a thread", "thread-names").against(Against::Dump),
        page!(covered "page-arguments", "the command line", "arguments").representative(),
        page!(covered "page-environment", "the environment", "environment"),
        page!("withheld" as Root "fault-link-map", "the dynamic linker's list of libraries", "link-map"),
        page!("withheld" as Root "fault-thread-state", "the state of a thread", "thread-state").against(Against::Dump),
        page!("withheld" as Root "fault-code", "a code object on the stack", "code").against(Against::Wall),
        page!("withheld" as Root "fault-arguments", "the command line", "arguments"),
        page!("withheld-from-users" as Nobody "fault-of-users", "the state of a thread (for faults of users only)", "thread-state")
            .against(Against::Dump),
    ],
};
