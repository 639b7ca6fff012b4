//! What the registry says of an attack.

use std::path::Path;
use std::time::Duration;

/// One attack: a row of the registry and of the report.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Unique; words with hyphens.
    pub name: &'static str,
    /// What it does, for people.
    pub what: &'static str,
    /// As whom it runs.
    pub whom: Whom,
    /// Its command. A word that is the name of a file in `tests/hostile` stands for that program, `python` for the
    /// interpreter of attacks, `fuse-device` for a device that everybody may open.
    pub command: &'static [&'static str],
    /// Makes files in the folder in which it runs.
    pub prepare: fn(&Path) -> anyhow::Result<()>,
    /// What is done while it runs.
    pub against: Against,
    /// What it may cost.
    pub allowed: Allowed,
    /// Whether it stands for its kind in `live_hostile.rs`.
    pub is_representative: bool,
}

/// As whom an attack runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// A user without any rights.
    Nobody,
    /// That user, for whom a FUSE file system was mounted, as `fusermount` does for everybody. (In a user namespace of its own it
    /// could mount one itself; but the kernel refuses what users ask of it who are nobody there, such as root.)
    Mounted,
    /// That user, as root of user, mount and process namespaces of its own: what every user can be.
    Namespaces,
    /// Root of a container that root has made, without added capabilities.
    Container,
    /// Root of the host: for what nobody else can set up.
    Root,
}

impl Whom {
    /// For people.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Mounted => "nobody, with a FUSE file system",
            Self::Namespaces => "nobody, in namespaces of its own",
            Self::Container => "root of a container",
            Self::Root => "root",
        }
    }
}

/// What pyebpf is asked for while an attack runs, besides a recording of all processes with native frames, and `ps`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// Nothing more.
    Recording,
    /// `dump` of the attack's processes, too.
    Dump,
    /// The recording is one of all time, not only of CPU time.
    Wall,
    /// `doctor`, too.
    Doctor,
    /// Every other format is written, too.
    Formats,
    /// Another file is written into the folder of the attack.
    Output,
}

/// What an attack may cost others.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Memory of all processes of pyebpf and of BPF maps, in MiB beyond [`crate::hostile::verdict::MEMORY_RATIO`].
    pub extra_mib: u64,
    /// Why that is its budget; empty without one.
    pub because: &'static str,
    /// From the signal that ends the recording to its end.
    pub ending: Duration,
    /// Why that is longer than for others; empty if it is not.
    pub late_because: &'static str,
}

impl Allowed {
    /// No more than anybody.
    pub const USUAL: Self = Self {
        extra_mib: 0,
        because: "",
        ending: Duration::from_secs(10),
        late_because: "",
    };

    /// A budget of memory, and why.
    #[must_use]
    pub const fn memory(mut self, extra_mib: u64, because: &'static str) -> Self {
        self.extra_mib = extra_mib;
        self.because = because;
        self
    }

    /// A later end, seconds, and why.
    #[must_use]
    pub const fn ending(mut self, seconds: u64, because: &'static str) -> Self {
        self.ending = Duration::from_secs(seconds);
        self.late_because = because;
        self
    }
}

impl Attack {
    /// With what most have.
    #[must_use]
    pub const fn new(
        name: &'static str,
        whom: Whom,
        what: &'static str,
        command: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            what,
            whom,
            command,
            prepare: |_| Ok(()),
            against: Against::Recording,
            allowed: Allowed::USUAL,
            is_representative: false,
        }
    }

    /// Files that it needs.
    #[must_use]
    pub const fn with(mut self, prepare: fn(&Path) -> anyhow::Result<()>) -> Self {
        self.prepare = prepare;
        self
    }

    /// What else pyebpf is asked for.
    #[must_use]
    pub const fn against(mut self, against: Against) -> Self {
        self.against = against;
        self
    }

    /// What it may cost.
    #[must_use]
    pub const fn allowed(mut self, allowed: Allowed) -> Self {
        self.allowed = allowed;
        self
    }

    /// It stands for its kind.
    #[must_use]
    pub const fn representative(mut self) -> Self {
        self.is_representative = true;
        self
    }
}
