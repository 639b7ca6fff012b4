//! What a worker may use.

use rustix::process::{Resource, Rlimit, Signal};

/// Limits the calling process: it ends with its parent, leaves no core, has `heap_bytes` of heap at most, and is the first
/// to be killed when memory runs out. Each is a precaution: without it, the deadlines of the main process remain.
pub fn limit_this_process(heap_bytes: u64) {
    let limit = |bytes| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    for (resource, bytes) in [(Resource::Data, heap_bytes), (Resource::Core, 0)] {
        if let Err(error) = rustix::process::setrlimit(resource, limit(bytes)) {
            log::debug!("worker: limit of {resource:?}: {error}");
        }
    }
    // It may be busy with an endless file, and not see the end of the stream.
    if let Err(error) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
        log::debug!("worker: parent's death: {error}");
    }
    if let Err(error) = std::fs::write("/proc/self/oom_score_adj", "1000") {
        log::debug!("worker: oom_score_adj: {error}");
    }
    // A panic ends the worker, which is all that the main process needs to know.
    std::panic::set_hook(Box::new(|_| {}));
}
