//! This CPU's working memory: map values that one program at a time has to itself.
//!
//! A program is not interrupted on its CPU by another one of its type, and the stages of one sample follow each other; so
//! the values that belong to one type of program have one user. [`Run`] is the right to them: made once at the start of
//! each program, lent out for as long as a reference lives, and lent to the global functions, which make it again.

use core::marker::PhantomData;

use aya_ebpf::maps::PerCpuArray;
use profiler_common::contract::process::ProcessEntry;
use profiler_common::contract::records::{
    CodeDefinition, KernelStack, NativeBlock, ProcessRecord, SampleBlock,
};
use profiler_common::walker::native::NativeScratch;
use profiler_common::walker::python::Scratch;

use crate::chains::Chain;
use crate::maps::PROCESS_RECORD;

/// A sample under way.
#[repr(C)]
pub(crate) struct Sample {
    /// Its process, as it was when the sample began.
    pub(crate) process: ProcessEntry,
    /// Working memory of the walk.
    pub(crate) scratch: Scratch,
    /// The block being filled.
    pub(crate) block: SampleBlock,
}

/// The native frames of a sample.
#[repr(C)]
pub(crate) struct Native {
    /// Working memory of the unwinder.
    pub(crate) scratch: NativeScratch,
    /// The block being filled.
    pub(crate) block: NativeBlock,
    /// The kernel's part of the stack.
    pub(crate) kernel: KernelStack,
}

/// The right of one run of a program to the working memory of `O`: a [`Chain`], or [`ProcessLife`].
pub(crate) struct Run<O>(PhantomData<O>);

/// Owner of the working memory of the tracepoints of process life.
pub(crate) struct ProcessLife;

impl<O> Run<O> {
    /// To be called once, at the start of a program or global function of `O`.
    #[inline(always)]
    pub(crate) fn begin() -> Self {
        Self(PhantomData)
    }

    /// The value of one of the maps of `O` on this CPU, for as long as the right is lent.
    #[inline(always)]
    fn value<T>(&mut self, map: &'static PerCpuArray<T>) -> Option<&mut T> {
        let value = map.get_ptr_mut(0)?;
        // SAFETY: the kernel returned a live value of this type and size. Nobody else refers to it: see the module.
        Some(unsafe { &mut *value })
    }
}

impl<C: Chain> Run<C> {
    /// The sample.
    #[inline(always)]
    pub(crate) fn sample(&mut self) -> Option<&mut Sample> {
        self.value(C::sample())
    }

    /// Its native frames.
    #[inline(always)]
    pub(crate) fn native(&mut self) -> Option<&mut Native> {
        self.value(C::native())
    }

    /// The sample, and its native frames.
    #[inline(always)]
    pub(crate) fn sample_and_native(&mut self) -> Option<(&mut Sample, &mut Native)> {
        let (sample, native) = (C::sample().get_ptr_mut(0)?, C::native().get_ptr_mut(0)?);
        // SAFETY: as in `value`.
        let sample = unsafe { &mut *sample };
        // SAFETY: as in `value`; another map's value.
        let native = unsafe { &mut *native };
        Some((sample, native))
    }

    /// The sample, and the definition being filled.
    #[inline(always)]
    pub(crate) fn sample_and_definition(&mut self) -> Option<(&mut Sample, &mut CodeDefinition)> {
        let (sample, definition) = (C::sample().get_ptr_mut(0)?, C::definition().get_ptr_mut(0)?);
        // SAFETY: as in `value`.
        let sample = unsafe { &mut *sample };
        // SAFETY: as in `value`; another map's value.
        let definition = unsafe { &mut *definition };
        Some((sample, definition))
    }

    /// Walks the next frames of the sample's block, from `first` on; returns where they end.
    #[inline(always)]
    pub(crate) fn walk_python_stretch(&mut self, layout: u32, first: u32) -> u32 {
        C::walk_python_stretch(layout, first)
    }

    /// Sends the definition of the code of one frame.
    #[inline(always)]
    pub(crate) fn define_frame(&mut self, layout: u32, index: u32) -> u32 {
        C::define_frame(layout, index)
    }

    /// Walks the next native frames of the block, from `first` on; returns where they end.
    #[inline(always)]
    pub(crate) fn unwind_stretch(&mut self, first: u32) -> u32 {
        C::unwind_stretch(first)
    }
}

impl Run<ProcessLife> {
    /// The record being filled.
    #[inline(always)]
    pub(crate) fn record(&mut self) -> Option<&mut ProcessRecord> {
        self.value(&PROCESS_RECORD)
    }
}
