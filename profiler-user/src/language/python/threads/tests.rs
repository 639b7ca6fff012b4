//! Names of threads out of memory that holds anything at all. Real interpreters:
//! `tests/workloads/matrix/named_thread.py`.

use std::time::{Duration, Instant};

use profiler_common::contract::reasons::StackStatus;
use profiler_common::memory::{Fault, Memory, RemoteAddr};
use proptest::prelude::{ProptestConfig, any};
use proptest::{prop_assert, proptest};

use super::{
    FIRST_PATIENCE, Known, KnownThreads, RENAMED_AFTER, RENAMED_AFTER_AT_MOST, SECOND_LOOK_AFTER,
    SampledThread, ThreadNames, registry,
};
use crate::ids::ProcessKey;
use crate::language::python::layout::LAYOUTS;
use crate::language::python::layout::objects::FLAG_DICT;
use crate::language::python::objects::Objects;

/// Every word is made from its address; some pages are not there.
struct Noise {
    seed: u64,
    /// Bits that every word has.
    set: u64,
}

impl Noise {
    fn word(&self, address: u64) -> u64 {
        let mixed = (address ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 29)) & 0xffff | self.set
    }

    fn fill(&self, address: RemoteAddr, out: &mut [u8]) -> Result<(), Fault> {
        if self.word(address.0 >> 12).is_multiple_of(7) {
            return Err(Fault);
        }
        for (at, chunk) in (0..).step_by(8).zip(out.chunks_mut(8)) {
            let word = self.word(address.0.wrapping_add(at));
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }

    fn fill_words(&self, address: RemoteAddr, out: &mut [u64]) -> Result<(), Fault> {
        let mut bytes = vec![0; 8 * out.len()];
        self.fill(address, &mut bytes)?;
        for (word, chunk) in out.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_le_bytes(chunk.try_into().map_err(|_| Fault)?);
        }
        Ok(())
    }
}

impl Memory for Noise {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        self.fill_words(addr, out)
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        let words = (bytes as usize).div_ceil(8).min(N);
        self.fill_words(addr, &mut out[..words])
    }

    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        self.fill(addr, &mut out[..(len as usize).min(N)])
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_memory_gives_an_answer_of_bounded_size(
        seed in any::<u64>(),
        address in any::<u64>(),
        // As if everything were an instance of everything, and not.
        set in proptest::sample::select(vec![0, FLAG_DICT, 0x3980_0014, 0x3980_0010, u64::MAX]),
    ) {
        let noise = Noise { seed, set };
        for entry in LAYOUTS {
            let objects = Objects::new(&noise, &entry.layout, &entry.objects);
            let address = RemoteAddr(address);
            let _ = registry::main_interpreter(&objects, address);
            let _ = registry::find(&objects, address);
            let threads = registry::threads(&objects, address).unwrap_or_default();
            prop_assert!(threads.len() <= 1 << 14);
            let _ = objects.attributes(address);
            let name = registry::name(&objects, address, seed).map(|named| named.name);
            let name = name.or_else(|| objects.text(address));
            prop_assert!(name.is_none_or(|name| name.chars().count() <= 513));
        }
    }
}

#[test]
fn a_thread_is_looked_up_ever_more_rarely() {
    let mut process = KnownThreads::default();
    process.threads.insert(7, Known::default());
    let start = Instant::now();
    let mut wait = |is_named| {
        process.remember(7, is_named, start);
        process.threads[&7].look_again.expect("looked up") - start
    };
    let waits: Vec<Duration> = (0..7).map(|_| wait(false)).collect();
    assert_eq!(waits[..2], [FIRST_PATIENCE, 2 * FIRST_PATIENCE]);
    assert_eq!(waits[6], RENAMED_AFTER);
    let waits: Vec<Duration> = (0..6).map(|_| wait(true)).collect();
    assert_eq!(waits[..2], [RENAMED_AFTER, 2 * RENAMED_AFTER]);
    assert_eq!(waits[5], RENAMED_AFTER_AT_MOST);
}

#[test]
fn a_thread_without_a_name_has_a_second_look_although_it_is_not_sampled_again() {
    let mut names = ThreadNames::default();
    let process = ProcessKey {
        tgid: 7,
        incarnation: 1,
    };
    let note = |names: &mut ThreadNames, tid| names.note(process, tid, 0x1000, StackStatus::Complete);
    let start = Instant::now();
    let look = |names: &mut ThreadNames, now, is_named| -> Option<u32> {
        let thread: SampledThread = names.next_at(now)?;
        names.looked_up_at(now, thread, is_named);
        Some(thread.tid)
    };
    note(&mut names, 8);
    note(&mut names, 9);
    assert_eq!(look(&mut names, start, false), Some(8));
    assert_eq!(look(&mut names, start, true), Some(9));
    assert_eq!(look(&mut names, start, false), None);
    let soon = start + SECOND_LOOK_AFTER;
    assert_eq!(look(&mut names, soon, false), Some(8));
    assert_eq!(look(&mut names, soon + RENAMED_AFTER, false), None, "only once");
}
