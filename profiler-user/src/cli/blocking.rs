//! Work that may wait for a disk, or for the reader of a pipe, on a thread of its own.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::failure::Failure;

/// Does work on another thread. Where no thread can be started (a limit on processes), does it here: then it can be waited
/// for, but no signal ends the wait.
///
/// # Errors
/// When the work panics.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let (sender, receiver) = oneshot::channel();
    let work = Arc::new(Mutex::new(Some(move || {
        // Nobody may want the result any more.
        let _ = sender.send(work());
    })));
    let take = |work: &Mutex<Option<_>>| work.lock().unwrap_or_else(PoisonError::into_inner).take();
    let for_thread = Arc::clone(&work);
    let started = std::thread::Builder::new()
        .name("files".to_owned())
        .spawn(move || take(&for_thread).map(|work| work()));
    if let Err(error) = started {
        log::debug!("starting a thread: {error}");
        if let Some(work) = take(&work) {
            work();
        }
    }
    receiver
        .await
        .map_err(|_| Failure::new("a thread that reads or writes files has failed"))
}

#[cfg(test)]
mod tests {
    use super::run;

    #[test]
    fn what_the_work_returns_comes_back_and_a_panic_is_a_failure() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        assert_eq!(runtime.block_on(run(|| 7)).expect("it returns"), 7);
        let panics = || -> u32 { std::panic::resume_unwind(Box::new("a panic")) };
        assert!(runtime.block_on(run(panics)).is_err());
    }
}
