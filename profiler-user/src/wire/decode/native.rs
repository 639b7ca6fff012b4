//! Records of native and kernel frames.

use profiler_common::contract::reasons::NativeStatus;
use profiler_common::contract::records::{
    KERNEL_FRAMES, KERNEL_HEADER_BYTES, KernelStack, NATIVE_FRAMES_PER_BLOCK, NATIVE_HEADER_BYTES,
    NATIVE_LAST, NativeBlock, NativeFrame,
};

use zerocopy::FromBytes as _;

use super::error::DecodeError;
use super::parts::{record, tail};

/// A [`NativeBlock`], checked.
#[derive(Clone, Debug)]
pub struct NativeView<'a> {
    /// 0 for the newest frames, then 1, 2, ...
    pub index: u8,
    /// How complete the stack is, in its last block; `None` when another block follows.
    pub status: Option<NativeStatus>,
    /// CPU number.
    pub cpu: u32,
    /// As `SampleView::time_ns`.
    pub time_ns: u64,
    /// Bit `n`: the `pc` of frame `n` is an instruction that was interrupted, not a return address.
    pub interrupted: u64,
    /// Newest first.
    pub frames: BlockFrames<'a>,
}

/// The frames of one block, newest first.
#[derive(Clone, Debug)]
pub struct BlockFrames<'a>(core::slice::ChunksExact<'a, u8>);

impl Iterator for BlockFrames<'_> {
    type Item = NativeFrame;

    fn next(&mut self) -> Option<NativeFrame> {
        NativeFrame::read_from_bytes(self.0.next()?).ok()
    }
}

/// A [`KernelStack`], checked.
#[derive(Clone, Debug)]
pub struct KernelView<'a> {
    /// CPU number.
    pub cpu: u32,
    /// As `SampleView::time_ns`.
    pub time_ns: u64,
    addresses: &'a [u8],
}

impl KernelView<'_> {
    /// Addresses in the kernel, newest first.
    pub fn addresses(&self) -> impl Iterator<Item = u64> {
        self.addresses
            .chunks_exact(8)
            .filter_map(|bytes| u64::read_from_bytes(bytes).ok())
    }
}

pub(super) fn native(bytes: &[u8]) -> Result<NativeView<'_>, DecodeError> {
    let record: NativeBlock = record(bytes, NATIVE_HEADER_BYTES)?;
    let frame_count = usize::from(record.frame_count);
    if frame_count > NATIVE_FRAMES_PER_BLOCK {
        return Err(DecodeError::FrameCount(record.frame_count));
    }
    let width = size_of::<NativeFrame>();
    let frames = tail(bytes, NATIVE_HEADER_BYTES, frame_count * width)?;
    let status = NativeStatus::from_code(record.status).ok_or(DecodeError::NativeStatus(record.status));
    Ok(NativeView {
        index: record.index,
        status: if record.flags & NATIVE_LAST != 0 {
            Some(status?)
        } else {
            None
        },
        cpu: record.cpu,
        time_ns: record.time_ns,
        interrupted: record.interrupted,
        frames: BlockFrames(frames.chunks_exact(width)),
    })
}

pub(super) fn kernel(bytes: &[u8]) -> Result<KernelView<'_>, DecodeError> {
    let record: KernelStack = record(bytes, KERNEL_HEADER_BYTES)?;
    let frame_count = usize::from(record.frame_count);
    if frame_count > KERNEL_FRAMES {
        return Err(DecodeError::FrameCount(record.frame_count));
    }
    Ok(KernelView {
        cpu: record.cpu,
        time_ns: record.time_ns,
        addresses: tail(bytes, KERNEL_HEADER_BYTES, frame_count * 8)?,
    })
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::reasons::NativeStatus;
    use profiler_common::contract::records::{
        KERNEL_FRAMES, KernelStack, NATIVE_FRAMES_PER_BLOCK, NATIVE_IN_KERNEL, NATIVE_LAST, NativeBlock,
        NativeFrame,
    };

    use crate::wire::decode::{DecodeError, Event, decode, encode};

    #[test]
    fn every_field_of_a_native_block_arrives() {
        let mut record = NativeBlock {
            frame_count: 2,
            index: 3,
            flags: NATIVE_LAST | NATIVE_IN_KERNEL,
            status: NativeStatus::NoTable.code(),
            cpu: 0x0102_0304,
            time_ns: 0x2122_2324_2526_2728,
            interrupted: 0b10,
            ..encode::NO_NATIVE
        };
        record.frames[1] = NativeFrame { pc: 5, sp: 6 };
        let bytes = encode::native(&record);
        let Ok(Event::Native(view)) = decode(&bytes) else {
            unreachable!("a native block")
        };
        assert_eq!((view.index, view.cpu), (3, record.cpu));
        assert_eq!(view.status, Some(NativeStatus::NoTable));
        assert_eq!((view.time_ns, view.interrupted), (record.time_ns, 0b10));
        assert_eq!(view.frames.collect::<Vec<_>>(), record.frames[..2]);
    }

    #[test]
    fn a_block_that_another_follows_has_no_status() {
        let record = NativeBlock {
            flags: 0,
            status: 0xffff,
            ..encode::NO_NATIVE
        };
        let bytes = encode::native(&record);
        let Ok(Event::Native(view)) = decode(&bytes) else {
            unreachable!("a native block")
        };
        assert_eq!(view.status, None);
    }

    #[test]
    fn kernel_addresses_arrive_in_order() {
        let mut record = KernelStack {
            frame_count: 3,
            cpu: 7,
            time_ns: 9,
            ..encode::NO_KERNEL
        };
        record.frames[..3].copy_from_slice(&[30, 20, 10]);
        let bytes = encode::kernel(&record);
        let Ok(Event::Kernel(view)) = decode(&bytes) else {
            unreachable!("kernel frames")
        };
        assert_eq!((view.cpu, view.time_ns), (7, 9));
        assert_eq!(view.addresses().collect::<Vec<_>>(), [30, 20, 10]);
    }

    #[test]
    fn counts_and_codes_that_cannot_be_are_refused() {
        let too_many = u16::try_from(NATIVE_FRAMES_PER_BLOCK + 1).expect("small");
        let mut bytes = encode::native(&encode::NO_NATIVE);
        bytes[2..4].copy_from_slice(&too_many.to_le_bytes());
        assert_eq!(decode(&bytes).err(), Some(DecodeError::FrameCount(too_many)));

        let too_many = u16::try_from(KERNEL_FRAMES + 1).expect("small");
        let mut bytes = encode::kernel(&encode::NO_KERNEL);
        bytes[2..4].copy_from_slice(&too_many.to_le_bytes());
        assert_eq!(decode(&bytes).err(), Some(DecodeError::FrameCount(too_many)));

        let record = NativeBlock {
            status: 0xee,
            ..encode::NO_NATIVE
        };
        let bytes = encode::native(&record);
        assert_eq!(decode(&bytes).err(), Some(DecodeError::NativeStatus(0xee)));
        assert!(matches!(
            decode(
                &encode::kernel(&KernelStack {
                    frame_count: 2,
                    ..encode::NO_KERNEL
                })[..24]
            ),
            Err(DecodeError::TooShort { .. })
        ));
    }
}
