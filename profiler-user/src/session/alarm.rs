//! One timer for all deadlines of the event loop.
//!
//! The wheel in which tokio keeps its timers turns in steps, and wakes the process for each step on the way to a deadline
//! (two or three times for a deadline in 100 ms). A process that does next to nothing pays only for its wake-ups.

use std::io;
use std::time::{Duration, Instant};

use rustix::io::{Errno, read};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::watched::{Watched, watch};

/// A timer of the kernel's.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: Watched,
    set_for: Option<Instant>,
}

impl Alarm {
    /// To be called within a tokio runtime.
    pub(super) fn new() -> io::Result<Self> {
        let timer = timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        Ok(Self {
            timer: watch(timer)?,
            set_for: None,
        })
    }

    /// Returns at `when` or after it. Nothing is lost when this is dropped before.
    pub(super) async fn at(&mut self, when: Instant) -> io::Result<()> {
        if self.set_for != Some(when) {
            self.set(when)?;
        }
        loop {
            let mut ready = self.timer.readable().await?;
            match read(self.timer.get_ref(), &mut [0; 8]) {
                Ok(_) => break,
                // It was set again after it had gone off.
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error.into()),
            }
        }
        self.set_for = None;
        Ok(())
    }

    fn set(&mut self, when: Instant) -> io::Result<()> {
        // A timer that is set to 0 is switched off.
        let left = when
            .saturating_duration_since(Instant::now())
            .max(Duration::from_nanos(1));
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(left).map_err(io::Error::other)?,
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
        self.set_for = Some(when);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Alarm;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(test);
    }

    #[test]
    fn it_goes_off_at_its_time_and_not_before() {
        run(async {
            let mut alarm = Alarm::new().expect("a timer");
            for wait in [0, 1, 20, 70].map(Duration::from_millis) {
                let when = Instant::now() + wait;
                alarm.at(when).await.expect("it goes off");
                assert!(Instant::now() >= when);
            }
        });
    }

    #[test]
    fn a_deadline_that_changes_after_it_has_passed_is_waited_for_all_the_same() {
        run(async {
            let mut alarm = Alarm::new().expect("a timer");
            let passed = Instant::now() + Duration::from_millis(1);
            tokio::select! {
                biased;
                () = std::future::ready(()) => {}
                _ = alarm.at(passed) => {}
            }
            let _ = tokio::time::timeout(Duration::ZERO, alarm.at(passed)).await;
            std::thread::sleep(Duration::from_millis(5));
            let when = Instant::now() + Duration::from_millis(30);
            alarm.at(when).await.expect("it goes off");
            assert!(Instant::now() >= when);
        });
    }
}
