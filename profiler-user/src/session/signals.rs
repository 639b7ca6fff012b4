//! The signals that a session answers to.

use std::future::pending;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::UnboundedReceiver;

use super::error::SessionError;
use super::waiting::until;
use crate::host;

/// How far apart the command's and pyebpf's signal of the same Ctrl-C may be.
const TOGETHER: Duration = Duration::from_millis(200);

/// Within this time a signal that has been sent already arrives.
const ALREADY: Duration = Duration::from_millis(10);

/// How long writing may take after SIGHUP.
const AFTER_HANG_UP: Duration = Duration::from_secs(10);

/// A signal that ends a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// `SIGINT`: Ctrl-C.
    Interrupt,
    /// `SIGTERM`: `kill`, a service that is stopped.
    Terminate,
    /// `SIGHUP`: the terminal is gone.
    HangUp,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The end of the recording.
    Stop(StopSignal),
    /// What there is now (`SIGUSR1`).
    Part,
    /// Nothing: the first Ctrl-C went to the command as well, which may end now.
    Wait,
}

/// Signals that the event loop answers to, from the moment of [`Signals::listen`] on: what comes before somebody asks waits.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    /// `None` where it was ignored from the beginning (`nohup`).
    hang_up: Option<Signal>,
    part: Signal,
    /// Caught while there is a command: Ctrl-\ is the command's.
    quit: Option<Signal>,
    shared: Option<Shared>,
}

/// Ctrl-C while a command runs that gets it too.
#[derive(Debug)]
struct Shared {
    /// One for each Ctrl-C that the command got.
    reports: UnboundedReceiver<()>,
    count: u32,
    /// When the last report came, until this process's own signal has followed.
    reported: Option<Instant>,
    /// From when on this process's own signal counts as one that the command did not get.
    alone: Option<Instant>,
}

impl Signals {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// When the system refuses that.
    pub fn listen() -> Result<Self, SessionError> {
        let listen = |kind| signal(kind).map_err(SessionError::io("signals"));
        let hears_hang_up = !host::ignores_hang_up();
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: hears_hang_up.then(|| listen(SignalKind::hangup())).transpose()?,
            part: listen(SignalKind::user_defined1())?,
            quit: None,
            shared: None,
        })
    }

    /// From now on Ctrl-C belongs to the command first; each one that it got is reported. The first is left to it, and the
    /// second ends the recording, as does one that was sent to this process alone.
    pub fn share(&mut self, reports: UnboundedReceiver<()>) {
        self.quit = signal(SignalKind::quit()).ok();
        self.shared = Some(Shared {
            reports,
            count: 0,
            reported: None,
            alone: None,
        });
    }

    /// The command has ended, or will be ended.
    pub fn unshare(&mut self) {
        self.shared = None;
    }

    /// The next one. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Asked {
        loop {
            let now = Instant::now();
            let alone = self.shared.as_ref().and_then(|shared| shared.alone);
            tokio::select! {
                biased;
                Some(()) = reported(&mut self.shared) => {
                    if let Some(asked) = self.shared.as_mut().map(|shared| shared.report(now)) {
                        return asked;
                    }
                }
                Some(()) = self.interrupt.recv() => match &mut self.shared {
                    Some(shared) => shared.interrupt(Instant::now()),
                    None => return Asked::Stop(StopSignal::Interrupt),
                },
                Some(()) = self.terminate.recv() => return Asked::Stop(StopSignal::Terminate),
                Some(()) = received(&mut self.hang_up) => return Asked::Stop(StopSignal::HangUp),
                Some(()) = self.part.recv() => return Asked::Part,
                Some(()) = received(&mut self.quit) => {}
                () = until(alone) => {
                    if let Some(shared) = &mut self.shared {
                        shared.alone = None;
                    }
                    return Asked::Stop(StopSignal::Interrupt);
                }
                else => pending().await,
            }
        }
    }

    /// Waits for one that ends the recording.
    pub async fn stop(&mut self) -> StopSignal {
        loop {
            if let Asked::Stop(signal) = self.next().await {
                return signal;
            }
        }
    }

    /// One that ends the recording and has come already.
    pub async fn stopped(&mut self) -> Option<StopSignal> {
        tokio::time::timeout(ALREADY, self.stop()).await.ok()
    }
}

impl Shared {
    /// The command got a Ctrl-C.
    fn report(&mut self, now: Instant) -> Asked {
        self.count += 1;
        if self.alone.take().is_none() {
            self.reported = Some(now);
        }
        match self.count {
            1 => Asked::Wait,
            _ => Asked::Stop(StopSignal::Interrupt),
        }
    }

    /// This process got one: the same, or one of its own.
    fn interrupt(&mut self, now: Instant) {
        match self.reported.take() {
            Some(reported) if now.saturating_duration_since(reported) < TOGETHER => {}
            _ => self.alone = Some(now + TOGETHER),
        }
    }
}

async fn reported(shared: &mut Option<Shared>) -> Option<()> {
    match shared {
        Some(shared) => match shared.reports.recv().await {
            Some(()) => Some(()),
            // Nobody reports any more.
            None => pending().await,
        },
        None => pending().await,
    }
}

async fn received(signal: &mut Option<Signal>) -> Option<()> {
    match signal {
        Some(signal) => signal.recv().await,
        None => pending().await,
    }
}

/// Waits for a signal that gives up the writing of what was recorded, sent from now on: Ctrl-C or SIGTERM. After SIGHUP there
/// is some time left, because a terminal that goes away sends several.
pub async fn stop_signal() {
    let Ok(mut signals) = Signals::listen() else {
        return pending().await;
    };
    if signals.stop().await == StopSignal::HangUp {
        let told = async { while signals.stop().await == StopSignal::HangUp {} };
        let _ = tokio::time::timeout(AFTER_HANG_UP, told).await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::sync::mpsc::unbounded_channel;

    use super::{Asked, Shared, StopSignal, TOGETHER};

    fn shared() -> Shared {
        Shared {
            reports: unbounded_channel().1,
            count: 0,
            reported: None,
            alone: None,
        }
    }

    #[test]
    fn the_first_control_c_is_the_commands_and_the_second_ends_the_recording() {
        for own_first in [true, false] {
            let mut shared = shared();
            let now = Instant::now();
            if own_first {
                shared.interrupt(now);
            }
            assert_eq!(shared.report(now + Duration::from_millis(5)), Asked::Wait);
            if !own_first {
                shared.interrupt(now + Duration::from_millis(9));
            }
            assert_eq!(shared.alone, None, "{own_first}");
            let later = now + Duration::from_secs(3);
            assert_eq!(shared.report(later), Asked::Stop(StopSignal::Interrupt));
        }
    }

    #[test]
    fn a_signal_that_the_command_did_not_get_is_pyebpfs_own() {
        let mut shared = shared();
        let now = Instant::now();
        assert_eq!(shared.report(now), Asked::Wait);
        shared.interrupt(now);
        assert_eq!(shared.alone, None);
        let later = now + Duration::from_secs(1);
        shared.interrupt(later);
        assert_eq!(shared.alone, Some(later + TOGETHER));
    }
}
