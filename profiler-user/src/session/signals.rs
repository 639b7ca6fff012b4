//! The signals that a session answers to.

use std::future::pending;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::SessionError;

/// Signals that the event loop answers to.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    part: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, SessionError> {
        let listen = |kind| signal(kind).map_err(SessionError::io("signals"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            part: listen(SignalKind::user_defined1())?,
        })
    }

    pub(super) async fn next(&mut self) -> Asked {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Asked::Stop(StopSignal::Interrupt),
            Some(()) = self.terminate.recv() => Asked::Stop(StopSignal::Terminate),
            Some(()) = self.hang_up.recv() => Asked::Stop(StopSignal::HangUp),
            Some(()) = self.part.recv() => Asked::Part,
            else => pending().await,
        }
    }

    /// Waits for one that ends the recording.
    pub(super) async fn stop(&mut self) {
        while self.next().await == Asked::Part {}
    }
}

/// Waits for a signal that ends pyebpf: Ctrl-C, SIGTERM, SIGHUP.
pub async fn stop_signal() {
    match Signals::listen() {
        Ok(mut signals) => signals.stop().await,
        Err(_) => pending().await,
    }
}

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
}
