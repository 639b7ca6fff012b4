//! `pyebpf` in a container of its own.

use std::ffi::{OsStr, OsString};
use std::process::Command;

use super::bundle::{Bundle, Options};
use super::{pythons, run};
use crate::profiler::{Pyebpf, binary};

/// Where it is in there.
const PROGRAM: &str = "usr/bin/pyebpf";

/// A container for one call of `pyebpf` after the other. What still runs is killed when it is dropped.
#[derive(Debug)]
pub struct ContainedProfiler {
    id: String,
    options: Options,
    bundle: Bundle,
}

impl ContainedProfiler {
    /// With the files of the newest distribution here, which can run what was built for an older one, and with the host's
    /// temporary folder.
    ///
    /// # Errors
    /// When `pyebpf` is not built, or the file system cannot be made.
    pub fn new(id: &str, options: &Options) -> anyhow::Result<Self> {
        let newest = pythons().last().and_then(|python| python.root());
        let bundle = Bundle::over(newest)?;
        bundle.put(&binary()?, PROGRAM)?;
        let mut options = options.clone();
        options.binds.push(std::env::temp_dir());
        Ok(Self {
            id: id.to_owned(),
            options,
            bundle,
        })
    }

    /// A call of it with these arguments.
    ///
    /// # Errors
    /// When the container cannot be configured.
    pub fn call<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> anyhow::Result<Pyebpf> {
        let mut words = vec![OsString::from(format!("/{PROGRAM}"))];
        words.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self.bundle.configure(&words, &self.options)?;
        let mut runc = Command::new("runc");
        runc.arg("run")
            .arg("--bundle")
            .arg(self.bundle.folder())
            .arg(&self.id);
        Ok(Pyebpf::of_command(runc))
    }
}

impl Drop for ContainedProfiler {
    fn drop(&mut self) {
        run(Command::new("runc").args(["delete", "--force", &self.id]));
    }
}
