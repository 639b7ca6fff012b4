//! Programs that read what pyebpf writes, for the live tests of its formats and of what it draws.

use super::Need;
use crate::{command, debian};

/// A program of a Debian package.
pub(super) struct Reader {
    program: &'static str,
    package: &'static str,
    /// What it needs besides, which Debian only recommends.
    with: &'static [&'static str],
    /// What it is, for the announcement.
    about: &'static str,
}

/// `go tool pprof`.
pub(super) const GO: Reader = Reader {
    program: "go",
    package: "golang-go",
    with: &[],
    about: "`go tool pprof`, which reads pprof files",
};

/// Valgrind's own reader of its format.
pub(super) const CALLGRIND_ANNOTATE: Reader = Reader {
    program: "callgrind_annotate",
    package: "valgrind",
    with: &[],
    about: "callgrind_annotate, which reads Callgrind's files",
};

/// A browser without a window.
pub(super) const CHROMIUM: Reader = Reader {
    program: "chromium",
    package: "chromium",
    with: &["fonts-dejavu-core"],
    about: "Chromium, which opens pages of HTML",
};

/// Of `.zst`.
pub(super) const ZSTD: Reader = Reader {
    program: "zstd",
    package: "zstd",
    with: &[],
    about: "zstd, which reads compressed files",
};

/// A terminal without a screen.
pub(super) const TMUX: Reader = Reader {
    program: "tmux",
    package: "tmux",
    with: &[],
    about: "tmux, the terminal in which `pyebpf top` is tested",
};

impl Need for Reader {
    fn name(&self) -> &str {
        self.package
    }

    fn plan(&self) -> anyhow::Result<String> {
        let Self { package, about, .. } = self;
        Ok(format!("{about}: Debian's package {package} (apt-get install)"))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        Ok(command::find_on_path(self.program).is_some())
    }

    fn install(&self) -> anyhow::Result<()> {
        debian::install(&[&[self.package], self.with].concat())
    }
}
