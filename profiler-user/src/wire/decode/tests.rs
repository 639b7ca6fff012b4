//! Each field arrives, and damage of any sort is refused or harmless.

use core::mem::offset_of;

use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::records::{
    BLOCK_LAST, COMMAND_BYTES, CodeDefinition, FRAMES_PER_BLOCK, MAX_BLOCKS, ProcessRecord, RawFrame,
    SampleBlock, TextHeader, record_kind,
};
use profiler_common::contract::sources::Source;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::{DecodeError, Event, ProcessChange, decode, encode};

fn sample(frame_count: u16) -> SampleBlock {
    let mut record = SampleBlock {
        frame_count,
        index: 3,
        flags: BLOCK_LAST,
        status: u8::try_from(StackStatus::FrameFault.code()).expect("small"),
        gil: u8::try_from(GilState::Released.code()).expect("small"),
        tgid: 0x0102_0304,
        tid: 0x0506_0708,
        incarnation: 0x1112_1314_1516_1718,
        time_ns: 0x2122_2324_2526_2728,
        thread_state: 0x3132_3334_3536_3738,
        weight: 0x5152_5354_5556_5758,
        cpu: 0x4142_4344,
        source: Source::MajorFaults.code(),
        ..encode::NO_SAMPLE
    };
    record.comm[..6].copy_from_slice(b"python");
    for (index, frame) in (1u32..).zip(&mut record.frames) {
        *frame = RawFrame {
            code: u64::from(index) << 32,
            instr_offset: index * 2,
            check: !index,
        };
    }
    record
}

#[test]
fn every_field_of_a_sample_arrives() {
    for frame_count in [0, 1, u16::try_from(FRAMES_PER_BLOCK).expect("small")] {
        let record = sample(frame_count);
        let bytes = encode::sample(&record);
        let view = encode::sample_view(&bytes);
        assert_eq!((view.index, view.status), (3, Some(StackStatus::FrameFault)));
        assert_eq!(
            (view.gil, view.tgid, view.tid),
            (GilState::Released, record.tgid, record.tid)
        );
        assert_eq!(
            (view.incarnation, view.time_ns),
            (record.incarnation, record.time_ns)
        );
        assert_eq!(
            (view.thread_state, view.cpu, view.comm),
            (record.thread_state, record.cpu, &b"python"[..])
        );
        assert_eq!((view.source, view.weight), (Source::MajorFaults, record.weight));
        assert_eq!(view.frames.len(), usize::from(frame_count));
        assert!(
            view.frames
                .eq(record.frames.iter().copied().take(frame_count.into()))
        );
    }
}

#[test]
fn the_status_counts_in_the_last_block_only() {
    let record = SampleBlock {
        flags: 0,
        status: 250,
        ..sample(1)
    };
    let bytes = encode::sample(&record);
    let view = encode::sample_view(&bytes);
    assert_eq!(view.status, None);
}

#[test]
fn void_frames_are_left_out_and_void_what_came_before() {
    for (void, left) in [(0, 5), (2, 3), (5, 0), (6, 0), (u16::MAX, 0)] {
        let record = SampleBlock { void, ..sample(5) };
        let bytes = encode::sample(&record);
        let view = encode::sample_view(&bytes);
        assert_eq!(view.restarts, void > 0);
        assert!(
            view.frames.eq(record.frames[5 - left..5].iter().copied()),
            "{void} void frames of 5"
        );
    }
}

#[test]
fn every_field_of_a_definition_arrives() {
    let record = CodeDefinition {
        tgid: 0x0102_0304,
        incarnation: 0x1112_1314_1516_1718,
        code: 0x2122_2324_2526_2728,
        check: 0x3132_3334,
        line_table_object: 0x4142_4344_4546_4748,
        layout: 0x5152_5354,
        interpreter: 0x6162_6364_6566_6768,
        ..encode::definition("Class.method", "/a/b.py", 77, &[1, 2, 3, 4, 5])
    };
    let bytes = encode::code(&record);
    let view = encode::code_view(&bytes);
    assert_eq!((view.tgid, view.incarnation), (record.tgid, record.incarnation));
    assert_eq!(
        (view.code, view.check, view.first_line),
        (record.code, record.check, 77)
    );
    assert_eq!(
        (view.line_table_object, view.layout, view.interpreter),
        (record.line_table_object, record.layout, record.interpreter)
    );
    assert_eq!(
        (view.line_table_length, view.line_table),
        (5, &[1, 2, 3, 4, 5][..])
    );
    assert_eq!(
        (view.name.header, view.name.data),
        (record.name, &b"Class.method"[..])
    );
    assert_eq!(
        (view.filename.header, view.filename.data),
        (record.filename, &b"/a/b.py"[..])
    );
}

fn process(kind: u16, command: &[u8]) -> ProcessRecord {
    let mut record = ProcessRecord {
        kind,
        command_stored: u16::try_from(command.len()).expect("short"),
        tgid: 0x0102_0304,
        parent_tgid: 0x0506_0708,
        pad: 0,
        incarnation: 0x1112_1314_1516_1718,
        time_ns: 0x2122_2324_2526_2728,
        comm: *b"sixteen bytes wi",
        command: [b'x'; COMMAND_BYTES],
    };
    record.command[..command.len()].copy_from_slice(command);
    record
}

#[test]
fn every_field_of_a_process_record_arrives() {
    let changes = [
        (record_kind::EXEC, ProcessChange::Exec),
        (record_kind::FORK, ProcessChange::Fork),
        (record_kind::EXIT, ProcessChange::Exit),
        (record_kind::UNKNOWN, ProcessChange::Unknown),
        (record_kind::CHANGED, ProcessChange::Changed),
    ];
    for (kind, change) in changes {
        let record = process(kind, b"python\0-c\0\0last");
        let bytes = encode::process(&record);
        let view = encode::process_view(&bytes);
        assert_eq!(
            (view.change, view.tgid, view.parent_tgid),
            (change, record.tgid, record.parent_tgid)
        );
        assert_eq!(
            (view.incarnation, view.time_ns),
            (record.incarnation, record.time_ns)
        );
        assert_eq!(
            view.comm, b"sixteen bytes wi",
            "a name that fills its field has no NUL"
        );
        let arguments: Vec<_> = view.arguments().collect();
        assert_eq!(arguments, [&b"python"[..], b"-c", b"", b"last"]);
    }
}

#[test]
fn a_command_line_ends_with_its_last_argument() {
    for (command, count) in [
        (&b""[..], 0),
        (b"a\0", 1),
        (b"a", 1),
        (b"a\0b\0", 2),
        (b"a\0\0", 2),
    ] {
        let bytes = encode::process(&process(record_kind::EXEC, command));
        let view = encode::process_view(&bytes);
        assert_eq!(view.arguments().count(), count, "{command:?}");
    }
}

/// One valid record of each sort.
fn records() -> [Vec<u8>; 3] {
    [
        encode::sample(&sample(5)),
        encode::code(&encode::definition("name", "file", 1, &[1; 30])),
        encode::process(&process(record_kind::EXEC, b"a\0b\0")),
    ]
}

#[test]
fn a_record_of_another_length_is_refused_with_both_lengths() {
    for record in records() {
        for found in 0..record.len() {
            let error = decode(&record[..found]).expect_err("cut off");
            assert!(matches!(error, DecodeError::TooShort { found: f, needed } if f == found && needed > f));
        }
        let mut padded = record.clone();
        for _ in 0..7 {
            padded.push(0xff);
            assert!(decode(&padded).is_ok(), "padding up to 8 bytes");
        }
        padded.push(0);
        let error = decode(&padded).expect_err("longer than padding explains");
        assert_eq!(
            error,
            DecodeError::TooLong {
                needed: record.len(),
                found: padded.len()
            }
        );
    }
}

#[test]
fn contradictions_are_refused_with_a_reason() {
    let block = |change: fn(&mut SampleBlock)| {
        let mut record = sample(2);
        change(&mut record);
        decode(&encode::sample(&record)).expect_err("contradicts itself")
    };
    assert_eq!(block(|record| record.kind = 99), DecodeError::Kind(99));
    let last = u8::try_from(MAX_BLOCKS).expect("small") - 1;
    let behind_last = SampleBlock {
        index: last + 1,
        ..sample(2)
    };
    assert_eq!(
        decode(&encode::sample(&behind_last)).expect_err("too deep"),
        DecodeError::BlockIndex(last + 1)
    );
    assert_eq!(block(|record| record.status = 200), DecodeError::StackStatus(200));
    assert_eq!(block(|record| record.gil = 5), DecodeError::GilState(5));
    assert_eq!(block(|record| record.source = 77), DecodeError::Source(77));

    let too_many = u16::try_from(FRAMES_PER_BLOCK).expect("small") + 1;
    let mut bytes = encode::sample(&sample(2));
    bytes[offset_of!(SampleBlock, frame_count)..][..2].copy_from_slice(&too_many.to_le_bytes());
    assert_eq!(
        decode(&bytes).expect_err("too many frames"),
        DecodeError::FrameCount(too_many)
    );

    let code = |change: fn(&mut CodeDefinition)| {
        let mut record = encode::definition("name", "file", 1, &[1; 30]);
        change(&mut record);
        decode(&encode::code(&record)).map(|_| ())
    };
    let text = |kind, length, stored| Err(DecodeError::Text { kind, length, stored });
    assert_eq!(code(|record| record.name.kind = 3), text(3, 4, 4));
    assert_eq!(code(|record| record.name.stored = 5), text(1, 4, 5));
    assert_eq!(
        code(|record| record.class_stored = 129),
        Err(DecodeError::Class(129))
    );
    assert_eq!(
        code(|record| record.name = TextHeader {
            length: 999,
            stored: 257,
            ..record.name
        }),
        text(1, 999, 257)
    );
    assert_eq!(
        code(|record| record.name.length = u32::MAX),
        Ok(()),
        "a long name, of which a part is there"
    );
    assert_eq!(
        code(|record| record.line_table_length = 29),
        Err(DecodeError::LineTable {
            length: 29,
            stored: 30
        })
    );

    let mut bytes = encode::process(&process(record_kind::EXEC, b""));
    bytes[offset_of!(ProcessRecord, command_stored)..][..2].copy_from_slice(&513u16.to_le_bytes());
    assert_eq!(
        decode(&bytes).expect_err("too long a command"),
        DecodeError::Command(513)
    );
}

fn some_record() -> impl Strategy<Value = Vec<u8>> {
    (0..records().len()).prop_map(|index| records()[index].clone())
}

proptest! {
    #[test]
    fn a_damaged_record_gives_an_event_or_an_error(
        mut bytes in some_record(),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        length in any::<usize>(),
    ) {
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        bytes.truncate(length % (bytes.len() + 1));
        match decode(&bytes) {
            Ok(Event::Sample(view)) => prop_assert_eq!(view.frames.len(), view.frames.count()),
            Ok(Event::Code(view)) => prop_assert!(view.line_table.len() <= bytes.len()),
            Ok(Event::Process(view)) => prop_assert!(view.arguments().count() <= COMMAND_BYTES + 1),
            Ok(Event::Native(view)) => prop_assert!(view.frames.count() <= bytes.len() / 16),
            Ok(Event::Kernel(view)) => prop_assert!(view.addresses().count() <= bytes.len() / 8),
            Ok(Event::Spell(spell)) => prop_assert!(spell.end_ns() >= spell.out_ns),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
