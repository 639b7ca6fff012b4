//! What one instruction does to the stack pointer and the frame pointer.

use iced_x86::{Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};
use profiler_common::contract::unwind::{Row, cfa_rule, fp_rule, ra_rule};

use crate::native::unwind::rows::NO_RULE;

/// What is known before an instruction. Distances in bytes below the canonical frame address, which a call leaves 8 bytes
/// above the stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    /// Of the stack pointer, as long as it is known.
    sp: Option<i64>,
    fp: FramePointer,
    /// Of the word that holds the caller's frame pointer, once it is saved.
    saved: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FramePointer {
    /// The caller's.
    Untouched,
    /// At this distance.
    Frame(i64),
    /// A register like any other.
    Other,
}

impl State {
    /// At the first instruction of a function.
    pub(super) const ENTRY: Self = Self {
        sp: Some(8),
        fp: FramePointer::Untouched,
        saved: None,
    };

    pub(super) fn row(self) -> Row {
        let base = match (self.fp, self.sp) {
            (FramePointer::Frame(distance), _) => Some((cfa_rule::FP, distance)),
            (_, Some(distance)) => Some((cfa_rule::SP, distance)),
            _ => None,
        };
        let (fp, fp_distance) = match self.saved {
            Some(distance) => (fp_rule::AT_CFA, -distance),
            None => (fp_rule::SAME, 0),
        };
        let Some((rule, distance)) = base else {
            return NO_RULE;
        };
        let (words, fp_words) = (distance / 8, fp_distance / 8);
        if distance % 8 != 0 || distance < 8 || fp_distance % 8 != 0 || !Row::fits(words, fp_words) {
            return NO_RULE;
        }
        match (i32::try_from(words), i16::try_from(fp_words)) {
            (Ok(words), Ok(fp_words)) => Row::new(0, rule, words, fp, fp_words, ra_rule::BELOW_CFA),
            _ => NO_RULE,
        }
    }

    /// After an instruction.
    pub(super) fn step(&mut self, instruction: &Instruction, information: &mut InstructionInfoFactory) {
        let first = instruction.op0_register();
        let is_register = |operand: u32, register: Register| {
            instruction.op_count() > operand
                && instruction.op_kind(operand) == OpKind::Register
                && instruction.op_register(operand) == register
        };
        let (to_sp, to_fp) = (is_register(0, Register::RSP), is_register(0, Register::RBP));
        let displacement = instruction.memory_displacement64().cast_signed();
        let is_plain = instruction.memory_index() == Register::None;
        let from = |operand: u32, base: Register| {
            instruction.op_count() > operand
                && instruction.op_kind(operand) == OpKind::Memory
                && instruction.memory_base() == base
                && is_plain
        };
        match instruction.mnemonic() {
            Mnemonic::Push => {
                self.move_sp(instruction.stack_pointer_increment().into());
                if is_register(0, Register::RBP) && self.fp == FramePointer::Untouched && self.saved.is_none()
                {
                    self.saved = self.sp;
                }
            }
            Mnemonic::Pop if to_fp => self.pop_fp(),
            Mnemonic::Pop if !to_sp => self.move_sp(instruction.stack_pointer_increment().into()),
            Mnemonic::Leave => {
                self.sp = self.frame();
                self.pop_fp();
            }
            Mnemonic::Mov if to_fp && is_register(1, Register::RSP) => {
                self.fp = self.sp.map_or(FramePointer::Other, FramePointer::Frame);
            }
            Mnemonic::Lea if to_fp && from(1, Register::RSP) => {
                let distance = self.sp.and_then(|sp| sp.checked_sub(displacement));
                self.fp = distance.map_or(FramePointer::Other, FramePointer::Frame);
            }
            Mnemonic::Mov if to_sp && is_register(1, Register::RBP) => self.sp = self.frame(),
            Mnemonic::Lea if to_sp && from(1, Register::RBP) => {
                self.sp = self.frame().and_then(|frame| frame.checked_sub(displacement));
            }
            Mnemonic::Lea if to_sp && from(1, Register::RSP) => self.move_sp(displacement),
            Mnemonic::Sub | Mnemonic::Add if to_sp => match immediate(instruction) {
                Some(value) if instruction.mnemonic() == Mnemonic::Add => self.move_sp(value),
                Some(value) => self.move_sp(value.wrapping_neg()),
                None => self.sp = None,
            },
            Mnemonic::Mov if from(0, Register::RSP) && is_register(1, Register::RBP) => {
                if self.fp == FramePointer::Untouched && self.saved.is_none() {
                    self.saved = self.sp.and_then(|sp| sp.checked_sub(displacement));
                }
            }
            Mnemonic::Mov if to_fp && from(1, Register::RSP) => {
                let distance = self.sp.and_then(|sp| sp.checked_sub(displacement));
                self.restore(distance);
            }
            _ => {
                if matches!(first.full_register(), Register::RSP | Register::RBP)
                    && instruction.op_count() > 0
                    && instruction.op0_kind() == OpKind::Register
                    && is_written(information.info(instruction).op0_access())
                {
                    if first.full_register() == Register::RSP {
                        self.sp = None;
                    } else {
                        self.fp = FramePointer::Other;
                    }
                }
            }
        }
    }

    fn frame(&self) -> Option<i64> {
        match self.fp {
            FramePointer::Frame(distance) => Some(distance),
            FramePointer::Untouched | FramePointer::Other => None,
        }
    }

    /// The stack pointer grows by so many bytes.
    fn move_sp(&mut self, bytes: i64) {
        self.sp = self.sp.and_then(|sp| sp.checked_sub(bytes));
    }

    fn pop_fp(&mut self) {
        self.restore(self.sp);
        self.move_sp(8);
    }

    /// The frame pointer is read from here.
    fn restore(&mut self, distance: Option<i64>) {
        if distance.is_some() && self.saved == distance {
            self.saved = None;
            self.fp = FramePointer::Untouched;
        } else {
            self.fp = FramePointer::Other;
        }
    }
}

fn is_written(access: OpAccess) -> bool {
    !matches!(
        access,
        OpAccess::None | OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
    )
}

fn immediate(instruction: &Instruction) -> Option<i64> {
    match instruction.op1_kind() {
        OpKind::Immediate8to64 | OpKind::Immediate32to64 => Some(instruction.immediate(1).cast_signed()),
        _ => None,
    }
}
