//! Threads that were off their CPU before anybody looked: where their stacks begin.

use core::ffi::c_void;

use profiler_common::contract::programs::{FIND_THREADS, is_same};

use crate::globals::{TASK_PID, TASK_TGID, TASK_THREAD_POINTER};
use crate::kernel::iterated_task;
use crate::memory::kernel_field;
use crate::threads::set_thread_pointer;

/// For each thread of the host, when user space reads the iterator; in its context.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task")]
extern "C" fn find_thread(context: *mut c_void) -> i32 {
    let task = iterated_task(context);
    // The call after the last one.
    if task == 0 {
        return 0;
    }
    let tid = kernel_field(task, TASK_PID.load(), 0u32);
    let tgid = kernel_field(task, TASK_TGID.load(), 0u32);
    let thread_pointer = kernel_field(task, TASK_THREAD_POINTER.load(), 0u64);
    set_thread_pointer(tid, tgid, thread_pointer);
    0
}

// User space finds it by this name.
const _: () = assert!(is_same(FIND_THREADS, "find_thread"));
