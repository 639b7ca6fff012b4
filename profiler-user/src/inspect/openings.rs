//! Files that a thread has opened one after the other. One that is late is not waited for: the thread goes on with others and
//! asks again.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use super::opener::{NotOpened, Opener, Opening, SentFile};
use super::reach::FileWanted;

/// How long a file is waited for. In the ordinary case it takes a tenth of a millisecond.
const PATIENCE: Duration = Duration::from_millis(50);
/// After how long a file that is late is begun again, if anybody still wants it.
const LATE_AT_MOST: Duration = Duration::from_secs(20);
/// Files that are late, at most; beyond, the one that is so for longest is begun again.
const MAX_LATE: usize = 256;
/// The same for files of one process, whose others have to wait.
const MAX_LATE_OF_ONE: usize = 16;

/// Files on their way, each by what it is for.
#[derive(Debug)]
pub struct Openings<K> {
    opener: Opener,
    late: HashMap<K, Late>,
}

#[derive(Debug)]
struct Late {
    opening: Opening,
    /// Whose file it is.
    pid: u32,
    since: Instant,
}

/// What became of a file.
#[derive(Debug)]
pub enum Arrival {
    /// It is there.
    Here(SentFile),
    /// It may come: ask again, in a while.
    Late,
    /// It does not come.
    Failed(NotOpened),
}

impl<K: Copy + Eq + Hash> Openings<K> {
    /// None yet.
    #[must_use]
    pub fn new(opener: Opener) -> Self {
        Self {
            opener,
            late: HashMap::new(),
        }
    }

    /// Has a file opened, or asks after the one that was late. Waits for a moment, but for no file of a process that another
    /// file of is late.
    pub fn get(&mut self, purpose: K, wanted: impl FnOnce() -> FileWanted) -> Arrival {
        if let Some(late) = self.late.remove(&purpose) {
            return self.look_after(purpose, late, Duration::ZERO);
        }
        let wanted = wanted();
        let pid = wanted.pid();
        self.late.retain(|_, late| late.since.elapsed() < LATE_AT_MOST);
        let others = self.late.values().filter(|late| late.pid == pid).count();
        if others >= MAX_LATE_OF_ONE {
            return Arrival::Late;
        }
        let oldest = self.late.iter().min_by_key(|(_, late)| late.since);
        let oldest = oldest.map(|(purpose, _)| *purpose);
        if let Some(oldest) = oldest.filter(|_| self.late.len() >= MAX_LATE) {
            self.late.remove(&oldest);
        }
        let late = Late {
            opening: self.opener.open(wanted),
            pid,
            since: Instant::now(),
        };
        let patience = if others > 0 { Duration::ZERO } else { PATIENCE };
        self.look_after(purpose, late, patience)
    }

    fn look_after(&mut self, purpose: K, late: Late, patience: Duration) -> Arrival {
        match late.opening.wait(patience) {
            Some(Ok(file)) => Arrival::Here(file),
            Some(Err(error)) => Arrival::Failed(error),
            None => {
                self.late.insert(purpose, late);
                Arrival::Late
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::DEAF;

    #[test]
    fn a_process_whose_files_do_not_come_is_waited_for_once() {
        let mut openings = Openings::new(Opener::with_role(DEAF.name).expect("a thread"));
        let mut get = |purpose: u32, pid: u32| {
            let started = Instant::now();
            let arrival = openings.get(purpose, || FileWanted::PerfMap { pid });
            (arrival, started.elapsed())
        };
        let pid = std::process::id();
        let (first, took) = get(0, pid);
        assert!(
            matches!(first, Arrival::Late) && took >= PATIENCE,
            "{first:?}, {took:?}"
        );
        for purpose in 0..100 {
            let (other, took) = get(purpose, pid);
            assert!(
                matches!(other, Arrival::Late) && took < PATIENCE,
                "{other:?}, {took:?}"
            );
        }
        // The workers are given up after a second each.
        let end = Instant::now() + Duration::from_secs(20);
        for purpose in [0, 200] {
            let arrival = loop {
                match get(purpose, pid).0 {
                    Arrival::Late => std::thread::sleep(PATIENCE),
                    arrival => break arrival,
                }
                assert!(Instant::now() < end, "nobody has given it up");
            };
            let is_given_up = matches!(arrival, Arrival::Failed(NotOpened::Unanswered));
            assert!(is_given_up, "{arrival:?}");
        }
    }
}
