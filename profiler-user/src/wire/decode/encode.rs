//! Records as the kernel half sends them, and back, for tests.

use core::mem::offset_of;

use profiler_common::contract::records::{
    CODE_HEADER_BYTES, CodeDefinition, KERNEL_HEADER_BYTES, KernelStack, LINE_TABLE_BYTES,
    NATIVE_HEADER_BYTES, NATIVE_LAST, NativeBlock, NativeFrame, ProcessRecord, RawFrame, SAMPLE_HEADER_BYTES,
    SampleBlock, SpellRecord, TextHeader, record_kind,
};
use zerocopy::{Immutable, IntoBytes, transmute};

use super::{CodeView, Event, ProcessView, SampleView, decode};

/// The first `length` bytes of a record.
fn sent(record: &(impl IntoBytes + Immutable), length: usize) -> Vec<u8> {
    record.as_bytes()[..length].to_vec()
}

/// Only the first `frame_count` frames are sent.
pub(crate) fn sample(record: &SampleBlock) -> Vec<u8> {
    let frames = usize::from(record.frame_count) * size_of::<RawFrame>();
    sent(record, SAMPLE_HEADER_BYTES + frames)
}

/// Only the first `frame_count` frames are sent.
pub(crate) fn native(record: &NativeBlock) -> Vec<u8> {
    let frames = usize::from(record.frame_count) * size_of::<NativeFrame>();
    sent(record, NATIVE_HEADER_BYTES + frames)
}

/// Only the first `frame_count` addresses are sent.
pub(crate) fn kernel(record: &KernelStack) -> Vec<u8> {
    sent(record, KERNEL_HEADER_BYTES + usize::from(record.frame_count) * 8)
}

/// Only the first `line_table_stored` bytes of the line table are sent.
pub(crate) fn code(record: &CodeDefinition) -> Vec<u8> {
    sent(record, CODE_HEADER_BYTES + usize::from(record.line_table_stored))
}

/// Only the first `command_stored` bytes of the command line are sent.
pub(crate) fn process(record: &ProcessRecord) -> Vec<u8> {
    let command = usize::from(record.command_stored);
    sent(record, offset_of!(ProcessRecord, command) + command)
}

/// All of it is sent.
pub(crate) fn spell(record: &SpellRecord) -> Vec<u8> {
    record.as_bytes().to_vec()
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
    kind: record_kind::SAMPLE,
    ..transmute!([0u8; size_of::<SampleBlock>()])
};

/// The last block of a native stack, without frames.
pub(crate) const NO_NATIVE: NativeBlock = NativeBlock {
    kind: record_kind::NATIVE,
    flags: NATIVE_LAST,
    ..transmute!([0u8; size_of::<NativeBlock>()])
};

/// No kernel frames.
pub(crate) const NO_KERNEL: KernelStack = KernelStack {
    kind: record_kind::KERNEL,
    ..transmute!([0u8; size_of::<KernelStack>()])
};

/// A definition of which nothing was readable.
pub(crate) const NO_CODE: CodeDefinition = CodeDefinition {
    kind: record_kind::CODE,
    ..CodeDefinition::EMPTY
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
