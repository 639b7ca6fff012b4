//! Promises of the store: names, reasons, sharing, bounds; definitions arrive as encoded records.

use profiler_common::contract::layout::{Layout, line_table_format};
use profiler_common::contract::records::{CodeDefinition, RawFrame};
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{PROCESS_BYTES, SLOT_BYTES, Store, intern};
use crate::ids::ProcessKey;
use crate::language::python::code::resolved::{NAME_NOT_READABLE, ResolvedFrame, Unresolved};
use crate::wire::decode::encode;

const ROOM: usize = 1 << 20;

fn process(tgid: u32) -> ProcessKey {
    ProcessKey {
        tgid,
        incarnation: 1000 + u64::from(tgid),
    }
}

/// A frame with its names.
fn resolve(store: &mut Store, process: ProcessKey, frame: RawFrame) -> Result<ResolvedFrame<'_>, Unresolved> {
    let id = store.of(process).resolve(frame)?;
    store.describe(id).ok_or(Unresolved::Evicted)
}

fn frame(code: u64, instr_offset: u32) -> RawFrame {
    RawFrame {
        code,
        instr_offset,
        check: 7,
    }
}

fn insert(store: &mut Store, process: ProcessKey, code: u64, record: &CodeDefinition) {
    let ProcessKey { tgid, incarnation } = process;
    let bytes = encode::code(&CodeDefinition {
        tgid,
        incarnation,
        code,
        check: 7,
        layout: 3,
        ..*record
    });
    let view = encode::code_view(&bytes);
    store.insert(
        &view,
        &Layout {
            line_table: line_table_format::RANGES,
            ..Layout::default()
        },
    );
}

/// Two instructions, on lines 11 and 12.
fn function(name: &str) -> CodeDefinition {
    encode::definition(name, "/srv/app.py", 10, &[2, 1, 2, 1])
}

#[test]
fn a_frame_gets_its_function_and_line() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("main"));
    let named = |line| {
        Ok(ResolvedFrame {
            name: "main".into(),
            filename: Some("/srv/app.py"),
            line,
            first_line: Some(10),
        })
    };
    assert_eq!(resolve(&mut store, process(1), frame(0x1000, 0)), named(Some(11)));
    assert_eq!(resolve(&mut store, process(1), frame(0x1000, 2)), named(Some(12)));
    assert_eq!(
        resolve(&mut store, process(1), frame(0x1000, u32::MAX)),
        named(Some(10))
    );
    assert_eq!(resolve(&mut store, process(1), frame(0x1000, 4)), named(None));
}

#[test]
fn a_frame_without_a_name_has_a_reason() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("main"));
    insert(&mut store, process(1), 0x2000, &encode::NO_CODE);
    let another = RawFrame {
        check: 8,
        ..frame(0x1000, 0)
    };
    let unread = RawFrame {
        check: 0,
        ..frame(0x1000, 0)
    };
    let successor = ProcessKey {
        incarnation: 1,
        ..process(1)
    };
    assert_eq!(
        resolve(&mut store, process(1), frame(0, 0)),
        Err(Unresolved::EntryFrame)
    );
    assert_eq!(
        resolve(&mut store, process(1), frame(0x3000, 0)),
        Err(Unresolved::NotCaptured)
    );
    assert_eq!(
        resolve(&mut store, process(1), another),
        Err(Unresolved::NotCaptured)
    );
    assert_eq!(
        resolve(&mut store, successor, frame(0x1000, 0)),
        Err(Unresolved::NotCaptured)
    );
    assert_eq!(
        resolve(&mut store, process(1), unread),
        Err(Unresolved::NotReadable)
    );
    assert_eq!(
        resolve(&mut store, process(1), frame(0x2000, 0)),
        Err(Unresolved::NotReadable)
    );
    for reason in Unresolved::ALL {
        assert!(
            reason.text().starts_with('<') && reason.text().ends_with('>'),
            "{reason:?}"
        );
    }
}

#[test]
fn a_function_whose_name_alone_was_not_readable_keeps_its_place() {
    let mut store = Store::new(ROOM);
    let record = CodeDefinition {
        name: encode::NO_CODE.name,
        ..function("main")
    };
    insert(&mut store, process(1), 0x1000, &record);
    let resolved = resolve(&mut store, process(1), frame(0x1000, 2)).expect("a place");
    assert_eq!(
        (resolved.name, resolved.filename, resolved.line),
        (NAME_NOT_READABLE.into(), Some("/srv/app.py"), Some(12))
    );
}

#[test]
fn line_zero_is_no_line() {
    let mut store = Store::new(ROOM);
    insert(
        &mut store,
        process(1),
        0x1000,
        &encode::definition("<module>", "m.py", 0, &[2, 0, 2, 1]),
    );
    assert_eq!(
        resolve(&mut store, process(1), frame(0x1000, 0)).map(|frame| frame.line),
        Ok(None)
    );
    assert_eq!(
        resolve(&mut store, process(1), frame(0x1000, 2)).map(|frame| frame.line),
        Ok(Some(1))
    );
}

#[test]
fn equal_functions_of_all_processes_share_one_definition_and_one_id() {
    let mut store = Store::new(1 << 30);
    for tgid in 0..1000 {
        for function_number in 0..10 {
            let address = 0x1000 * u64::from(tgid + function_number);
            insert(
                &mut store,
                process(tgid),
                address,
                &function(&format!("f{function_number}")),
            );
        }
    }
    assert_eq!(store.definitions(), 10);
    assert!(store.bytes() < 1000 * (PROCESS_BYTES + 10 * SLOT_BYTES) + 10_000);
    let ids: Vec<_> = (0..1000)
        .map(|tgid| {
            store
                .of(process(tgid))
                .resolve(frame(0x1000 * u64::from(tgid + 3), 2))
                .expect("known")
        })
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(store.describe(ids[0]).map(|frame| frame.name), Some("f3".into()));
}

#[test]
fn other_content_for_the_same_code_object_replaces_the_older_from_then_on() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("before"));
    let before = store.of(process(1)).resolve(frame(0x1000, 0)).expect("known");
    insert(&mut store, process(1), 0x1000, &function("after"));
    let after = store.of(process(1)).resolve(frame(0x1000, 0)).expect("known");
    assert_ne!(before, after);
    assert_eq!(
        store.describe(after).map(|frame| frame.name),
        Some("after".into())
    );
    assert_eq!(
        store.describe(before),
        None,
        "an id is never re-used for another content"
    );
    assert_eq!((store.counts().replaced, store.definitions()), (1, 1));
}

#[test]
fn an_id_outlives_its_definition_without_meaning_another() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("before"));
    let before = store.of(process(1)).resolve(frame(0x1000, 0)).expect("known");
    store.process_gone(process(1));
    store.collect(|_| false);
    store.collect(|_| false);
    insert(&mut store, process(2), 0x1000, &function("after"));
    let after = store.of(process(2)).resolve(frame(0x1000, 0)).expect("known");
    assert_ne!(before, after);
    assert_eq!(store.describe(before), None);
}

#[test]
fn a_refreshed_definition_changes_nothing() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("main"));
    let id = store.of(process(1)).resolve(frame(0x1000, 0));
    let bytes = store.bytes();
    for _ in 0..100 {
        insert(&mut store, process(1), 0x1000, &function("main"));
    }
    assert_eq!(
        (store.of(process(1)).resolve(frame(0x1000, 0)), store.bytes()),
        (id, bytes)
    );
    assert_eq!((store.counts().replaced, store.counts().received), (0, 101));
}

#[test]
fn a_less_complete_definition_does_not_replace_a_whole_one() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("main"));
    let id = store.of(process(1)).resolve(frame(0x1000, 0));
    let unread = CodeDefinition {
        filename: encode::NO_CODE.filename,
        line_table_length: 100,
        ..function("main")
    };
    insert(&mut store, process(1), 0x1000, &unread);
    assert_eq!(store.of(process(1)).resolve(frame(0x1000, 0)), id);
    assert!(store.next_incomplete().is_none());
}

#[test]
fn incomplete_definitions_are_handed_out_once() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("whole"));
    for _ in 0..3 {
        insert(&mut store, process(2), 0x2000, &function(&"long".repeat(100)));
    }
    let (incomplete, _) = store.next_incomplete().expect("one is cut");
    assert_eq!(
        (incomplete.process, incomplete.code.code, incomplete.layout),
        (process(2), 0x2000, 3)
    );
    assert!(store.next_incomplete().is_none());
    let resolved = resolve(&mut store, process(2), frame(0x2000, 0)).expect("known");
    assert!(resolved.name.ends_with("long…"));
}

#[test]
fn definitions_outlive_their_process_by_one_drain_of_the_ring() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("main"));
    store.process_gone(process(1));
    store.collect(|_| false);
    assert!(resolve(&mut store, process(1), frame(0x1000, 0)).is_ok());
    store.collect(|_| false);
    assert_eq!(
        resolve(&mut store, process(1), frame(0x1000, 0)),
        Err(Unresolved::NotCaptured)
    );
    assert_eq!((store.definitions(), store.bytes()), (0, 0));
}

#[test]
fn definitions_that_samples_wait_for_stay_as_long_as_they_wait() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("main"));
    store.process_gone(process(1));
    for _ in 0..5 {
        store.collect(|gone| gone == process(1));
    }
    assert!(resolve(&mut store, process(1), frame(0x1000, 0)).is_ok());
    store.collect(|_| false);
    store.collect(|_| false);
    assert_eq!((store.definitions(), store.bytes()), (0, 0));
}

#[test]
fn a_definition_that_arrives_behind_the_exit_does_not_stay() {
    let mut store = Store::new(ROOM);
    store.process_gone(process(1));
    insert(&mut store, process(1), 0x1000, &function("main"));
    assert!(resolve(&mut store, process(1), frame(0x1000, 0)).is_ok());
    store.collect(|_| false);
    store.collect(|_| false);
    assert_eq!(store.bytes(), 0);
}

#[test]
fn a_fork_storm_leaves_memory_flat() {
    let mut store = Store::new(ROOM);
    let mut peaks = [0; 2];
    for tgid in 0..10_000u32 {
        for code in 1..20 {
            insert(
                &mut store,
                process(tgid),
                code << 12,
                &function(&format!("f{code}")),
            );
        }
        store.process_gone(process(tgid));
        store.collect(|_| false);
        let peak = &mut peaks[usize::from(tgid >= 5_000)];
        *peak = store.bytes().max(*peak);
    }
    assert_eq!(peaks[0], peaks[1]);
    assert_eq!(store.counts().evicted, 0);
}

#[test]
fn whoever_uses_the_most_pays_and_what_was_used_last_stays() {
    let mut store = Store::new(ROOM);
    insert(&mut store, process(1), 0x1000, &function("modest"));
    for code in 1..20_000u64 {
        insert(
            &mut store,
            process(2),
            code << 12,
            &function(&format!("generated_{code}")),
        );
        assert!(store.bytes() <= ROOM);
        assert!(
            resolve(&mut store, process(2), frame(1 << 12, 0)).is_ok(),
            "used all the time"
        );
    }
    assert!(store.counts().evicted > 10_000);
    assert_eq!(
        resolve(&mut store, process(1), frame(0x1000, 0)).map(|frame| frame.name),
        Ok("modest".into())
    );
    assert_eq!(
        resolve(&mut store, process(2), frame(2 << 12, 0)),
        Err(Unresolved::Evicted)
    );
    assert!(resolve(&mut store, process(2), frame(19_999 << 12, 0)).is_ok());
}

#[derive(Clone, Debug)]
enum Step {
    Insert {
        tgid: u32,
        code: u64,
        name: usize,
        cut: bool,
    },
    Gone {
        tgid: u32,
    },
    Resolve {
        tgid: u32,
        code: u64,
    },
    Collect,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5u32, 1..8u64, 0..6usize, proptest::bool::ANY)
            .prop_map(|(tgid, code, name, cut)| Step::Insert { tgid, code, name, cut }),
        1 => (0..5u32).prop_map(|tgid| Step::Gone { tgid }),
        2 => (0..5u32, 1..8u64).prop_map(|(tgid, code)| Step::Resolve { tgid, code }),
        1 => proptest::strategy::Just(Step::Collect),
    ]
}

proptest! {
    #[test]
    fn the_books_balance_after_any_steps(
        steps in proptest::collection::vec(step(), 1..200),
        limit in prop_oneof![0..20_000usize, proptest::strategy::Just(ROOM)],
    ) {
        let mut store = Store::new(limit);
        for step in steps {
            match step {
                Step::Insert { tgid, code, name, cut } => {
                    let length = if cut { 300 } else { 20 };
                    let record = function(&format!("{name}").repeat(length));
                    insert(&mut store, process(tgid), code, &record);
                }
                Step::Gone { tgid } => store.process_gone(process(tgid)),
                Step::Resolve { tgid, code } => {
                    let id = store.of(process(tgid)).resolve(frame(code, 0));
                    prop_assert!(id.is_err() || id.is_ok_and(|id| store.describe(id).is_some()));
                }
                Step::Collect => store.collect(|_| false),
            }
            prop_assert!(store.bytes() <= limit);
            check_books(&store)?;
        }
    }
}

fn check_books(store: &Store) -> Result<(), proptest::test_runner::TestCaseError> {
    let mut users = std::collections::HashMap::new();
    for process in store.processes.values() {
        let mut bytes = 0;
        for slot in process.codes.values() {
            *users.entry(slot.definition).or_insert(0) += 1;
            let definition = store.pool.get(slot.definition);
            prop_assert!(definition.is_some());
            bytes += SLOT_BYTES + definition.map_or(0, |definition| intern::bytes(definition));
        }
        prop_assert_eq!(process.bytes, bytes);
    }
    prop_assert_eq!(store.pool.len(), users.len());
    prop_assert_eq!(store.slots, users.values().sum::<usize>());
    let held: usize = users
        .keys()
        .filter_map(|id| store.pool.get(*id))
        .map(|held| intern::bytes(held))
        .sum();
    prop_assert_eq!(store.pool.bytes(), held);
    Ok(())
}
