//! Stacks that inspectors read from outside: what they are asked, and the sample that an answer holds.

use profiler_common::contract::process::PROCESS_PYTHON;

use super::open_spells::name_of_thread;
use crate::clock::monotonic_ns;
use crate::ids::ProcessKey;
use crate::inspect::{ThreadToRead, each_record};
use crate::kernel::Kernel;
use crate::pipeline::Pipeline;
use crate::wire::assembly::{Assembly, Sample};
use crate::wire::decode::{Event, decode};

/// How the stack of a thread is found; `None` where its process is not profiled any more. `thread_pointer` is
/// [`profiler_common::contract::spell::ThreadSlot::thread_pointer`].
pub(super) fn thread(
    kernel: &Kernel,
    process: ProcessKey,
    tid: u32,
    thread_pointer: u64,
) -> Option<Box<ThreadToRead>> {
    let entry = kernel
        .process(process)
        .filter(|entry| entry.flags & PROCESS_PYTHON != 0)?;
    Some(Box::new(ThreadToRead {
        pid: process.tgid,
        tid,
        incarnation: process.incarnation,
        thread_pointer,
        lookup: entry.lookup,
        layout_index: entry.layout,
        layout: *kernel.layout(entry.layout)?,
    }))
}

/// The sample that the records of an answer about a thread make; the definitions among them go to the pipeline. `None`
/// unless there is a whole one.
pub(super) fn sample(
    records: &[u8],
    process: ProcessKey,
    tid: u32,
    kernel: &Kernel,
    pipeline: &mut Pipeline,
) -> Option<Sample> {
    let mut assembly = Assembly::default();
    let mut whole: Option<Sample> = None;
    for record in each_record(records) {
        match decode(record) {
            Ok(Event::Code(view)) if view.tgid == process.tgid => {
                if let Some(layout) = kernel.layout(view.layout)
                    && view.incarnation == process.incarnation
                {
                    pipeline.define(&view, layout);
                }
            }
            Ok(Event::Sample(view)) => whole = assembly.add(&view).cloned().or(whole),
            // A worker says nothing else.
            Ok(_) | Err(_) => return None,
        }
    }
    let mut sample = whole?;
    sample.process = process;
    sample.tid = tid;
    sample.comm = name_of_thread(tid);
    sample.time_ns = monotonic_ns();
    Some(sample)
}
