//! Records to bytes as the kernel half sends them, and back, for tests.

use core::mem::offset_of;

use profiler_common::contract::records::{
    CLASS_BYTES, CODE_HEADER_BYTES, COMMAND_BYTES, CodeDefinition, FILENAME_BYTES, FRAMES_PER_BLOCK,
    KERNEL_FRAMES, KERNEL_HEADER_BYTES, KernelStack, LINE_TABLE_BYTES, NAME_BYTES, NATIVE_FRAMES_PER_BLOCK,
    NATIVE_HEADER_BYTES, NativeBlock, NativeFrame, ProcessRecord, RawFrame, SAMPLE_HEADER_BYTES, SampleBlock,
    TextHeader,
};

use super::{CodeView, Event, ProcessView, SampleView, decode};

/// Writes integers to the places they have in the record type.
macro_rules! write_fields {
    ($bytes:expr, $at:expr, $record:expr, $type:ty, [$($field:ident)*]) => {$(
        write($bytes, $at + offset_of!($type, $field), &$record.$field.to_le_bytes());
    )*};
}

fn write(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// Only the first `frame_count` frames are sent.
pub(crate) fn sample(record: &SampleBlock) -> Vec<u8> {
    let count = usize::from(record.frame_count);
    let mut bytes = vec![0; SAMPLE_HEADER_BYTES + count * size_of::<RawFrame>()];
    write_fields!(&mut bytes, 0, record, SampleBlock, [
        kind frame_count index flags status gil tgid tid incarnation time_ns thread_state weight cpu void source entries
    ]);
    write(&mut bytes, offset_of!(SampleBlock, comm), &record.comm);
    for (index, frame) in record.frames.iter().take(count).enumerate() {
        let at = SAMPLE_HEADER_BYTES + index * size_of::<RawFrame>();
        write_fields!(&mut bytes, at, frame, RawFrame, [code instr_offset check]);
    }
    bytes
}

/// Only the first `frame_count` frames are sent.
pub(crate) fn native(record: &NativeBlock) -> Vec<u8> {
    let count = usize::from(record.frame_count);
    let mut bytes = vec![0; NATIVE_HEADER_BYTES + count * size_of::<NativeFrame>()];
    write_fields!(&mut bytes, 0, record, NativeBlock, [
        kind frame_count index flags status pad cpu time_ns interrupted
    ]);
    for (index, frame) in record.frames.iter().take(count).enumerate() {
        let at = NATIVE_HEADER_BYTES + index * size_of::<NativeFrame>();
        write_fields!(&mut bytes, at, frame, NativeFrame, [pc sp]);
    }
    bytes
}

/// Only the first `frame_count` addresses are sent.
pub(crate) fn kernel(record: &KernelStack) -> Vec<u8> {
    let count = usize::from(record.frame_count);
    let mut bytes = vec![0; KERNEL_HEADER_BYTES + count * 8];
    write_fields!(&mut bytes, 0, record, KernelStack, [kind frame_count cpu time_ns]);
    for (index, address) in record.frames.iter().take(count).enumerate() {
        write(
            &mut bytes,
            KERNEL_HEADER_BYTES + index * 8,
            &address.to_le_bytes(),
        );
    }
    bytes
}

/// Only the first `line_table_stored` bytes of the line table are sent.
pub(crate) fn code(record: &CodeDefinition) -> Vec<u8> {
    let stored = usize::from(record.line_table_stored);
    let mut bytes = vec![0; CODE_HEADER_BYTES + stored];
    write_fields!(&mut bytes, 0, record, CodeDefinition, [
        kind line_table_stored tgid incarnation code check first_line line_table_object line_table_length layout
        class_object class_stored pad
    ]);
    for (at, text) in [
        (offset_of!(CodeDefinition, name), record.name),
        (offset_of!(CodeDefinition, filename), record.filename),
    ] {
        write_fields!(&mut bytes, at, text, TextHeader, [object length stored kind pad]);
    }
    write(
        &mut bytes,
        offset_of!(CodeDefinition, name_data),
        &record.name_data,
    );
    write(
        &mut bytes,
        offset_of!(CodeDefinition, filename_data),
        &record.filename_data,
    );
    write(
        &mut bytes,
        offset_of!(CodeDefinition, class_data),
        &record.class_data,
    );
    write(&mut bytes, CODE_HEADER_BYTES, &record.line_table[..stored]);
    bytes
}

/// Only the first `command_stored` bytes of the command line are sent.
pub(crate) fn process(record: &ProcessRecord) -> Vec<u8> {
    let stored = usize::from(record.command_stored);
    let mut bytes = vec![0; size_of::<ProcessRecord>() - COMMAND_BYTES + stored];
    write_fields!(&mut bytes, 0, record, ProcessRecord, [
        kind command_stored tgid parent_tgid pad incarnation time_ns
    ]);
    write(&mut bytes, offset_of!(ProcessRecord, comm), &record.comm);
    write(
        &mut bytes,
        offset_of!(ProcessRecord, command),
        &record.command[..stored],
    );
    bytes
}

/// Decodes what must be a sample.
pub(crate) fn sample_view(bytes: &[u8]) -> SampleView<'_> {
    let Event::Sample(view) = decode(bytes).expect("a record") else {
        unreachable!("a sample")
    };
    view
}

/// Decodes what must be a definition.
pub(crate) fn code_view(bytes: &[u8]) -> CodeView<'_> {
    let Event::Code(view) = decode(bytes).expect("a record") else {
        unreachable!("a definition")
    };
    view
}

/// Decodes what must be a process record.
pub(crate) fn process_view(bytes: &[u8]) -> ProcessView<'_> {
    let Event::Process(view) = decode(bytes).expect("a record") else {
        unreachable!("a process record")
    };
    view
}

/// A sample without frames.
pub(crate) const NO_SAMPLE: SampleBlock = SampleBlock {
    kind: profiler_common::contract::records::record_kind::SAMPLE,
    frame_count: 0,
    index: 0,
    flags: 0,
    status: 0,
    gil: 0,
    tgid: 0,
    tid: 0,
    incarnation: 0,
    time_ns: 0,
    thread_state: 0,
    weight: 0,
    cpu: 0,
    void: 0,
    source: 0,
    comm: [0; 16],
    entries: 0,
    frames: [RawFrame {
        code: 0,
        instr_offset: 0,
        check: 0,
    }; FRAMES_PER_BLOCK],
};

/// The last block of a native stack, without frames.
pub(crate) const NO_NATIVE: NativeBlock = NativeBlock {
    kind: profiler_common::contract::records::record_kind::NATIVE,
    frame_count: 0,
    index: 0,
    flags: profiler_common::contract::records::NATIVE_LAST,
    status: 0,
    pad: 0,
    cpu: 0,
    time_ns: 0,
    interrupted: 0,
    frames: [NativeFrame { pc: 0, sp: 0 }; NATIVE_FRAMES_PER_BLOCK],
};

/// No kernel frames.
pub(crate) const NO_KERNEL: KernelStack = KernelStack {
    kind: profiler_common::contract::records::record_kind::KERNEL,
    frame_count: 0,
    cpu: 0,
    time_ns: 0,
    frames: [0; KERNEL_FRAMES],
};

/// A definition of which nothing was readable.
pub(crate) const NO_CODE: CodeDefinition = CodeDefinition {
    kind: profiler_common::contract::records::record_kind::CODE,
    line_table_stored: 0,
    tgid: 0,
    incarnation: 0,
    code: 0,
    check: 0,
    first_line: 0,
    line_table_object: 0,
    line_table_length: 0,
    layout: 0,
    class_object: 0,
    class_stored: 0,
    pad: 0,
    name: TextHeader {
        object: 0,
        length: 0,
        stored: 0,
        kind: 0,
        pad: 0,
    },
    filename: TextHeader {
        object: 0,
        length: 0,
        stored: 0,
        kind: 0,
        pad: 0,
    },
    name_data: [0; NAME_BYTES],
    filename_data: [0; FILENAME_BYTES],
    class_data: [0; CLASS_BYTES],
    line_table: [0; LINE_TABLE_BYTES],
};

/// The `str` with this data as the kernel half captures it into `room`.
pub(crate) fn capture<const N: usize>(kind: u8, data: &[u8], room: &mut [u8; N]) -> TextHeader {
    let stored = data.len().min(N);
    room[..stored].copy_from_slice(&data[..stored]);
    TextHeader {
        object: 0,
        length: u32::try_from(data.len() / usize::from(kind)).expect("short"),
        stored: u16::try_from(stored).expect("fits into a record"),
        kind,
        pad: 0,
    }
}

/// A definition as the kernel half captures it: each part cut off where the record has no more room.
pub(crate) fn definition(name: &str, filename: &str, first_line: u32, line_table: &[u8]) -> CodeDefinition {
    let mut record = CodeDefinition {
        first_line,
        ..NO_CODE
    };
    record.name = capture(1, name.as_bytes(), &mut record.name_data);
    record.filename = capture(1, filename.as_bytes(), &mut record.filename_data);
    let stored = line_table.len().min(LINE_TABLE_BYTES);
    record.line_table[..stored].copy_from_slice(&line_table[..stored]);
    record.line_table_stored = u16::try_from(stored).expect("fits into a record");
    record.line_table_length = u32::try_from(line_table.len()).expect("short");
    record
}
