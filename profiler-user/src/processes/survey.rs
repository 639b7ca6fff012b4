//! What runs on this host, looked at once: for `doctor` and `ps`. The tracker asks the same and goes on watching.

use std::time::Duration;

use crate::inspect::{InspectFailure, Inspectors, Look, Question};
use crate::proc;

/// How long a survey may take; a process that does not answer takes two seconds.
const AT_MOST: Duration = Duration::from_secs(60);
/// Time between two looks at what has not been answered.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What each of these processes turned out to be; of every process when none is given. Those that nothing came of within
/// a minute are left out.
#[must_use]
pub fn looks(inspectors: &Inspectors, pids: &[u32]) -> Vec<(u32, Result<Look, InspectFailure>)> {
    let pids = if pids.is_empty() {
        proc::pids().unwrap_or_default()
    } else {
        pids.to_vec()
    };
    let mut asked: Vec<_> = pids
        .into_iter()
        .map(|pid| (pid, inspectors.ask(&Question::Look { pid })))
        .collect();
    let end = std::time::Instant::now() + AT_MOST;
    let mut looks = Vec::new();
    loop {
        inspectors.wait_for_all(AT_MOST);
        asked.retain(|(pid, ticket)| match inspectors.take_look(*ticket) {
            Some(look) => {
                looks.push((*pid, look));
                false
            }
            None => true,
        });
        if asked.is_empty() || std::time::Instant::now() >= end {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    looks.sort_by_key(|(pid, _)| *pid);
    looks
}
