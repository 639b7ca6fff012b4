//! Pages of memory that never answer: whoever reads them waits in the kernel, and cannot be killed.

use super::Kind;
use crate::hostile::attack::{Against, Attack, Whom};

/// A page of `pages.py`: under a FUSE file that nobody serves, or kept back by userfaultfd.
macro_rules! page {
    (covered $name:literal, $where:literal, $page:literal) => {
        Attack::new(
            $name,
            Whom::Mounted,
            concat!("a FUSE page under ", $where),
            &[
                "fuse",
                "fuse-device",
                "deaf",
                "/dev/null",
                "python",
                "pages.py",
                $page,
                "mounted/f",
            ],
        )
    };
    (covered in c $name:literal, $where:literal, $page:literal) => {
        Attack::new(
            $name,
            Whom::Mounted,
            concat!(
                "a FUSE page under ",
                $where,
                " in a program that is no interpreter"
            ),
            &[
                "fuse",
                "fuse-device",
                "deaf",
                "/dev/null",
                "pages_of_c",
                $page,
                "mounted/f",
            ],
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
        page!(covered in c "page-of-c-link-map", "the dynamic linker's list of libraries", "link-map"),
        page!(covered in c "page-of-c-r-debug", "what the dynamic linker tells debuggers", "r-debug"),
        page!(covered in c "page-of-c-dynamic", "the dynamic section", "dynamic").representative(),
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
        Attack::new(
            "page-in-namespace",
            Whom::Nobody,
            "a FUSE page of a user namespace under the state of a thread",
            &["fuse", "fuse-device", "deaf", "/dev/null", "python", "pages.py", "thread-state", "mounted/f"],
        )
        .against(Against::Dump),
        page!("withheld" as Root "fault-link-map", "the dynamic linker's list of libraries", "link-map"),
        page!("withheld" as Root "fault-thread-state", "the state of a thread", "thread-state").against(Against::Dump),
        page!("withheld" as Root "fault-code", "a code object on the stack", "code").against(Against::Wall),
        page!("withheld" as Root "fault-arguments", "the command line", "arguments"),
        page!("withheld-from-users" as Nobody "fault-of-users", "the state of a thread (for faults of users only)", "thread-state")
            .against(Against::Dump),
    ],
};
