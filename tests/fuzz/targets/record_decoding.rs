//! Any bytes in the ring buffer give an event or an error; every event can be used to its end: definitions enter a
//! small store, frames are resolved there.
#![no_main]

use core::mem::offset_of;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use profiler_common::contract::layout::Layout;
use profiler_common::contract::records::{
    CODE_HEADER_BYTES, COMMAND_BYTES, CodeDefinition, KERNEL_HEADER_BYTES, KernelStack, NATIVE_HEADER_BYTES,
    NativeBlock, NativeFrame, ProcessRecord, RawFrame, SAMPLE_HEADER_BYTES, SampleBlock, SpellRecord,
    record_kind,
};
use pyebpf::ids::ProcessKey;
use pyebpf::language::python::code::store::Store;
use pyebpf::wire::decode::{CodeView, Event, ProcessChange, decode};

/// Small, so that definitions are evicted.
const LIMIT_BYTES: usize = 4 << 10;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    line_table: u8,
    records: Vec<Record<'a>>,
}

#[derive(Arbitrary, Debug)]
enum Record<'a> {
    /// As it comes.
    Raw(&'a [u8]),
    /// A sound record with some bytes replaced, as blind luck rarely makes one.
    Damaged {
        sort: Sort,
        damage: Vec<(u16, u8)>,
        tail: &'a [u8],
    },
}

#[derive(Arbitrary, Debug)]
enum Sort {
    Sample,
    Code,
    Exec,
    Exit,
    Native,
    Kernel,
    Spell,
}

impl Record<'_> {
    fn bytes(&self) -> Vec<u8> {
        let (sort, damage, tail) = match self {
            Record::Raw(bytes) => return bytes.to_vec(),
            Record::Damaged { sort, damage, tail } => (sort, damage, tail),
        };
        let process = size_of::<ProcessRecord>() - COMMAND_BYTES;
        let command = offset_of!(ProcessRecord, command_stored);
        let (kind, header, count_at, unit) = match sort {
            Sort::Sample => {
                let frame = size_of::<RawFrame>();
                (
                    record_kind::SAMPLE,
                    SAMPLE_HEADER_BYTES,
                    offset_of!(SampleBlock, frame_count),
                    frame,
                )
            }
            Sort::Code => (
                record_kind::CODE,
                CODE_HEADER_BYTES,
                offset_of!(CodeDefinition, line_table_stored),
                1,
            ),
            Sort::Exec => (record_kind::EXEC, process, command, 1),
            Sort::Exit => (record_kind::EXIT, process, command, 1),
            Sort::Native => (
                record_kind::NATIVE,
                NATIVE_HEADER_BYTES,
                offset_of!(NativeBlock, frame_count),
                size_of::<NativeFrame>(),
            ),
            Sort::Kernel => (
                record_kind::KERNEL,
                KERNEL_HEADER_BYTES,
                offset_of!(KernelStack, frame_count),
                8,
            ),
            // It counts nothing: the number goes where any will do.
            Sort::Spell => (
                record_kind::SPELL,
                size_of::<SpellRecord>(),
                offset_of!(SpellRecord, comm),
                1,
            ),
        };
        let mut bytes = vec![0; header];
        bytes[..2].copy_from_slice(&kind.to_le_bytes());
        bytes[count_at..][..2].copy_from_slice(&((tail.len() / unit) as u16).to_le_bytes());
        if matches!(sort, Sort::Code) {
            let length = offset_of!(CodeDefinition, line_table_length);
            bytes[length..][..4].copy_from_slice(&(tail.len() as u32).to_le_bytes());
        }
        bytes.extend_from_slice(tail);
        for (at, value) in damage {
            let at = usize::from(*at) % bytes.len();
            bytes[at] = *value;
        }
        bytes
    }
}

fuzz_target!(|input: Input<'_>| {
    let layout = Layout {
        line_table: input.line_table % 4,
        ..Layout::default()
    };
    let mut store = Store::new(LIMIT_BYTES);
    for record in input.records {
        let bytes = record.bytes();
        match decode(&bytes) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(Event::Code(view)) => define(&mut store, &view, &layout),
            Ok(Event::Sample(view)) => {
                assert_eq!(view.frames.len(), view.frames.clone().count());
                let process = ProcessKey {
                    tgid: view.tgid,
                    incarnation: view.incarnation,
                };
                for frame in view.frames {
                    let resolved = store.of(process).resolve(frame);
                    let _ = resolved.map(|id| store.describe(id));
                }
            }
            Ok(Event::Native(view)) => assert!(view.frames.count() <= bytes.len() / 16),
            Ok(Event::Spell(spell)) => {
                assert!(spell.end_ns() >= spell.out_ns && spell.total_ns() >= spell.blocked_ns)
            }
            Ok(Event::Kernel(view)) => assert!(view.addresses().count() <= bytes.len() / 8),
            Ok(Event::Process(view)) => {
                assert!(view.arguments().map(<[u8]>::len).sum::<usize>() <= view.command.len());
                let process = ProcessKey {
                    tgid: view.tgid,
                    incarnation: view.incarnation,
                };
                if view.change == ProcessChange::Exit {
                    store.process_gone(process);
                }
                store.collect(|_| false);
            }
        }
    }
});

fn define(store: &mut Store, view: &CodeView<'_>, layout: &Layout) {
    store.insert(view, layout);
    assert!(store.bytes() <= LIMIT_BYTES);
    let process = ProcessKey {
        tgid: view.tgid,
        incarnation: view.incarnation,
    };
    for instr_offset in [0, 2, u32::MAX] {
        let frame = RawFrame {
            code: view.code,
            instr_offset,
            check: view.check,
        };
        let resolved = store.of(process).resolve(frame);
        if let Some(frame) = resolved.ok().and_then(|id| store.describe(id)) {
            assert!(frame.line.is_none_or(|line| line > 0));
        }
    }
}
