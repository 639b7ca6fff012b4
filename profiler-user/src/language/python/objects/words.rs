//! Single words of a live process.

use profiler_common::memory::{Memory, RemoteAddr};

/// The word at `address`.
pub fn word<M: Memory>(memory: &M, address: RemoteAddr) -> Option<u64> {
    let mut word = [0u64; 1];
    memory.read_words(address, &mut word).ok()?;
    Some(word[0])
}

/// The pointer at `address`; `None` when it is null or unreadable.
pub fn pointer<M: Memory>(memory: &M, address: RemoteAddr) -> Option<RemoteAddr> {
    word(memory, address).filter(|word| *word != 0).map(RemoteAddr)
}
