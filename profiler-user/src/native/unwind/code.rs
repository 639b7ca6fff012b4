//! Unwinding rules from machine code alone, where there is no call frame information: musl is built without.
//!
//! Used by [`super::gaps`] for long stretches of undescribed x86-64 code. Follows the stack pointer from the first
//! instruction of each function along all branches, as a compiler does when it writes call frame information. Functions
//! begin where something is called, where a symbol says so, and behind the end of another one. Held against the call frame
//! information of every library here (`tests/code.rs`).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use iced_x86::{
    Code, Decoder, DecoderOptions, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess,
    OpKind, Register,
};
use profiler_common::contract::unwind::{Row, cfa_rule, fp_rule, ra_rule};

use super::piece::Piece;
use super::rows::NO_RULE;

/// Bytes of code that are followed, at most; musl has 400,000.
pub(super) const MAX_CODE_BYTES: u64 = 4 << 20;

/// What is known before an instruction. Distances in bytes below the canonical frame address, which a call leaves 8 bytes
/// above the stack pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct State {
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
    const ENTRY: Self = Self {
        sp: Some(8),
        fp: FramePointer::Untouched,
        saved: None,
    };

    fn row(self) -> Row {
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
    fn step(&mut self, instruction: &Instruction, information: &mut InstructionInfoFactory) {
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

/// The rules of `code`, which begins at `start` with a function; `symbols` are functions that are known to begin there.
pub(super) fn rules(start: u64, code: &[u8], symbols: impl IntoIterator<Item = u64>) -> Vec<Piece> {
    let mut follower = Follower {
        start,
        code,
        begins: BTreeSet::from([start]),
        states: vec![0; code.len()],
        known: Vec::new(),
        numbers: BTreeMap::new(),
        switches: BTreeMap::new(),
        jumped_to: HashSet::new(),
        work: Vec::new(),
        information: InstructionInfoFactory::new(),
    };
    let code = start..start.saturating_add(code.len() as u64);
    let symbols = symbols.into_iter().filter(|at| code.contains(at));
    follower.begins.extend(symbols);
    follower.find_targets();
    for begin in follower.begins.clone() {
        follower.work.push((begin, State::ENTRY));
        follower.follow();
    }
    follower.follow_rest(false);
    follower.follow_rest(true);
    follower.pieces()
}

struct Follower<'a> {
    start: u64,
    code: &'a [u8],
    /// First instructions of functions.
    begins: BTreeSet<u64>,
    /// For each byte, 1 + the number of the state before the instruction that begins there; 0 where none does.
    states: Vec<u32>,
    known: Vec<State>,
    numbers: BTreeMap<State, u32>,
    /// Jumps through tables: where, and the state then.
    switches: BTreeMap<u64, State>,
    /// Targets of jumps, of whatever function.
    jumped_to: HashSet<u64>,
    work: Vec<(u64, State)>,
    information: InstructionInfoFactory,
}

impl Follower<'_> {
    fn holds(&self, address: u64) -> bool {
        self.offset(address).is_some()
    }

    fn offset(&self, address: u64) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.start)?).ok()?;
        (offset < self.code.len()).then_some(offset)
    }

    /// Whatever is called begins a function; whatever is jumped to is likely to go on with one.
    fn find_targets(&mut self) {
        let mut decoder = Decoder::with_ip(64, self.code, self.start, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            let target = instruction.near_branch_target();
            match instruction.flow_control() {
                FlowControl::Call if instruction.is_call_near() && self.holds(target) => {
                    self.begins.insert(target);
                }
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch => {
                    self.jumped_to.insert(target);
                }
                _ => {}
            }
        }
    }

    /// Follows all that is to be followed.
    fn follow(&mut self) {
        while let Some((at, state)) = self.work.pop() {
            self.follow_from(at, state);
        }
    }

    fn follow_from(&mut self, at: u64, mut state: State) {
        let Some(offset) = self.offset(at) else { return };
        let mut decoder = Decoder::with_ip(64, &self.code[offset..], at, DecoderOptions::NONE);
        let mut instruction = Instruction::default();
        while decoder.can_decode() {
            let at = decoder.ip();
            let Some(offset) = self.offset(at) else { return };
            // Where another function begins, this one did not go on: what it called does not return.
            if self.states[offset] != 0 || (self.begins.contains(&at) && state != State::ENTRY) {
                return;
            }
            decoder.decode_out(&mut instruction);
            if instruction.is_invalid() {
                return;
            }
            self.states[offset] = self.number(state);
            state.step(&instruction, &mut self.information);
            match instruction.flow_control() {
                // musl's way to crash.
                FlowControl::Next if instruction.mnemonic() == Mnemonic::Hlt => return,
                FlowControl::Next | FlowControl::IndirectCall | FlowControl::XbeginXabortXend => {}
                FlowControl::Call => {
                    if self.ends_with_call(decoder.ip()) {
                        return;
                    }
                }
                FlowControl::ConditionalBranch => self.branch(instruction.near_branch_target(), state),
                FlowControl::UnconditionalBranch => {
                    self.branch(instruction.near_branch_target(), state);
                    return;
                }
                FlowControl::IndirectBranch => {
                    self.switches.insert(at, state);
                    return;
                }
                FlowControl::Return | FlowControl::Interrupt | FlowControl::Exception => return,
            }
        }
    }

    fn branch(&mut self, target: u64, state: State) {
        if self.holds(target) && !self.begins.contains(&target) {
            self.work.push((target, state));
        }
    }

    /// What no branch leads to: cases of a `switch`, else functions that are called through pointers only. What is
    /// jumped to by code that has not been followed yet waits for the last round.
    fn follow_rest(&mut self, is_last: bool) {
        let mut at = self.start;
        let mut is_boundary = true;
        while let Some(offset) = self.offset(at) {
            let mut decoder = Decoder::with_ip(64, &self.code[offset..], at, DecoderOptions::NONE);
            let instruction = decoder.decode();
            let next = at.saturating_add(instruction.len().max(1) as u64);
            if is_padding(&instruction) {
                at = next;
                continue;
            }
            if self.states[offset] == 0
                && is_boundary
                && !instruction.is_invalid()
                && (is_last || !self.jumped_to.contains(&at))
            {
                self.follow_unknown(at, &instruction);
            }
            is_boundary = self.states[offset] != 0 || ends_flow(&instruction);
            at = next;
        }
    }

    fn follow_unknown(&mut self, at: u64, instruction: &Instruction) {
        let begin = self
            .begins
            .range(..=at)
            .next_back()
            .copied()
            .unwrap_or(self.start);
        let switch = self.switches.range(begin..at).next_back();
        // A jump with nothing on the stack is a call in place of a return, not a `switch`.
        let state = match switch {
            Some((_, &state)) if state != State::ENTRY && !begins_function(instruction) => state,
            _ => {
                self.begins.insert(at);
                State::ENTRY
            }
        };
        self.work.push((at, state));
        self.follow();
    }

    /// Whether what follows is padding, and behind it another function: the call did not return.
    fn ends_with_call(&self, at: u64) -> bool {
        let Some(offset) = self.offset(at) else {
            return true;
        };
        let mut decoder = Decoder::with_ip(64, &self.code[offset..], at, DecoderOptions::NONE);
        let mut behind = at;
        while decoder.can_decode() {
            let instruction = decoder.decode();
            if !is_padding(&instruction) {
                break;
            }
            behind = decoder.ip();
        }
        behind > at && behind.is_multiple_of(16) && !self.jumped_to.contains(&behind)
    }

    fn number(&mut self, state: State) -> u32 {
        if let Some(&number) = self.numbers.get(&state) {
            return number;
        }
        self.known.push(state);
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.numbers.insert(state, number);
        number
    }

    fn pieces(&self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for (at, &state) in (self.start..).zip(&self.states) {
            let Some(state) = state
                .checked_sub(1)
                .and_then(|state| self.known.get(state as usize))
            else {
                continue;
            };
            let row = state.row();
            match pieces.last_mut() {
                Some(last) if last.row == row => {}
                last => {
                    if let Some(last) = last {
                        last.end = at;
                    }
                    pieces.push(Piece {
                        start: at,
                        end: at,
                        row,
                    });
                }
            }
        }
        if let Some(last) = pieces.last_mut() {
            last.end = self.start.saturating_add(self.code.len() as u64);
        }
        pieces
    }
}

/// What is put between functions and before loops.
pub(super) fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Nop | Mnemonic::Int3)
        || instruction.code() == Code::Xchg_r16_AX
}

fn ends_flow(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Interrupt
            | FlowControl::Exception
    ) || instruction.mnemonic() == Mnemonic::Hlt
}

/// What functions begin with, and cases of a `switch` do not.
fn begins_function(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Endbr64 | Mnemonic::Push)
        || (instruction.mnemonic() == Mnemonic::Sub && instruction.op0_register() == Register::RSP)
}
