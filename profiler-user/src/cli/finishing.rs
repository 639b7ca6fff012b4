//! The end of writing, and the signal that comes just then: a file either appears and is reported, or does neither.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::blocking;
use super::failure::Failure;

/// How long work that was given up may take to say that it had been done.
const JUST_DONE: Duration = Duration::from_millis(100);

/// Decides, once, whether a file appears.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<State>>);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Passed,
    Closed,
}

impl Gate {
    /// Does what makes the file appear, which must not take long; `None` when that was given up.
    pub(super) fn pass<T>(&self, step: impl FnOnce() -> T) -> Option<T> {
        let mut state = self.state();
        if *state == State::Closed {
            return None;
        }
        let result = step();
        *state = State::Passed;
        Some(result)
    }

    /// Gives the file up; `false` when it has appeared.
    fn close(&self) -> bool {
        let mut state = self.state();
        if *state == State::Passed {
            return false;
        }
        *state = State::Closed;
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs what may wait for a disk or a pipe until it is done, or until `stop` gives a reason to wait no longer.
///
/// # Errors
/// That reason.
pub(super) async fn finish<T: Send + 'static>(
    gate: &Gate,
    work: impl FnOnce() -> T + Send + 'static,
    stop: impl Future<Output = &'static str>,
) -> Result<T, Failure> {
    let mut done = std::pin::pin!(blocking::run(work));
    let reason = tokio::select! {
        biased;
        done = &mut done => return done,
        reason = stop => reason,
    };
    if !gate.close() {
        return done.await;
    }
    // What goes into a pipe passes no gate: a writer may wait there for ever.
    match tokio::time::timeout(JUST_DONE, done).await {
        Ok(done) => done,
        Err(_) => Err(Failure::new(reason)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::{Gate, finish};

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        runtime.expect("a runtime").block_on(future)
    }

    #[test]
    fn what_has_appeared_is_reported_whatever_signal_comes_then() {
        let gate = Gate::default();
        let (passed, wait) = channel();
        let for_work = gate.clone();
        let work = move || {
            let appeared = for_work.pass(|| passed.send(()).is_ok());
            // Longer than anybody waits for work that was given up.
            std::thread::sleep(Duration::from_millis(400));
            appeared
        };
        let stop = async {
            wait.recv().expect("the file appears");
            "a signal"
        };
        let done = run(finish(&gate, work, stop));
        assert_eq!(done.ok().flatten(), Some(true));
    }

    #[test]
    fn what_was_given_up_does_not_appear() {
        let gate = Gate::default();
        let (go, wait) = channel();
        let for_work = gate.clone();
        let work = move || {
            let _ = wait.recv();
            for_work.pass(|| ())
        };
        let failure = run(finish(&gate, work, async { "a signal" })).expect_err("given up");
        assert_eq!(failure.message, "a signal");
        go.send(()).expect("the work waits");
        assert_eq!(gate.pass(|| ()), None);
    }

    #[test]
    fn what_is_done_and_a_signal_at_the_same_time_are_no_failure() {
        for _ in 0..100 {
            let stop = async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                "a signal"
            };
            let work = || std::thread::sleep(Duration::from_millis(1));
            assert!(run(finish(&Gate::default(), work, stop)).is_ok());
        }
    }
}
