//! The limit of open files: raised as far as this process may, given back to a command that is recorded, recognised in errors.

use std::error::Error;
use std::fs::File;
use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors with low numbers that are kept, for what starting a command takes while the old limit holds.
const SPARE: usize = 4;

/// The limit of open files that this process was started with.
#[derive(Debug)]
pub struct FileLimit {
    before: Rlimit,
    spare: Vec<File>,
}

impl FileLimit {
    /// Raises the soft limit to the hard one. Where that is refused, everything goes on within the old one.
    #[must_use]
    pub fn raise() -> Self {
        let before = getrlimit(Resource::Nofile);
        let spare = (0..SPARE).filter_map(|_| File::open("/dev/null").ok()).collect();
        set_soft(before.maximum);
        Self { before, spare }
    }

    /// Does what must have the old limit: starting the command that is recorded, which inherits it.
    pub fn with_old<T>(mut self, work: impl FnOnce() -> T) -> T {
        self.spare.clear();
        set_soft(self.before.current);
        let done = work();
        set_soft(self.before.maximum);
        done
    }
}

/// The soft limit now; `None` where there is none.
#[must_use]
pub fn open_files() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Whether an error says that this process may not open another file.
#[must_use]
pub fn is_file_limit(error: &(dyn Error + 'static)) -> bool {
    let mut source = Some(error);
    while let Some(error) = source {
        let errno = match error.downcast_ref::<io::Error>() {
            Some(error) => Errno::from_io_error(error),
            None => error.downcast_ref::<Errno>().copied(),
        };
        if errno == Some(Errno::MFILE) {
            return true;
        }
        source = error.source();
    }
    false
}

fn set_soft(current: Option<u64>) {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current, maximum }) {
        log::debug!("the limit of open files stays as it is: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::is_file_limit;

    #[test]
    fn the_limit_is_recognised_at_the_bottom_of_an_error() {
        #[derive(Debug, thiserror::Error)]
        #[error("loading")]
        struct Loading(#[source] io::Error);

        let error = |errno: rustix::io::Errno| Loading(errno.into());
        assert!(is_file_limit(&error(rustix::io::Errno::MFILE)));
        assert!(!is_file_limit(&error(rustix::io::Errno::NOMEM)));
    }
}
