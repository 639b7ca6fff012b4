//! What the event loop waits for, where there may be nothing to wait for.

use std::future::pending;
use std::time::Instant;

/// Waits for a notification, without end where nobody notifies.
pub(super) async fn notified(by: Option<&tokio::sync::Notify>) {
    match by {
        Some(notify) => notify.notified().await,
        None => pending().await,
    }
}

/// Waits until `when`, without end where there is no such time.
pub(super) async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => pending().await,
    }
}

/// Returns once the event loop has looked at everything else, or not at all.
pub(super) async fn ready_if(is_ready: bool) {
    if is_ready {
        tokio::task::yield_now().await;
    } else {
        pending::<()>().await;
    }
}
