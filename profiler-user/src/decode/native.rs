//! Records of native and kernel frames.

use profiler_common::reason::NativeStatus;
use profiler_common::record::{
    KERNEL_FRAMES, KERNEL_HEADER_BYTES, KernelStack, NATIVE_FRAMES_PER_BLOCK, NATIVE_HEADER_BYTES,
    NATIVE_IN_KERNEL, NATIVE_LAST, NativeBlock, NativeFrame,
};

use super::{DecodeError, Scalar as _, field, tail};

/// A [`NativeBlock`], checked.
#[derive(Clone, Debug)]
pub struct NativeView<'a> {
    /// 0 for the newest frames, then 1, 2, ...
    pub index: u8,
    /// How complete the stack is, in its last block; `None` when another block follows.
    pub status: Option<NativeStatus>,
    /// Whether the thread was in the kernel.
    pub in_kernel: bool,
    /// CPU number.
    pub cpu: u32,
    /// As `SampleView::time_ns`.
    pub time_ns: u64,
    /// Bit `n`: the `pc` of frame `n` is an instruction that was interrupted, not a return address.
    pub interrupted: u64,
    /// Newest first.
    pub frames: NativeFrames<'a>,
}

/// The frames of one block, newest first.
#[derive(Clone, Debug)]
pub struct NativeFrames<'a>(core::slice::ChunksExact<'a, u8>);

impl Iterator for NativeFrames<'_> {
    type Item = NativeFrame;

    fn next(&mut self) -> Option<NativeFrame> {
        let bytes = self.0.next()?;
        Some(NativeFrame {
            pc: field!(bytes, NativeFrame, pc).ok()?,
            sp: field!(bytes, NativeFrame, sp).ok()?,
        })
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
            .filter_map(|bytes| u64::read(bytes, 0).ok())
    }
}

pub(super) fn native(bytes: &[u8]) -> Result<NativeView<'_>, DecodeError> {
    let frame_count = field!(bytes, NativeBlock, frame_count)?;
    if usize::from(frame_count) > NATIVE_FRAMES_PER_BLOCK {
        return Err(DecodeError::FrameCount(frame_count));
    }
    let width = size_of::<NativeFrame>();
    let frames = tail(bytes, NATIVE_HEADER_BYTES, usize::from(frame_count) * width)?;
    let flags = field!(bytes, NativeBlock, flags)?;
    let status = field!(bytes, NativeBlock, status)?;
    let status = (flags & NATIVE_LAST != 0).then_some(status);
    Ok(NativeView {
        index: field!(bytes, NativeBlock, index)?,
        status: status.map(native_status).transpose()?,
        in_kernel: flags & NATIVE_IN_KERNEL != 0,
        cpu: field!(bytes, NativeBlock, cpu)?,
        time_ns: field!(bytes, NativeBlock, time_ns)?,
        interrupted: field!(bytes, NativeBlock, interrupted)?,
        frames: NativeFrames(frames.chunks_exact(width)),
    })
}

fn native_status(code: u8) -> Result<NativeStatus, DecodeError> {
    NativeStatus::from_code(code.into()).ok_or(DecodeError::NativeStatus(code))
}

pub(super) fn kernel(bytes: &[u8]) -> Result<KernelView<'_>, DecodeError> {
    let frame_count = field!(bytes, KernelStack, frame_count)?;
    if usize::from(frame_count) > KERNEL_FRAMES {
        return Err(DecodeError::FrameCount(frame_count));
    }
    Ok(KernelView {
        cpu: field!(bytes, KernelStack, cpu)?,
        time_ns: field!(bytes, KernelStack, time_ns)?,
        addresses: tail(bytes, KERNEL_HEADER_BYTES, usize::from(frame_count) * 8)?,
    })
}
