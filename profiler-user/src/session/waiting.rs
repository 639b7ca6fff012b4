//! Things that the event loop waits for, and that may not exist.

use std::future::pending;
use std::time::Instant;

/// Waits for a notification; forever if there is nobody to notify.
pub(super) async fn notified(by: Option<&tokio::sync::Notify>) {
    match by {
        Some(notify) => notify.notified().await,
        None => pending().await,
    }
}

/// Waits until `when`; forever if that is `None`.
pub(super) async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => pending().await,
    }
}

/// With `is_ready`, returns once the event loop has looked at everything else; otherwise never.
pub(super) async fn ready_if(is_ready: bool) {
    if is_ready {
        tokio::task::yield_now().await;
    } else {
        pending::<()>().await;
    }
}
