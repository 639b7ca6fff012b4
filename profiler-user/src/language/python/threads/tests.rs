//! Names of threads out of memory that holds anything at all. Real interpreters:
//! `tests/workloads/matrix/named_thread.py`.

use std::time::{Duration, Instant};

use profiler_common::contract::reasons::StackStatus;
use profiler_common::memory::RemoteAddr;
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
use crate::language::python::test_support::Noise;

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
