//! Where a process keeps a thread-local variable of its interpreter, relative to a thread's pointer.

use profiler_common::memory::{Memory, RemoteAddr};

use super::elf::TlsVariable;

/// Relative to a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Bytes from the thread pointer.
    FromThreadPointer(i64),
    /// Bytes from the start of the thread's block for the library of this number.
    InModule { module: u32, offset: u64 },
}

/// Resolves `variable`; `None` while the loader has not written what it takes.
pub(super) fn resolve<M: Memory>(variable: TlsVariable, bias: u64, memory: &M) -> Option<Place> {
    match variable {
        TlsVariable::FromThreadPointer(offset) => Some(Place::FromThreadPointer(offset)),
        TlsVariable::InModule { slot, displacement } => {
            let mut words = [0u64; 2];
            memory
                .read_words(RemoteAddr(bias.wrapping_add(slot)), &mut words)
                .ok()?;
            let module = u32::try_from(words[0]).ok().filter(|module| *module != 0)?;
            Some(Place::InModule {
                module,
                offset: words[1].wrapping_add_signed(displacement),
            })
        }
        TlsVariable::OffsetAt { .. } | TlsVariable::Descriptor { .. } => None,
    }
}
